//! The DHCP server among things that nobody here wrote: a host with an address that nobody gave it, other DHCP servers
//! (dnsmasq), ISC's relay, dhcpcd, perfdhcp. Needs root.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(dead_code, reason = "the link and the server are those of another test file as well")]

#[path = "dhcp/link.rs"]
mod link;
#[path = "common/rack.rs"]
mod rack;
#[path = "dhcp/server.rs"]
mod server;

use std::collections::BTreeMap;

use link::Link;
use rackwright_common::link::Fact;
use rackwright_common::snapshot::{BootDecision, HostInterface, HostView, OptionView, RouteView, ServeMode};
use server::{Server, snapshot};

/// Not a test: what [`Server`] runs, as a process that can be killed.
#[test]
fn serve() {
    server::serve_if_asked();
}

fn value<'a>(answer: &'a BTreeMap<String, String>, name: &str) -> &'a str {
    answer.get(name).map_or("", String::as_str)
}

const MAC: &str = "02:00:00:77:00:01";
const OTHER: &str = "02:00:00:77:00:02";

fn known(address: Option<&str>) -> HostView {
    HostView {
        machine: "abc123".parse().unwrap(),
        hostname: "node-1".parse().unwrap(),
        uuid: None,
        interfaces: vec![HostInterface {
            mac: MAC.parse().unwrap(),
            address: address.map(|a| a.parse().unwrap()),
        }],
        boot: BootDecision::Local,
        secure_boot: Some(false),
    }
}

#[test]
fn an_address_that_somebody_uses_is_not_offered() {
    let link = Link::new();
    let server = Server::start(&link, &snapshot());
    link.set_client_mac(MAC);
    for last in 100..109 {
        link.add_client_address(&format!("10.77.0.{last}"));
    }
    let answer = link.udhcpc(&[]);
    assert_eq!(value(&answer, "ip"), "10.77.0.109", "the only one that nobody has");
    server.fact("the warning", |fact| {
        matches!(fact, Fact::Warning { code, message, mac: Some(mac) }
            if code == "dhcp.address-in-use" && message.contains("is in use by 02:00:00:77:00:01") && mac.to_string() == MAC)
    });
}

#[test]
fn dhcpcd_gets_an_address() {
    let link = Link::new();
    let _server = Server::start(&link, &snapshot());
    let answer = link.dhcpcd();
    assert!(value(&answer, "new_ip_address").starts_with("10.77.0.10"), "{answer:?}");
    assert_eq!(value(&answer, "new_domain_name"), "lab.example");
}

#[test]
fn options_and_static_routes_reach_a_client_that_asks() {
    let link = Link::new();
    let mut world = snapshot();
    world.subnets[0].options = vec![OptionView { code: 224, value: b"abc".to_vec() }];
    let far =
        RouteView { destination: "10.200.0.0/16".parse().unwrap(), gateway: "10.77.0.9".parse().unwrap() };
    world.subnets[0].routes = vec![far];
    let _server = Server::start(&link, &world);
    let answer = link.udhcpc(&["-O", "224", "-O", "staticroutes"]);
    assert_eq!(value(&answer, "opt224"), "616263");
    assert_eq!(value(&answer, "staticroutes"), "10.200.0.0/16 10.77.0.9 0.0.0.0/0 10.77.0.254");
}

#[test]
fn iscs_relay_brings_clients_and_its_option_82_goes_back() {
    let link = Link::with_isc_relay();
    let _server = Server::start(&link, &snapshot());
    let answer = link.udhcpc(&[]);
    assert!(value(&answer, "ip").starts_with("10.88.0.5"), "{answer:?}");
}

#[test]
fn a_relay_from_a_network_that_is_not_modelled_is_named() {
    let link = Link::with_relay();
    let mut world = snapshot();
    world.subnets.pop();
    let server = Server::start(&link, &world);
    assert_eq!(link.udhcpc_fails(), "no lease, failing");
    server.fact("the warning", |fact| {
        matches!(fact, Fact::Warning { code, message, .. }
            if code == "dhcp.unknown-relay" && message.starts_with("a relay at 10.88.0.1 passes requests on"))
    });
}

