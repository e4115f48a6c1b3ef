//! The DHCP server against clients nobody here wrote: BusyBox udhcpc, ISC dhclient, dnsmasq as a relay, tcpdump as the
//! reader of what is on the wire. Client and server are in network namespaces of their own, joined by a veth pair.
//! Needs root.

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
use rackwright_common::link::{BootStage, Fact};
use rackwright_common::snapshot::{BootDecision, HostInterface, HostView};
use server::{Server, snapshot};

/// Not a test: what [`Server`] runs, as a process that can be killed.
#[test]
fn serve() {
    server::serve_if_asked();
}

fn value<'a>(answer: &'a BTreeMap<String, String>, name: &str) -> &'a str {
    answer.get(name).map_or("", String::as_str)
}

fn known(mac: &str, address: Option<&str>) -> HostView {
    HostView {
        machine: "abc123".parse().unwrap(),
        hostname: "node-1".parse().unwrap(),
        uuid: None,
        interfaces: vec![HostInterface {
            mac: mac.parse().unwrap(),
            address: address.map(|a| a.parse().unwrap()),
        }],
        boot: BootDecision::Local,
        secure_boot: Some(false),
    }
}

const PXE: [&str; 4] = ["-V", "PXEClient:Arch:00007:UNDI:003000", "-x", "0x5d:0007"];

#[test]
fn udhcpc_gets_its_fixed_address_and_all_parameters() {
    let link = Link::new();
    let mut world = snapshot();
    world.hosts = vec![known("02:00:00:77:00:01", Some("10.77.0.20"))];
    let server = Server::start(&link, &world);
    link.set_client_mac("02:00:00:77:00:01");
    let answer = link.udhcpc(&["-O", "mtu", "-O", "ntpsrv"]);
    let seen: Vec<&str> =
        ["ip", "mask", "router", "dns", "domain", "hostname", "ntpsrv", "mtu", "lease", "serverid"]
            .map(|name| value(&answer, name))
            .to_vec();
    let expected = [
        "10.77.0.20",
        "24",
        "10.77.0.254",
        "10.77.0.1",
        "lab.example",
        "node-1",
        "10.77.0.3",
        "1400",
        "600",
        "10.77.0.1",
    ];
    assert_eq!(seen, expected);
    assert_eq!(value(&answer, "boot_file"), "", "an operating system is told nothing about booting");
    server.fact("a lease of 10.77.0.20", |fact| {
        matches!(fact, Fact::Lease { mac, address, .. }
            if mac.to_string() == "02:00:00:77:00:01" && address.to_string() == "10.77.0.20")
    });
}

#[test]
fn replies_arrive_by_frame_and_by_broadcast_and_are_well_formed() {
    let link = Link::new();
    let _server = Server::start(&link, &snapshot());
    let capture = link.capture();
    let unicast = link.udhcpc(&[]);
    let broadcast = link.udhcpc(&["-B"]);
    assert_eq!(value(&unicast, "ip"), value(&broadcast, "ip"), "one client, one address");
    let text = capture.text("DHCP-Message (53), length 1: ACK", 2);
    assert!(!text.contains("bad udp cksum") && !text.contains("bad cksum"), "{text}");
    let replies: Vec<&str> = text.lines().filter(|l| l.contains("10.77.0.1.67 >")).collect();
    let to_client = format!("10.77.0.1.67 > {}.68:", value(&unicast, "ip"));
    assert_eq!(
        replies.iter().filter(|l| l.contains(&to_client)).count(),
        2,
        "offer and acknowledgement: {text}"
    );
    assert_eq!(replies.iter().filter(|l| l.contains("> 255.255.255.255.68:")).count(), 2, "{text}");
}

#[test]
fn udhcpc_renews_and_releases() {
    let link = Link::new();
    let server = Server::start(&link, &snapshot());
    let client = link.udhcpc_that_stays();
    let bound = client.wait_for("bound");
    assert!(value(&bound, "ip").starts_with("10.77.0.10"), "{bound:?}");
    client.renew();
    assert_eq!(value(&client.wait_for("renew"), "ip"), value(&bound, "ip"));
    client.release();
    let address = value(&bound, "ip").to_owned();
    server.fact("the lease's end", |fact| {
        matches!(fact, Fact::LeaseEnded { address: ended, declined: false, .. } if ended.to_string() == address)
    });
}

