//! Waiting for a condition.
//!
//! What holds: nothing here sleeps for a guessed time and hopes; a condition is looked at until it is there or
//! the deadline has passed, and the error then says what was last seen.

use anyhow::{Result, anyhow};
use std::time::{Duration, Instant};

/// How often a condition is looked at.
const PAUSE: Duration = Duration::from_millis(50);

/// Calls `look` until it yields `Some`. An `Err` is not final: it is what was last seen.
pub fn until<T>(limit: Duration, what: &str, mut look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let deadline = Instant::now() + limit;
    loop {
        let seen = match look() {
            Ok(Some(value)) => return Ok(value),
            Ok(None) => "not there yet".to_owned(),
            Err(error) => format!("{error:#}"),
        };
        if Instant::now() >= deadline {
            return Err(anyhow!("{what}: not within {:.1} s; last seen: {seen}", limit.as_secs_f32()));
        }
        std::thread::sleep(PAUSE.min(limit));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::bail;

    #[test]
    fn yields_the_value_once_it_is_there() {
        let mut turns = 0;
        let found = until(Duration::from_secs(5), "three turns", || {
            turns += 1;
            Ok((turns == 3).then_some(turns))
        });
        assert_eq!(found.unwrap(), 3);
    }

    #[test]
    fn says_what_was_last_seen() {
        let error =
            until::<()>(Duration::from_millis(1), "a lease", || bail!("2 offers, no ack")).unwrap_err();
        assert_eq!(error.to_string(), "a lease: not within 0.0 s; last seen: 2 offers, no ack");
    }
}
