//! A clock that is never set back while the process runs.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use rackwright_common::clock::Clock;

/// Seconds since the Unix epoch: the wall clock at the start, and from there on what a steady clock says. Where the
/// wall clock is ahead of that, as after a box was suspended, time has gone by: that errs to the safe side, as all
/// that a rack may do it may do for a time only.
#[derive(Clone)]
pub(super) struct Steady {
    wall: Arc<dyn Clock>,
    last: Arc<Mutex<(Instant, f64)>>,
}

impl Steady {
    pub(super) fn new(wall: Arc<dyn Clock>) -> Self {
        let now = seconds(&wall);
        Self { wall, last: Arc::new(Mutex::new((Instant::now(), now))) }
    }

    /// Now, whole seconds.
    pub(super) fn now(&self) -> u64 {
        self.at(Instant::now())
    }

    fn at(&self, instant: Instant) -> u64 {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let steady = last.1 + instant.saturating_duration_since(last.0).as_secs_f64();
        *last = (last.0.max(instant), steady.max(seconds(&self.wall)));
        last.1 as u64
    }
}

fn seconds(wall: &Arc<dyn Clock>) -> f64 {
    wall.now().unix_timestamp().max(0) as f64
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rackwright_common::clock::FixedClock;

    use super::*;

    #[test]
    fn it_follows_the_wall_clock_forward_and_never_back() {
        let wall = FixedClock::at(1_000);
        let steady = Steady::new(Arc::new(wall.clone()));
        let start = Instant::now();
        assert_eq!(steady.now(), 1_000);
        assert_eq!(steady.at(start + Duration::from_secs(10)), 1_010, "the wall clock stands still");
        wall.advance(3_600);
        assert_eq!(steady.at(start + Duration::from_secs(11)), 4_600, "the box was suspended");
        wall.advance(-7_200);
        assert_eq!(steady.at(start + Duration::from_secs(13)), 4_602);
        assert_eq!(steady.at(start), 4_602);
    }
}
