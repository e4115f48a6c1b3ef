//! Limits on answers by datagram, whose askers may be forged: who asks for one thing too often is told to use a
//! connection, every other time, and hears nothing else (as others call it: response rate limiting).
//!
//! Holds a fixed amount of memory: askers that fall on one place share it.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

/// Places, in parts that are locked one at a time.
const PARTS: usize = 16;
const PLACES: usize = 4096;
/// Seconds for which what was not used is saved up.
const BURST: u64 = 2;

/// What to do with an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allowance {
    /// Send it.
    Send,
    /// Send it without content, saying that there is more.
    Cut,
    /// Say nothing.
    Drop,
}

#[derive(Debug, Clone, Copy, Default)]
struct Place {
    /// When it was used last, milliseconds.
    at: u64,
    /// Thousandths of answers that may be sent.
    left: u64,
    refused: u32,
}

/// Counts answers.
#[derive(Debug)]
pub struct Limit {
    per_second: u64,
    seed: RandomState,
    parts: Vec<Mutex<Vec<Place>>>,
}

impl Limit {
    /// So many answers per second to one network about one thing; 0 for no limit.
    pub fn new(per_second: u32) -> Self {
        let part = || {
            let full = u64::from(per_second) * 1000 * BURST;
            Mutex::new(vec![Place { at: 0, left: full, refused: 0 }; PLACES])
        };
        let parts = if per_second == 0 { 0 } else { PARTS };
        Self {
            per_second: per_second.into(),
            seed: RandomState::new(),
            parts: std::iter::repeat_with(part).take(parts).collect(),
        }
    }

    /// Whether an answer about `what` may go to `to`. Time is milliseconds of any clock that does not go back.
    pub fn allow(&self, to: IpAddr, what: &[u8], now: u64) -> Allowance {
        if self.parts.is_empty() {
            return Allowance::Send;
        }
        let hash = self.seed.hash_one((network(to), what));
        let place = usize::try_from(hash % (PARTS * PLACES) as u64).unwrap_or(0);
        let mut part = self.parts[place % PARTS].lock().unwrap_or_else(PoisonError::into_inner);
        let place = &mut part[place / PARTS];
        let gained = now.saturating_sub(place.at).saturating_mul(self.per_second);
        place.left = place.left.saturating_add(gained).min(self.per_second * 1000 * BURST);
        place.at = now;
        if let Some(left) = place.left.checked_sub(1000) {
            place.left = left;
            return Allowance::Send;
        }
        place.refused = place.refused.wrapping_add(1);
        if place.refused.is_multiple_of(2) { Allowance::Cut } else { Allowance::Drop }
    }
}

/// The network of an asker: whoever forges one address may forge its neighbours.
fn network(address: IpAddr) -> u64 {
    match address.to_canonical() {
        IpAddr::V4(v4) => u64::from(v4.to_bits() >> 8),
        IpAddr::V6(v6) => u64::try_from(v6.to_bits() >> 72).unwrap_or(0) | 1 << 63,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_network_gets_so_much_about_one_thing_and_others_are_not_hurt() {
        let limit = Limit::new(10);
        let asks = |address: [u8; 4], what: &[u8], now| limit.allow(address.into(), what, now);
        let sent = (0..100).filter(|n| asks([192, 0, 2, *n], b"lab", 1000) == Allowance::Send).count();
        assert_eq!(sent, 20, "ten a second, two seconds saved up");
        assert_eq!(asks([192, 0, 2, 1], b"lab", 1000), Allowance::Drop);
        assert_eq!(asks([192, 0, 2, 1], b"lab", 1000), Allowance::Cut);
        assert_eq!(asks([192, 0, 2, 1], b"other", 1000), Allowance::Send);
        assert_eq!(asks([198, 51, 100, 1], b"lab", 1000), Allowance::Send);
        let later = (0..100).filter(|_| asks([192, 0, 2, 1], b"lab", 2000) == Allowance::Send).count();
        assert_eq!(later, 10);
    }

    #[test]
    fn without_a_limit_all_is_sent() {
        let limit = Limit::new(0);
        assert!((0..10_000).all(|_| limit.allow([192, 0, 2, 1].into(), b"", 1) == Allowance::Send));
    }
}