#[test]
fn a_foreign_server_is_found() {
    let link = Link::new();
    let _foreign = link.foreign_server();
    let server = Server::start(&link, &snapshot());
    server.fact(
        "the foreign server",
        |fact| matches!(fact, Fact::DhcpServer { subnet: 1, server } if server.to_string() == "10.77.0.66"),
    );
}

#[test]
fn in_shadow_mode_a_difference_is_told_and_nothing_answered() {
    let link = Link::new();
    link.set_client_mac(MAC);
    let mut world = snapshot();
    let server = Server::start(&link, &world);
    let given = link.dhclient();
    world.subnets[0].mode = ServeMode::Shadow;
    world.hosts = vec![known(Some("10.77.0.20"))];
    let server = server.restart_with(&world);
    let capture = link.capture();
    let address = value(&given, "new_ip_address").to_owned();
    // dhclient asks for the address that it remembers.
    let _asking = link.dhclient_that_asks();
    server.fact("the difference", |fact| {
        matches!(fact, Fact::Shadow(seen) if seen.differs && seen.ours.unwrap().to_string() == "10.77.0.20"
            && seen.theirs.unwrap().to_string() == address)
    });
    link.set_client_mac(OTHER);
    assert_eq!(link.udhcpc_fails(), "no lease, failing");
    let text = capture.text("DHCP-Message (53), length 1: Discover", 2);
    assert!(!text.contains("10.77.0.1.67 >"), "an answer: {text}");
    let leases = std::fs::read_to_string(link.folder.join("leases/leases.jsonl")).unwrap();
    let has = |mac: &str| leases.contains(&mac.replace(':', ""));
    assert!(has(MAC) && !has(OTHER), "a lease of before, and none since: {leases}");
}

#[test]
fn a_proxy_names_the_file_and_gives_no_address() {
    let link = Link::new();
    link.set_client_mac(MAC);
    let mut world = snapshot();
    world.subnets[0].mode = ServeMode::Proxy;
    world.hosts = vec![known(None)];
    let _server = Server::start(&link, &world);
    let capture = link.capture();
    assert_eq!(link.udhcpc_fails(), "no lease, failing", "the address is another server's to give");
    let pxe = ["-n", "-q", "-t", "2", "-V", "PXEClient:Arch:00007:UNDI:003000", "-x", "0x5d:0007"];
    link.udhcpc_quietly(&pxe);
    let text = capture.text("snponly.efi", 1);
    let offers: Vec<&str> = text.lines().filter(|l| l.contains("10.77.0.1.67 >")).collect();
    assert!(!offers.is_empty() && offers.iter().all(|l| l.contains("> 255.255.255.255.68")), "{text}");
    assert!(!text.contains("Your-IP 10.77.0.1"), "{text}");
}

#[test]
fn perfdhcp_finds_every_exchange_complete() {
    let link = Link::new();
    let mut world = snapshot();
    world.subnets[0].blocks[0].last = "10.77.0.199".parse().unwrap();
    let _server = Server::start(&link, &world);
    // Nobody new gets an address before a region has heard the rack; clients ask again, perfdhcp does not.
    link.udhcpc(&[]);
    // After the fiftieth question it takes answers for two seconds (in microseconds).
    let text = link.perfdhcp("-r 20 -R 50 -n 50 -x i -W 2000000");
    for exchange in ["DISCOVER-OFFER", "REQUEST-ACK"] {
        let of = text.split(exchange).nth(1).unwrap_or_else(|| panic!("{text}"));
        let drops = of.lines().find_map(|l| l.strip_prefix("drops: ")).unwrap_or_else(|| panic!("{text}"));
        assert_eq!(drops.trim(), "0", "{text}");
    }
}
