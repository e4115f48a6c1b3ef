//! A region as the authority of 20,000 names: asked by dig, copied by BIND and Knot with keys, by differences after a
//! change, and by nobody without a key.

#![expect(clippy::unwrap_used, reason = "a test says by its line what failed")]

mod support;

use rackwright_region::db::wakeups::Wakeups;
use rackwright_region::dns::server::NameServer;
use rackwright_region::dns::{self, Names};
use rackwright_region::model::Role;
use serde_json::{Value, json};
use std::collections::BTreeSet;
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

fn knot(folder: &Path, port: u16, primary: u16, secret: &str, more: &str) -> Running {
    let place = folder.display();
    let config = format!(
        "server:\n  listen: 127.0.0.1@{port}\n  rundir: {place}\ndatabase:\n  storage: {place}\n\
         key:\n- id: knot\n  algorithm: hmac-sha256\n  secret: {secret}\n\
         remote:\n- id: primary\n  address: 127.0.0.1@{primary}\n  key: knot\n\
         acl:\n- id: told\n  address: 127.0.0.1\n  key: knot\n  action: notify\n\
         zone:\n- domain: lab.example\n  storage: {place}\n  master: primary\n  acl: told\n{more}\
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
    let _knot = knot(knot_folder.path(), knot_port, primary, &knot_key, "");
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
    // What each has copied is known, and who does not follow is told of once.
    let zones = site.get("/dns-zones").await.expect(200);
    let zone = zones["items"].as_array().unwrap().iter().find(|z| z["origin"] == "lab.example").unwrap();
    for secondary in site.get("/secondaries").await.expect(200)["items"].as_array().unwrap() {
        let copy = &secondary["copies"][0];
        let seen = (&copy["zone"], &copy["serial"], &copy["behind"]);
        assert_eq!(seen, (&json!("lab.example"), &zone["serial"], &json!(false)), "{secondary}");
    }
    cancel.cancel();
}

#[tokio::test]
async fn a_secondary_that_lags_behind_is_told_of_once_and_so_is_that_it_has_caught_up() {
    let site = Site::new().await;
    key(&site, "ns-1", 53).await;
    rackwright_region::dns::publish::publish(&site.pool, site.app.keys()).await.unwrap();
    let run = async |statement: &'static str| {
        sqlx::query(statement).execute(&site.pool).await.unwrap().rows_affected()
    };
    let tell = async || rackwright_region::dns::lag::tell(&site.pool).await.unwrap();
    let told = async |kind: &str| {
        let events = site.get("/events?limit=1000").await.expect(200);
        events["items"].as_array().unwrap().iter().filter(|e| e["kind"] == kind).count()
    };
    run("INSERT INTO secondary_copy (secondary, zone, serial) SELECT 'ns-1', origin, serial - 1 FROM dns_zone").await;
    tell().await;
    assert_eq!(told("secondary.behind").await, 0, "five minutes are given");
    run("UPDATE dns_zone SET changed_at = now() - interval '6 minutes'").await;
    tell().await;
    tell().await;
    assert_eq!((told("secondary.behind").await, told("secondary.caught-up").await), (1, 0));
    let seen = site.get("/secondaries").await.expect(200);
    assert_eq!(seen["items"][0]["copies"][0]["behind"], true, "{seen}");
    run("UPDATE secondary_copy c SET serial = z.serial FROM dns_zone z WHERE z.origin = c.zone").await;
    tell().await;
    tell().await;
    assert_eq!((told("secondary.behind").await, told("secondary.caught-up").await), (1, 1));
}

/// Runs a program that checks; what it says when it is content.
fn check(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap_or_else(|e| panic!("{program}: {e}"));
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{program} {arguments:?}: {said}");
    said
}

