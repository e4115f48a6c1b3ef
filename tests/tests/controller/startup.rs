//! What keeps `rackwright up`, `region` and `rack` from starting is said in a sentence that names the cure, with the
//! exit code of that kind of trouble: 1 refused or failed, 2 wrong usage or settings, 3 not reachable.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use rackwright_lab::{Signal, poll};
use rackwright_tests::site::{Ended, SHORT, Site, postmaster};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Runs a command that should end by itself, and soon.
fn run(command: &Command) -> Ended {
    let mut limited = Command::new("timeout");
    limited.arg("90").arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        limited.env(name, value.unwrap());
    }
    let output = limited.output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    Ended { code: output.status.code().unwrap(), error }
}

/// The exit code and, in the last that is said, every one of the words.
#[track_caller]
fn assert_refused(ended: &Ended, code: i32, words: &[&str]) {
    let at = ended.error.rfind("rackwright: ").unwrap_or_else(|| panic!("it says nothing: {}", ended.error));
    let last = &ended.error[at..];
    for word in words {
        assert!(last.contains(word), "{word:?} is not in: {last}");
    }
    assert_eq!(ended.code, code, "{last}");
}

#[test]
fn settings_that_are_wrong_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let program = std::env::var("RACKWRIGHT_TEST_PROGRAM").unwrap();
    let with = |kind: &str, name: &str, text: &str| {
        let file = folder.path().join(name);
        std::fs::write(&file, text).unwrap();
        run(Command::new(&program).args([kind, "--config"]).arg(&file))
    };
    let key = with("region", "key.toml", "databse_url = \"postgres:///x\"\n");
    assert_refused(&key, 2, &["key.toml", "unknown field `databse_url`", "`database_url`"]);
    let kind = with("region", "kind.toml", "workers = \"many\"\n");
    assert_refused(&kind, 2, &["kind.toml", "workers", "string \"many\""]);
    assert_refused(&with("rack", "rack.toml", "intefaces = []\n"), 2, &["rack.toml", "`intefaces`"]);
    assert_refused(&with("rack", "none.toml", "name = \"r\"\n"), 2, &["`interfaces` is empty"]);
    let torn = with("rack", "torn.toml", "name = \n");
    assert_eq!(torn.code, 2, "{}", torn.error);
    assert!(torn.error.contains("torn.toml is not valid TOML"), "{}", torn.error);

    let data = folder.path().join("rack");
    let text = format!("name = \"r\"\ninterfaces = [\"lo\"]\ndata = {data:?}\ncertificates = {data:?}\n");
    let stranger = with("rack", "stranger.toml", &text);
    assert_refused(&stranger, 1, &["the rack's certificate cannot be used", "rackwright rack enroll TOKEN"]);
    let usage = run(Command::new(&program).arg("up"));
    assert_eq!(usage.code, 2, "{}", usage.error);
    assert!(usage.error.contains("--interface"), "{}", usage.error);
}

#[test]
fn a_region_without_its_database_says_what_is_wrong_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let program = std::env::var("RACKWRIGHT_TEST_PROGRAM").unwrap();
    let region = |data: &Path, url: &str| {
        let mut command = Command::new(&program);
        command.arg("region").env("RACKWRIGHT_REGION_DATABASE_URL", url);
        run(command.env("RACKWRIGHT_REGION_DATA", data))
    };
    let nonsense = region(folder.path(), "postgres://r@localhost:port/rackwright");
    assert_refused(&nonsense, 1, &["the database of `database_url` cannot be used"]);
    let old = region(folder.path(), &format!("postgres://r@127.0.0.1:{}/r?sslmode=disable", postgres_14()));
    assert_refused(&old, 1, &["PostgreSQL 14 is too old", "15 or newer"]);
    let nowhere = region(Path::new("/proc/rackwright"), "postgres:///x");
    assert_refused(
        &nowhere,
        1,
        &["the data folder /proc/rackwright cannot be made or written", "set `data`"],
    );
}

#[test]
fn a_region_whose_database_is_away_says_that_it_waits_and_stops_in_order() {
    let folder = tempfile::tempdir().unwrap();
    // Ends by itself if it never says so.
    let mut command = Command::new("timeout");
    command.arg("60").arg(std::env::var("RACKWRIGHT_TEST_PROGRAM").unwrap()).arg("region");
    command.env("RACKWRIGHT_REGION_DATABASE_URL", "postgres://r@localhost/rackwright?host=/nonexistent");
    command.env("RACKWRIGHT_REGION_DATA", folder.path());
    command.env("RACKWRIGHT_REGION_LISTEN", "127.0.0.1:0");
    let mut region = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(region.stderr.take().unwrap()).lines().map(Result::unwrap);
    let line = said.find(|line| line.contains("this region waits for its database")).expect("it says so");
    assert!(line.contains("WARN") && line.contains("No such file"), "{line}");
    let stopped = Command::new("kill").arg(region.id().to_string()).status().unwrap();
    assert!(stopped.success() && said.any(|line| line.contains("stopping")));
    assert!(region.wait().unwrap().success());
}

