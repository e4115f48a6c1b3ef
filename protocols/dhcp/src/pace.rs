//! How often one client may ask. The memory is bounded: with more clients than fit, those that were quiet the longest are
//! forgotten, so that a flood from invented addresses costs the others nothing but their record.

use std::collections::HashMap;

use crate::mac::ClientKey;

/// Messages that a client may send at once,
const BURST: u32 = 20;
/// and each second after that. Firmware repeats itself after seconds, not milliseconds.
const PER_SECOND: u32 = 5;
/// Addresses that a client may decline within [`DECLINES_SECONDS`] before it gets none of the pools.
const DECLINES: u32 = 3;
const DECLINES_SECONDS: u64 = 600;
/// Clients remembered.
const REMEMBERED: usize = 16_384;

#[derive(Debug, Clone, Copy)]
struct Record {
    left: u32,
    at: u64,
    declines: u32,
    declined_at: u64,
}

/// The clients heard lately.
#[derive(Debug, Clone, Default)]
pub struct Pace {
    clients: HashMap<ClientKey, Record>,
}

impl Pace {
    /// Whether a message of this client is looked at now. `now` is in seconds.
    pub fn admit(&mut self, client: &ClientKey, now: u64) -> bool {
        let record = self.record(client, now);
        let gained = now.saturating_sub(record.at).saturating_mul(u64::from(PER_SECOND));
        let left = u64::from(record.left).saturating_add(gained).min(u64::from(BURST)) as u32;
        record.left = left.saturating_sub(1);
        record.at = now;
        left > 0
    }

    /// The client declined an address.
    pub fn declined(&mut self, client: &ClientKey, now: u64) {
        let record = self.record(client, now);
        if now.saturating_sub(record.declined_at) > DECLINES_SECONDS {
            record.declines = 0;
        }
        record.declines = record.declines.saturating_add(1);
        record.declined_at = now;
    }

    /// Whether the client has declined so many addresses that it would decline them all.
    pub fn declines_all(&self, client: &ClientKey, now: u64) -> bool {
        self.clients.get(client).is_some_and(|record| {
            record.declines >= DECLINES && now.saturating_sub(record.declined_at) <= DECLINES_SECONDS
        })
    }

    /// How many clients are remembered.
    pub fn len(&self) -> usize {
        self.clients.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.clients.is_empty()
    }

    fn record(&mut self, client: &ClientKey, now: u64) -> &mut Record {
        if self.clients.len() >= REMEMBERED && !self.clients.contains_key(client) {
            self.forget(now);
        }
        let fresh = Record { left: BURST, at: now, declines: 0, declined_at: 0 };
        self.clients.entry(client.clone()).or_insert(fresh)
    }

    /// Forgets the older half; those that decline everything last.
    fn forget(&mut self, now: u64) {
        let worth = |r: &Record| {
            let declining = r.declines >= DECLINES && now.saturating_sub(r.declined_at) <= DECLINES_SECONDS;
            (declining, r.at)
        };
        let mut all: Vec<(bool, u64)> = self.clients.values().map(worth).collect();
        all.sort_unstable();
        let limit = all[all.len() / 2];
        // Of those that are worth as much as the middle one, as many stay as there is room beside the better ones.
        let better = all.iter().filter(|w| **w > limit).count();
        let mut room = (REMEMBERED / 2).saturating_sub(better);
        self.clients.retain(|_, record| {
            let own = worth(record);
            let fits = own == limit && room > 0;
            room -= usize::from(fits);
            own > limit || fits
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mac::MacAddr;

    fn client(number: u32) -> ClientKey {
        let [a, b, c, d] = number.to_be_bytes();
        ClientKey::ethernet(MacAddr([2, 0, a, b, c, d]))
    }

    #[test]
    fn a_client_that_asks_without_end_is_slowed_down_and_others_are_not() {
        let mut pace = Pace::default();
        let admitted = (0..100).filter(|_| pace.admit(&client(1), 1_000)).count();
        assert_eq!(admitted, 20);
        assert!(pace.admit(&client(2), 1_000));
        let admitted = (0..100).filter(|_| pace.admit(&client(1), 1_002)).count();
        assert_eq!(admitted, 10);
    }

    #[test]
    fn a_flood_of_invented_clients_takes_bounded_memory_and_who_declines_everything_is_remembered() {
        let mut pace = Pace::default();
        for _ in 0..3 {
            pace.declined(&client(7), 1_000);
        }
        for number in 100..100_000 {
            assert!(pace.admit(&client(number), 1_000 + u64::from(number / 10_000)));
            assert!(pace.len() <= REMEMBERED);
        }
        assert!(pace.declines_all(&client(7), 1_010));
        assert!(!pace.declines_all(&client(7), 1_000 + DECLINES_SECONDS + 1));
    }
}
