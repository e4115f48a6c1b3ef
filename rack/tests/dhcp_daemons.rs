//! The DHCP servers against the clients of installed systems, systemd-networkd and NetworkManager, both families at once;
//! and against many clients behind ISC's relay (perfdhcp). Needs root.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(dead_code, reason = "the link and the server are those of another test file as well")]

#[path = "dhcp/daemons.rs"]
mod daemons;
#[path = "dhcp/link.rs"]
mod link;
#[path = "common/rack.rs"]
mod rack;
#[path = "dhcp/server.rs"]
mod server;

use daemons::Daemon;
use link::Link;
use rackwright_common::link::Fact;
use rackwright_common::snapshot::{Snapshot, Subnet6View};
use server::{Server, snapshot};

/// Not a test: what [`Server`] runs, as a process that can be killed.
#[test]
fn serve() {
    server::serve_if_asked();
}

/// The IPv4 network, and an IPv6 network on the same link.
fn both() -> Snapshot {
    let mut world = snapshot();
    world.subnets[0].vlan = Some(3);
    world.subnets6 = vec![Subnet6View {
        id: 6,
        vlan: 3,
        cidr: "fd00:92::/64".parse().unwrap(),
        dns_servers: vec!["fd00:92::1".parse().unwrap()],
        domain: Some("lab.example".into()),
        valid_seconds: 600,
        boot_architectures: None,
        ranges: vec![("fd00:92::1:0:0:0".parse().unwrap(), "fd00:92::1:ffff:ffff:ffff".parse().unwrap())],
        fixed: vec![],
    }];
    world
}

/// The same, and an IPv6 network behind a relay.
fn relayed() -> Snapshot {
    let mut world = both();
    world.subnets[1].blocks[0].last = "10.88.0.199".parse().unwrap();
    let far = Subnet6View {
        id: 7,
        vlan: 4,
        cidr: "fd00:93::/64".parse().unwrap(),
        ranges: vec![("fd00:93::1:0:0:0".parse().unwrap(), "fd00:93::1:ffff:ffff:ffff".parse().unwrap())],
        ..world.subnets6[0].clone()
    };
    world.subnets6.push(far);
    world
}

/// The numbers of lost answers, one for each kind of exchange.
fn drops(report: &str) -> Vec<&str> {
    report.lines().filter_map(|line| line.strip_prefix("drops: ")).collect()
}

/// What every client has in the end, told by the kernel.
fn has_addresses_and_routes(daemon: &Daemon<'_>) {
    daemon.until("addresses of both families", "ip -o address show dev eth0", |text| {
        text.contains("inet 10.77.0.10") && text.contains("/24 ") && text.contains("inet6 fd00:92::1:")
    });
    daemon.until("the default route", "ip route", |text| text.contains("default via 10.77.0.254 dev eth0"));
    daemon.until("the route to the prefix", "ip -6 route", |text| text.contains("fd00:92::/64 dev eth0"));
}

#[test]
fn systemd_networkd_gets_both_families_and_renews() {
    let link = Link::new();
    let server = Server::start(&link, &both());
    let daemon = Daemon::networkd(&link);
    has_addresses_and_routes(&daemon);
    server.fact(
        "the lease with its name",
        |fact| matches!(fact, Fact::Lease { hostname: Some(name), .. } if name == "daemon-1"),
    );
    let told_by_server = ["DNS: 10.77.0.1\n", " fd00:92::1\n", "lab.example", "NTP: 10.77.0.3", "MTU: 1400"];
    daemon.until("what servers of both families say", "networkctl status eth0", |text| {
        told_by_server.iter().all(|word| text.contains(word))
    });
    let capture = link.capture();
    daemon.run("networkctl renew eth0");
    let text = capture.text("DHCP-Message (53), length 1: ACK", 1);
    // The rack itself asks at times, to hear of other servers.
    let (discovers, of_the_rack) =
        (text.matches("length 1: Discover").count(), text.matches("rackwright-watch").count());
    assert_eq!(discovers, of_the_rack, "it asks for what it has: {text}");
    has_addresses_and_routes(&daemon);
}

#[test]
fn network_manager_gets_both_families() {
    let link = Link::new();
    let _server = Server::start(&link, &both());
    let daemon = Daemon::network_manager(&link);
    has_addresses_and_routes(&daemon);
    let known = daemon.until("name servers of both families", "nmcli -t device show eth0", |text| {
        text.contains("IP4.DNS[1]:10.77.0.1") && text.contains("IP6.DNS[1]:fd00:92::1")
    });
    for line in ["GENERAL.STATE:100 (connected)", "IP4.GATEWAY:10.77.0.254", "IP4.DOMAIN[1]:lab.example"] {
        assert!(known.contains(line), "{line} is not in: {known}");
    }
    let resolver = daemon.run("cat /run/NetworkManager/resolv.conf");
    assert!(resolver.contains("nameserver 10.77.0.1"), "{resolver}");
}

#[test]
fn clients_behind_iscs_relay_get_renew_and_release() {
    let link = Link::with_isc_relay();
    let server = Server::start(&link, &relayed());
    // Nobody new gets an address before a region has heard the rack; clients ask again, perfdhcp does not.
    link.udhcpc(&[]);
    let report = link.perfdhcp_by("10.88.0.250", "10.88.0.1", "-r 20 -R 60 -n 60 -x i -f 10 -F 5 -W 2000000");
    let kinds = ["DISCOVER-OFFER", "REQUEST-ACK", "REQUEST-ACK (renewal)"];
    assert!(kinds.iter().all(|kind| report.contains(kind)), "{report}");
    assert!(drops(&report).iter().take(3).all(|drops| *drops == "0"), "{report}");
    server
        .fact("a lease that was given back", |fact| matches!(fact, Fact::LeaseEnded { declined: false, .. }));
}

#[test]
fn clients_behind_iscs_relay_get_renew_and_release_ipv6_addresses() {
    let link = Link::with_isc_relay6();
    let _server = Server::start(&link, &relayed());
    link::wait("an answer by way of the relay", 30, || {
        let report = link.perfdhcp6("-r 5 -n 1 -W 500000");
        if drops(&report) == ["0", "0"] { Ok(()) } else { Err(report) }
    });
    let report = link.perfdhcp6("-r 50 -R 100 -p 3 -f 20 -F 20 -W 1000000");
    assert_eq!(drops(&report), ["0"; 4], "{report}");
}
