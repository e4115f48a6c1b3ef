//! The server as a process of its own: this test binary again, inside the server's namespace.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use rackwright_common::lease::LeaseNews;
use rackwright_common::link::Fact;
use rackwright_common::snapshot::{BlockView, Snapshot, SubnetView};
use rackwright_rack::dhcp::{self, DhcpConfig, DhcpWorld, LeaseExchange};
use rackwright_rack::dhcp6::Dhcp6;
use rackwright_rack::ra;
use tokio_util::sync::CancellationToken;

use crate::link::{Link, run, wait, wait_for_port_67};

const FOLDER: &str = "RWDHCP_SERVE";

/// The network on the server's link, with ten addresses to give out, and the one behind the relay.
pub fn snapshot() -> Snapshot {
    let block = |first: &str, last: &str| BlockView {
        first: first.parse().unwrap(),
        last: last.parse().unwrap(),
        epoch: 1,
        since: 1,
    };
    let near = SubnetView {
        id: 1,
        cidr: "10.77.0.0/24".parse().unwrap(),
        gateway: Some("10.77.0.254".parse().unwrap()),
        dns_servers: vec![std::net::Ipv4Addr::new(10, 77, 0, 1)],
        ntp_servers: vec!["10.77.0.3".parse().unwrap()],
        domain: Some("lab.example".into()),
        mtu: Some(1400),
        dhcp: true,
        lease_seconds: 600,
        blocks: vec![block("10.77.0.100", "10.77.0.109")],
        vlan: None,
        mode: rackwright_common::snapshot::ServeMode::Serve,
        boot_architectures: None,
        options: vec![],
        routes: vec![],
    };
    let far = SubnetView {
        id: 2,
        cidr: "10.88.0.0/24".parse().unwrap(),
        gateway: Some("10.88.0.1".parse().unwrap()),
        blocks: vec![block("10.88.0.50", "10.88.0.59")],
        ..near.clone()
    };
    Snapshot { generation: 1, subnets: vec![near, far], ..Snapshot::default() }
}

/// A running server.
pub struct Server<'a> {
    link: &'a Link,
    child: Child,
}

fn command(link: &Link, world: &Snapshot) -> Command {
    std::fs::write(link.folder.join("snapshot.json"), serde_json::to_vec(world).unwrap()).unwrap();
    let mut command = Command::new("ip");
    command
        .args(["netns", "exec", &link.server_namespace])
        .arg(std::env::current_exe().unwrap())
        .args(["serve", "--exact", "--nocapture"])
        .env(FOLDER, &link.folder)
        .stdout(Stdio::null());
    command
}

impl Server<'_> {
    pub fn start<'a>(link: &'a Link, world: &Snapshot) -> Server<'a> {
        let child = command(link, world).spawn().unwrap();
        wait_for_port_67(&child);
        Server { link, child }
    }

    /// A server whose lease folder is on a file system without a free byte; [`Server::free_disk`] makes room.
    pub fn start_with_full_disk<'a>(link: &'a Link, world: &Snapshot) -> Server<'a> {
        let folder = link.folder.join("leases");
        std::fs::create_dir_all(&folder).unwrap();
        let served = command(link, world);
        let mut command = Command::new("ip");
        // `ip netns exec` gives its program mounts of its own, which end with it.
        command.args(["netns", "exec", &link.server_namespace, "sh", "-c"]).arg(format!(
            "mount -t tmpfs -o size=4k none {0} && head -c 4096 /dev/zero >{0}/filler && exec \"$0\" serve --exact",
            folder.display()
        ));
        command.arg(std::env::current_exe().unwrap());
        command
            .envs(served.get_envs().filter_map(|(name, value)| Some((name, value?))))
            .stdout(Stdio::null());
        let child = command.spawn().unwrap();
        wait_for_port_67(&child);
        Server { link, child }
    }

    pub fn free_disk(&self) {
        let filler = self.link.folder.join("leases/filler");
        run(&format!("nsenter -t {} -m rm {}", self.child.id(), filler.display()));
    }

    /// A server that cannot start: what it says.
    pub fn fails(link: &Link, world: &Snapshot) -> String {
        let output = command(link, world).stderr(Stdio::piped()).output().unwrap();
        assert!(!output.status.success());
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    pub fn kill_and_start_again(self) -> Self {
        let world = std::fs::read(self.link.folder.join("snapshot.json")).unwrap();
        self.restart_with(&serde_json::from_slice(&world).unwrap())
    }

    pub fn restart_with(self, world: &Snapshot) -> Self {
        let link = self.link;
        drop(self);
        Server::start(link, world)
    }

    /// Waits for a fact like that.
    pub fn fact(&self, what: &str, is_it: impl Fn(&Fact) -> bool) {
        // dhclient waits up to ten seconds before it asks, and as long before it asks again.
        wait(what, 30, || {
            let text = std::fs::read_to_string(self.link.folder.join("facts.jsonl")).unwrap_or_default();
            let facts = text.lines().filter_map(|line| serde_json::from_str::<Fact>(line).ok());
            if facts.into_iter().any(|fact| is_it(&fact)) { Ok(()) } else { Err(text) }
        });
    }
}

