//! Sends what rules let through: by mail, and to webhooks.
//!
//! What holds: each notification is one row, claimed by one worker of one region at a time, so N regions send it once; a
//! worker that dies leaves a claim that expires, and a region that the database has not heard lets go of what it does.
//! One that dies between the receiver's yes and its own note of it has another send it again, under the same `Message-ID`
//! or `Rackwright-Delivery`, by which a receiver knows it. What is refused is tried again, ever more rarely, for about two
//! days. What is on the page is not sent, and so not here.

mod mail;
mod webhook;

pub use mail::is_address;
pub use webhook::{is_url, signature};

use crate::db::notification::{self, Claimed};
use crate::db::wakeups::{self, Wakeups};
use crate::model::notification::Channel;
use crate::secrets::MasterKey;
use crate::standing::Standing;
use sqlx::PgPool;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// Workers of one region: a receiver that is silent holds up one of them.
pub const WORKERS: usize = 4;
/// A receiver has to answer within this.
const PATIENCE: Duration = Duration::from_secs(15);
/// A claim lasts longer than any try, seconds.
const CLAIM_SECONDS: f64 = 25.0;
/// Tries before it is given up: ten seconds after the first, then twice as long each time, an hour at most.
const TRIES: i32 = 56;
/// How long a lost wake-up may cost.
const SLOW_POLL: Duration = Duration::from_secs(2);
/// How often old ones are forgotten.
const SWEEP: Duration = Duration::from_secs(600);

/// Why a receiver did not take it. The texts are for administrators.
#[derive(Debug, thiserror::Error)]
enum SendError {
    #[error("{}", with_cause(.0))]
    Http(#[from] reqwest::Error),
    #[error("the receiver answered with the status {0}")]
    Status(u16),
    #[error("the mail server: {}", with_cause(.0))]
    Smtp(#[from] lettre::transport::smtp::Error),
    #[error("the mail cannot be written: {0}")]
    Mail(#[from] lettre::error::Error),
    #[error("`{0}` is not a mail address")]
    Address(String),
    #[error("the secret cannot be read: it was sealed with another master key; set it again")]
    Secret,
    #[error("no answer within {} seconds", PATIENCE.as_secs())]
    Silent,
}

/// An error with its last cause, which says what to do.
fn with_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error.source();
    while let Some(deeper) = cause.and_then(std::error::Error::source) {
        cause = Some(deeper);
    }
    cause.map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"))
}

/// One worker: sends until cancelled.
pub async fn run(
    pool: PgPool,
    keys: MasterKey,
    wakeups: Wakeups,
    standing: Standing,
    cancel: CancellationToken,
) {
    let (mut wakeup, mut swept) = (wakeups.events(), Instant::now());
    while !cancel.is_cancelled() {
        tokio::select! {
            () = cancel.cancelled() => return,
            () = standing.acting() => {}
        }
        wakeup.mark_unchanged();
        let worked = tokio::select! {
            () = cancel.cancelled() => return,
            worked = work(&pool, &keys, &mut swept) => worked,
            () = standing.unheard() => continue,
        };
        match worked {
            Ok(true) => continue,
            Ok(false) => {}
            Err(error) => {
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "notifications wait for the database"
                );
            }
        }
        tokio::select! {
            () = cancel.cancelled() => return,
            () = wakeups::wait(&mut wakeup, SLOW_POLL) => {}
        }
    }
}

async fn work(pool: &PgPool, keys: &MasterKey, swept: &mut Instant) -> Result<bool, crate::db::DbError> {
    if send_one(pool, keys).await? {
        return Ok(true);
    }
    if swept.elapsed() > SWEEP {
        *swept = Instant::now();
        notification::forget(&mut *pool.acquire().await?).await?;
    }
    Ok(false)
}

/// Claims and sends one that is due; false when none is. No connection is held while the receiver is spoken to.
pub async fn send_one(pool: &PgPool, keys: &MasterKey) -> Result<bool, crate::db::DbError> {
    let claimed = notification::claim(&mut *pool.acquire().await?, CLAIM_SECONDS).await?;
    let Some(claimed) = claimed else { return Ok(false) };
    let sent = tokio::time::timeout(PATIENCE, send(&claimed, keys)).await.unwrap_or(Err(SendError::Silent));
    let mut conn = pool.acquire().await?;
    match sent {
        Ok(()) => notification::sent(&mut conn, &claimed).await?,
        Err(error) => {
            let rule = claimed.rule.0.name.as_str();
            tracing::warn!(notification.id = claimed.id, rule, attempt = claimed.attempt, %error, "a notification was not taken");
            let again = again_in(claimed.attempt);
            notification::put_back(&mut conn, &claimed, again, &error.to_string()).await?;
        }
    }
    Ok(true)
}

/// Seconds until the next try, after the `attempt`-th; none when it was the last.
fn again_in(attempt: i32) -> Option<f64> {
    (attempt < TRIES).then(|| (10.0 * 2_f64.powi(attempt.max(1) - 1)).min(3600.0))
}

async fn send(claimed: &Claimed, keys: &MasterKey) -> Result<(), SendError> {
    // One of the tests' processes may not have chosen one; a second choice changes nothing.
    drop(rustls::crypto::ring::default_provider().install_default());
    let (rule, sealed) = &claimed.rule;
    let secret =
        sealed.as_ref().map(|sealed| keys.open(sealed)).transpose().map_err(|_| SendError::Secret)?;
    match &rule.channel {
        Channel::Page {} => Ok(()),
        Channel::Webhook { url, ca } => webhook::post(claimed, (url, ca.as_deref()), secret.as_ref()).await,
        Channel::Email { .. } => mail::send(claimed, secret.as_ref()).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tries_grow_rarer_and_end_after_about_two_days() {
        assert_eq!([1, 2, 3, 10].map(again_in), [Some(10.0), Some(20.0), Some(40.0), Some(3600.0)]);
        assert_eq!(again_in(TRIES), None);
        let hours = (1..TRIES).filter_map(again_in).sum::<f64>() / 3600.0;
        assert!((46.0..50.0).contains(&hours), "{hours}");
    }
}
