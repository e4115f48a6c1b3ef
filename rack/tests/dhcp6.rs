//! DHCPv6 and router advertisements for clients that nobody here wrote: ISC dhclient, perfdhcp, the kernel's own neighbour
//! discovery, curl by TFTP and HTTP over IPv6; and the renewal of an address by another rack. Needs root; all of it is in
//! namespaces of its own.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

#[path = "common/rack.rs"]
#[allow(dead_code, reason = "this test needs a part of it")]
mod rack;

use nix::sched::{CloneFlags, unshare};
use rack::Rack;
use rackwright_common::snapshot::{Fixed6View, Snapshot, Subnet6View};
use rackwright_rack::dhcp6::Dhcp6;
use rackwright_rack::{boot, ra};
use std::process::{Command, Output};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

const HTTP_PORT: u16 = 5248;
const MAC: &str = "52:54:00:92:00:07";

fn output(line: &[&str]) -> Output {
    Command::new(line[0]).args(&line[1..]).output().unwrap()
}

fn run(line: &[&str]) -> String {
    let output = output(line);
    assert!(output.status.success(), "{line:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A host at the other end of the cable; gone with the value.
struct Peer {
    name: String,
    folder: tempfile::TempDir,
}

impl Peer {
    fn new() -> Self {
        let peer =
            Self { name: format!("rwsix{}", std::process::id()), folder: tempfile::tempdir().unwrap() };
        run(&["ip", "netns", "add", &peer.name]);
        // Only this thread, and those it starts, live in the new namespace; it ends with them.
        unshare(CloneFlags::CLONE_NEWNET).expect("root may make a network namespace");
        run(&["ip", "link", "add", "rwsix0", "type", "veth", "peer", "name", "rwsix1", "netns", &peer.name]);
        for line in ["link set lo up", "address add fd00:92::1/64 dev rwsix0 nodad", "link set rwsix0 up"] {
            run(&[&["ip"], &*line.split(' ').collect::<Vec<_>>()].concat());
        }
        for line in ["link set lo up", &format!("link set rwsix1 address {MAC}"), "link set rwsix1 up"] {
            peer.run(&[&["ip"], &*line.split(' ').collect::<Vec<_>>()].concat());
        }
        until("link-local addresses", || {
            let all = run(&["ip", "-6", "address", "show", "tentative"])
                + &peer.run(&["ip", "-6", "address", "show", "tentative"]);
            all.is_empty().then_some(()).ok_or(all)
        });
        peer
    }

    fn run(&self, line: &[&str]) -> String {
        run(&[&["ip", "netns", "exec", &self.name], line].concat())
    }

    /// dhclient's address; `-1` to get one, `-r` to give it back.
    fn dhclient(&self, way: &str) -> Option<String> {
        let at = |name: &str| self.folder.path().join(name).display().to_string();
        let (leases, pid) = (at("leases"), at("pid"));
        self.run(&["dhclient", "-6", way, "-v", "-lf", &leases, "-pf", &pid, "-sf", "/bin/true", "rwsix1"]);
        let text = std::fs::read_to_string(leases).unwrap();
        let last = text.rfind("iaaddr ")?;
        text[last..].split_whitespace().nth(1).map(str::to_owned)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        if let Ok(pid) = std::fs::read_to_string(self.folder.path().join("pid")) {
            drop(Command::new("kill").arg(pid.trim()).status());
        }
        drop(Command::new("ip").args(["netns", "delete", &self.name]).status());
    }
}

fn until<T>(what: &str, mut probe: impl FnMut() -> Result<T, String>) -> T {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        match probe() {
            Ok(found) => return found,
            Err(seen) => assert!(Instant::now() < deadline, "no {what}; last seen: {seen}"),
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn snapshot() -> Snapshot {
    let subnet = Subnet6View {
        id: 6,
        vlan: 3,
        cidr: "fd00:92::/64".parse().unwrap(),
        dns_servers: vec!["fd00:92::1".parse().unwrap()],
        domain: Some("lab.example".into()),
        valid_seconds: 600,
        boot_architectures: None,
        ranges: vec![("fd00:92::1:0:0:0".parse().unwrap(), "fd00:92::1:ffff:ffff:ffff".parse().unwrap())],
        fixed: vec![Fixed6View {
            mac: "52:54:00:92:00:09".parse().unwrap(),
            address: "fd00:92::9".parse().unwrap(),
        }],
    };
    Snapshot { generation: 1, subnets6: vec![subnet], ..Snapshot::default() }
}

fn serve(rack: &Rack) -> CancellationToken {
    let stop = CancellationToken::new();
    let interfaces = vec!["rwsix0".to_owned()];
    let dhcp =
        Dhcp6 { interfaces: interfaces.clone(), world: rack.world.clone(), boot: rack.context.clone() };
    tokio::spawn(dhcp.run(HTTP_PORT, stop.clone()));
    tokio::spawn(ra::run(interfaces, rack.world.clone(), stop.clone()));
    stop
}

fn rack() -> Rack {
    let rack = Rack::new([127, 0, 0, 1], HTTP_PORT);
    rack.world.apply(snapshot(), true).unwrap();
    rack
}

#[test]
fn clients_get_addresses_that_every_rack_extends() {
    let peer = Peer::new();
    // Its threads begin in the namespace of this one.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let _inside = runtime.enter();
    let first = rack();
    let stop = serve(&first);
    let given = peer.dhclient("-1").expect("an address");
    assert!(given.starts_with("fd00:92::1:"), "{given}");
    // The router advertisement says that the prefix is on the link.
    until("route to the prefix", || {
        let routes = peer.run(&["ip", "-6", "route"]);
        if routes.contains("fd00:92::/64") { Ok(()) } else { Err(routes) }
    });
    peer.run(&["ip", "address", "add", &format!("{given}/128"), "dev", "rwsix1", "nodad"]);

    // Files over IPv6.
    let own = "fd00:92::1".parse().unwrap();
    let tftp = runtime.spawn(boot::serve_tftp(first.context.clone(), own, 69, stop.clone()));
    let http = runtime.spawn(boot::serve_http(first.context.clone(), own, stop.clone()));
    let curl =
        |url: &str| output(&["ip", "netns", "exec", &peer.name, "curl", "-sgf", "--max-time", "10", url]);
    let script = until("boot script by HTTP over IPv6", || {
        let got = curl(&format!("http://[fd00:92::1]:{HTTP_PORT}/boot/ipxe?mac={MAC}"));
        if got.status.success() { Ok(got.stdout) } else { Err(format!("{:?}", got.status)) }
    });
    assert!(String::from_utf8_lossy(&script).starts_with("#!ipxe"), "{script:?}");
    let refused = curl("tftp://[fd00:92::1]/no-such-file");
    assert_eq!(refused.status.code(), Some(68), "curl: TFTP, file not found");

    // Another rack, which knows nothing of the first: the same address for the same client.
    stop.cancel();
    for part in [runtime.block_on(tftp).is_ok(), runtime.block_on(http).is_ok()] {
        assert!(part);
    }
    let second = rack();
    let stop = serve(&second);
    assert_eq!(peer.dhclient("-r").as_deref(), Some(given.as_str()), "it takes it back");
    assert_eq!(peer.dhclient("-1"), Some(given), "and gives it again");

    // Many clients: offers, addresses, renewals, releases.
    let many =
        ["perfdhcp", "-6", "-r", "200", "-R", "500", "-p", "3", "-f", "50", "-F", "50", "-W", "1000000"];
    let many = [&["ip", "netns", "exec", &peer.name], &many[..], &["-l", "rwsix1", "all"]].concat();
    let report = String::from_utf8_lossy(&output(&many).stdout).into_owned();
    let drops: Vec<&str> = report.lines().filter(|l| l.starts_with("drops: ")).collect();
    assert_eq!(drops, ["drops: 0"; 4], "{report}");
    stop.cancel();
}