/// Asks as one who trusts nothing but a key.
fn delv(port: u16, key: &Value, folder: &Path, arguments: &[&str]) -> String {
    let record = key["dnskey"].as_str().unwrap();
    let (zone, public) = (key["zone"].as_str().unwrap(), record.rsplit(' ').next().unwrap());
    let anchor = folder.join("anchor");
    std::fs::write(&anchor, format!("trust-anchors {{ {zone}. static-key 257 3 15 \"{public}\"; }};"))
        .unwrap();
    let (port, root) = (port.to_string(), format!("+root={zone}"));
    let fixed = ["@127.0.0.1", "-p", &port, "-a", anchor.to_str().unwrap(), &root];
    let output = Command::new("delv").args(fixed).args(arguments).output().unwrap();
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// dnspython of PyPI, in a virtual environment that is kept between runs; what `resolver.py` says.
fn dnspython(arguments: &[&str]) -> String {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("dnspython-2.9.2");
    let complete = place.join("complete");
    if !complete.exists() {
        check("python3", &["-m", "venv", place.to_str().unwrap()]);
        let pip = place.join("bin/pip");
        let packages = ["install", "--quiet", "dnspython==2.9.2", "cryptography"];
        check(pip.to_str().unwrap(), &packages);
        std::fs::write(complete, "").unwrap();
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/resolver.py");
    check(place.join("bin/python").to_str().unwrap(), &[&[script], arguments].concat())
}

/// Follows the signatures of what a server says up to a key, by NLnet's resolver.
fn drill(port: u16, key: &Value, folder: &Path, arguments: &[&str]) -> String {
    let anchor = folder.join("key");
    std::fs::write(&anchor, format!("{}\n", key["dnskey"].as_str().unwrap())).unwrap();
    let port = port.to_string();
    let fixed = ["-S", "-k", anchor.to_str().unwrap(), "-p", &port, "@127.0.0.1"];
    let output = Command::new("drill").args(fixed).args(arguments).output().unwrap();
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

async fn make_key(site: &Site, port: u16, zone: &str) -> Value {
    let made = site.post("/dns-keys", json!({ "zone": zone })).await.expect(201);
    let deadline = Instant::now() + Duration::from_secs(10);
    let public = made["dnskey"].as_str().unwrap().rsplit(' ').next().unwrap().to_owned();
    loop {
        let seen = dig(port, &["+short", "+nosplit", "DNSKEY", zone]);
        if seen.contains(&public) {
            return made;
        }
        assert!(Instant::now() < deadline, "{zone} is not signed with {made}, last seen {seen}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_zone_is_proven_to_whoever_checks_it() {
    let site = Site::new().await;
    for (name, default) in [("lab.example", true), ("sub.lab.example", false), ("plain.lab.example", false)] {
        site.post("/domains", json!({ "name": name, "is_default": default })).await.expect(201);
    }
    let fabric = site.post("/fabrics", json!({ "name": "lab" })).await.expect(201);
    let vlan = json!({ "fabric": fabric["id"], "vid": 0, "name": "untagged" });
    let vlan = site.post("/vlans", vlan).await.expect(201);
    site.post("/subnets", json!({ "vlan": vlan["id"], "cidr": "10.77.0.0/24" })).await.expect(201);
    for (name, kind, data) in [
        ("region.lab.example", "A", "10.77.0.1"),
        ("www.lab.example", "A", "10.77.0.9"),
        ("alias.lab.example", "CNAME", "www.lab.example"),
        ("*.wild.lab.example", "TXT", "anything"),
        ("deep.er.lab.example", "AAAA", "fd00::9"),
        ("lab.example", "MX", "10 www.lab.example"),
        ("away.lab.example", "NS", "ns.other.example"),
        ("www.sub.lab.example", "A", "10.77.0.10"),
        ("www.plain.lab.example", "A", "10.77.0.11"),
    ] {
        let new = json!({ "name": name, "type": kind, "data": data });
        site.post("/dns-records", new).await.expect(201);
    }
    let (primary, other, bind_port, knot_port) = (free_port(), free_port(), free_port(), free_port());
    let (bind_key, knot_key) = (key(&site, "bind", bind_port).await, key(&site, "knot", knot_port).await);
    // Two regions: whoever of them signs, both say the same bytes.
    let (cancel, cancel_other) = (serve(&site, primary), serve(&site, other));
    let (nowhere, within) = (Path::new("/nonexistent"), Duration::from_secs(15));
    until(primary, &["+short", "www.lab.example"], "10.77.0.9", within, nowhere).await;
    let lab = make_key(&site, primary, "lab.example").await;
    make_key(&site, primary, "sub.lab.example").await;
    let reverse = make_key(&site, primary, "0.77.10.in-addr.arpa").await;
    let signed = dig(primary, &["+dnssec", "+noall", "+answer", "www.lab.example"]);
    assert!(signed.contains("RRSIG"), "{signed}");
    until(other, &["+dnssec", "+noall", "+answer", "www.lab.example"], &signed, within, nowhere).await;

    let folder = tempfile::tempdir().unwrap();
    let proven = |port: u16, key: &Value, arguments: &[&str], wanted: &str| {
        let said = delv(port, key, folder.path(), arguments);
        assert!(said.contains(wanted), "{arguments:?} of {port}: wanted {wanted}\n{said}");
    };
    let (yes, no) = ("; fully validated", "; negative response, fully validated");
    for port in [primary, other] {
        for (name, kind, wanted) in [
            ("www.lab.example", "A", yes),
            ("alias.lab.example", "A", yes),
            ("x.wild.lab.example", "TXT", yes),
            ("lab.example", "SOA", yes),
            ("www.lab.example", "TXT", no),
            ("no.lab.example", "A", no),
            ("er.lab.example", "A", no),
            ("x.wild.lab.example", "A", no),
            // The zone below is trusted by what this one says of its key, the other one below is known to have none.
            ("www.sub.lab.example", "A", yes),
            ("no.sub.lab.example", "A", no),
            ("www.plain.lab.example", "A", "; unsigned answer"),
        ] {
            proven(port, &lab, &[name, kind], wanted);
        }
        let said = drill(port, &lab, folder.path(), &["www.lab.example", "A"]);
        assert!(said.contains("Chase successful"), "{said}");
        proven(port, &reverse, &["-x", "10.77.0.9"], yes);
        proven(port, &reverse, &["-x", "10.77.0.200"], no);
    }
    let wrong = json!({ "zone": "lab.example", "dnskey": reverse["dnskey"] });
    proven(primary, &wrong, &["www.lab.example", "A"], "no valid");
    let said = drill(primary, &wrong, folder.path(), &["www.lab.example", "A"]);
    assert!(!said.contains("Chase successful"), "{said}");

    let copy = dig(
        primary,
        &["-y", &format!("hmac-sha256:bind:{bind_key}"), "+noall", "+answer", "AXFR", "lab.example"],
    );
    let names: BTreeSet<&str> = copy.lines().filter_map(|line| line.split_whitespace().next()).collect();
    let questions = [
        ("www.lab.example:A", "www.lab.example. 10.77.0.9"),
        ("alias.lab.example:A", "www.lab.example. 10.77.0.9"),
        ("lab.example:MX", "lab.example. 10 www.lab.example."),
        ("x.wild.lab.example:TXT", "x.wild.lab.example. \"anything\""),
        ("deep.er.lab.example:AAAA", "deep.er.lab.example. fd00::9"),
        ("10.77.0.9:PTR", "9.0.77.10.in-addr.arpa. www.lab.example."),
        ("no.lab.example:A", "does not exist"),
        ("www.lab.example:AAAA", "has no such record"),
    ];
    let asked = questions.map(|(question, _)| question);
    let mut said: Vec<String> =
        questions.iter().map(|(question, answer)| format!("{question} {answer}")).collect();
    said.push("both are signed with the key".into());
    said.push(format!("lab.example has {} names", names.len()));
    let lab_key = lab["dnskey"].as_str().unwrap().rsplit_once(" 257 ").unwrap().1;
    let fixed = [&primary.to_string(), "lab.example", &format!("257 {lab_key}"), &bind_key, "lab.example"];
    assert_eq!(dnspython(&[&fixed[..], &asked].concat()).lines().collect::<Vec<_>>(), said);

    // The zone as it is copied, to programs that look at the whole of it. Knot takes only copies that it has checked.
    let with_key = format!("hmac-sha256:bind:{bind_key}");
    let whole = |zone: &str| {
        let copy = dig(primary, &["-y", &with_key, "+noall", "+answer", "+onesoa", "AXFR", zone]);
        let file = folder.path().join(zone);
        std::fs::write(&file, format!("{copy}\n")).unwrap();
        let file = file.to_str().unwrap().to_owned();
        check("dnssec-verify", &["-z", "-o", zone, &file]);
        check("ldns-verify-zone", &[&file]);
    };
    ["lab.example", "sub.lab.example", "0.77.10.in-addr.arpa"].into_iter().for_each(whole);
    let (bind_folder, knot_folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let _bind = bind(bind_folder.path(), bind_port, primary, &bind_key);
    let _knot = knot(knot_folder.path(), knot_port, primary, &knot_key, "  dnssec-validation: on\n");
    let copies = [(bind_port, bind_folder.path().join("log")), (knot_port, knot_folder.path().join("log"))];
    let new = json!({ "name": "new.lab.example", "type": "A", "data": "10.77.0.12" });
    for (port, log) in &copies {
        until(*port, &["+short", "www.lab.example"], "10.77.0.9", within, log).await;
    }
    site.post("/dns-records", new).await.expect(201);
    for (port, log) in &copies {
        until(*port, &["+short", "new.lab.example"], "10.77.0.12", within, log).await;
        proven(*port, &lab, &["new.lab.example", "A"], yes);
        proven(*port, &lab, &["no.lab.example", "A"], no);
    }

    // Another key: both are trusted for a while, then the new one alone, which must have been there for an hour.
    let next = make_key(&site, primary, "lab.example").await;
    proven(primary, &lab, &["www.lab.example", "A"], yes);
    proven(primary, &next, &["www.lab.example", "A"], yes);
    whole("lab.example");
    let path = format!("/dns-keys/{}", lab["id"]);
    let admin = Some(Role::Administrator);
    let text = site.request(admin, "DELETE", &path, &[], None).await.problem(409, "conflict");
    assert!(text.contains("less than an hour"), "{text}");
    let older = "UPDATE dns_key SET created_at = now() - interval '2 hours'";
    sqlx::query(older).execute(&site.pool).await.unwrap();
    site.request(admin, "DELETE", &path, &[], None).await.expect(204);
    let only = format!("257 3 15 {}", next["dnskey"].as_str().unwrap().rsplit(' ').next().unwrap());
    until(primary, &["+short", "+nosplit", "DNSKEY", "lab.example"], &only, within, nowhere).await;
    proven(primary, &next, &["www.lab.example", "A"], yes);
    let last = format!("/dns-keys/{}", next["id"]);
    let text = site.request(admin, "DELETE", &last, &[], None).await.problem(409, "conflict");
    assert!(text.contains("--unsign"), "{text}");
    site.request(admin, "DELETE", &format!("{last}?unsign=true"), &[], None).await.expect(204);
    until(primary, &["+short", "DNSKEY", "lab.example"], "", within, nowhere).await;
    let plain = dig(primary, &["+dnssec", "+noall", "+answer", "www.lab.example"]);
    assert!(!plain.contains("RRSIG"), "{plain}");
    cancel.cancel();
    cancel_other.cancel();
}
