//! Shadow mode: beside another server nothing is answered, and what would have been is compared with what the client says
//! that it was given. Its REQUEST is sent to all, and names the address and the server.

use std::collections::HashMap;
use std::net::Ipv4Addr;

use rackwright_common::Mac;
use rackwright_common::link::{Fact, ShadowAnswer};
use rackwright_common::snapshot::Snapshot;
use rackwright_dhcp::{Arrival, Config, MessageType, Packet, code, preview};
use time::OffsetDateTime;

/// The same comparison is told again after this many seconds.
const AGAIN: i64 = 3600;
/// Clients remembered; more, and all are forgotten.
const REMEMBERED: usize = 8192;

/// What was told of each client, and when.
#[derive(Debug, Default)]
pub(super) struct Shadow {
    told: HashMap<(i64, Mac), (ShadowAnswer, OffsetDateTime)>,
}

impl Shadow {
    /// The comparison that a message allows, when it is news.
    pub(super) fn look(
        &mut self,
        packet: &Packet,
        arrival: Arrival,
        config: &Config,
        snapshot: &Snapshot,
        at: OffsetDateTime,
    ) -> Option<Fact> {
        if packet.options.message_type() != Some(MessageType::Request) {
            return None;
        }
        let seconds = u64::try_from(at.unix_timestamp()).unwrap_or(0);
        let ours = preview(packet, arrival, config, seconds)?;
        let subnet = snapshot.subnets.iter().find(|s| s.cidr.trunc() == ours.network)?.id;
        let mac = Mac(packet.mac()?.0);
        let named = packet.options.address(code::REQUESTED_ADDRESS).filter(|a| !a.is_unspecified());
        let theirs = named.or(Some(packet.ciaddr).filter(|a| !a.is_unspecified()))?;
        let server = packet.options.address(code::SERVER_ID);
        let answer = compare(subnet, mac, ours.fixed, ours.boot_file, theirs, server);
        let known = self.told.get(&(subnet, mac));
        if known.is_some_and(|(told, when)| *told == answer && (at - *when).whole_seconds() < AGAIN) {
            return None;
        }
        if self.told.len() >= REMEMBERED {
            self.told.clear();
        }
        self.told.insert((subnet, mac), (answer.clone(), at));
        Some(Fact::Shadow(answer))
    }
}

fn compare(
    subnet: i64,
    mac: Mac,
    ours: Option<Ipv4Addr>,
    boot_file: Option<String>,
    theirs: Ipv4Addr,
    server: Option<Ipv4Addr>,
) -> ShadowAnswer {
    let differs = ours.is_some_and(|address| address != theirs);
    let by = server.map_or_else(|| "the present server".to_owned(), |s| s.to_string());
    let would = match ours {
        Some(address) => format!("we would give it {address}"),
        None => "we would give it an address of a dynamic range".to_owned(),
    };
    let boots = boot_file.as_ref().map_or_else(String::new, |file| format!(", and {file} to boot"));
    let message = format!("{mac} has {theirs} of {by}; {would}{boots}");
    ShadowAnswer { subnet, mac, ours, boot_file, theirs: Some(theirs), server, differs, message }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: Mac = Mac([2, 0, 0, 0, 0, 1]);

    #[test]
    fn only_a_fixed_address_of_ours_that_it_did_not_get_is_a_difference() {
        let theirs = Ipv4Addr::new(10, 0, 0, 9);
        let server = Some(Ipv4Addr::new(10, 0, 0, 66));
        let other = compare(3, MAC, Some([10, 0, 0, 5].into()), Some("undionly.kpxe".into()), theirs, server);
        assert!(other.differs);
        assert_eq!(
            other.message,
            "02:00:00:00:00:01 has 10.0.0.9 of 10.0.0.66; we would give it 10.0.0.5, and undionly.kpxe to boot"
        );
        assert!(!compare(3, MAC, Some(theirs), None, theirs, server).differs);
        assert!(!compare(3, MAC, None, None, theirs, None).differs);
    }
}
