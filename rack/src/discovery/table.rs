//! Who was heard on one interface, and what of it is worth telling the regions.
//!
//! Bounded twice: by entries, of which the one that was silent for longest goes when there is no room (if it was silent
//! for [`QUIET`] at least; otherwise the new one is not taken, so that a flood of made-up senders does not push out who is
//! really there), and by reports a second. What could not be told is told when it is heard again.

use rackwright_common::Mac;
use rackwright_common::discovery::Sighting;
use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Entries.
const ROOM: usize = 2048;
/// Told again after this, while heard.
const REFRESH: Duration = Duration::from_secs(600);
/// An entry that was silent for this long may go.
const QUIET: Duration = Duration::from_secs(900);
/// Reports at once, and each second from there on.
const BURST: f64 = 256.0;
const RATE: f64 = 8.0;

struct Entry {
    told: Sighting,
    told_at: Instant,
    heard_at: Instant,
}

/// See the module.
pub(super) struct Table {
    entries: HashMap<(Mac, Option<IpAddr>), Entry>,
    reports: f64,
    filled: Instant,
}

impl Table {
    /// Nobody was heard yet.
    pub(super) fn new(now: Instant) -> Self {
        Self { entries: HashMap::new(), reports: BURST, filled: now }
    }

    /// Somebody was heard; what to tell the regions, if anything.
    pub(super) fn hear(&mut self, seen: Sighting, now: Instant) -> Option<Sighting> {
        let key = (seen.mac, seen.address);
        let Some(entry) = self.entries.get_mut(&key) else {
            if !self.make_room(now) || !self.may_report(now) {
                return None;
            }
            self.entries.insert(key, Entry { told: seen.clone(), told_at: now, heard_at: now });
            return Some(seen);
        };
        entry.heard_at = now;
        // Multicast DNS tells the name, ARP does not: what is not said stays.
        let hostname = seen.hostname.or_else(|| entry.told.hostname.clone());
        let news = Sighting { hostname, ..seen };
        if news == entry.told && now.duration_since(entry.told_at) < REFRESH {
            return None;
        }
        if !self.may_report(now) {
            return None;
        }
        if let Some(entry) = self.entries.get_mut(&key) {
            entry.told = news.clone();
            entry.told_at = now;
        }
        Some(news)
    }

    fn make_room(&mut self, now: Instant) -> bool {
        if self.entries.len() < ROOM {
            return true;
        }
        self.entries.retain(|_, e| now.duration_since(e.heard_at) < QUIET);
        self.entries.len() < ROOM
    }

    fn may_report(&mut self, now: Instant) -> bool {
        let since = now.duration_since(self.filled).as_secs_f64();
        self.filled = now;
        self.reports = (self.reports + since * RATE).min(BURST);
        let may = self.reports >= 1.0;
        if may {
            self.reports -= 1.0;
        }
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(last: u16, hostname: Option<&str>) -> Sighting {
        let [high, low] = last.to_be_bytes();
        Sighting {
            interface: "eth0".into(),
            mac: Mac([2, 0, 0, 0, high, low]),
            address: Some(IpAddr::from([10, 77, high, low])),
            hostname: hostname.map(str::to_owned),
            lldp: None,
        }
    }

    #[test]
    fn it_tells_what_is_new_or_has_changed_and_the_rest_every_ten_minutes() {
        let start = Instant::now();
        let mut table = Table::new(start);
        assert_eq!(table.hear(seen(1, None), start), Some(seen(1, None)));
        assert_eq!(table.hear(seen(1, None), start + Duration::from_secs(599)), None);
        assert_eq!(
            table.hear(seen(1, Some("printer")), start + Duration::from_secs(599)),
            Some(seen(1, Some("printer")))
        );
        assert_eq!(
            table.hear(seen(1, None), start + Duration::from_secs(700)),
            None,
            "the name is still its"
        );
        assert_eq!(
            table.hear(seen(1, None), start + Duration::from_secs(1200)),
            Some(seen(1, Some("printer")))
        );
    }

    #[test]
    fn a_flood_is_bounded_and_who_was_there_before_is_still_heard() {
        let start = Instant::now();
        let mut table = Table::new(start);
        table.hear(seen(0, None), start);
        let mut told = 0;
        for second in 0..900_u64 {
            let now = start + Duration::from_secs(second);
            table.hear(seen(0, None), now);
            for i in 0..40 {
                let other = u16::try_from(1 + second * 40 + i).unwrap();
                told += usize::from(table.hear(seen(other, None), now).is_some());
            }
        }
        assert!(told < 2048, "{told} reports");
        assert_eq!(table.entries.len(), ROOM);
        let later = start + Duration::from_secs(1801);
        assert!(table.hear(seen(0, None), later).is_some(), "it is told again as ever");
        assert!(
            table.hear(seen(65_000, None), later).is_some(),
            "a real newcomer finds room when the flood is over"
        );
        assert!(table.entries.len() <= 2);
    }
}
