//! From scripts to runs: each once per machine, disk or NIC, as its header and its parameters say.
//!
//! First the scripts that run alone, then those whose runs go side by side, then those that go beside anything. Runs
//! with the same `batch` number may be under way together.

use super::items;
use super::scripts::Phase;
use crate::lifecycle::decision::{Effect, ScriptItem};
use crate::model::script::Script;
use crate::scripts::parameters::{self, Fault, disk_target};
use rackwright_common::inventory::Inventory;
use rackwright_common::script::{HardwareType, Parallel, ScriptMetadata};
use serde_json::{Map, Value, json};

/// What a script without limit is allowed, seconds.
const NO_LIMIT: u64 = 7 * 24 * 3600;

/// What is to be run.
pub(super) struct Plan {
    /// Scripts for the agent.
    pub runs: Vec<Effect>,
    /// How long all of it may take.
    pub seconds: u64,
}

/// One item per script and piece of hardware. Destructive scripts leave out machines that hold a system.
pub(super) fn plan(
    phase: Phase,
    scripts: &[Script],
    given: &Map<String, Value>,
    inventory: Option<&Inventory>,
    keeps_system: bool,
) -> Result<Plan, Fault> {
    let first = phase.ordinals().start;
    let mut scripts: Vec<_> = scripts.iter().filter(|s| !(s.metadata.destructive && keeps_system)).collect();
    scripts.sort_by_key(|script| rank(&script.metadata));
    let mut plan = Plan { runs: Vec::new(), seconds: 0 };
    for (number, script) in scripts.into_iter().enumerate() {
        let metadata = &script.metadata;
        let given = given.get(&script.name).and_then(Value::as_object).cloned().unwrap_or_default();
        let values = parameters::fill(metadata, &given)?;
        let limit = parameters::timeout(metadata, &values);
        let boots = if metadata.may_reboot { u64::from(items::REBOOTS.unsigned_abs()) + 1 } else { 1 };
        let allowed = if limit == 0 { NO_LIMIT } else { limit.saturating_mul(boots) };
        for target in parameters::targets(metadata, &values, inventory) {
            let ordinal = first.saturating_add(i32::try_from(plan.runs.len()).unwrap_or(i32::MAX));
            plan.seconds = plan.seconds.saturating_add(allowed);
            plan.runs.push(run(phase, script, ordinal, batch(metadata, number), &values, target));
        }
    }
    Ok(plan)
}

fn rank(metadata: &ScriptMetadata) -> u8 {
    match alone_or(metadata) {
        Parallel::Disabled => 0,
        Parallel::Instance => 1,
        Parallel::Any => 2,
    }
}

/// What may run beside a script. One that restarts the machine has it for itself.
fn alone_or(metadata: &ScriptMetadata) -> Parallel {
    if metadata.may_reboot { Parallel::Disabled } else { metadata.parallel }
}

/// The number that runs have in common which may be under way together; none for a run that is alone.
fn batch(metadata: &ScriptMetadata, number: usize) -> Option<usize> {
    match alone_or(metadata) {
        Parallel::Disabled => None,
        Parallel::Instance => Some(number + 1),
        Parallel::Any => Some(0),
    }
}

fn run(
    phase: Phase,
    script: &Script,
    ordinal: i32,
    batch: Option<usize>,
    values: &Map<String, Value>,
    target: String,
) -> Effect {
    let metadata = &script.metadata;
    let mut values = values.clone();
    for parameter in parameters::declared(metadata).unwrap_or_default().iter().filter(|p| p.is_target()) {
        values.insert(parameter.name.clone(), target.clone().into());
    }
    let mut payload =
        json!({ "script": script.id, "name": script.name, "target": target, "parameters": values });
    if let Some(batch) = batch {
        payload["batch"] = json!(batch.to_string());
    }
    if metadata.may_reboot {
        payload["may_reboot"] = json!(true);
    }
    Effect::Script(Box::new(ScriptItem {
        ordinal,
        script: script.id,
        name: script.name.clone(),
        script_type: phase.script_type(),
        hardware_type: hardware_name(parameters::hardware(metadata)),
        payload,
        target,
    }))
}

fn hardware_name(hardware: HardwareType) -> &'static str {
    match hardware {
        HardwareType::Node => "node",
        HardwareType::Cpu => "cpu",
        HardwareType::Memory => "memory",
        HardwareType::Storage => "storage",
        HardwareType::Network => "network",
        HardwareType::Gpu => "gpu",
    }
}

