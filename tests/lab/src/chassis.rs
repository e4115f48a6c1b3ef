//! The chassis program: what a BMC simulator runs to switch its machine.
//!
//! Called as `PROGRAM chassis FOLDER OPERATION…` with any number of operations (the convention of OpenIPMI's
//! `chassis_control`): `get power|boot`, `set power 0|1`, `set reset 1`, `set shutdown 1`,
//! `set boot none|pxe|disk|default [efi] [persistent]`, `set identify SECONDS FORCE`, `check PARAMETER VALUE`.
//! `get` prints `parameter:value`.
//!
//! What holds: it returns when the state is reached, is idempotent, and one call at a time acts on a machine.
//! A boot device counts for one boot unless it is persistent.
//!
//! Left out: a boot device set on a running machine does not change a reboot that the guest makes by itself;
//! it is kept for the next power-on or reset by the BMC.

use crate::machine::MachineHandle;
use crate::qemu::BootOrder;
use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

/// What the BMC was told about the next boot.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Boot {
    /// The device; `None` leaves it to the firmware.
    pub device: Device,
    /// The flag for UEFI boot was given. Recorded only: a lab machine has one kind of firmware.
    #[serde(default)]
    pub efi: bool,
    /// Counts for every boot from now on.
    #[serde(default)]
    pub persistent: bool,
}

/// A boot device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Device {
    /// The firmware's own order: network, then disk.
    #[default]
    None,
    /// Network first.
    Pxe,
    /// Disk first. OpenIPMI's simulator calls it `default`.
    #[serde(alias = "default")]
    Disk,
}

/// One operation.
#[derive(Debug, PartialEq, Eq)]
enum Operation {
    GetPower,
    GetBoot,
    SetPower(bool),
    Reset,
    Shutdown,
    SetBoot(Boot),
    Nothing,
}

/// Runs the operations on the machine of `folder` and yields what is to be printed.
pub fn run(folder: &Path, arguments: &[String]) -> Result<String> {
    let operations = parse(arguments)?;
    let lock = fs::File::options().create(true).append(true).open(folder.join("chassis.log"))?;
    lock.lock()?;
    let result = run_locked(folder, &operations);
    let outcome = result.as_ref().map_or_else(|error| format!("{error:#}"), |said| said.replace('\n', " "));
    writeln!(&lock, "{:.3} {} = {outcome}", seconds(), arguments.join(" "))?;
    result
}

/// What the BMC was last told about the next boot.
pub fn boot(folder: &Path) -> Result<Boot> {
    match fs::read(folder.join("boot.json")) {
        Ok(text) => Ok(serde_json::from_slice(&text)?),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Boot::default()),
        Err(error) => Err(error).context("boot.json"),
    }
}

/// A program that has this module as its `chassis` subcommand: `RACKWRIGHT_LAB_PROGRAM`, this very program when
/// it is `rackwright-lab` or `xtask`, or `rackwright-lab` beside the running test.
pub fn find_program() -> Result<PathBuf> {
    if let Some(program) = std::env::var_os("RACKWRIGHT_LAB_PROGRAM") {
        return Ok(PathBuf::from(program));
    }
    let current = std::env::current_exe()?;
    if current.file_name().is_some_and(|name| name == "xtask" || name == "rackwright-lab") {
        return Ok(current);
    }
    let beside = current.ancestors().skip(1).take(2).map(|folder| folder.join("rackwright-lab"));
    beside.into_iter().find(|program| program.is_file()).context(
        "the chassis program is missing: build it with `cargo build -p rackwright-lab`, \
         or name it in RACKWRIGHT_LAB_PROGRAM",
    )
}

fn run_locked(folder: &Path, operations: &[Operation]) -> Result<String> {
    let machine = MachineHandle::open(folder)?;
    let mut said = String::new();
    for operation in operations {
        match operation {
            Operation::GetPower => said += if machine.is_on() { "power:1\n" } else { "power:0\n" },
            Operation::GetBoot => said += &format!("boot:{}\n", boot(folder)?.device.word()),
            Operation::SetPower(true) if machine.is_on() => {}
            Operation::SetPower(true) => machine.start(take_boot(folder)?)?,
            Operation::SetPower(false) => machine.stop()?,
            Operation::Reset if machine.is_on() => machine.reset(take_boot(folder)?)?,
            Operation::Shutdown if machine.is_on() => machine.press_power_button()?,
            Operation::Reset | Operation::Shutdown | Operation::Nothing => {}
            Operation::SetBoot(boot) => write_boot(folder, boot)?,
        }
    }
    Ok(said)
}

