//! The agent runs the tests: each script once per machine, disk or NIC, as its header says.

use super::items::{self, Work};
use super::{Look, StepName};
use crate::db::script_run::{self, Script};
use crate::db::{DbError, setting};
use crate::lifecycle::decision::{Decision, Effect, ScriptItem};
use crate::lifecycle::request::OperationRequest;
use rackwright_common::inventory::Inventory;
use rackwright_common::script::{HardwareType, ScriptMetadata};
use serde_json::json;
use sqlx::PgConnection;

const FIRST: i32 = 100;
const END: i32 = 800;

pub(super) async fn step(conn: &mut PgConnection, look: &Look<'_>) -> Result<Decision, DbError> {
    let known = items::all(conn, look).await?;
    Ok(match items::look_at(conn, look, FIRST..END, &known).await? {
        Work::Wait(decision) => decision,
        Work::Ended(_) => look.onward(StepName::Tests),
        Work::Absent => {
            let scripts = chosen(conn, look.request).await?;
            let plan =
                plan(&scripts, look.machine.inventory.as_ref(), look.machine.resting_status.keeps_system());
            if plan.is_empty() {
                look.onward(StepName::Tests)
            } else {
                Decision::stay(format!("{} tests are handed to the agent", plan.len())).with_all(plan)
            }
        }
    })
}

/// The scripts to run: those asked for, else the setting's.
async fn chosen(conn: &mut PgConnection, request: &OperationRequest) -> Result<Vec<Script>, DbError> {
    let asked = match request {
        OperationRequest::Commission { tests } => tests.clone(),
        OperationRequest::Test { scripts, .. } => scripts.clone(),
        OperationRequest::Deploy { .. }
        | OperationRequest::Release { .. }
        | OperationRequest::EnterRescue { .. }
        | OperationRequest::ExitRescue
        | OperationRequest::Power { .. } => None,
    };
    let names = match asked {
        Some(names) => names,
        None => setting::load(conn).await?.default_tests,
    };
    script_run::scripts(conn, &names).await
}

/// One item per script and piece of hardware. Destructive scripts leave out machines that hold a system.
fn plan(scripts: &[Script], inventory: Option<&Inventory>, keeps_system: bool) -> Vec<Effect> {
    let mut effects = Vec::new();
    for script in scripts {
        let Ok(metadata) = serde_json::from_value::<ScriptMetadata>(script.metadata.clone()) else {
            continue;
        };
        if metadata.destructive && keeps_system {
            continue;
        }
        for target in targets(metadata.hardware_type, inventory) {
            effects.push(Effect::Script(Box::new(ScriptItem {
                ordinal: FIRST + i32::try_from(effects.len()).unwrap_or(END - FIRST - 1).min(END - FIRST - 1),
                script: script.id,
                name: script.name.clone(),
                script_type: "testing",
                hardware_type: hardware_name(metadata.hardware_type),
                payload: json!({ "script": script.id, "target": target }),
                target,
            })));
        }
    }
    effects
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

/// What names a disk: its serial number, else its kernel name.
fn disk_target(disk: &rackwright_common::inventory::Disk) -> String {
    disk.serial.clone().unwrap_or_else(|| disk.name.clone())
}

fn targets(hardware: HardwareType, inventory: Option<&Inventory>) -> Vec<String> {
    match (hardware, inventory) {
        (HardwareType::Storage, Some(i)) => {
            i.disks.iter().filter(|d| !d.removable).map(disk_target).collect()
        }
        (HardwareType::Network, Some(i)) => i.interfaces.iter().map(|n| n.mac.to_string()).collect(),
        (HardwareType::Node | HardwareType::Cpu | HardwareType::Memory | HardwareType::Gpu, _) => {
            vec![String::new()]
        }
        (HardwareType::Storage | HardwareType::Network, None) => Vec::new(),
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
        let metadata = json!({ "name": name, "hardware_type": hardware, "destructive": destructive });
        Script { id: 1, name: name.into(), body: String::new(), metadata }
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
        let effects =
            plan(&[script("cpu", "cpu", false), script("disk", "storage", false)], Some(&two_disks()), false);
        let targets: Vec<_> = effects
            .iter()
            .map(|e| match e {
                Effect::Script(s) => (s.ordinal, s.name.as_str(), s.target.as_str()),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(targets, [(100, "cpu", ""), (101, "disk", "S1"), (102, "disk", "vdb")]);
    }

    #[test]
    fn destructive_scripts_spare_a_machine_that_holds_a_system() {
        assert!(plan(&[script("wipe", "storage", true)], Some(&two_disks()), true).is_empty());
    }

    #[test]
    fn a_script_is_told_its_disk() {
        let env = target_environment(HardwareType::Storage, "S1", Some(&two_disks()));
        assert_eq!(env[0], ("RACKWRIGHT_DISK".to_owned(), "/dev/vda".to_owned()));
    }
}
