//! What `rackwright up` does when its PostgreSQL dies or hangs, and when its disk is full. No machine is needed:
//! nobody may be answered wrongly, nothing that was promised may be lost, and afterwards all goes on by itself.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use rackwright_lab::plan::{BOOT_VLAN, Host, HostNic, LabPlan};
use rackwright_lab::process::ProcessId;
use rackwright_lab::{Signal, ns, poll};
use rackwright_tests::site::{Answer, SHORT, Site, postmaster};
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// Processes whose parent is this one.
fn children(of: &ProcessId) -> Vec<ProcessId> {
    let parent = |pid: i32| -> Option<i32> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        stat[stat.rfind(')')? + 1..].split_whitespace().nth(1)?.parse().ok()
    };
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| parent(*pid) == Some(of.pid())).filter_map(ProcessId::of).collect()
}

fn until_ready(site: &Site) {
    poll::until(SHORT, "the region to be ready", || {
        let answer = site.get("/readyz")?;
        anyhow::ensure!(answer.status == 200, "{answer:?}");
        Ok(Some(()))
    })
    .unwrap();
}

/// The server that runs now and is not `before`.
fn next_postmaster(site: &Site, before: &ProcessId) -> ProcessId {
    poll::until(SHORT, "another PostgreSQL", || {
        let now = postmaster(&site.data().join("postgres/data"))?;
        anyhow::ensure!(now != *before && now.is_alive(), "still {now:?}");
        Ok(Some(now))
    })
    .unwrap()
}

#[test]
fn a_database_that_dies_or_hangs_is_started_again_and_nobody_is_told_nonsense() {
    let site = Site::new("e2epg", Vec::new(), &[]).unwrap();
    site.start().unwrap();
    site.ask(&["pool", "create", "before"]).unwrap();
    let first = postmaster(&site.data().join("postgres/data")).unwrap();

    // Killed: requests are answered late, or with 503 and when to come again; never with an error of ours.
    first.signal(Signal::SIGKILL);
    let answers: Vec<Answer> = (0..20).map(|_| site.get_as_admin("/api/v1/pools").unwrap()).collect();
    let fits = |a: &Answer| a.status == 200 || (a.status == 503 && a.retry_after == "1");
    assert_eq!(answers.iter().find(|a| !fits(a)), None);
    let second = next_postmaster(&site, &first);
    until_ready(&site);

    // One of its processes killed: PostgreSQL cuts all connections and recovers by itself.
    children(&second).first().unwrap().signal(Signal::SIGKILL);
    let answers: Vec<Answer> = (0..20).map(|_| site.get_as_admin("/api/v1/pools").unwrap()).collect();
    assert_eq!(answers.iter().find(|a| !fits(a)), None);
    until_ready(&site);
    assert_eq!(postmaster(&site.data().join("postgres/data")).unwrap(), second);

    // Hung: it takes connections and says nothing. Whoever asks learns that in time.
    second.signal(Signal::SIGSTOP);
    for child in children(&second) {
        child.signal(Signal::SIGKILL);
    }
    let answer = site.get("/readyz").unwrap();
    assert_eq!((answer.status, answer.body.as_str()), (503, "the database does not answer in time\n"));
    let answer = site.get_as_admin("/api/v1/pools").unwrap();
    assert_eq!((answer.status, answer.retry_after.as_str()), (503, "1"), "{}", answer.body);
    assert!(answer.body.contains("the database does not answer; try again in a moment"), "{}", answer.body);
    let alive = site.get("/healthz").unwrap();
    assert_eq!(alive.status, 200, "alive is not ready");
    second.signal(Signal::SIGKILL);
    let mut running = next_postmaster(&site, &second);
    until_ready(&site);

    // What was told to be done is there, and work goes on.
    site.ask(&["pool", "create", "after"]).unwrap();
    let names: Vec<_> = site.list(&["pool", "list"]).unwrap().iter().map(|p| p["name"].to_string()).collect();
    assert!(names.contains(&"\"before\"".to_owned()) && names.contains(&"\"after\"".to_owned()), "{names:?}");

    // One that does not stay up is not started for ever: the supervisor gets the reason.
    let up = site.lab().process("rackwright").unwrap();
    while up.is_alive() {
        running.signal(Signal::SIGKILL);
        let gone = poll::until(SHORT, "another PostgreSQL, or the end of `up`", || {
            if !up.is_alive() {
                return Ok(Some(None));
            }
            let now = postmaster(&site.data().join("postgres/data"))?;
            anyhow::ensure!(now != running && now.is_alive(), "still {now:?}");
            Ok(Some(Some(now)))
        });
        let Some(now) = gone.unwrap() else { break };
        running = now;
    }
    let log = site.log();
    let last = log.lines().last().unwrap();
    assert!(last.starts_with("rackwright: PostgreSQL has ended 6 times within 60 s"), "{last}");
    assert!(last.ends_with("postgres/log"), "{last}");
    up.wait(Duration::from_secs(10)).unwrap();
}

/// What takes the room on the disk away.
struct Filler(PathBuf);

impl Filler {
    /// Leaves about so many bytes free.
    fn leaving(site: &Site, bytes: u64) -> Self {
        let file = site.data().join("filler");
        let text =
            ns::run_for_text(Command::new("stat").args(["-f", "-c", "%a %S"]).arg(site.data())).unwrap();
        let (blocks, size) = text.trim().split_once(' ').unwrap();
        let free = blocks.parse::<u64>().unwrap() * size.parse::<u64>().unwrap();
        ns::run(Command::new("fallocate").args(["-l", &(free - bytes).to_string()]).arg(&file)).unwrap();
        Self(file)
    }

