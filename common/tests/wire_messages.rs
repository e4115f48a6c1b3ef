//! What versions say to each other. Messages of every version that may run beside this one are in `messages`: each is
//! understood, and nothing in it is lost. What only a newer version says costs no more than itself.

use rackwright_common::agent::{Hello, ItemResult, Progress, Work};
use rackwright_common::bmc::{BmcError, BmcOutcome};
use rackwright_common::link::{Fact, TaskWork, ToRack, ToRegion};
use rackwright_common::snapshot::BootDecision;
use rackwright_common::switch::{SwitchError, SwitchReading};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;

/// Every message, with the version it is of.
fn messages() -> Vec<(String, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/messages");
    let mut found = Vec::new();
    for file in std::fs::read_dir(folder).expect("the folder of messages") {
        let path = file.expect("a file").path();
        if path.extension().is_none_or(|extension| extension != "jsonl") {
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("text");
        let version = path.file_stem().expect("a name").to_string_lossy().into_owned();
        found.extend(
            text.lines().map(|line| (version.clone(), serde_json::from_str(line).expect("a message a line"))),
        );
    }
    assert!(found.len() > 30, "{} messages", found.len());
    found
}

/// Reads a value, and says what of it did not survive.
fn survives<T: DeserializeOwned + Serialize>(value: &Value) -> (T, Vec<String>) {
    let read: T = serde_json::from_value(value.clone()).unwrap_or_else(|error| panic!("{error}: {value}"));
    let mut lost = Vec::new();
    compare("", value, &serde_json::to_value(&read).expect("it is written again"), &mut lost);
    (read, lost)
}

fn compare(at: &str, before: &Value, after: &Value, lost: &mut Vec<String>) {
    match (before, after) {
        (Value::Object(before), Value::Object(after)) => {
            for (name, value) in before {
                compare(&format!("{at}/{name}"), value, after.get(name).unwrap_or(&Value::Null), lost);
            }
        }
        (Value::Array(before), Value::Array(after)) if before.len() == after.len() => {
            for (number, (before, after)) in before.iter().zip(after).enumerate() {
                compare(&format!("{at}/{number}"), before, after, lost);
            }
        }
        _ if before == after => {}
        _ => lost.push(format!("{at}: {before} became {after}")),
    }
}

/// The names of the variants in a value of each enumeration; a new variant does not compile before it has one, and the
/// test fails before there is a message with it.
macro_rules! variants {
    ($($function:ident, $all:ident: $type:ty { $($pattern:pat => $name:literal,)* })*) => {$(
        fn $function(value: &$type) -> &'static str {
            match value { $($pattern => $name,)* }
        }
        const $all: &[&str] = &[$($name,)*];
    )*};
}

