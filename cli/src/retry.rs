//! When a request is sent again, and for how long: a GET, and a POST, which carries an `Idempotency-Key` so that a region
//! carries it out once however often it comes. What holds: only that is repeated which may not have been carried out (no connection, an answer that was lost, 503), never what was
//! refused; and never without end.

use crate::client::ClientError;
use std::time::{Duration, Instant};

/// How long to go on.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// While no region was ever reached: the address may simply be wrong.
    pub unreached: Duration,
    /// Once a request may have arrived: as long as a database's takeover may last.
    pub lost: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { unreached: Duration::from_secs(4), lost: Duration::from_secs(75) }
    }
}

/// Longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// The tries of one request.
#[derive(Debug)]
pub struct Tries {
    patience: Patience,
    began: Instant,
    count: u32,
    reached: bool,
}

/// What to do after a failure.
#[derive(Debug, PartialEq, Eq)]
pub struct Again {
    /// How long to wait.
    pub pause: Duration,
    /// How long this may go on, from the first try.
    pub at_most: Duration,
    /// The first repetition: worth a word.
    pub first: bool,
}

impl Tries {
    /// Before the first one.
    pub fn new(patience: Patience) -> Self {
        Self { patience, began: Instant::now(), count: 0, reached: false }
    }

    /// Whether to send the request again after `error`, and when; nothing when it is final or time is up.
    pub fn after(&mut self, error: &anyhow::Error) -> Option<Again> {
        let named = match error.downcast_ref::<ClientError>()? {
            ClientError::Unreachable { source, .. } => {
                self.reached |= !source.is_connect();
                None
            }
            ClientError::Problem { status: 503, retry_after, .. } => {
                self.reached = true;
                Some(retry_after.unwrap_or(Duration::from_secs(1)))
            }
            // The region still answers the first of them.
            ClientError::Problem { status: 409, retry_after: Some(pause), .. } if self.count > 0 => {
                Some(*pause)
            }
            ClientError::Problem { .. } | ClientError::Untrusted { .. } => return None,
        };
        let grown = Duration::from_millis(250 << self.count.min(5));
        let pause = named.unwrap_or(grown).min(LONGEST_PAUSE);
        let at_most = if self.reached { self.patience.lost } else { self.patience.unreached };
        if self.began.elapsed() + pause > at_most {
            return None;
        }
        self.count += 1;
        Some(Again { pause, at_most, first: self.count == 1 })
    }
}
