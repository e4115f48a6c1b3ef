//! What regions hear of IPv6 addresses. Nothing depends on it: it is for the list that people read.

use rackwright_common::Mac;
use rackwright_common::link::Fact;
use rackwright_dhcp6::{Answer, Step};
use std::fmt::Write;
use time::OffsetDateTime;

/// Leases told in one second at most: clients can be invented without number, and a network's own renew again.
const PER_SECOND: u32 = 50;

/// The second, and what was told in it.
#[derive(Debug, Default)]
pub(super) struct Told {
    second: i64,
    count: u32,
}

impl Told {
    /// The fact of an answer that gives an address or ends one, unless too many were told just now.
    pub(super) fn lease(&mut self, answer: &Answer, now: OffsetDateTime) -> Option<Fact> {
        let seconds = match answer.step {
            Step::Given => i64::from(answer.valid),
            Step::Ended => 0,
            Step::Offered | Step::Other => return None,
        };
        let address = answer.address?;
        if self.second != now.unix_timestamp() {
            *self = Self { second: now.unix_timestamp(), count: 0 };
        }
        self.count += 1;
        if self.count > PER_SECOND {
            return None;
        }
        let mut duid = String::new();
        for byte in &answer.client.duid {
            write!(duid, "{byte:02x}").ok()?;
        }
        let expires = now.checked_add(time::Duration::seconds(seconds))?;
        Some(Fact::Lease6 { address, duid, mac: answer.mac.map(Mac), expires })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rackwright_dhcp6::{BootKind, Client};

    fn answer(step: Step) -> Answer {
        let client = Client {
            duid: vec![0, 3, 0, 1, 255],
            mac: None,
            uuid: None,
            boot: BootKind::None,
            architecture: None,
        };
        let address = Some("fd00:92::7".parse().unwrap());
        Answer { bytes: vec![], step, mac: Some([2, 0, 0, 0, 0, 1]), address, valid: 600, boot: None, client }
    }

    #[test]
    fn what_is_given_and_what_is_over_is_told_and_an_offer_is_not() {
        let (mut told, now) = (Told::default(), OffsetDateTime::UNIX_EPOCH);
        assert_eq!(told.lease(&answer(Step::Offered), now), None);
        let fact = |seconds| Fact::Lease6 {
            address: "fd00:92::7".parse().unwrap(),
            duid: "00030001ff".into(),
            mac: Some(Mac([2, 0, 0, 0, 0, 1])),
            expires: now + time::Duration::seconds(seconds),
        };
        assert_eq!(told.lease(&answer(Step::Given), now), Some(fact(600)));
        assert_eq!(told.lease(&answer(Step::Ended), now), Some(fact(0)));
    }

    #[test]
    fn a_flood_does_not_fill_the_journal() {
        let (mut told, now) = (Told::default(), OffsetDateTime::UNIX_EPOCH);
        let told_of = |told: &mut Told, at| {
            (0..1000).filter(|_| told.lease(&answer(Step::Given), at).is_some()).count()
        };
        assert_eq!(told_of(&mut told, now), 50);
        assert_eq!(told_of(&mut told, now + time::Duration::seconds(1)), 50);
    }
}
