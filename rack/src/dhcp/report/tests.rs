use rackwright_dhcp::{Arrival, Boot, Config, Leases, Limits, MacAddr, MessageType, Pool, Subnet, respond};
use time::Duration;

use super::*;

const AT: OffsetDateTime = time::macros::datetime!(2026-01-01 00:00 UTC);
const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);

/// A server with one address to give, and what it reports.
struct Site {
    config: Config,
    leases: Leases,
    reporter: Reporter,
}

impl Site {
    fn new() -> Site {
        let address = Ipv4Addr::new(10, 0, 0, 9);
        let subnet = Subnet {
            network: "10.0.0.0/24".parse().unwrap(),
            segment: 0,
            routers: vec![],
            dns_servers: vec![],
            ntp_servers: vec![],
            domain: None,
            mtu: None,
            pools: vec![Pool { first: address, last: address }],
            lease_seconds: 600,
            authoritative: true,
            more: Default::default(),
        };
        let config = Config::new(vec![subnet], vec![], Boot::default(), Limits::default());
        Site { config, leases: Leases::new(), reporter: Reporter::new(OffsetDateTime::UNIX_EPOCH) }
    }

    /// The facts that come of a message of machine `machine` with MAC `mac`, `seconds` after the beginning.
    fn facts(&mut self, kind: MessageType, mac: u8, machine: u8, seconds: i64) -> Vec<Fact> {
        let mut packet = Packet::decode(&[0; 236]).unwrap();
        (packet.op, packet.htype, packet.hlen) = (1, 1, 6);
        packet.chaddr[..6].copy_from_slice(&MacAddr([2, 0, 0, 0, 0, mac]).0);
        packet.options.set(code::MESSAGE_TYPE, [kind as u8]);
        packet.options.set(code::CLIENT_ARCH, [0, 7]);
        packet.options.set(code::CLIENT_UUID, [&[0][..], &[machine; 16]].concat());
        if kind == MessageType::Request {
            packet.options.set(code::REQUESTED_ADDRESS, [10, 0, 0, 9]);
            packet.options.set(code::SERVER_ID, SERVER.octets());
        }
        if kind == MessageType::Release {
            packet.ciaddr = Ipv4Addr::new(10, 0, 0, 9);
            packet.options.set(code::SERVER_ID, SERVER.octets());
        }
        let at = AT + Duration::seconds(seconds);
        let arrival = Arrival { server: SERVER, broadcast: true };
        let now = at.unix_timestamp().try_into().unwrap();
        let outcome = respond(&packet, arrival, &self.config, &mut self.leases, now);
        let mut facts = Vec::new();
        self.reporter.report(&packet, &outcome, "eth1", at, |fact| facts.push(fact));
        facts
    }
}

fn codes(facts: &[Fact]) -> Vec<&str> {
    fn code(fact: &Fact) -> Option<&str> {
        if let Fact::Warning { code, .. } = fact { Some(code) } else { None }
    }
    facts.iter().filter_map(code).collect()
}

#[test]
fn a_stranger_is_refused_once_and_its_lease_is_told_again_after_a_while_and_after_its_end() {
    let mut site = Site::new();
    let mac = Mac([2, 0, 0, 0, 0, 1]);
    let refused = Fact::Boot {
        mac: Some(mac),
        uuid: Some(Uuid::from_bytes([1; 16])),
        stage: BootStage::Refused,
        detail: "PXE, UEFI x86-64: not a known machine, and enlisting is off".into(),
    };
    assert_eq!(site.facts(MessageType::Discover, 1, 1, 0), [refused]);
    assert_eq!(site.facts(MessageType::Discover, 1, 1, 1), []);
    let leases = site.facts(MessageType::Request, 1, 1, 1);
    let expected = Fact::Lease {
        mac,
        address: Ipv4Addr::new(10, 0, 0, 9),
        expires: AT + Duration::seconds(601),
        hostname: None,
    };
    assert_eq!(leases[0], expected);
    let told = |facts: &[Fact]| facts.iter().filter(|f| matches!(f, Fact::Lease { .. })).count();
    assert_eq!(
        told(&site.facts(MessageType::Request, 1, 1, 60)),
        0,
        "that it ends a minute of its ten later is no news"
    );
    assert_eq!(told(&site.facts(MessageType::Request, 1, 1, 61)), 1);
    let ended = site.facts(MessageType::Release, 1, 1, 62);
    assert!(ended.iter().any(|f| matches!(f, Fact::LeaseEnded { declined: false, .. })), "{ended:?}");
    assert_eq!(told(&site.facts(MessageType::Request, 1, 1, 63)), 1);
}

#[test]
fn an_empty_pool_is_told_once_a_minute() {
    let mut site = Site::new();
    site.facts(MessageType::Discover, 1, 1, 0);
    assert_eq!(codes(&site.facts(MessageType::Discover, 2, 2, 1)), ["dhcp.pool-empty"]);
    assert_eq!(codes(&site.facts(MessageType::Discover, 3, 3, 30)), [] as [&str; 0]);
    assert_eq!(codes(&site.facts(MessageType::Discover, 2, 2, 61)), ["dhcp.pool-empty"]);
}

#[test]
fn two_machines_with_one_mac_are_told_but_not_a_replaced_board() {
    let mut site = Site::new();
    assert_eq!(codes(&site.facts(MessageType::Discover, 1, 1, 0)), [] as [&str; 0]);
    assert_eq!(codes(&site.facts(MessageType::Discover, 1, 2, 10)), ["dhcp.duplicate-mac"]);
    assert_eq!(codes(&site.facts(MessageType::Discover, 1, 1, 20)), [] as [&str; 0], "told already");
    assert_eq!(codes(&site.facts(MessageType::Discover, 1, 3, 5000)), [] as [&str; 0], "another board");
}

#[test]
fn a_flood_of_strangers_does_not_fill_the_journal() {
    let mut site = Site::new();
    let facts: Vec<Fact> = (0..=255).flat_map(|n| site.facts(MessageType::Discover, n, n, 0)).collect();
    assert_eq!(codes(&facts), ["dhcp.pool-empty"]);
    assert_eq!(facts.len(), 1 + 20);
}
