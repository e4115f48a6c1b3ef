//! The agent's executable against racks: what it says first, and that neither lost answers nor dead racks lose work.
#![expect(clippy::unwrap_used, reason = "a test ends where its surroundings fail")]

mod rack;

use rack::{Fault, World};
use serde_json::json;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

/// A machine with one NIC and a name.
fn machine() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let put = |path: &str, text: &str| {
        let path = root.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    put("proc/sys/kernel/random/boot_id", "11111111-2222-4333-8444-555555555555\n");
    put("proc/uptime", "3.21 1.00\n");
    put("sys/class/net/eth0/type", "1\n");
    put("sys/class/net/eth0/address", "52:54:00:00:00:01\n");
    put("sys/class/net/eth0/device/vendor", "0x1af4\n");
    put("sys/class/net/eth0/device/device", "0x0001\n");
    root
}

fn exists(root: &Path, name: &str) -> bool {
    root.join(name).exists()
}

#[test]
fn it_says_hello_reports_its_hardware_and_restarts() {
    let world = World::new(1);
    world.give(json!({"kind": "inventory"}));
    world.give(json!({"kind": "reboot"}));
    let root = machine();
    let (output, text) = world.agent(root.path()).ended();
    assert!(output.status.success(), "{text}");
    assert!(text.ends_with("rackwright-agent: reboot\n"), "{text}");

    let state = world.state();
    let hello = &state.hellos[0];
    assert_eq!(hello.boot_id.to_string(), "11111111-2222-4333-8444-555555555555");
    assert_eq!(hello.boot_mac.unwrap().to_string(), "52:54:00:00:00:01");
    assert_eq!(hello.macs, [hello.boot_mac.unwrap()]);
    assert_eq!(hello.uptime_ms, 3210);
    let inventory = state.results[0].1.inventory.as_ref().unwrap();
    assert_eq!(inventory.interfaces[0].product.as_deref(), Some("1af4:0001"));
    assert!(inventory.interfaces[0].boot);
    assert!(state.results[1].1.ok);
    let tokens: Vec<&str> = state.requests.iter().map(|request| request.token.as_str()).collect();
    assert_eq!(tokens[0], "Bearer tok");
    assert!(
        tokens[1..].iter().all(|token| *token == "Bearer second"),
        "the token of the hello's answer is used"
    );
}

#[test]
fn switching_off_is_told_before_it_is_done() {
    let world = World::new(1);
    world.give(json!({"kind": "power-off"}));
    let (_, text) = world.agent(machine().path()).ended();
    assert!(text.ends_with("rackwright-agent: poweroff\n"), "{text}");
    assert!(world.result(1).ok);
}

#[test]
fn a_result_is_repeated_until_it_is_heard_by_any_rack() {
    let world = World::new(2);
    world.give(json!({"kind": "script", "name": "once", "body": "#!/bin/sh\necho x >> $COUNT\n", "timeout_seconds": 5,
        "environment": {"COUNT": "REPLACED"}}));
    world.give(json!({"kind": "reboot"}));
    let root = machine();
    let count = root.path().join("count");
    world.state().items[0]["work"]["environment"]["COUNT"] = json!(count);
    let lost = AtomicU32::new(0);
    world.hook(move |request| {
        let is_result = request.path.ends_with("/1/result");
        // Lost on the way, refused by a region that is starting, lost again; by whichever rack.
        (is_result && lost.fetch_add(1, Ordering::SeqCst) < 5).then_some(match request.rack {
            0 => Fault::Close,
            _ => Fault::Status(503),
        })
    });
    world.agent(root.path()).ended();
    assert!(world.result(1).ok);
    assert_eq!(std::fs::read_to_string(count).unwrap(), "x\n", "the script ran once");
    let asked = world.state().requests.iter().filter(|request| request.path.ends_with("/1/result")).count();
    assert_eq!(asked, 6);
}