#[test]
fn dhclient_gets_an_address_keeps_it_over_a_reboot_and_releases_it() {
    let link = Link::new();
    let server = Server::start(&link, &snapshot());
    let bound = link.dhclient();
    assert_eq!(value(&bound, "reason"), "BOUND");
    let address = value(&bound, "new_ip_address").to_owned();
    assert_eq!(value(&bound, "new_dhcp_server_identifier"), "10.77.0.1");
    let again = link.dhclient();
    assert_eq!((value(&again, "reason"), value(&again, "new_ip_address")), ("REBOOT", address.as_str()));
    link.dhclient_release();
    server.fact(
        "the lease's end",
        |fact| matches!(fact, Fact::LeaseEnded { address: ended, .. } if ended.to_string() == address),
    );
}

#[test]
fn leases_survive_kill_9() {
    let link = Link::new();
    let mut world = snapshot();
    world.subnets[0].blocks[0].last = world.subnets[0].blocks[0].first;
    let server = Server::start(&link, &world);
    link.set_client_mac("02:00:00:77:00:01");
    let first = link.udhcpc(&[]);
    assert_eq!(value(&first, "ip"), "10.77.0.100");
    let server = server.kill_and_start_again();
    link.set_client_mac("02:00:00:77:00:02");
    assert_eq!(link.udhcpc_fails(), "no lease, failing", "the only address is taken");
    server.fact(
        "the empty pool",
        |fact| matches!(fact, Fact::Warning { code, .. } if code == "dhcp.pool-empty"),
    );
    link.set_client_mac("02:00:00:77:00:01");
    assert_eq!(value(&link.udhcpc(&[]), "ip"), "10.77.0.100");
}

#[test]
fn firmware_is_told_what_to_load_and_a_stranger_only_when_enlisting_is_on() {
    let link = Link::new();
    let mut world = snapshot();
    link.set_client_mac("02:00:00:77:00:01");
    let server = Server::start(&link, &world);
    let stranger = link.udhcpc(&PXE);
    assert!(value(&stranger, "ip").starts_with("10.77.0.10"));
    assert_eq!(value(&stranger, "boot_file"), "");
    server.fact("the refusal", |fact| {
        matches!(fact, Fact::Boot { stage: BootStage::Refused, detail, .. } if detail.contains("enlisting is off"))
    });
    world.hosts = vec![known("02:00:00:77:00:01", None)];
    let server = server.restart_with(&world);
    let answer = link.udhcpc(&PXE);
    assert_eq!((value(&answer, "boot_file"), value(&answer, "siaddr")), ("snponly.efi", "10.77.0.1"));
    server.fact("the step of the boot", |fact| {
        matches!(fact, Fact::Boot { stage: BootStage::Ack, detail, .. }
            if detail == &format!("PXE, UEFI x86-64, {}, snponly.efi", value(&answer, "ip")))
    });
}

#[test]
fn a_relay_brings_clients_of_another_network() {
    let link = Link::with_relay();
    let _server = Server::start(&link, &snapshot());
    let answer = link.udhcpc(&[]);
    assert!(value(&answer, "ip").starts_with("10.88.0.5"), "{answer:?}");
    assert_eq!(value(&answer, "serverid"), "10.77.0.1");
    let client = link.udhcpc_that_stays();
    let bound = client.wait_for("bound");
    client.renew();
    assert_eq!(value(&client.wait_for("renew"), "ip"), value(&bound, "ip"));
}

#[test]
fn an_interface_that_is_made_anew_is_served_again() {
    let link = Link::new();
    let _server = Server::start(&link, &snapshot());
    let before = link.udhcpc(&[]);
    link.make_anew();
    let after = link::wait("a lease on the new interface", 30, || link.try_udhcpc());
    assert_ne!(value(&before, "ip"), value(&after, "ip"), "its MAC is another");
}

#[test]
fn another_dhcp_server_on_the_interface_is_an_error_that_names_the_cure() {
    let link = Link::new();
    let _other = link.dnsmasq_on_the_server();
    let message = Server::fails(&link, &snapshot());
    assert!(message.contains("another DHCP server runs here; stop it"), "{message}");
}

#[test]
fn with_the_disk_full_known_machines_are_served_and_others_when_there_is_room_again() {
    let link = Link::new();
    let mut world = snapshot();
    world.hosts = vec![known("02:00:00:77:00:01", Some("10.77.0.20"))];
    let server = Server::start_with_full_disk(&link, &world);
    link.set_client_mac("02:00:00:77:00:01");
    assert_eq!(value(&link.udhcpc(&[]), "ip"), "10.77.0.20");
    link.set_client_mac("02:00:00:77:00:02");
    assert_eq!(link.udhcpc_fails(), "no lease, failing", "a lease that is not durable is not given");
    server.fact("the warning", |fact| {
        matches!(fact, Fact::Warning { code, message, .. }
            if code == "dhcp.lease-file" && message.contains("No space left on device"))
    });
    server.free_disk();
    assert!(value(&link.udhcpc(&[]), "ip").starts_with("10.77.0.10"));
}
