//! A region as the authority of 20,000 names: asked by dig, copied by BIND and Knot with keys, by differences after a
//! change, and by nobody without a key.

#![expect(clippy::unwrap_used, reason = "a test says by its line what failed")]

mod support;

use rackwright_region::db::wakeups::Wakeups;
use rackwright_region::dns::server::NameServer;
use rackwright_region::dns::{self, Names};
use rackwright_region::model::Role;
use serde_json::{Value, json};
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use support::Site;
use tokio_util::sync::CancellationToken;

const NAMES: usize = 20_000;

fn free_port() -> u16 {
    std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

fn start(program: &str, arguments: &[&str], folder: &Path, config: &str) -> Running {
    std::fs::write(folder.join("config"), config).unwrap();
    let log = std::fs::File::create(folder.join("log")).unwrap();
    let mut command = Command::new(program);
    command.args(arguments).arg(folder.join("config")).stdin(Stdio::null());
    command.stdout(log.try_clone().unwrap()).stderr(log);
    Running(
        command
            .spawn()
            .unwrap_or_else(|e| panic!("{program} does not start ({e}): it is needed for this test")),
    )
}

fn bind(folder: &Path, port: u16, primary: u16, secret: &str) -> Running {
    let place = folder.display();
    let config = format!(
        "options {{ directory \"{place}\"; pid-file \"{place}/pid\"; session-keyfile \"{place}/session\"; recursion no;
           listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; dnssec-validation no; notify no; }};
         controls {{ }};
         key \"bind\" {{ algorithm hmac-sha256; secret \"{secret}\"; }};
         zone \"lab.example\" {{ type secondary; file \"{place}/zone\"; primaries {{ 127.0.0.1 port {primary} key \"bind\"; }}; }};"
    );
    start("/usr/sbin/named", &["-g", "-n", "1", "-c"], folder, &config)
}

fn knot(folder: &Path, port: u16, primary: u16, secret: &str) -> Running {
    let place = folder.display();
    let config = format!(
        "server:\n  listen: 127.0.0.1@{port}\n  rundir: {place}\ndatabase:\n  storage: {place}\n\
         key:\n- id: knot\n  algorithm: hmac-sha256\n  secret: {secret}\n\
         remote:\n- id: primary\n  address: 127.0.0.1@{primary}\n  key: knot\n\
         acl:\n- id: told\n  address: 127.0.0.1\n  key: knot\n  action: notify\n\
         zone:\n- domain: lab.example\n  storage: {place}\n  master: primary\n  acl: told\n\
         log:\n- target: stderr\n  any: info\n"
    );
    start("/usr/sbin/knotd", &["-c"], folder, &config)
}

fn dig(port: u16, arguments: &[&str]) -> String {
    let port = port.to_string();
    let fixed = ["@127.0.0.1", "-p", &port, "+time=2", "+tries=1", "+nocookie"];
    let output = Command::new("dig").args(fixed).args(arguments).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

async fn until(port: u16, arguments: &[&str], expected: &str, within: Duration, log: &Path) {
    let deadline = Instant::now() + within;
    loop {
        let seen = dig(port, arguments);
        if seen == expected {
            return;
        }
        if Instant::now() > deadline {
            let log = std::fs::read_to_string(log).unwrap_or_default();
            panic!("{arguments:?}: wanted {expected}, last seen {seen}\n{log}");
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn key(site: &Site, name: &str, port: u16) -> String {
    let new = json!({ "name": name, "address": "127.0.0.1", "port": port });
    let made = site.post("/secondaries", new).await.expect(201);
    made["secret"].as_str().unwrap().to_owned()
}

fn serve(site: &Site, port: u16) -> CancellationToken {
    let (wakeups, cancel) = (Wakeups::default(), CancellationToken::new());
    tokio::spawn(wakeups.clone().run(site.pool.clone(), cancel.clone()));
    let server = NameServer::new(site.pool.clone(), site.app.keys().clone(), 0);
    let listen = vec![(Ipv4Addr::LOCALHOST, port).into()];
    let names = Names { region: "region-1".into(), answer: true, listen };
    tokio::spawn(dns::run(site.pool.clone(), wakeups.world(), names, Arc::new(server), cancel.clone()));
    cancel
}

#[tokio::test(flavor = "multi_thread")]
async fn secondaries_have_all_of_a_large_zone_and_follow_it() {
    let site = Site::new().await;
    site.post("/domains", json!({ "name": "lab.example", "is_default": true })).await.expect(201);
    let many = "INSERT INTO dns_record (domain_id, name, type, data)
                SELECT d.id, 'n' || g || '.lab.example', 'A', host('10.64.0.0'::inet + g)
                FROM domain d, generate_series(1, $1::int) g WHERE d.name = 'lab.example'";
    sqlx::query(many).bind(i32::try_from(NAMES).unwrap()).execute(&site.pool).await.unwrap();
    let (primary, bind_port, knot_port) = (free_port(), free_port(), free_port());
    let (bind_key, knot_key) = (key(&site, "bind", bind_port).await, key(&site, "knot", knot_port).await);
    let cancel = serve(&site, primary);
    let nowhere = Path::new("/nonexistent");
    let long = Duration::from_secs(60);
    let last = format!("n{NAMES}.lab.example");
    until(primary, &["+short", &last], "10.64.78.32", long, nowhere).await;

    // The whole zone by one transfer: every name, its server, and the start of authority at both ends.
    let with_key = format!("hmac-sha256:bind:{bind_key}");
    let copy = dig(primary, &["-y", &with_key, "+noall", "+answer", "+onesoa", "AXFR", "lab.example"]);
    assert_eq!(copy.lines().filter(|line| line.contains("\tA\t")).count(), NAMES);
    assert_eq!(dig(primary, &["+noall", "+answer", "AXFR", "lab.example"]), "; Transfer failed.");
    let wrong = format!("hmac-sha256:bind:{knot_key}");
    assert!(dig(primary, &["-y", &wrong, "+noall", "+answer", "AXFR", "lab.example"]).contains("failed"));

    let (bind_folder, knot_folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let _bind = bind(bind_folder.path(), bind_port, primary, &bind_key);
    let _knot = knot(knot_folder.path(), knot_port, primary, &knot_key);
    // How each of them says that it got differences: two starts of authority, each twice, and one record between them.
    let copies = [
        (bind_port, bind_folder.path().join("log"), "1 messages, 5 records"),
        (knot_port, knot_folder.path().join("log"), "IXFR, incoming"),
    ];
    for (port, log, _) in &copies {
        until(*port, &["+short", &last], "10.64.78.32", long, log).await;
    }

    // A change is answered within a second of its commit, and secondaries are told of it.
    let new = json!({ "name": "new.lab.example", "type": "A", "data": "10.77.0.1" });
    let made: Value = site.post("/dns-records", new).await.expect(201);
    until(primary, &["+short", "new.lab.example"], "10.77.0.1", Duration::from_secs(3), nowhere).await;
    for (port, log, _) in &copies {
        until(*port, &["+short", "new.lab.example"], "10.77.0.1", Duration::from_secs(15), log).await;
    }
    let path = format!("/dns-records/{}", made["id"]);
    site.request(Some(Role::Operator), "DELETE", &path, &[], None).await.expect(204);
    for (port, log, by_differences) in &copies {
        until(*port, &["+short", "new.lab.example"], "", Duration::from_secs(15), log).await;
        let log = std::fs::read_to_string(log).unwrap();
        assert!(log.contains(by_differences), "{by_differences} is not in\n{log}");
    }
    cancel.cancel();
}