impl Drop for Server<'_> {
    /// SIGKILL: the server never gets to say goodbye.
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

struct World {
    snapshot: Arc<Snapshot>,
    facts: PathBuf,
    leases: LeaseExchange,
}

/// A region with one rack: the blocks are the snapshot's, and nothing ever changes.
async fn region(leases: LeaseExchange, snapshot: Arc<Snapshot>) {
    let mut every = tokio::time::interval(std::time::Duration::from_millis(50));
    loop {
        every.tick().await;
        let Some(report) = leases.report() else { continue };
        let blocks = snapshot.subnets.iter().flat_map(|s| s.blocks.clone()).collect();
        leases.take(LeaseNews {
            rack: 1,
            memory: report.memory,
            life: report.life,
            sent_at: report.sent_at,
            blocks: Some(blocks),
            after: report.learned,
            upto: 1,
            whole: report.learned == 0,
            stored: report.facts.last().map_or(report.after, |fact| fact.number),
            words: vec![],
            live: vec![],
        });
    }
}

impl DhcpWorld for World {
    fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.clone()
    }

    fn leases(&self) -> LeaseExchange {
        self.leases.clone()
    }

    fn record(&self, fact: Fact) {
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(&self.facts).unwrap();
        writeln!(file, "{}", serde_json::to_string(&fact).unwrap()).unwrap();
    }
}

/// Serves for ever when this process is a [`Server`]'s.
pub fn serve_if_asked() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else { return };
    nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL).unwrap();
    let snapshot = serde_json::from_slice(&std::fs::read(folder.join("snapshot.json")).unwrap()).unwrap();
    let leases = LeaseExchange::default();
    let world =
        World { snapshot: Arc::new(snapshot), facts: folder.join("facts.jsonl"), leases: leases.clone() };
    let config = DhcpConfig {
        interfaces: vec!["eth0".into()],
        lease_directory: folder.join("leases"),
        http_port: 5248,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.spawn(region(leases, world.snapshot.clone()));
    if !world.snapshot.subnets6.is_empty() {
        let _inside = runtime.enter();
        serve6(world.snapshot.as_ref().clone());
    }
    if let Err(error) = runtime.block_on(dhcp::run(config, Arc::new(world), CancellationToken::new())) {
        panic!("{error}");
    }
}

/// DHCPv6 and router advertisements beside it, with an address of the first IPv6 subnet.
fn serve6(snapshot: Snapshot) {
    let own = snapshot.subnets6[0].cidr.hosts().nth(1).unwrap();
    run(&format!("ip address add {own}/64 dev eth0 nodad"));
    let rack = Box::leak(Box::new(crate::rack::Rack::new([127, 0, 0, 1], 5248)));
    rack.world.apply(snapshot, true).unwrap();
    let (interfaces, stop) = (vec!["eth0".to_owned()], CancellationToken::new());
    let dhcp =
        Dhcp6 { interfaces: interfaces.clone(), world: rack.world.clone(), boot: rack.context.clone() };
    tokio::spawn(dhcp.run(5248, stop.clone()));
    tokio::spawn(ra::run(interfaces, rack.world.clone(), stop));
}
