//! What `rackwright up` does when its PostgreSQL dies or hangs, and when its disk is full. No machine is needed:
//! nobody may be answered wrongly, nothing that was promised may be lost, and afterwards all goes on by itself.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use rackwright_lab::process::ProcessId;
use rackwright_lab::{Signal, poll};
use rackwright_tests::site::{Answer, SHORT, Site, postmaster};
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
    let site = Site::new("trbpg", Vec::new(), &[]).unwrap();
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
