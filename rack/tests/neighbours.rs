//! Hearing who is there: the kernel's own ARP and neighbour discovery of a host at the other end of a virtual cable, a
//! switch, a printer, a scan, and a flood. Needs root, iproute2 and python3; everything is in namespaces of its own.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use nix::sched::{CloneFlags, unshare};
use rackwright_common::clock::SystemClock;
use rackwright_common::discovery::Sighting;
use rackwright_common::link::Fact;
use rackwright_common::snapshot::Snapshot;
use rackwright_rack::discovery;
use rackwright_rack::state::{Journal, World};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

const LLDP: &str = "import socket
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.bind(('rwsee1', 0))
t = lambda k, v: bytes([k << 1, len(v)]) + v
pdu = t(1, b'\\x04\\x02\\0\\0\\0\\0\\x01') + t(2, b'\\x0714') + t(3, b'\\0\\x78') + t(5, b'switch-3') + t(127, b'\\0\\x80\\xc2\\x01\\0\\x14') + b'\\0\\0'
s.send(b'\\x01\\x80\\xc2\\0\\0\\x0e' + b'\\x02\\0\\0\\0\\0\\x01' + b'\\x88\\xcc' + pdu)
";

const MDNS: &str = "import socket, sys
NAME = sys.argv[1].encode()
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(('10.91.0.9', 5353))
dns = bytes([0, 0, 0x84, 0, 0, 0, 0, 1, 0, 0, 0, 0]) + bytes([len(NAME)]) + NAME + b'\\x05local\\0' + bytes([0, 1, 0x80, 1, 0, 0, 0, 120, 0, 4, 10, 91, 0, 9])
s.sendto(dns, ('224.0.0.251', 5353))
";

const FLOOD: &str = "import socket, struct
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.bind(('rwsee1', 0))
for i in range(6000):
    mac = b'\\x02\\xff' + struct.pack('>I', i)
    s.send(b'\\xff' * 6 + mac + b'\\x08\\x06\\0\\x01\\x08\\0\\x06\\x04\\0\\x01' + mac + struct.pack('>I', 0x0a5c0000 + i) + b'\\0' * 6 + b'\\x0a\\x5b\\0\\x01')
";

/// Makes the kernel look for a neighbour.
const SPEAK: &str = "import socket, sys
to = socket.getaddrinfo(sys.argv[1], 9, type=socket.SOCK_DGRAM)[0]
s = socket.socket(to[0], socket.SOCK_DGRAM)
try:
    s.sendto(b'x', to[4])
except OSError:
    pass  # the address is still being checked
";

