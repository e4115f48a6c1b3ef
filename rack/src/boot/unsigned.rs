//! Machines whose firmware takes the unsigned loader and does not start it: Secure Boot is on, and a stranger has not told.
//!
//! DHCP does not say whether Secure Boot is on. So a machine that has fetched the unsigned loader, and then asks as
//! firmware again without having been heard as that loader, is given the signed chain from then on. That is slower
//! and right for either kind, so a machine that was merely reset at that moment loses little. What is known of a machine
//! from its inventory goes first; this memory is a rack's own and may be lost.

use rackwright_common::Mac;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A loader that runs has asked for an address by then.
const STARTING: Duration = Duration::from_secs(3);
/// After so long it is another day: somebody may have changed the firmware's set-up.
const REMEMBERED: Duration = Duration::from_secs(3600);
/// Machines remembered; beyond it the old ones are forgotten, and then all.
const MOST: usize = 16 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Fetched {
    at: Instant,
    refused: bool,
}

/// What firmware said when it asked for an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing speaks against the usual loader.
    Usual,
    /// It has just been found to refuse it.
    FoundOut,
    /// It is known to refuse it.
    Refuses,
}

/// Who fetched the unsigned loader, and who was not heard again as it.
#[derive(Debug, Default)]
pub(super) struct Unsigned(Mutex<HashMap<Mac, Fetched>>);

impl Unsigned {
    /// The machine has the whole loader.
    pub(super) fn fetched(&self, mac: Mac, now: Instant) {
        let mut machines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if machines.len() >= MOST {
            machines.retain(|_, m| now.duration_since(m.at) < REMEMBERED);
            if machines.len() >= MOST {
                machines.clear();
            }
        }
        machines.entry(mac).or_insert(Fetched { at: now, refused: false });
    }

    /// The loader was heard: it runs.
    pub(super) fn runs(&self, mac: Mac) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&mac);
    }

    /// The firmware asks for an address.
    pub(super) fn asks(&self, mac: Mac, now: Instant) -> Verdict {
        let mut machines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(machine) = machines.get_mut(&mac) else { return Verdict::Usual };
        let since = now.duration_since(machine.at);
        if since >= REMEMBERED {
            machines.remove(&mac);
            return Verdict::Usual;
        }
        match (machine.refused, since >= STARTING) {
            (true, _) => Verdict::Refuses,
            (false, true) => {
                machine.refused = true;
                Verdict::FoundOut
            }
            (false, false) => Verdict::Usual,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: Mac = Mac([2, 0, 0, 0, 0, 1]);

    #[test]
    fn firmware_that_comes_back_without_the_loader_refuses_it() {
        let (unsigned, start) = (Unsigned::default(), Instant::now());
        assert_eq!(unsigned.asks(MAC, start), Verdict::Usual);
        unsigned.fetched(MAC, start);
        assert_eq!(unsigned.asks(MAC, start + Duration::from_secs(1)), Verdict::Usual, "it may be starting");
        assert_eq!(unsigned.asks(MAC, start + Duration::from_secs(4)), Verdict::FoundOut);
        assert_eq!(unsigned.asks(MAC, start + Duration::from_secs(5)), Verdict::Refuses);
        assert_eq!(unsigned.asks(MAC, start + REMEMBERED), Verdict::Usual);
    }

    #[test]
    fn a_loader_that_was_heard_is_not_refused() {
        let (unsigned, start) = (Unsigned::default(), Instant::now());
        unsigned.fetched(MAC, start);
        unsigned.runs(MAC);
        assert_eq!(unsigned.asks(MAC, start + Duration::from_secs(30)), Verdict::Usual);
    }
}