variants! {
    to_rack, TO_RACK: ToRack {
        ToRack::Welcome { .. } => "welcome",
        ToRack::Heartbeat => "heartbeat",
        ToRack::Snapshot { .. } => "snapshot",
        ToRack::Task(_) => "task",
        ToRack::RelayReply(_) => "relay reply",
        ToRack::JournalAck { .. } => "journal ack",
        ToRack::Consoles { .. } => "consoles",
        ToRack::ConsoleInput { .. } => "console input",
        ToRack::Leases(_) => "leases to rack",
        ToRack::Renewed { .. } => "renewed",
        ToRack::Probe { .. } => "probe",
        ToRack::Unknown => "unknown",
    }
    to_region, TO_REGION: ToRegion {
        ToRegion::Hello(_) => "hello",
        ToRegion::Heartbeat { .. } => "rack's heartbeat",
        ToRegion::SnapshotApplied { .. } => "snapshot applied",
        ToRegion::TaskResult(_) => "task result",
        ToRegion::SwitchResult(_) => "switch result",
        ToRegion::Relay(_) => "relay",
        ToRegion::Journal { .. } => "journal",
        ToRegion::Console { .. } => "console",
        ToRegion::ConsoleTyped { .. } => "console typed",
        ToRegion::Leases(_) => "leases to region",
        ToRegion::Time(_) => "time",
        ToRegion::Held { .. } => "held",
        ToRegion::Unknown => "unknown",
    }
    fact, FACT: Fact {
        Fact::Lease { .. } => "fact lease",
        Fact::Lease6 { .. } => "fact IPv6 lease",
        Fact::LeaseEnded { .. } => "fact lease ended",
        Fact::Boot { .. } => "fact boot",
        Fact::Warning { .. } => "fact warning",
        Fact::Report(_) => "fact report",
        Fact::Probed { .. } => "fact probed",
        Fact::DhcpServer { .. } => "fact DHCP server",
        Fact::Shadow(_) => "fact shadow",
        Fact::Sighting(_) => "fact sighting",
        Fact::Unknown => "unknown",
    }
    outcome, OUTCOME: Result<BmcOutcome, BmcError> {
        Ok(BmcOutcome::Power { .. }) => "power",
        Ok(BmcOutcome::Done) => "done",
        Ok(BmcOutcome::Sensors { .. }) => "sensors",
        Ok(BmcOutcome::EventLog { .. }) => "event log",
        Ok(BmcOutcome::Fru { .. }) => "fru",
        Err(BmcError::Unreachable(_)) => "unreachable",
        Err(BmcError::Login(_)) => "login",
        Err(BmcError::Refused(_)) => "refused",
        Err(BmcError::Protocol(_)) => "protocol",
        Err(BmcError::StaleEpoch) => "stale epoch",
        Err(BmcError::Unsupported(_)) => "unsupported",
        Err(BmcError::NeedsHuman(_)) => "needs human",
    }
    switch_outcome, SWITCH_OUTCOME: Result<SwitchReading, SwitchError> {
        Ok(_) => "switch read",
        Err(SwitchError::Unreachable(_)) => "switch unreachable",
        Err(SwitchError::Login(_)) => "switch login",
        Err(SwitchError::Refused(_)) => "switch refused",
        Err(SwitchError::Protocol(_)) => "switch protocol",
    }
    task_work, TASK_WORK: TaskWork {
        TaskWork::Bmc(_) => "BMC order",
        TaskWork::Switch(_) => "switch order",
        TaskWork::Unknown => "unknown",
    }
    boot, BOOT: BootDecision {
        BootDecision::Local => "boot local",
        BootDecision::Ephemeral(_) => "boot ephemeral",
        BootDecision::PowerOff => "boot power off",
        BootDecision::Hold { .. } => "boot hold",
    }
    work, WORK: Work {
        Work::Inventory => "work inventory",
        Work::SetupBmc { .. } => "work setup BMC",
        Work::Script(_) => "work script",
        Work::Install(_) => "work install",
        Work::Erase { .. } => "work erase",
        Work::Rescue { .. } => "work rescue",
        Work::Reboot => "work reboot",
        Work::PowerOff => "work power off",
    }
}

/// The variants in a message, after a look at whether all of it survives.
fn seen_in(version: &str, kind: &str, value: &Value) -> Vec<&'static str> {
    let mut seen = Vec::new();
    let lost = match kind {
        "to-rack" => {
            let (message, lost) = survives::<ToRack>(value);
            seen.push(to_rack(&message));
            match &message {
                ToRack::Snapshot { snapshot, .. } => {
                    seen.extend(snapshot.hosts.iter().map(|host| boot(&host.boot)));
                }
                ToRack::Task(task) => seen.push(task_work(&task.work)),
                _ => {}
            }
            lost
        }
        "to-region" => {
            let (message, lost) = survives::<ToRegion>(value);
            seen.push(to_region(&message));
            match &message {
                ToRegion::Journal { entries } => seen.extend(entries.iter().map(|entry| fact(&entry.fact))),
                ToRegion::TaskResult(result) => seen.push(outcome(&result.outcome)),
                ToRegion::SwitchResult(result) => seen.push(switch_outcome(&result.outcome)),
                _ => {}
            }
            lost
        }
        "agent-work" => {
            let (message, lost) = survives::<Work>(value);
            seen.push(work(&message));
            lost
        }
        "agent-hello" => survives::<Hello>(value).1,
        "agent-progress" => survives::<Progress>(value).1,
        "agent-result" => survives::<ItemResult>(value).1,
        other => panic!("{version} has a message of kind {other}"),
    };
    assert_eq!(lost, Vec::<String>::new(), "of a message of version {version}: {value}");
    assert!(!seen.contains(&"unknown"), "version {version} says what is not understood: {value}");
    seen
}