#[test]
fn an_item_given_again_after_its_result_is_not_done_twice() {
    let world = World::new(1);
    let root = machine();
    let count = root.path().join("count");
    world.give(json!({"kind": "script", "name": "once", "body": "#!/bin/sh\necho x >> $COUNT\n", "timeout_seconds": 5,
        "environment": {"COUNT": count}}));
    world.give(json!({"kind": "reboot"}));
    // The region loses the first result after it has said that it has it.
    let mut lost = false;
    world.hook(move |request| {
        let first = request.path.ends_with("/1/result") && !lost;
        lost |= first;
        first.then_some(Fault::Status(204))
    });
    world.agent(root.path()).ended();
    assert!(world.result(1).ok);
    assert_eq!(std::fs::read_to_string(count).unwrap(), "x\n");
}

#[test]
fn an_older_fence_is_refused_without_touching_anything() {
    let world = World::new(1);
    let root = machine();
    let script = |name: &str| {
        json!({"kind": "script", "name": name, "body": "#!/bin/sh\n: > $FILE\n", "timeout_seconds": 5,
            "environment": {"FILE": root.path().join(name)}})
    };
    world.give_fenced(script("new"), 8, 2);
    world.give_fenced(script("stale"), 8, 1);
    world.give_fenced(json!({"kind": "reboot"}), 8, 3);
    world.agent(root.path()).ended();
    assert!(world.result(1).ok && exists(root.path(), "new"));
    let refused = world.result(2);
    assert!(!refused.ok && !exists(root.path(), "stale"));
    assert!(
        refused.error.contains("operation 8 epoch 1 is older than operation 8 epoch 2"),
        "{}",
        refused.error
    );
}

#[test]
fn an_installation_without_a_disk_says_so() {
    let world = World::new(1);
    let metadata = json!({"metadata_url": "", "status_url": "", "consumer_key": "", "token_key": "", "token_secret": ""});
    world.give(
        json!({"kind": "install", "image": {"sha256": "00", "size": 1}, "image_kind": "disk", "layout": {},
        "uncompressed_size": 4_294_967_296_u64, "hostname": "n", "network": {}, "metadata": metadata}),
    );
    world.give(json!({"kind": "erase", "mode": "full"}));
    world.give(json!({"kind": "setup-bmc", "username": "rackwright", "password": "x"}));
    world.give(json!({"kind": "reboot"}));
    world.agent(machine().path()).ended();
    assert_eq!(world.result(1).error, "this machine has no disk");
    assert!(world.result(2).ok, "nothing to erase is erased");
    let bmc = world.result(3);
    assert!(bmc.ok && bmc.bmc.is_none(), "a machine without a BMC is a machine without a BMC");
}

#[test]
fn a_dead_rack_is_passed_over() {
    let mut world = World::new(1);
    // A port that nobody listens on.
    let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    world.racks.insert(0, dead);
    world.give(json!({"kind": "reboot"}));
    let (_, text) = world.agent(machine().path()).ended();
    assert!(text.ends_with("rackwright-agent: reboot\n"), "{text}");
}

#[test]
fn a_withdrawn_token_stops_the_work_and_restarts() {
    let world = World::new(1);
    let root = machine();
    world.give(json!({"kind": "script", "name": "long", "body": "#!/bin/sh\nsleep 600\n: > $FILE\n", "timeout_seconds": 900,
        "environment": {"FILE": root.path().join("ended")}}));
    world.hook(|request| request.path.ends_with("/progress").then_some(Fault::Status(410)));
    let (_, text) = world.agent(root.path()).ended();
    assert!(text.contains("token is no longer good"), "{text}");
    assert!(text.contains("rackwright-agent: reboot\n"), "{text}");
    assert!(world.state().results.is_empty() && !exists(root.path(), "ended"));
}

#[test]
fn wrong_options_are_said() {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_rackwright-agent"))
        .arg("--nonsense")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("unknown option --nonsense"));
}
