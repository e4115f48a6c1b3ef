//! Scripts that the region gives together: they run together, within bounds, and each is reported for itself, whatever
//! happens to the agent and to its words.
#![expect(clippy::unwrap_used, reason = "a test ends where its surroundings fail")]

mod rack;

use rack::{Fault, World};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

/// A machine with one disk.
fn machine() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for (path, text) in [
        ("proc/sys/kernel/random/boot_id", "11111111-2222-4333-8444-555555555555\n"),
        ("proc/uptime", "3.21 1.00\n"),
        ("sys/block/sdb/size", "4096\n"),
        ("sys/block/sdb/serial", "S1\n"),
    ] {
        let path = root.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    std::fs::create_dir(root.path().join("tmp")).unwrap();
    root
}

fn script(name: &str, body: &str, root: &Path) -> Value {
    json!({"kind": "script", "name": name, "body": format!("#!/bin/sh\ncd $DIR\n{body}\n"), "timeout_seconds": 30,
           "environment": {"DIR": root.join("tmp")}})
}

fn read(root: &Path, name: &str) -> String {
    std::fs::read_to_string(root.join("tmp").join(name)).unwrap_or_default()
}

/// Waits for a file; says what is there when it does not come.
fn wait_for(root: &Path, name: &str) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !root.join("tmp").join(name).exists() {
        let there: Vec<_> =
            std::fs::read_dir(root.join("tmp")).unwrap().flatten().map(|e| e.file_name()).collect();
        assert!(Instant::now() < deadline, "no {name}; there is {there:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The results, by item; a second one of an item is a fault.
fn results(world: &World) -> BTreeMap<i64, (bool, String)> {
    let state = world.state();
    let mut by_item = BTreeMap::new();
    for (item, result) in &state.results {
        let stdout = result.script.as_ref().map(|s| s.stdout.clone()).unwrap_or_default();
        assert!(by_item.insert(*item, (result.ok, stdout)).is_none(), "item {item} was reported twice");
    }
    by_item
}

#[test]
fn scripts_given_together_run_together_and_are_reported_each() {
    let (world, root) = (World::new(1), machine());
    // Each ends only when it has met the other.
    let meet =
        |own: &str, other: &str| format!(": > {own}; while [ ! -e {other} ]; do sleep 0.1; done; echo {own}");
    world.give(script("first", &meet("a", "b"), root.path()));
    world.give(script("second", &(meet("b", "a") + "; exit 1"), root.path()));
    world.give(json!({"kind": "reboot"}));
    world.state().together = Some(1);
    let (_, text) = world.agent(root.path()).ended();
    assert!(text.ends_with("rackwright-agent: reboot\n"), "{text}");
    let results = results(&world);
    assert_eq!(results[&1], (true, "a\n".to_owned()));
    assert_eq!(results[&2], (false, "b\n".to_owned()));
    assert!(results[&3].0, "the restart came when both had ended");
}

#[test]
fn no_more_than_eight_are_under_way_whatever_is_given() {
    let (world, root) = (World::new(1), machine());
    let body = ": > run.$$; ls run.* | wc -l >> seen; sleep 0.3; rm run.$$";
    for _ in 0..20 {
        world.give(script("many", body, root.path()));
    }
    world.give(json!({"kind": "reboot"}));
    world.state().together = Some(1);
    world.agent(root.path()).ended();
    assert_eq!(results(&world).len(), 21);
    let seen: Vec<u32> = read(root.path(), "seen").lines().map(|line| line.trim().parse().unwrap()).collect();
    assert_eq!(seen.len(), 20, "each ran once");
    assert!(seen.iter().all(|count| *count <= 8) && seen.iter().any(|count| *count > 1), "{seen:?}");
    assert!(world.state().requests.iter().any(|r| r.path.ends_with("/next") && r.body["at_once"] == 8));
}

#[test]
fn results_that_are_lost_after_they_were_taken_are_told_again_and_nothing_runs_twice() {
    let (world, root) = (World::new(2), machine());
    for name in ["first", "second", "third"] {
        world.give(script(name, "echo x >> count", root.path()));
    }
    world.give(json!({"kind": "reboot"}));
    world.state().together = Some(1);
    let mut lost = Vec::new();
    world.hook(move |request| {
        let is_script = request.path.ends_with("/result") && !request.path.ends_with("/4/result");
        let first = is_script && !lost.contains(&request.path);
        lost.push(request.path.clone());
        first.then_some(Fault::Status(204))
    });
    world.agent(root.path()).ended();
    assert_eq!(results(&world).len(), 4);
    assert_eq!(read(root.path(), "count"), "x\nx\nx\n");
}

#[test]
fn an_agent_that_is_killed_begins_its_scripts_anew_and_leaves_none_behind() {
    let (world, root) = (World::new(1), machine());
    // The first time they never end by themselves.
    let body = |name: &str| {
        format!(
            "echo x >> began.{name}; if [ -e again.{name} ]; then echo done; exit; fi; : > again.{name}; sleep 600; : > late.{name}"
        )
    };
    world.give(script("first", &body("1"), root.path()));
    world.give(script("second", &body("2"), root.path()));
    world.give(json!({"kind": "reboot"}));
    world.state().together = Some(1);
    let killed = world.agent(root.path());
    wait_for(root.path(), "again.1");
    wait_for(root.path(), "again.2");
    drop(killed);
    assert!(results(&world).is_empty());
    world.agent(root.path()).ended();
    let results = results(&world);
    assert_eq!((&results[&1].1, &results[&2].1), (&"done\n".to_owned(), &"done\n".to_owned()));
    assert_eq!(read(root.path(), "began.1"), "x\nx\n");
    let ours = root.path().join("tmp").to_string_lossy().into_owned();
    let left: Vec<_> = std::fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter(|entry| {
            let environ = std::fs::read(entry.path().join("environ")).unwrap_or_default();
            String::from_utf8_lossy(&environ).contains(&format!("DIR={ours}\0"))
        })
        .collect();
    assert!(left.is_empty(), "processes of the killed agent: {left:?}");
}

#[test]
fn a_withdrawn_token_ends_all_of_them_and_restarts() {
    let (world, root) = (World::new(1), machine());
    for name in ["1", "2"] {
        world.give(script(name, &format!(": > began.{name}; sleep 600; : > late.{name}"), root.path()));
    }
    world.state().together = Some(1);
    let agent = world.agent(root.path());
    wait_for(root.path(), "began.1");
    wait_for(root.path(), "began.2");
    world.hook(|request| request.path.ends_with("/progress").then_some(Fault::Status(410)));
    let (_, text) = agent.ended();
    assert!(
        text.contains("token is no longer good") && text.contains("rackwright-agent: reboot\n"),
        "{text}"
    );
    assert!(results(&world).is_empty());
}

#[test]
fn a_script_is_told_its_disk_and_parameters_and_does_not_run_on_another() {
    let (world, root) = (World::new(1), machine());
    let with = |serial: &str| {
        let mut work = script(
            "disk",
            "echo $RACKWRIGHT_DISK $RACKWRIGHT_PARAM_RUNTIME $RACKWRIGHT_PARAM_STORAGE $*",
            root.path(),
        );
        work["target"] = json!({"kind": "disk", "name": "sda", "serial": serial});
        work["parameters"] = json!([
            {"name": "storage", "value": serial, "format": "{path}", "is_target": true},
            {"name": "runtime", "value": "30", "format": "--runtime={input}"},
        ]);
        work
    };
    world.give(with("S1"));
    world.give(with("PULLED"));
    world.give(json!({"kind": "reboot"}));
    world.agent(root.path()).ended();
    assert_eq!(results(&world)[&1], (true, "/dev/sdb 30 /dev/sdb /dev/sdb --runtime=30\n".to_owned()));
    let gone = world.result(2);
    assert!(!gone.ok && gone.script.is_none());
    assert_eq!(gone.error, "the disk PULLED is not in this machine any more; it has sdb (S1)");
}
