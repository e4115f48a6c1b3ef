//! One region: dial, speak, and dial again.

use super::known::KnownRegions;
use super::{LinkContext, session};
use rackwright_link::{LinkClient, LinkError};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// A stream that lasted so long was a good one: the next attempt comes soon.
const GOOD: Duration = Duration::from_secs(10);

/// Keeps a stream to the region at `address`, until cancelled.
pub(super) async fn keep(
    context: LinkContext,
    known: Arc<KnownRegions>,
    address: String,
    cancel: CancellationToken,
) {
    let mut pause = FIRST_PAUSE;
    let mut told = String::new();
    while !cancel.is_cancelled() {
        let begun = Instant::now();
        let ended = tokio::select! {
            () = cancel.cancelled() => return,
            ended = speak(&context, &known, &address) => ended,
        };
        if begun.elapsed() > GOOD {
            pause = FIRST_PAUSE;
            told.clear();
        }
        let reason = ended.err().map_or_else(String::new, |e| crate::error_chain(&e));
        // A region that is gone for days fills no log.
        if reason == told {
            tracing::debug!(region = address, reason, "still no stream to this region");
        } else {
            tracing::warn!(region = address, reason, "no stream to this region; trying on");
            told = reason;
        }
        let jitter = rand::random_range(0.5..1.5);
        tokio::select! {
            () = cancel.cancelled() => return,
            () = tokio::time::sleep(pause.mul_f64(jitter)) => {}
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

async fn speak(
    context: &LinkContext,
    known: &KnownRegions,
    address: &str,
) -> Result<(), session::SessionError> {
    let attach = async {
        let client = LinkClient::connect(address, &context.credentials).await?;
        client.attach().await
    };
    let attached = tokio::time::timeout(Duration::from_secs(10), attach).await;
    let (sender, receiver) = attached
        .map_err(|_| session::SessionError::Silent)?
        .map_err(|e: LinkError| session::SessionError::Link(e))?;
    session::run(context, known, address, sender, receiver).await
}
