//! What a script is told about its disk or interface and its parameters: environment and arguments.
//!
//! Kernel names change between boots and disks are pulled out, so the hardware is looked for now, by what does not
//! change; a script is never started on another disk than its own.

use crate::error::{Error, Result};
use crate::inventory;
use rackwright_common::agent::{ScriptParameter, ScriptTarget, ScriptWork};
use rackwright_common::inventory::{Disk, Interface};
use std::path::Path;

/// The run's piece of hardware as it is now.
#[derive(Default)]
struct Hardware {
    /// What a parameter that stands for it has as its value: a disk's path, an interface's name.
    word: String,
    environment: Vec<(&'static str, String)>,
    /// What formats of arguments may name.
    fields: Vec<(&'static str, String)>,
}

/// The work with environment and arguments complete.
pub fn complete(work: &ScriptWork, root: &Path) -> Result<ScriptWork> {
    let hardware = match &work.target {
        Some(ScriptTarget::Disk { name, serial }) => disk(root, name, serial.as_deref())?,
        Some(ScriptTarget::Interface { mac }) => {
            let all = inventory::nics::read(root, None);
            let found = all.iter().find(|nic| nic.mac == *mac);
            found.map(of_interface).ok_or_else(|| {
                let has = all.iter().map(|nic| format!("{} ({})", nic.name, nic.mac));
                gone(&format!("interface {mac}"), has.collect())
            })?
        }
        None => Hardware::default(),
    };
    let mut told = work.clone();
    told.environment
        .extend(hardware.environment.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
    for parameter in &work.parameters {
        let value = if parameter.is_target && work.target.is_some() {
            hardware.word.clone()
        } else {
            parameter.value.expose().clone()
        };
        told.arguments.extend(arguments(parameter, &value, &hardware.fields));
        told.environment.insert(variable(&parameter.name), value);
    }
    Ok(told)
}

/// By serial number; by name only a disk that had none.
fn disk(root: &Path, name: &str, serial: Option<&str>) -> Result<Hardware> {
    let disks = inventory::disks::read(root);
    let found = match serial {
        Some(serial) => disks.iter().find(|disk| disk.serial.as_deref() == Some(serial)),
        None => disks.iter().find(|disk| disk.name == name),
    };
    found.map(of_disk).ok_or_else(|| {
        let has = disks.iter().map(|disk| match &disk.serial {
            Some(serial) => format!("{} ({serial})", disk.name),
            None => disk.name.clone(),
        });
        gone(&format!("disk {}", serial.unwrap_or(name)), has.collect())
    })
}

fn gone(what: &str, has: Vec<String>) -> Error {
    let has = if has.is_empty() { "none".to_owned() } else { has.join(", ") };
    Error::refused(format!("the {what} is not in this machine any more; it has {has}"))
}

fn of_disk(disk: &Disk) -> Hardware {
    let path = format!("/dev/{}", disk.name);
    let serial = disk.serial.clone().unwrap_or_default();
    Hardware {
        word: path.clone(),
        environment: vec![
            ("RACKWRIGHT_DISK", path.clone()),
            ("RACKWRIGHT_DISK_SERIAL", serial.clone()),
            ("RACKWRIGHT_DISK_BYTES", disk.size_bytes.to_string()),
        ],
        fields: vec![
            ("path", path),
            ("name", disk.name.clone()),
            ("serial", serial),
            ("model", disk.model.clone().unwrap_or_default()),
        ],
    }
}

fn of_interface(nic: &Interface) -> Hardware {
    let mac = nic.mac.to_string();
    // The inventory has vendor and product as one word.
    let product = nic.product.clone().unwrap_or_default();
    let (vendor, product) = product.split_once(':').unwrap_or(("", &product));
    Hardware {
        word: nic.name.clone(),
        environment: vec![("RACKWRIGHT_INTERFACE", nic.name.clone()), ("RACKWRIGHT_MAC", mac.clone())],
        fields: vec![
            ("name", nic.name.clone()),
            ("mac", mac.clone()),
            ("mac_address", mac),
            ("vendor", vendor.to_owned()),
            ("product", product.to_owned()),
        ],
    }
}

/// `RACKWRIGHT_PARAM_` and the name in capitals; what cannot stand in a shell's name becomes `_`.
fn variable(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    format!("RACKWRIGHT_PARAM_{}", name.chars().map(plain).collect::<String>())
}

/// The words of the format, each filled in by itself: a value with blanks stays one argument.
fn arguments(parameter: &ScriptParameter, value: &str, fields: &[(&str, String)]) -> Vec<String> {
    let format = parameter.format.as_deref().unwrap_or_default();
    format.split_whitespace().map(|word| fill(word, value, fields)).collect()
}

/// Puts values in the place of names in braces, once; unknown names stay.
fn fill(word: &str, input: &str, fields: &[(&str, String)]) -> String {
    let mut filled = String::new();
    let mut rest = word;
    while let Some((before, after)) = rest.split_once('{') {
        filled.push_str(before);
        let named = after.split_once('}').and_then(|(name, tail)| {
            let known = fields.iter().find(|(field, _)| *field == name).map(|(_, value)| value.as_str());
            let known = if name == "input" { Some(input) } else { known };
            known.map(|value| (value, tail))
        });
        match named {
            Some((value, tail)) => {
                filled.push_str(value);
                rest = tail;
            }
            None => {
                filled.push('{');
                rest = after;
            }
        }
    }
    filled + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::tests::machine;
    use rackwright_common::Secret;

    fn parameter(name: &str, value: &str, format: &str) -> ScriptParameter {
        ScriptParameter {
            name: name.into(),
            value: Secret::new(value.into()),
            format: (!format.is_empty()).then(|| format.into()),
            is_target: matches!(name, "storage" | "interface"),
        }
    }

    fn work(target: Option<ScriptTarget>, parameters: Vec<ScriptParameter>) -> ScriptWork {
        let json = serde_json::json!({ "name": "trial", "body": "", "timeout_seconds": 1 });
        ScriptWork { target, parameters, ..serde_json::from_value(json).unwrap() }
    }

    fn disk(serial: Option<&str>) -> Option<ScriptTarget> {
        Some(ScriptTarget::Disk { name: "sda".into(), serial: serial.map(Into::into) })
    }

    #[test]
    fn parameters_are_environment_and_arguments() {
        let given = vec![
            parameter("run-time", "60", "--runtime={input}"),
            parameter("words", "a b {path}", "-w {input} {other} {"),
            parameter("key", "hunter2", ""),
        ];
        let told = complete(&work(None, given), Path::new("/nonexistent")).unwrap();
        assert_eq!(told.arguments, ["--runtime=60", "-w", "a b {path}", "{other}", "{"]);
        assert_eq!(told.environment["RACKWRIGHT_PARAM_RUN_TIME"], "60");
        assert_eq!(told.environment["RACKWRIGHT_PARAM_KEY"], "hunter2");
        assert!(!format!("{:?}", told.parameters).contains("hunter2"));
    }

    #[test]
    fn a_disk_that_has_another_name_now_is_found_by_its_serial() {
        let root = machine(&[
            ("sys/block/sda/size", b"2048\n"),
            ("sys/block/sda/serial", b"OTHER\n"),
            ("sys/block/sdb/size", b"4096\n"),
            ("sys/block/sdb/serial", b"S1\n"),
        ]);
        let given = vec![parameter("storage", "S1", "--disk {path} {serial}")];
        let told = complete(&work(disk(Some("S1")), given), root.path()).unwrap();
        assert_eq!(told.environment["RACKWRIGHT_DISK"], "/dev/sdb");
        assert_eq!(told.environment["RACKWRIGHT_PARAM_STORAGE"], "/dev/sdb");
        assert_eq!(told.environment["RACKWRIGHT_DISK_BYTES"], "2097152");
        assert_eq!(told.arguments, ["--disk", "/dev/sdb", "S1"]);
        let nameless = complete(&work(disk(None), Vec::new()), root.path()).unwrap();
        assert_eq!(nameless.environment["RACKWRIGHT_DISK"], "/dev/sda");
    }

    #[test]
    fn a_disk_that_was_removed_is_named_and_no_other_is_taken_for_it() {
        let root = machine(&[("sys/block/sda/size", b"2048\n"), ("sys/block/sda/serial", b"OTHER\n")]);
        let error = complete(&work(disk(Some("S1")), Vec::new()), root.path()).unwrap_err();
        assert_eq!(error.to_string(), "the disk S1 is not in this machine any more; it has sda (OTHER)");
    }

    #[test]
    fn an_interface_is_found_by_its_address() {
        let root = machine(&[
            ("sys/class/net/eth3/type", b"1\n"),
            ("sys/class/net/eth3/address", b"52:54:00:00:00:01\n"),
            ("sys/class/net/eth3/device/vendor", b"0x1af4\n"),
            ("sys/class/net/eth3/device/device", b"0x0001\n"),
        ]);
        let target = |mac: &str| Some(ScriptTarget::Interface { mac: mac.parse().unwrap() });
        let given = vec![parameter("interface", "", "{name}/{mac_address}/{vendor}")];
        let told = complete(&work(target("52:54:00:00:00:01"), given), root.path()).unwrap();
        assert_eq!(told.arguments, ["eth3/52:54:00:00:00:01/1af4"]);
        assert_eq!(told.environment["RACKWRIGHT_INTERFACE"], "eth3");
        let error = complete(&work(target("52:54:00:00:00:02"), Vec::new()), root.path()).unwrap_err();
        assert!(error.to_string().contains("52:54:00:00:00:02 is not in this machine any more"), "{error}");
    }
}