/// The environment that tells a script which disk or NIC it is about.
pub fn target_environment(
    hardware: HardwareType,
    target: &str,
    inventory: Option<&Inventory>,
) -> Vec<(String, String)> {
    let pair = |name: &str, value: String| (name.to_owned(), value);
    match (hardware, inventory) {
        (HardwareType::Storage, Some(i)) => match i.disks.iter().find(|d| disk_target(d) == target) {
            Some(disk) => vec![
                pair("RACKWRIGHT_DISK", format!("/dev/{}", disk.name)),
                pair("RACKWRIGHT_DISK_SERIAL", disk.serial.clone().unwrap_or_default()),
                pair("RACKWRIGHT_DISK_BYTES", disk.size_bytes.to_string()),
            ],
            None => Vec::new(),
        },
        (HardwareType::Network, Some(i)) => match i.interfaces.iter().find(|n| n.mac.to_string() == target) {
            Some(nic) => vec![
                pair("RACKWRIGHT_INTERFACE", nic.name.clone()),
                pair("RACKWRIGHT_MAC", nic.mac.to_string()),
                pair("RACKWRIGHT_BOOT_INTERFACE", if nic.boot { "1".into() } else { "0".into() }),
            ],
            None => Vec::new(),
        },
        (HardwareType::Node | HardwareType::Cpu | HardwareType::Memory | HardwareType::Gpu, _)
        | (HardwareType::Storage | HardwareType::Network, None) => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rackwright_common::inventory::Disk;

    fn script(name: &str, hardware: &str, destructive: bool) -> Script {
        with(name, json!({ "hardware_type": hardware, "destructive": destructive }))
    }

    fn with(name: &str, mut metadata: Value) -> Script {
        metadata["name"] = json!(name);
        Script {
            id: 1,
            name: name.into(),
            version: 1,
            builtin: false,
            metadata: serde_json::from_value(metadata).unwrap(),
            created_at: time::OffsetDateTime::UNIX_EPOCH.into(),
            body: None,
        }
    }

    /// Ordinal, script, target and batch of each run.
    fn runs(scripts: &[Script], given: Value) -> Vec<(i32, String, String, Option<String>)> {
        let planned =
            plan(Phase::Tests, scripts, given.as_object().unwrap(), Some(&two_disks()), false).unwrap();
        let one = |effect: Effect| match effect {
            Effect::Script(s) => {
                (s.ordinal, s.name, s.target, s.payload["batch"].as_str().map(str::to_owned))
            }
            other => panic!("{other:?}"),
        };
        planned.runs.into_iter().map(one).collect()
    }

    fn row(
        ordinal: i32,
        name: &str,
        target: &str,
        batch: Option<&str>,
    ) -> (i32, String, String, Option<String>) {
        (ordinal, name.into(), target.into(), batch.map(Into::into))
    }

    fn two_disks() -> Inventory {
        let disk = |name: &str, serial: Option<&str>| Disk {
            name: name.into(),
            serial: serial.map(Into::into),
            ..Disk::default()
        };
        Inventory { disks: vec![disk("vda", Some("S1")), disk("vdb", None)], ..Inventory::default() }
    }

    #[test]
    fn a_storage_script_runs_once_per_disk() {
        let scripts = [script("cpu", "cpu", false), script("disk", "storage", false)];
        assert_eq!(
            runs(&scripts, json!({})),
            [row(100, "cpu", "", None), row(101, "disk", "S1", None), row(102, "disk", "vdb", None)]
        );
    }

    #[test]
    fn what_may_run_together_has_a_number_in_common_and_comes_last() {
        let scripts = [
            with("any-1", json!({ "parallel": "any" })),
            with("any-2", json!({ "parallel": "any" })),
            with("disk", json!({ "parallel": "instance", "hardware_type": "storage" })),
            with("firmware", json!({ "parallel": "any", "may_reboot": true })),
            with("smart", json!({ "parallel": "instance", "hardware_type": "storage" })),
        ];
        assert_eq!(
            runs(&scripts, json!({})),
            [
                row(100, "firmware", "", None),
                row(101, "disk", "S1", Some("2")),
                row(102, "disk", "vdb", Some("2")),
                row(103, "smart", "S1", Some("3")),
                row(104, "smart", "vdb", Some("3")),
                row(105, "any-1", "", Some("0")),
                row(106, "any-2", "", Some("0")),
            ]
        );
    }

    #[test]
    fn parameters_choose_the_disk_and_stay_with_the_run() {
        let parameters =
            json!({ "storage": { "type": "storage" }, "runtime": { "type": "runtime", "default": 30 } });
        let read = with("read", json!({ "parameters": parameters, "timeout_seconds": 60 }));
        let given = json!({ "read": { "storage": "vdb", "runtime": "90" } });
        let planned =
            plan(Phase::Tests, &[read], given.as_object().unwrap(), Some(&two_disks()), false).unwrap();
        let Effect::Script(run) = &planned.runs[0] else { panic!("{:?}", planned.runs) };
        assert_eq!(run.payload["parameters"], json!({ "storage": "vdb", "runtime": "90" }));
        assert_eq!((planned.runs.len(), planned.seconds), (1, 180), "three times as long as usual");
    }

    #[test]
    fn destructive_scripts_spare_a_machine_that_holds_a_system() {
        let wipe = [script("wipe", "storage", true)];
        assert!(plan(Phase::Tests, &wipe, &Map::new(), Some(&two_disks()), true).unwrap().runs.is_empty());
    }

    #[test]
    fn a_script_is_told_its_disk() {
        let env = target_environment(HardwareType::Storage, "S1", Some(&two_disks()));
        assert_eq!(env[0], ("RACKWRIGHT_DISK".to_owned(), "/dev/vda".to_owned()));
    }
}
