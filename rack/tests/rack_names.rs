//! Names from a rack, asked by dig in a network namespace of the test's own: the site's from its snapshot with no region
//! anywhere, others by way of a real name server, and nothing but the site's for strangers.

#![expect(clippy::unwrap_used, reason = "a test says by its line what failed")]

use rackwright_common::names::{NamesView, RecordView, ZoneView};
use rackwright_common::snapshot::Snapshot;
use rackwright_rack::dns;
use rackwright_rack::served::Served;
use rackwright_rack::state::World;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

const INSIDE: &str = "RWNAMES_INSIDE";

/// Runs this test again in a namespace whose loopback has an address that counts as a stranger's.
#[test]
fn a_rack_answers_names() {
    let script = "ip link set lo up && ip address add 198.51.100.9/32 dev lo && exec \"$0\" inside --exact --nocapture";
    let status = Command::new("unshare")
        .args(["--net", "sh", "-c", script])
        .arg(std::env::current_exe().unwrap())
        .env(INSIDE, "1")
        .status()
        .unwrap();
    assert!(status.success(), "what happened stands above");
}

fn record(name: &str, kind: &str, data: &str) -> RecordView {
    RecordView { name: name.into(), kind: kind.into(), ttl: 60, data: data.into() }
}

fn world(generation: u64, address: &str) -> Snapshot {
    let lab = vec![
        record("lab", "NS", "region.lab"),
        record("node-1.lab", "A", address),
        record("out.lab", "CNAME", "example.org"),
        record("www.lab", "CNAME", "node-1.lab"),
    ];
    let reverse = vec![record("5.0.77.10.in-addr.arpa", "PTR", "node-1.lab")];
    let zone = |origin: &str, records| ZoneView {
        origin: origin.into(),
        serial: u32::try_from(generation).unwrap(),
        minimum: 30,
        records,
    };
    let names = NamesView {
        zones: vec![zone("lab", lab), zone("0.77.10.in-addr.arpa", reverse)],
        clients: vec!["10.77.0.0/24".parse().unwrap()],
        // The rack itself is among them, as a careless administrator has it.
        upstreams: vec!["127.0.0.1".parse().unwrap(), "127.0.0.2".parse().unwrap()],
        servers: Vec::new(),
    };
    Snapshot { generation, names, ..Snapshot::default() }
}

struct Upstream(Child);

impl Upstream {
    fn start() -> Self {
        let child = Command::new("dnsmasq")
            .args(["--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts"])
            .args(["--listen-address=127.0.0.2", "--bind-interfaces", "--user=root", "--pid-file="])
            .args(["--host-record=example.org,192.0.2.7", "--local-ttl=300"])
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self(child)
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// What dig says, in lines.
fn dig(arguments: &[&str]) -> Vec<String> {
    let fixed = ["@127.0.0.1", "+time=4", "+tries=1", "+nocookie"];
    let output = Command::new("dig").args(fixed).args(arguments).output().unwrap();
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

fn status(arguments: &[&str]) -> String {
    let lines = dig(arguments);
    let find = |line: &String| Some(line.split_once("status: ")?.1.split_once(',')?.0.to_owned());
    lines.iter().find_map(find).unwrap_or_else(|| lines.join("\n"))
}

/// Asks until the answer is this one.
async fn soon(arguments: &[&str], expected: &[&str]) {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let seen = dig(arguments);
        if seen == expected {
            return;
        }
        assert!(Instant::now() < deadline, "{arguments:?}: last seen {seen:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn start(world: &Arc<World>, served: &Served) -> (CancellationToken, tokio::task::JoinHandle<()>) {
    let cancel = CancellationToken::new();
    let run = dns::run(vec!["lo".into()], 53, world.clone(), served.clone(), cancel.clone());
    (cancel, tokio::spawn(run))
}

#[tokio::test(flavor = "multi_thread")]
async fn inside() {
    if std::env::var_os(INSIDE).is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let world_now = Arc::new(World::open(folder.path()).unwrap());
    world_now.apply(world(1, "10.77.0.5"), true).unwrap();
    let served = Served::new(true);
    let (cancel, task) = start(&world_now, &served);
    soon(&["+short", "node-1.lab"], &["10.77.0.5"]).await;
    assert_eq!(dig(&["+short", "+tcp", "www.lab"]), ["node-1.lab.", "10.77.0.5"]);
    assert_eq!(dig(&["+short", "-x", "10.77.0.5"]), ["node-1.lab."]);
    assert_eq!(status(&["nobody.lab"]), "NXDOMAIN");
    assert!(served.names([127, 0, 0, 1].into()));

    // Other names: nobody to ask is a failure, not an end; then a real server is there.
    assert_eq!(status(&["example.org"]), "SERVFAIL");
    let upstream = Upstream::start();
    soon(&["+short", "example.org"], &["192.0.2.7"]).await;
    assert_eq!(
        dig(&["+short", "out.lab"]),
        ["example.org.", "192.0.2.7"],
        "an alias that leads out of the site"
    );
    assert_eq!(dig(&["+short", "+dnssec", "example.org"]), ["192.0.2.7"]);
    drop(upstream);
    assert_eq!(dig(&["+short", "example.org"]), ["192.0.2.7"], "kept while it holds");

    // A stranger gets the site's names and nothing else.
    assert_eq!(dig(&["-b", "198.51.100.9", "+short", "node-1.lab"]), ["10.77.0.5"]);
    assert_eq!(status(&["-b", "198.51.100.9", "example.org"]), "REFUSED");
    assert_eq!(status(&["-b", "198.51.100.9", "out.lab"]), "NOERROR");

    // What nobody needs is refused.
    assert_eq!(status(&["CH", "TXT", "version.bind"]), "REFUSED");
    assert_eq!(status(&["AXFR", "lab", "+noall", "+answer"]), "; Transfer failed.");
    assert_eq!(dig(&["+short", "ANY", "node-1.lab"]), ["\"RFC8482\" \"\""]);

    // A new snapshot counts at once; and after a restart without any region it still does.
    world_now.apply(world(2, "10.77.0.6"), true).unwrap();
    soon(&["+short", "node-1.lab"], &["10.77.0.6"]).await;
    cancel.cancel();
    task.await.unwrap();
    drop(world_now);
    let (cancel, task) = start(&Arc::new(World::open(folder.path()).unwrap()), &served);
    soon(&["+short", "node-1.lab"], &["10.77.0.6"]).await;
    cancel.cancel();
    task.await.unwrap();
}