/// The port of something that greets as PostgreSQL 14 does (protocol 3.0: AuthenticationOk, ParameterStatus,
/// ReadyForQuery) and goes no further.
fn postgres_14() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            assert!(stream.read(&mut [0; 4096]).unwrap() > 0, "it says who it is");
            let mut greeting = b"R\0\0\0\x08\0\0\0\0".to_vec();
            for (name, value) in [("server_version", "14.9"), ("client_encoding", "UTF8")] {
                let body = format!("{name}\0{value}\0");
                greeting.push(b'S');
                greeting.extend(u32::try_from(body.len() + 4).unwrap().to_be_bytes());
                greeting.extend(body.as_bytes());
            }
            greeting.extend(b"Z\0\0\0\x05I");
            stream.write_all(&greeting).unwrap();
            // It hangs up on whatever it is asked.
            drop(stream.read(&mut [0; 4096]));
        }
    });
    port
}

#[test]
fn a_box_that_cannot_be_a_controller_is_told_why() {
    let site = Site::new("e2estart", Vec::new(), &[]).unwrap();
    let data = site.data();
    let up = |more: &[&str]| {
        let mut command = site.rackwright(&["up", "--data"]);
        run(command.arg(&data).args(more))
    };
    assert_refused(&up(&["--interface", "eth7"]), 1, &["there is no interface eth7", "`ip link`"]);

    let tcp = |port: &str| {
        ["socat", "-u", &format!("TCP4-LISTEN:{port},bind=10.77.0.1"), "STDOUT"].map(str::to_owned)
    };
    let dnsmasq = |more: &[&str]| -> Vec<String> {
        let common = ["dnsmasq", "--no-daemon", "--conf-file=/dev/null", "--port=0", "--interface=eth1"];
        common.iter().chain(more).map(|word| (*word).to_owned()).collect()
    };
    let leases = format!("--dhcp-leasefile={}", data.join("dnsmasq.leases").display());
    let dhcp = dnsmasq(&["--dhcp-range=10.77.0.200,10.77.0.210", &leases]);
    let tftp = dnsmasq(&["--enable-tftp", "--tftp-root=/usr/lib/ipxe"]);
    let taken: [(Vec<String>, &[&str]); 5] = [
        (tcp("5240").to_vec(), &["cannot listen at 0.0.0.0:5240", "taken", "`listen`"]),
        (tcp("5241").to_vec(), &["cannot listen at 0.0.0.0:5241", "taken", "`stream_listen`"]),
        (tcp("5248").to_vec(), &["HTTP: port 5248 of 10.77.0.1 is in use", "`ss -ltnp`"]),
        (tftp, &["TFTP: port 69 of 10.77.0.1 is in use", "stop the other TFTP server"]),
        (dhcp, &["port 67 of `eth1`", "another DHCP server runs here", "`ss -lunp sport = :67`"]),
    ];
    for (number, (other, words)) in taken.iter().enumerate() {
        let mut command = site.lab().exec("ctl", &other[0]);
        let running = site.lab().spawn(&format!("other{number}"), command.args(&other[1..])).unwrap();
        poll::until(SHORT, "the other server to listen", || {
            let mut list = site.lab().exec("ctl", "ss");
            let sockets = rackwright_lab::ns::run_for_text(list.args(["-lntuH"]))?;
            anyhow::ensure!(!sockets.trim().is_empty(), "it does not yet");
            Ok(Some(()))
        })
        .unwrap();
        assert_refused(&up(&["--interface", "eth1"]), 1, words);
        running.stop(Duration::from_secs(5)).unwrap();
    }

    // Without the right to open the ports, and with no right to the folder.
    let mut user = site.lab().exec("ctl", "setpriv");
    user.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
    user.arg(std::env::var("RACKWRIGHT_TEST_PROGRAM").unwrap());
    user.args(["up", "--interface", "eth1", "--data"]);
    let mut theirs = Command::new(user.get_program());
    theirs.args(user.get_args()).arg(data.join("theirs"));
    let words = ["the data folder", "/theirs cannot be made", "`--data`", "Permission denied"];
    assert_refused(&run(&theirs), 1, &words);
    std::fs::create_dir(data.join("theirs")).unwrap();
    std::os::unix::fs::chown(data.join("theirs"), Some(65534), Some(65534)).unwrap();
    assert_refused(&run(&theirs), 1, &["run as root", "CAP_NET_BIND_SERVICE"]);

    // A second one on the same folder, while the first goes on.
    site.start().unwrap();
    let words = ["another `rackwright up` runs on the data folder", "`--data`"];
    assert_refused(&up(&["--interface", "eth1"]), 1, &words);
    let server = postmaster(&data.join("postgres/data")).unwrap();
    assert!(server.is_alive() && site.get("/readyz").unwrap().status == 200, "the first was not disturbed");

    // A database that a newer version has used, which took away what this one needs.
    let mut psql = Command::new("psql");
    psql.args(["-X", "-q", "-U", "rackwright", "-d", "rackwright", "-h"]).arg(data.join("postgres/run"));
    psql.args(["-c", "INSERT INTO _sqlx_migrations VALUES (9999, 'future', now(), true, '\\x00', 1)"]);
    psql.args(["-c", "UPDATE schema_rule SET needs = 9999"]);
    rackwright_lab::ns::run(&mut psql).unwrap();
    let first = site.lab().process("rackwright").unwrap();
    first.signal(Signal::SIGTERM);
    first.wait(Duration::from_secs(30)).unwrap();
    assert!(!server.is_alive(), "it stops its PostgreSQL");
    let words = ["a newer version of Rackwright", "run that version"];
    assert_refused(&up(&["--interface", "eth1"]), 1, &words);
}