fn run(line: &[&str]) {
    let output = Command::new(line[0]).args(&line[1..]).output().unwrap();
    assert!(output.status.success(), "{line:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A host at the other end of the cable; gone with the value.
struct Peer(String);

impl Peer {
    fn new() -> Self {
        let peer = Self(format!("rwsee{}", std::process::id()));
        run(&["ip", "netns", "add", &peer.0]);
        // Only this thread, and those it starts, live in the new namespace; it ends with them.
        unshare(CloneFlags::CLONE_NEWNET).expect("root may make a network namespace");
        run(&["ip", "link", "add", "rwsee0", "type", "veth", "peer", "name", "rwsee1", "netns", &peer.0]);
        for line in ["link set lo up", "address add 10.91.0.1/24 dev rwsee0", "link set rwsee0 up"] {
            run(&[&["ip"], &*line.split(' ').collect::<Vec<_>>()].concat());
        }
        for line in [
            "ip link set lo up",
            "ip link set rwsee1 address 52:54:00:91:00:09",
            "ip address add 10.91.0.9/24 dev rwsee1",
            "ip link set rwsee1 up",
        ] {
            peer.run(&line.split(' ').collect::<Vec<_>>());
        }
        peer
    }

    fn run(&self, line: &[&str]) {
        run(&[&["ip", "netns", "exec", &self.0], line].concat());
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        drop(Command::new("ip").args(["netns", "delete", &self.0]).status());
    }
}

fn sightings(journal: &Journal) -> Vec<Sighting> {
    let facts = journal.after(0, 100_000).into_iter().map(|e| e.fact);
    facts.filter_map(|f| if let Fact::Sighting(s) = f { Some(s) } else { None }).collect()
}

/// Does something until there is a sighting like that.
async fn until(journal: &Journal, what: &str, does: impl Fn(), like: impl Fn(&Sighting) -> bool) -> Sighting {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        does();
        tokio::time::sleep(Duration::from_millis(200)).await;
        let seen = sightings(journal);
        if let Some(found) = seen.iter().rev().find(|s| like(s)) {
            return found.clone();
        }
        assert!(Instant::now() < deadline, "no {what}; seen: {seen:?}");
    }
}

fn address(s: &Sighting) -> String {
    s.address.map(|a| a.to_string()).unwrap_or_default()
}

#[tokio::test]
async fn who_is_on_the_cable_is_heard_and_told_of() {
    let peer = Peer::new();
    let folder = tempfile::tempdir().unwrap();
    let world = Arc::new(World::open(folder.path()).unwrap());
    let journal = Journal::open(folder.path(), Arc::new(SystemClock)).unwrap();
    let cancel = CancellationToken::new();
    let listening =
        tokio::spawn(discovery::run(vec!["rwsee0".into()], world.clone(), journal.clone(), cancel.clone()));

    // ARP and neighbour discovery of a real kernel.
    let speak = || peer.run(&["python3", "-c", SPEAK, "10.91.0.1"]);
    let host = until(&journal, "ARP", speak, |s| address(s) == "10.91.0.9").await;
    assert_eq!((host.mac.to_string().as_str(), host.interface.as_str()), ("52:54:00:91:00:09", "rwsee0"));
    let speak = || peer.run(&["python3", "-c", SPEAK, "fe80::9999%rwsee1"]);
    let host = until(&journal, "neighbour discovery", speak, |s| address(s).starts_with("fe80::")).await;
    assert_eq!(host.mac.to_string(), "52:54:00:91:00:09");

    // A switch and a printer.
    let lldp = || peer.run(&["python3", "-c", LLDP]);
    let switch = until(&journal, "LLDP", lldp, |s| s.lldp.is_some()).await;
    let said = switch.lldp.unwrap();
    assert_eq!((said.system.as_deref(), said.port.as_str(), said.vlan), (Some("switch-3"), "14", Some(20)));
    let mdns = || peer.run(&["python3", "-c", MDNS, "Printer"]);
    let printer = until(&journal, "multicast DNS", mdns, |s| s.hostname.is_some()).await;
    assert_eq!((address(&printer).as_str(), printer.hostname.as_deref()), ("10.91.0.9", Some("printer")));

    // A host that says nothing is found by asking, once a region allows it.
    peer.run(&["ip", "address", "add", "10.91.0.77/24", "dev", "rwsee1"]);
    let before = sightings(&journal);
    assert!(!before.iter().any(|s| address(s) == "10.91.0.77"), "{before:?}");
    let allowed =
        Snapshot { generation: 1, scan: vec!["10.91.0.0/24".parse().unwrap()], ..Snapshot::default() };
    world.apply(allowed, true).unwrap();
    until(&journal, "answer to the scan", || {}, |s| address(s) == "10.91.0.77").await;

    // The rack does not tell of itself.
    assert!(!sightings(&journal).iter().any(|s| address(s) == "10.91.0.1"));

    // A flood is told of in bounds, and does not end the hearing.
    peer.run(&["python3", "-c", FLOOD]);
    tokio::time::sleep(Duration::from_millis(500)).await;
    let told = sightings(&journal).iter().filter(|s| s.mac.0[1] == 0xff).count();
    assert!((1..600).contains(&told), "{told} reports of 6000 made-up senders");
    let again = || peer.run(&["python3", "-c", MDNS, "Renamed"]);
    until(&journal, "a known host after the flood", again, |s| s.hostname.as_deref() == Some("renamed"))
        .await;
    cancel.cancel();
    listening.await.unwrap();
}
