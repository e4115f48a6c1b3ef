use super::*;
use crate::db::lease::ClientName;
use crate::db::name_source::{Interface, Subnet};
use crate::model::Timestamp;
use crate::model::domain::{DnsRecord, Domain};

fn domain(name: &str, is_default: bool) -> Domain {
    Domain { id: 1, name: name.into(), ttl: 60, is_default, records: 0 }
}

fn interface(hostname: &str, name: &str, boot: bool, address: &str) -> Interface {
    let (hostname, name) = (hostname.to_owned(), name.to_owned());
    Interface { hostname, domain: None, name, boot, address: address.parse().unwrap() }
}

fn record(name: &str, kind: &str, data: &str) -> DnsRecord {
    DnsRecord {
        id: 1,
        domain: "lab".into(),
        name: name.into(),
        kind: kind.into(),
        data: data.into(),
        ttl: None,
        created_at: Timestamp(time::OffsetDateTime::UNIX_EPOCH),
    }
}

fn subnet(cidr: &str, reverse: &str) -> Subnet {
    Subnet { name: cidr.into(), cidr: cidr.parse().unwrap(), reverse: reverse.into() }
}

/// `name TYPE data` of a zone, without its name servers.
fn lines(sources: &Sources, zone: &str) -> Vec<String> {
    let zones = zones(sources);
    let content = zones.get(zone).unwrap_or_else(|| panic!("no zone {zone} in {:?}", zones.keys()));
    let records = content.records.iter().filter(|r| r.kind != "NS");
    records.map(|r| format!("{} {} {}", r.name, r.kind, r.data)).collect()
}

#[test]
fn a_machine_its_interfaces_and_their_addresses_have_names() {
    let sources = Sources {
        domains: vec![domain("lab", true)],
        interfaces: vec![
            interface("node-1", "eth0", true, "10.77.0.5"),
            interface("node-1", "eth1.100", false, "10.78.0.5"),
        ],
        subnets: vec![subnet("10.77.0.0/24", "on"), subnet("10.78.0.0/24", "off")],
        ..Sources::default()
    };
    assert_eq!(
        lines(&sources, "lab"),
        ["eth0.node-1.lab A 10.77.0.5", "eth1-100.node-1.lab A 10.78.0.5", "node-1.lab A 10.77.0.5"]
    );
    assert_eq!(lines(&sources, "0.77.10.in-addr.arpa"), ["5.0.77.10.in-addr.arpa PTR node-1.lab"]);
    assert!(!zones(&sources).contains_key("0.78.10.in-addr.arpa"), "its reverse names are off");
}

#[test]
fn a_small_networks_reverse_names_lie_in_a_zone_that_others_can_hand_over() {
    let sources = Sources {
        domains: vec![domain("lab", true)],
        reservations: vec![("printer".into(), [10, 77, 0, 70].into())],
        subnets: vec![subnet("10.77.0.64/26", "rfc2317")],
        ..Sources::default()
    };
    assert_eq!(
        lines(&sources, "0.77.10.in-addr.arpa"),
        ["70.0.77.10.in-addr.arpa CNAME 70.64-26.0.77.10.in-addr.arpa"]
    );
    assert_eq!(
        lines(&sources, "64-26.0.77.10.in-addr.arpa"),
        ["70.64-26.0.77.10.in-addr.arpa PTR printer.lab"]
    );
}

#[test]
fn controllers_are_found_by_what_they_are_and_by_subnet() {
    let rack = |name: &str, address: [u8; 4], alive| Controller {
        name: name.into(),
        addresses: vec![address.into()],
        alive,
    };
    let sources = Sources {
        domains: vec![domain("lab", true)],
        racks: vec![rack("rack-1", [10, 77, 0, 1], true), rack("rack-2", [10, 77, 0, 2], false)],
        regions: vec![rack("region-1", [192, 0, 2, 1], true)],
        subnets: vec![Subnet { name: "Machines".into(), ..subnet("10.77.0.0/24", "off") }],
        ..Sources::default()
    };
    assert_eq!(
        lines(&sources, "lab"),
        [
            "rack-1.lab A 10.77.0.1",
            "rack-2.lab A 10.77.0.2",
            "rack.lab A 10.77.0.1",
            "rack.machines.lab A 10.77.0.1",
            "region-1.lab A 192.0.2.1",
            "region.lab A 192.0.2.1",
        ]
    );
    let servers: Vec<_> = zones(&sources)["lab"].records.iter().filter(|r| r.kind == "NS").cloned().collect();
    assert_eq!((servers.len(), servers[0].data.as_str()), (1, "region-1.lab"));
}

#[test]
fn what_people_enter_stands_beside_it_and_their_aliases_win() {
    let sources = Sources {
        domains: vec![domain("lab", true), domain("web.lab", false)],
        interfaces: vec![interface("node-1", "", true, "10.77.0.5")],
        records: vec![
            record("node-1.lab", "TXT", "\"mine\""),
            record("www.web.lab", "A", "10.77.0.9"),
            record("rack.lab", "CNAME", "elsewhere.example"),
        ],
        racks: vec![Controller { name: "r".into(), addresses: vec![[10, 77, 0, 1].into()], alive: true }],
        subnets: vec![subnet("10.77.0.0/24", "on")],
        ..Sources::default()
    };
    assert_eq!(
        lines(&sources, "lab"),
        [
            "node-1.lab A 10.77.0.5",
            "node-1.lab TXT \"mine\"",
            "r.lab A 10.77.0.1",
            "rack.10-77-0-0-24.lab A 10.77.0.1",
            "rack.lab CNAME elsewhere.example",
        ]
    );
    assert_eq!(lines(&sources, "web.lab"), ["www.web.lab A 10.77.0.9"]);
    assert!(
        lines(&sources, "0.77.10.in-addr.arpa").contains(&"9.0.77.10.in-addr.arpa PTR www.web.lab".into())
    );
}

#[test]
fn a_client_has_its_name_where_nothing_else_has_it() {
    let client = |hostname: &str, address: [u8; 4]| ClientName {
        hostname: hostname.parse().unwrap(),
        address: address.into(),
    };
    let sources = Sources {
        domains: vec![domain("lab", true), domain("sub.lab", false)],
        records: vec![record("www.lab", "A", "10.77.0.9"), record("other.lab", "CNAME", "www.lab")],
        interfaces: vec![interface("node-1", "eth0", true, "10.77.0.5")],
        clients: vec![
            client("pc-1", [10, 77, 0, 101]),
            client("www", [10, 77, 0, 102]),
            client("other", [10, 77, 0, 103]),
            client("node-1", [10, 77, 0, 104]),
            client("sub", [10, 77, 0, 105]),
        ],
        subnets: vec![subnet("10.77.0.0/24", "on")],
        ..Sources::default()
    };
    let ours: Vec<String> = lines(&sources, "lab").into_iter().filter(|l| l.contains("10.77.0.10")).collect();
    assert_eq!(ours, ["pc-1.lab A 10.77.0.101"]);
    let reverse = lines(&sources, "0.77.10.in-addr.arpa");
    assert!(reverse.contains(&"101.0.77.10.in-addr.arpa PTR pc-1.lab".to_owned()), "{reverse:?}");
    assert_eq!(reverse.len(), 3, "those of the machine and of a record beside it: {reverse:?}");
}
