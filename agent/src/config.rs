//! What the agent was started with: the kernel's command line, and options for starting it by hand.
//!
//! The command line is written by a rack: `rackwright.racks=ADDRESS:PORT,…`, `rackwright.token=…`,
//! `rackwright.machine=…` (absent for a machine nobody knows yet) and PXE's `BOOTIF=01-aa-bb-cc-dd-ee-ff`.

use crate::error::{Error, Result, io};
use rackwright_common::{Mac, MachineId, Secret};
use std::fs;
use std::path::{Path, PathBuf};

/// Settings of this boot.
#[derive(Debug, Clone)]
pub struct Config {
    /// `ADDRESS:PORT` of every rack, the preferred one first.
    pub racks: Vec<String>,
    /// Bearer token of this boot.
    pub token: Secret<String>,
    /// Who the machine is, when it is known.
    pub machine: Option<MachineId>,
    /// Interface that booted.
    pub boot_mac: Option<Mac>,
    /// Where `proc`, `sys` and `dev` are; `/` except in tests.
    pub root: PathBuf,
    /// Folder in memory for scripts and blobs.
    pub work: PathBuf,
    /// Print `reboot` or `poweroff` and end, instead of doing it.
    pub simulate_power: bool,
}

impl Config {
    /// From program arguments: `[--cmdline FILE] [--root DIR] [--work DIR] [--simulate-power]`.
    pub fn from_arguments(arguments: impl Iterator<Item = String>) -> Result<Self> {
        let mut cmdline = PathBuf::from("/proc/cmdline");
        let mut root = PathBuf::from("/");
        let mut work = PathBuf::from("/run/rackwright");
        let mut simulate_power = false;
        let mut arguments = arguments;
        while let Some(argument) = arguments.next() {
            let mut value = || {
                let missing = || Error::refused(format!("option {argument} needs a value"));
                arguments.next().map(PathBuf::from).ok_or_else(missing)
            };
            match argument.as_str() {
                "--cmdline" => cmdline = value()?,
                "--root" => root = value()?,
                "--work" => work = value()?,
                "--simulate-power" => simulate_power = true,
                other => return Err(Error::refused(format!("unknown option {other}"))),
            }
        }
        let text = fs::read_to_string(&cmdline).map_err(io("read", &cmdline))?;
        Ok(Self { root, work, simulate_power, ..Self::from_cmdline(&text)? })
    }

    /// From the text of a kernel command line.
    pub fn from_cmdline(text: &str) -> Result<Self> {
        let value = |name: &str| {
            text.split_ascii_whitespace()
                .filter_map(|word| word.split_once('='))
                .find(|(key, _)| *key == name)
                .map(|(_, v)| v)
        };
        let racks: Vec<String> = value("rackwright.racks")
            .unwrap_or_default()
            .split(',')
            .filter(|rack| !rack.is_empty())
            .map(str::to_owned)
            .collect();
        if racks.is_empty() {
            return Err(Error::refused("the kernel command line has no rackwright.racks=ADDRESS:PORT"));
        }
        Ok(Self {
            racks,
            token: Secret::new(value("rackwright.token").unwrap_or_default().to_owned()),
            machine: value("rackwright.machine").and_then(|id| id.parse().ok()),
            boot_mac: value("BOOTIF").and_then(boot_mac),
            root: PathBuf::from("/"),
            work: PathBuf::from("/run/rackwright"),
            simulate_power: false,
        })
    }

    /// Whether this is the machine itself and not a test's folder.
    pub fn is_real(&self) -> bool {
        self.root == Path::new("/")
    }
}

/// PXE writes the hardware type before the address; iPXE's scripts may leave it out.
fn boot_mac(text: &str) -> Option<Mac> {
    let address = if text.len() == 20 { text.get(3..)? } else { text };
    address.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_of_a_rack_is_read() {
        let config = Config::from_cmdline(
            "initrd=initrd console=ttyS0 rackwright.racks=10.77.0.1:5248,10.77.0.2:5248 rackwright.token=s3cret=x \
             rackwright.machine=abc123 BOOTIF=01-52-54-00-AA-bb-01\n",
        )
        .unwrap();
        assert_eq!(config.racks, ["10.77.0.1:5248", "10.77.0.2:5248"]);
        assert_eq!(config.token.expose(), "s3cret=x");
        assert_eq!(config.machine.unwrap().as_str(), "abc123");
        assert_eq!(config.boot_mac.unwrap().to_string(), "52:54:00:aa:bb:01");
    }

    #[test]
    fn a_stranger_has_no_machine_and_bootif_may_be_bare() {
        let config =
            Config::from_cmdline("rackwright.racks=r:1 BOOTIF=52:54:00:aa:bb:01 rackwright.machine=??")
                .unwrap();
        assert_eq!(config.machine, None);
        assert_eq!(config.boot_mac.unwrap().to_string(), "52:54:00:aa:bb:01");
    }

    #[test]
    fn without_racks_the_reason_is_said() {
        let error = Config::from_cmdline("quiet rackwright.racks=, root=/dev/vda1").unwrap_err();
        assert!(error.to_string().contains("rackwright.racks"), "{error}");
    }

    #[test]
    fn the_token_does_not_show() {
        let config = Config::from_cmdline("rackwright.racks=r:1 rackwright.token=hunter2").unwrap();
        assert!(!format!("{config:?}").contains("hunter2"));
    }
}
