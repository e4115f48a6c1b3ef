//! Slows down guessing: failed logins are counted per user and address, and per address.
//!
//! In memory of each region: N regions let through N times as many guesses, which is still few. Bounded, so that
//! a flood of made-up names fills no memory.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Failures of one user from one address before it has to wait.
const PER_USER: usize = 5;
/// Failures from one address, whatever the user.
const PER_ADDRESS: usize = 30;
/// How long a failure counts.
const WINDOW: Duration = Duration::from_secs(60);
/// Entries kept at most.
const ENTRIES: usize = 10_000;

type Key = (Option<String>, Option<IpAddr>);

/// The failures of the last minute.
#[derive(Debug, Default)]
pub struct LoginLimit(Mutex<HashMap<Key, Vec<Instant>>>);

impl LoginLimit {
    /// How long the caller has to wait, if at all.
    pub fn check(&self, user: &str, from: Option<IpAddr>, now: Instant) -> Option<Duration> {
        let failures = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let wait = |key: Key, most: usize| {
            let recent: Vec<_> = failures.get(&key)?.iter().filter(|at| now - **at < WINDOW).collect();
            let oldest = recent.len().checked_sub(most).and_then(|i| recent.get(i))?;
            Some(WINDOW - (now - **oldest))
        };
        wait((Some(user.to_owned()), from), PER_USER).max(wait((None, from), PER_ADDRESS))
    }

    /// Counts a failure.
    pub fn failed(&self, user: &str, from: Option<IpAddr>, now: Instant) {
        let mut failures = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if failures.len() >= ENTRIES {
            failures.retain(|_, at| at.last().is_some_and(|last| now - *last < WINDOW));
        }
        if failures.len() >= ENTRIES {
            failures.clear();
        }
        for key in [(Some(user.to_owned()), from), (None, from)] {
            let at = failures.entry(key).or_default();
            at.retain(|t| now - *t < WINDOW);
            at.push(now);
        }
    }

    /// Forgets a user's failures from an address: they got in.
    pub fn succeeded(&self, user: &str, from: Option<IpAddr>) {
        let mut failures = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        failures.remove(&(Some(user.to_owned()), from));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sixth_guess_waits_until_the_first_is_a_minute_old() {
        let (limit, start) = (LoginLimit::default(), Instant::now());
        let from = Some("192.0.2.1".parse().unwrap());
        for i in 0..5 {
            assert_eq!(limit.check("ann", from, start), None);
            limit.failed("ann", from, start + Duration::from_secs(i));
        }
        let later = start + Duration::from_secs(10);
        assert_eq!(limit.check("ann", from, later), Some(Duration::from_secs(50)));
        assert_eq!(limit.check("bob", from, later), None);
        assert_eq!(limit.check("ann", Some("192.0.2.2".parse().unwrap()), later), None);
        assert_eq!(limit.check("ann", from, start + Duration::from_secs(61)), None);
    }

    #[test]
    fn an_address_that_tries_many_names_waits_too() {
        let (limit, now) = (LoginLimit::default(), Instant::now());
        (0..30).for_each(|i| limit.failed(&format!("u{i}"), None, now));
        assert!(limit.check("somebody-else", None, now).is_some());
    }

    #[test]
    fn getting_in_clears_the_name() {
        let (limit, now) = (LoginLimit::default(), Instant::now());
        (0..5).for_each(|_| limit.failed("ann", None, now));
        limit.succeeded("ann", None);
        assert_eq!(limit.check("ann", None, now), None);
    }
}