/// The order for the boot that begins now; a device for one boot is used up.
fn take_boot(folder: &Path) -> Result<BootOrder> {
    let boot = boot(folder)?;
    if !boot.persistent {
        write_boot(folder, &Boot::default())?;
    }
    Ok(match boot.device {
        Device::None | Device::Pxe => BootOrder::NetworkFirst,
        Device::Disk => BootOrder::DiskFirst,
    })
}

fn write_boot(folder: &Path, boot: &Boot) -> Result<()> {
    crate::state::write_private(&folder.join("boot.json"), &serde_json::to_vec(boot)?)
}

fn parse(arguments: &[String]) -> Result<Vec<Operation>> {
    let mut words = arguments.iter().map(String::as_str).peekable();
    let mut operations = Vec::new();
    while let Some(verb) = words.next() {
        let parameter = words.next().with_context(|| format!("{verb} what?"))?;
        let operation = match (verb, parameter) {
            ("get", "power") => Operation::GetPower,
            ("get", "boot") => Operation::GetBoot,
            ("set" | "check", _) => {
                let value = words.next().with_context(|| format!("{verb} {parameter} to what?"))?;
                let mut flags = Vec::new();
                while let Some(flag) = words.next_if(|word| !matches!(*word, "get" | "set" | "check")) {
                    flags.push(flag);
                }
                if verb == "set" { setting(parameter, value, &flags)? } else { Operation::Nothing }
            }
            _ => bail!("unknown operation {verb} {parameter}"),
        };
        operations.push(operation);
    }
    Ok(operations)
}

fn setting(parameter: &str, value: &str, flags: &[&str]) -> Result<Operation> {
    Ok(match (parameter, value) {
        ("power", "0") => Operation::SetPower(false),
        ("power", "1") => Operation::SetPower(true),
        ("reset", _) => Operation::Reset,
        ("shutdown", _) => Operation::Shutdown,
        ("identify", _) => Operation::Nothing,
        ("boot", device) => Operation::SetBoot(Boot {
            device: Device::parse(device)?,
            efi: flags.contains(&"efi"),
            persistent: flags.contains(&"persistent"),
        }),
        _ => bail!("cannot set {parameter} to {value}"),
    })
}

impl Device {
    fn parse(word: &str) -> Result<Self> {
        Ok(match word {
            // A CD or the set-up screen: nothing of the kind is here, the firmware's own order counts.
            "none" | "cdrom" | "bios" => Self::None,
            "pxe" => Self::Pxe,
            "disk" | "default" => Self::Disk,
            _ => bail!("unknown boot device {word}"),
        })
    }

    fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Pxe => "pxe",
            Self::Disk => "default",
        }
    }
}

fn seconds() -> f64 {
    std::time::UNIX_EPOCH.elapsed().map_or(0.0, |since| since.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Vec<Operation>> {
        parse(&text.split(' ').map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn several_operations_in_one_call() {
        let pxe = Boot { device: Device::Pxe, efi: true, persistent: true };
        assert_eq!(
            parsed("set boot pxe efi persistent set identify 15 0 set power 1 get power").unwrap(),
            [Operation::SetBoot(pxe), Operation::Nothing, Operation::SetPower(true), Operation::GetPower]
        );
    }

    #[test]
    fn what_is_unknown_is_refused() {
        assert!(parsed("set power 2").is_err());
        assert!(parsed("set boot floppy").is_err());
        assert!(parsed("get").is_err());
        assert!(parsed("do power 1").is_err());
    }

    #[test]
    fn a_boot_device_counts_once_unless_it_is_persistent() {
        let folder = std::env::temp_dir().join(format!("rackwright-boot-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        write_boot(&folder, &Boot { device: Device::Disk, ..Boot::default() }).unwrap();
        assert_eq!(take_boot(&folder).unwrap(), BootOrder::DiskFirst);
        assert_eq!(take_boot(&folder).unwrap(), BootOrder::NetworkFirst);
        write_boot(&folder, &Boot { device: Device::Disk, persistent: true, efi: false }).unwrap();
        assert_eq!(take_boot(&folder).unwrap(), BootOrder::DiskFirst);
        assert_eq!(take_boot(&folder).unwrap(), BootOrder::DiskFirst);
        fs::remove_dir_all(&folder).unwrap();
    }
}