    /// Takes what is left, too.
    fn take_all(&self) {
        let mut file = std::fs::File::options().append(true).open(&self.0).unwrap();
        for size in [1 << 20, 4096] {
            while file.write_all(&vec![1; size]).is_ok() {}
        }
    }

    fn remove(self) {
        std::fs::remove_file(self.0).unwrap();
    }
}

/// A DHCP client with a name of its own on the host `client`: the address it got.
fn lease(site: &Site, number: u32) -> Option<String> {
    let mut udhcpc = site.lab().exec("client", "udhcpc");
    udhcpc.args(["-i", "eth0", "-f", "-n", "-q", "-t", "2", "-T", "1", "-s", "/bin/true"]);
    let output = udhcpc.args(["-C", "-x", &format!("0x3d:00{number:08x}")]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let address = said.split("lease of ").nth(1).and_then(|rest| rest.split([' ', ',']).next());
    assert_eq!(output.status.success(), address.is_some(), "{said}");
    address.map(str::to_owned)
}

#[test]
fn a_full_disk_is_named_takes_no_promise_and_all_goes_on_when_there_is_room() {
    let mut plan = LabPlan::with_machines(Vec::new());
    let nic = HostNic { name: "eth0".to_owned(), vlan: BOOT_VLAN.to_owned(), addresses: Vec::new() };
    plan.hosts.push(Host { name: "client".to_owned(), nics: vec![nic] });
    let site = Site::with_plan("e2efull", plan, &[]).unwrap().on_small_disk(400);
    site.start().unwrap();
    let leases = || std::fs::read_to_string(site.data().join("rack/dhcp/leases.jsonl")).unwrap();

    // An upload stops before it takes the room that leases and the database need, and goes on later.
    let filler = Filler::leaving(&site, 70 << 20);
    let images = rackwright_lab::state::root().join("cache");
    let load = |name: &str| site.attempt(&["image", "load", images.join(name).to_str().unwrap()]).unwrap();
    let refused = load("ephemeral");
    assert!(refused.error.contains("the disk of the region's image store is full; make room"), "{refused:?}");
    assert_eq!(refused.code, 1);
    let arrived = |folder: &str| -> u64 {
        let files = std::fs::read_dir(site.data().join("images").join(folder)).unwrap().flatten();
        files.map(|file| file.metadata().unwrap().len()).sum()
    };
    assert!(arrived("uploads") > 1 << 20, "{}", arrived("uploads"));
    assert_eq!(site.get("/readyz").unwrap().status, 200, "everything else works");
    let before = poll::until(SHORT, "a lease", || Ok(lease(&site, 1))).unwrap();
    filler.remove();
    let kept = arrived("uploads");
    let log = site.log().len();
    assert_eq!(load("ephemeral").code, 0);
    assert!(arrived("blobs") > kept && arrived("uploads") == 0, "{}", &site.log()[log..]);

    // Nothing at all can be written any more: no client is given what would be forgotten.
    let filler = Filler::leaving(&site, 1 << 20);
    filler.take_all();
    let refused = (2..80).find(|number| match lease(&site, *number) {
        Some(address) => {
            assert!(
                leases().contains(&format!("\"{address}\"")),
                "{address} was promised and is not on disk"
            );
            false
        }
        None => true,
    });
    let refused = refused.expect("some client finds the disk full");
    assert!(site.log().contains("leases could not be written"), "{}", site.log_tail());
    let told: Vec<_> =
        (0..60).map(|n| (n, site.attempt(&["pool", "create", &format!("p{n}")]).unwrap())).collect();
    for (_, ended) in told.iter().filter(|(_, ended)| ended.code != 0) {
        let fits = ended.error.contains("disk is full") || ended.error.contains("does not answer");
        assert!(fits && ended.code == 1, "{ended:?}");
    }

    // PostgreSQL needs a new file for its log, and dies of it. Starting it again waits for room.
    let first = postmaster(&site.data().join("postgres/data")).unwrap();
    poll::until(SHORT, "the region to be not ready", || {
        let mut psql = Command::new("psql");
        psql.args(["-X", "-U", "rackwright", "-d", "rackwright", "-h"]).arg(site.data().join("postgres/run"));
        drop(psql.args(["-c", "SELECT pg_switch_wal(), pg_current_xact_id()"]).output()?);
        let answer = site.get("/readyz")?;
        anyhow::ensure!(answer.status == 503, "{answer:?}");
        Ok(Some(()))
    })
    .unwrap();
    poll::until(SHORT, "PostgreSQL to end", || Ok((!first.is_alive()).then_some(()))).unwrap();

    filler.remove();
    next_postmaster(&site, &first);
    until_ready(&site);
    let pools = site.list(&["pool", "list"]).unwrap();
    for (number, _) in told.iter().filter(|(_, ended)| ended.code == 0) {
        assert!(pools.iter().any(|pool| pool["name"] == format!("p{number}")), "p{number} was promised");
    }
    site.ask(&["pool", "create", "after"]).unwrap();
    poll::until(SHORT, "a lease for the client that had none", || Ok(lease(&site, refused))).unwrap();
    assert_eq!(lease(&site, 1), Some(before), "and who had one has it still");
}
