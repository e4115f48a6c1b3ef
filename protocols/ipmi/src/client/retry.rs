//! When to send an unanswered packet again.

use std::time::{Duration, Instant};

/// Longest pause between two repetitions.
const CEILING: Duration = Duration::from_secs(4);

/// The repetition clock of one packet.
#[derive(Debug, Clone)]
pub(super) struct Retry {
    interval: Duration,
    pub(super) at: Instant,
    pub(super) sent: u32,
}

impl Retry {
    /// The packet was sent for the first time.
    pub(super) fn first(now: Instant, interval: Duration) -> Self {
        let interval = interval.max(Duration::from_millis(1));
        Self { interval, at: now + interval, sent: 1 }
    }

    /// The packet was sent once more.
    pub(super) fn again(&mut self, now: Instant) {
        self.interval = (self.interval * 3 / 2).min(CEILING);
        self.at = now + self.interval;
        self.sent += 1;
    }

    pub(super) fn is_due(&self, now: Instant) -> bool {
        now >= self.at
    }
}