#[test]
fn every_message_of_every_version_is_understood_and_every_variant_has_one() {
    let mut seen = BTreeSet::new();
    for (version, message) in messages() {
        for (kind, value) in message.as_object().expect("an object") {
            seen.extend(seen_in(&version, kind, value));
        }
    }
    let all: BTreeSet<&str> = [TO_RACK, TO_REGION, FACT, OUTCOME, SWITCH_OUTCOME, TASK_WORK, BOOT, WORK]
        .concat()
        .into_iter()
        .filter(|v| *v != "unknown")
        .collect();
    assert_eq!(seen, all, "a variant without a message is not known to survive an upgrade");
}

#[test]
fn fields_that_only_a_newer_version_knows_are_ignored() {
    for (_, mut message) in messages() {
        for (kind, value) in message.as_object_mut().expect("an object") {
            add_to_all(value);
            let read = match kind.as_str() {
                "to-rack" => to_rack(&serde_json::from_value(value.clone()).expect("a message")) != "unknown",
                "to-region" => {
                    to_region(&serde_json::from_value(value.clone()).expect("a message")) != "unknown"
                }
                _ => true,
            };
            assert!(read, "{value}");
        }
    }
}

/// Puts a field into every object that has fields of its own.
fn add_to_all(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            let is_map = fields.contains_key("Ok")
                || fields.contains_key("Err")
                || fields.contains_key("undionly.kpxe");
            fields.iter_mut().filter(|(name, _)| *name != "detail").for_each(|(_, value)| add_to_all(value));
            if !is_map && !fields.contains_key("error") {
                fields.insert("from_the_future".into(), json!({ "a": [1] }));
            }
        }
        Value::Array(values) => values.iter_mut().for_each(add_to_all),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The newest message with this type.
fn message(kind: &str, name: &str) -> Value {
    let found =
        messages().into_iter().rev().map(|(_, message)| message[kind].clone()).find(|m| m["type"] == name);
    found.unwrap_or_else(|| panic!("no {name}"))
}

#[test]
fn a_variant_that_only_a_newer_version_knows_costs_no_more_than_itself() {
    let mut found = messages().into_iter().map(|(_, message)| message["to-region"].clone());
    let with_boot = |m: &Value| m["type"] == "journal" && m["entries"][2]["fact"]["fact"] == "boot";
    let mut journal = found.find(with_boot).expect("a journal with a boot");
    journal["entries"][2]["fact"]["stage"] = "teleported".into();
    let ToRegion::Journal { entries } = serde_json::from_value(journal).expect("a journal") else { panic!() };
    let facts: Vec<&str> = entries.iter().map(|entry| fact(&entry.fact)).collect();
    assert_eq!(
        facts,
        ["fact lease", "fact lease ended", "unknown", "fact warning", "fact report", "fact sighting"]
    );
    assert_eq!(entries[2].seq, 3, "it is acknowledged all the same");

    let mut task = message("to-rack", "task");
    task["work"]["action"] = json!({ "action": "levitate" });
    let ToRack::Task(task) = serde_json::from_value(task).expect("a task") else { panic!() };
    assert_eq!((task.id, task.work), (1, TaskWork::Unknown));

    let mut result = message("to-region", "task-result");
    result["outcome"] = json!({ "Err": { "error": "haunted" } });
    let ToRegion::TaskResult(result) = serde_json::from_value(result).expect("a result") else { panic!() };
    assert!(matches!(&result.outcome, Err(BmcError::Protocol(why)) if why.contains("upgrade the regions")));

    let mut snapshot = message("to-rack", "snapshot");
    snapshot["snapshot"]["hosts"][0]["boot"] = json!({ "boot": "from-the-moon" });
    let ToRack::Snapshot { snapshot, .. } = serde_json::from_value(snapshot).expect("a snapshot") else {
        panic!()
    };
    assert_eq!(boot(&snapshot.hosts[0].boot), "boot hold");
    assert_eq!(boot(&snapshot.hosts[1].boot), "boot local", "the other machines are served");
}
