//! The disks or interfaces that a script runs on: all of its kind, or those that a parameter chooses.
//!
//! Left out: MAAS's choice of disks by tag.

use super::{ALL, Declared, Fault, declared, words};
use rackwright_common::inventory::{Disk, Inventory};
use rackwright_common::script::{HardwareType, ScriptMetadata};
use serde_json::{Map, Value};

/// The hardware that a script runs on, once for each piece: what its parameters choose, else what its header says.
pub fn hardware(metadata: &ScriptMetadata) -> HardwareType {
    let has = |word: &str| metadata.parameters.values().any(|about| about["type"] == word);
    match (has("storage"), has("interface")) {
        (true, _) => HardwareType::Storage,
        (false, true) => HardwareType::Network,
        (false, false) => metadata.hardware_type,
    }
}

/// What names a disk: its serial number, else its kernel name.
pub fn disk_target(disk: &Disk) -> String {
    disk.serial.clone().unwrap_or_else(|| disk.name.clone())
}

/// The names of the pieces of hardware that a script with these values runs on. A name that fits nothing stays as it
/// is, so that its run says so.
pub fn targets(
    metadata: &ScriptMetadata,
    values: &Map<String, Value>,
    inventory: Option<&Inventory>,
) -> Vec<String> {
    let chosen = declared(metadata).ok().and_then(|all| all.into_iter().find(Declared::is_target));
    let chosen = chosen.and_then(|p| values.get(&p.name)).and_then(Value::as_str).unwrap_or(ALL);
    let everything = pieces(hardware(metadata), inventory);
    match everything {
        None => vec![String::new()],
        Some(pieces) if words(chosen).contains(&ALL) => {
            pieces.into_iter().filter(|p| !p.removable).map(|p| p.target).collect()
        }
        Some(pieces) => {
            let one = |word: &&str| {
                pieces
                    .iter()
                    .find(|p| p.has_name(word))
                    .map_or_else(|| (*word).to_owned(), |p| p.target.clone())
            };
            let mut found: Vec<String> = words(chosen).iter().map(one).collect();
            let mut seen = std::collections::BTreeSet::new();
            found.retain(|target| seen.insert(target.clone()));
            found
        }
    }
}

/// The first word of a choice of hardware that the machine does not have, and what it has.
pub fn unknown_target(
    metadata: &ScriptMetadata,
    given: &Map<String, Value>,
    inventory: &Inventory,
) -> Result<(), Fault> {
    let Some(parameter) = declared(metadata)?.into_iter().find(Declared::is_target) else { return Ok(()) };
    let Some(chosen) = given.get(&parameter.name).and_then(Value::as_str) else { return Ok(()) };
    let pieces = pieces(hardware(metadata), Some(inventory)).unwrap_or_default();
    match words(chosen).into_iter().find(|word| *word != ALL && !pieces.iter().any(|p| p.has_name(word))) {
        Some(word) => {
            let has: Vec<_> = pieces.iter().map(|p| format!("{} ({})", p.name, p.target)).collect();
            let has = if has.is_empty() { "none".to_owned() } else { has.join(", ") };
            Err(Fault::of(&parameter.name, format!("the machine has no `{word}`; it has {has}")))
        }
        None => Ok(()),
    }
}

struct Piece {
    name: String,
    target: String,
    removable: bool,
}

impl Piece {
    fn has_name(&self, word: &str) -> bool {
        let word = word.strip_prefix("/dev/").unwrap_or(word);
        word.eq_ignore_ascii_case(&self.target) || word == self.name
    }
}

/// The disks or interfaces; nothing for hardware that is not tested piece by piece.
fn pieces(hardware: HardwareType, inventory: Option<&Inventory>) -> Option<Vec<Piece>> {
    let disk = |d: &Disk| Piece { name: d.name.clone(), target: disk_target(d), removable: d.removable };
    match hardware {
        HardwareType::Storage => {
            Some(inventory.map(|i| i.disks.iter().map(disk).collect()).unwrap_or_default())
        }
        HardwareType::Network => Some(
            inventory
                .map(|i| {
                    let nics = i.interfaces.iter();
                    nics.map(|n| Piece { name: n.name.clone(), target: n.mac.to_string(), removable: false })
                        .collect()
                })
                .unwrap_or_default(),
        ),
        HardwareType::Node | HardwareType::Cpu | HardwareType::Memory | HardwareType::Gpu => None,
    }
}
