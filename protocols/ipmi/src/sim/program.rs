//! A machine switched by a program, called the way OpenIPMI's simulator calls its `chassis_control`:
//! `PROG … get power`, `PROG … set power 0|1`, `PROG … set reset 1`, `PROG … set shutdown 1`,
//! `PROG … set boot pxe|disk|cdrom|bios|none [efi] [persistent]`. `get power` prints `power:1` or `power:0`.

use std::ffi::OsString;
use std::process::{Command, Stdio};

use crate::command::boot::{BootFlags, Device};
use crate::server::{Chassis, ChassisFault};

/// The program and the arguments that come before the operation.
#[derive(Debug, Clone)]
pub struct ProgramChassis {
    program: OsString,
    arguments: Vec<OsString>,
}

impl ProgramChassis {
    /// A chassis program.
    pub fn new<A: Into<OsString>>(
        program: impl Into<OsString>,
        arguments: impl IntoIterator<Item = A>,
    ) -> Self {
        Self { program: program.into(), arguments: arguments.into_iter().map(Into::into).collect() }
    }

    fn command(&self, operation: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).args(operation).stdin(Stdio::null());
        command
    }

    fn set(&self, operation: &[&str]) -> Result<(), ChassisFault> {
        // Not captured: the machine it starts may keep the output open.
        let status = self
            .command(operation)
            .stdout(Stdio::null())
            .status()
            .map_err(|error| ChassisFault(error.to_string()))?;
        if status.success() {
            Ok(())
        } else {
            Err(ChassisFault(format!("{}: {status}", operation.join(" "))))
        }
    }
}

impl Chassis for ProgramChassis {
    fn power(&mut self) -> Result<bool, ChassisFault> {
        let output = self
            .command(&["get", "power"])
            .stderr(Stdio::inherit())
            .output()
            .map_err(|error| ChassisFault(error.to_string()))?;
        let said = String::from_utf8_lossy(&output.stdout);
        let value = said.lines().find_map(|line| line.trim().strip_prefix("power:"));
        match value {
            Some("1") => Ok(true),
            Some("0") => Ok(false),
            _ => Err(ChassisFault(format!("get power: {}, said {:?}", output.status, said.trim()))),
        }
    }

    fn set_power(&mut self, on: bool) -> Result<(), ChassisFault> {
        self.set(&["set", "power", if on { "1" } else { "0" }])
    }

    fn reset(&mut self) -> Result<(), ChassisFault> {
        self.set(&["set", "reset", "1"])
    }

    fn shutdown(&mut self) -> Result<(), ChassisFault> {
        self.set(&["set", "shutdown", "1"])
    }

    fn set_boot(&mut self, flags: BootFlags) -> Result<(), ChassisFault> {
        let device = match flags.device {
            _ if !flags.valid => "none",
            Device::NoOverride => "none",
            Device::Pxe => "pxe",
            Device::Disk => "disk",
            Device::Cd => "cdrom",
            Device::BiosSetup => "bios",
            // The machine knows no such device; the flags are kept all the same, as a real BMC would.
            Device::Other(_) => return Ok(()),
        };
        let mut operation = vec!["set", "boot", device];
        if flags.valid && flags.efi {
            operation.push("efi");
        }
        if flags.valid && flags.persistent {
            operation.push("persistent");
        }
        self.set(&operation)
    }
}
