//! A machine that can be switched on and off.
//!
//! What holds: everything needed to start a machine is in its own folder (`machine.json`), so the chassis
//! program of a BMC can do it without the process that made the lab.

use crate::plan::{BmcKind, Machine};
use crate::process::{self, ProcessId};
use crate::qemu::{self, BootOrder, Console, Wiring};
use crate::qmp::Qmp;
use crate::state::State;
use crate::{ns, poll};
use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// What a machine's folder says about it.
#[derive(Debug, Serialize, Deserialize)]
struct Description {
    machine: Machine,
    namespace: String,
    /// Number in the plan; ports and taps follow from it.
    number: u16,
    serial_log: PathBuf,
    sockets: PathBuf,
}

/// One machine of a lab.
#[derive(Debug)]
pub struct MachineHandle {
    folder: PathBuf,
    description: Description,
}

impl MachineHandle {
    /// Writes the folder of a machine: description, empty disks, fresh firmware variables.
    pub(crate) fn make(state: &State, number: usize, machine: &Machine) -> Result<Self> {
        let description = Description {
            machine: machine.clone(),
            namespace: ns::name(state.prefix(), "site"),
            number: u16::try_from(number).context("too many machines")?,
            serial_log: state.serial_log(&machine.name),
            sockets: state.sockets(),
        };
        let folder = state.machine(&machine.name);
        fs::create_dir_all(&folder)?;
        crate::state::write_private(&folder.join("machine.json"), &serde_json::to_vec_pretty(&description)?)?;
        let handle = Self { folder, description };
        handle.reset_nvram()?;
        for at in 0..machine.disks.len() {
            handle.wipe_disk(at)?;
        }
        Ok(handle)
    }

    /// The machine of this folder.
    pub fn open(folder: &Path) -> Result<Self> {
        let file = folder.join("machine.json");
        let text = fs::read(&file).with_context(|| format!("no machine at {}", folder.display()))?;
        let description = serde_json::from_slice(&text).with_context(|| file.display().to_string())?;
        Ok(Self { folder: folder.to_owned(), description })
    }

    /// Its part of the plan.
    #[must_use]
    pub fn plan(&self) -> &Machine {
        &self.description.machine
    }

    /// Its folder, which is the argument of the chassis program.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Image of the disk at this place in the plan, qcow2.
    #[must_use]
    pub fn disk_image(&self, at: usize) -> PathBuf {
        self.folder.join(format!("disk{at}.qcow2"))
    }

    /// What it wrote to its serial port so far, over all its boots.
    #[must_use]
    pub fn serial(&self) -> String {
        let bytes = fs::read(&self.description.serial_log).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The file of [`Self::serial`].
    #[must_use]
    pub fn serial_log(&self) -> &Path {
        &self.description.serial_log
    }

    /// Waits until the serial log, from byte `since` on, holds `text`; the error shows its last lines.
    pub fn wait_for_serial(&self, text: &str, since: usize, limit: Duration) -> Result<()> {
        let what = format!("{text:?} on the console of {}", self.plan().name);
        poll::until(limit, &what, || {
            let log = fs::read(&self.description.serial_log).unwrap_or_default();
            let new = log.get(since..).unwrap_or_default();
            if new.windows(text.len()).any(|window| window == text.as_bytes()) {
                return Ok(Some(()));
            }
            bail!("{}", process::tail(&self.description.serial_log, 5))
        })
    }

    /// The tap of the interface at this place in the plan, in the site namespace.
    #[must_use]
    pub fn tap(&self, at: usize) -> String {
        tap(self.description.number, at)
    }

    /// The QEMU process, when the machine is on.
    #[must_use]
    pub fn process(&self) -> Option<ProcessId> {
        ProcessId::recorded(&self.power_record())
    }

    /// The record of the QEMU process: a file that is written in the moment of power-on.
    #[must_use]
    pub fn power_record(&self) -> PathBuf {
        self.folder.join("qemu.pid")
    }

    /// Whether it is on.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.process().is_some()
    }

    /// Switches it on; nothing happens when it is on. `first` is the order of the first boot, later ones try
    /// the network first.
    pub fn start(&self, first: BootOrder) -> Result<()> {
        if self.is_on() {
            return Ok(());
        }
        let wiring = self.wiring();
        let arguments = qemu::arguments(self.plan(), &wiring, first);
        let mut command = ns::command(&self.description.namespace, qemu::PROGRAM);
        command.args(arguments);
        let log = self.folder.join("qemu.log");
        let process = process::spawn_detached(&command, &self.power_record(), &log)?;
        let mut qmp =
            poll::until(Duration::from_secs(20), &format!("QEMU of {}", self.plan().name), || {
                // Without the process there is nothing to wait for: the log says why.
                if !process.is_alive() {
                    return Ok(Some(Err(anyhow::anyhow!("QEMU ended at once: {}", process::tail(&log, 5)))));
                }
                Ok(Some(Ok(Qmp::connect(&wiring.qmp)?)))
            })??;
        if first != BootOrder::NetworkFirst {
            self.set_order(&mut qmp, BootOrder::NetworkFirst)?;
        }
        Ok(())
    }

    /// Switches it off as if the button were held; nothing happens when it is off.
    pub fn stop(&self) -> Result<()> {
        match self.process() {
            // QEMU writes its images' tables when it is asked to end; the guest notices nothing of that.
            Some(process) => process.stop(Duration::from_secs(5)),
            None => Ok(()),
        }
    }

    /// Resets it, as the reset line does. `first` is the order of the next boot. An error when it is off.
    pub fn reset(&self, first: BootOrder) -> Result<()> {
        let mut qmp = self.qmp()?;
        self.set_order(&mut qmp, first)?;
        qmp.reset()?;
        self.set_order(&mut qmp, BootOrder::NetworkFirst)
    }

    /// Presses the power button: the guest may shut down.
    pub fn press_power_button(&self) -> Result<()> {
        self.qmp()?.call("system_powerdown", json!({})).map(drop)
    }

    /// Plugs or unplugs the cable of an interface; the guest sees its link go.
    pub fn set_link(&self, nic: usize, up: bool) -> Result<()> {
        self.qmp()?.call("set_link", json!({ "name": format!("nic{nic}"), "up": up })).map(drop)
    }

    /// A QMP session; an error when the machine is off.
    pub fn qmp(&self) -> Result<Qmp> {
        ensure!(self.is_on(), "{} is off", self.plan().name);
        Qmp::connect(&self.socket("qmp"))
    }

    /// Forgets the firmware's variables. The machine has to be off.
    pub fn reset_nvram(&self) -> Result<()> {
        if let Some((_, variables)) = qemu::firmware_files(self.plan().firmware) {
            let copied = fs::copy(variables, self.nvram());
            copied.with_context(|| format!("{} (package ovmf)", variables.display()))?;
        }
        Ok(())
    }

    /// Replaces a disk by an empty one. The machine has to be off.
    pub fn wipe_disk(&self, at: usize) -> Result<()> {
        let disk = self.plan().disks.get(at).context("no such disk")?;
        let mut command = Command::new("qemu-img");
        command.args(["create", "-q", "-f", "qcow2"]).arg(self.disk_image(at)).arg(format!("{}G", disk.gib));
        ns::run(&mut command)
    }

    /// Where the console is served.
    #[must_use]
    pub fn console(&self) -> Console {
        match self.plan().bmc.as_ref().map(|bmc| &bmc.kind) {
            Some(BmcKind::IpmiSim { sol: true, .. }) => Console::Tcp(sol_port(self.description.number)),
            _ => Console::Unix(self.socket("con")),
        }
    }

    /// TCP port of 127.0.0.1 in the site namespace on which the BMC offers the KCS interface.
    #[must_use]
    pub fn kcs_port(&self) -> Option<u16> {
        match self.plan().bmc.as_ref().map(|bmc| &bmc.kind) {
            Some(BmcKind::IpmiSim { in_band: true, .. }) => Some(9600 + self.description.number),
            _ => None,
        }
    }

    /// The order of boot devices from the guest's next reset on. QEMU refuses an index that any device has,
    /// the same device included, so all of them go above what is in use.
    fn set_order(&self, qmp: &mut Qmp, order: BootOrder) -> Result<()> {
        let path = |id: &str| format!("/machine/peripheral/{id}");
        let mut highest = 0;
        for (id, _) in qemu::indexes(self.plan(), order, 0) {
            let index = qmp.call("qom-get", json!({ "path": path(&id), "property": "bootindex" }))?;
            highest = highest.max(index.as_u64().unwrap_or(0));
        }
        let base = usize::try_from(highest)? + 1;
        for (id, index) in qemu::indexes(self.plan(), order, base) {
            qmp.call("qom-set", json!({ "path": path(&id), "property": "bootindex", "value": index }))?;
        }
        Ok(())
    }

    fn wiring(&self) -> Wiring {
        let machine = self.plan();
        Wiring {
            disks: (0..machine.disks.len()).map(|at| self.disk_image(at)).collect(),
            taps: (0..machine.nics.len()).map(|at| self.tap(at)).collect(),
            nvram: self.nvram(),
            qmp: self.socket("qmp"),
            console: self.console(),
            serial_log: self.description.serial_log.clone(),
            kcs_port: self.kcs_port(),
        }
    }

    fn socket(&self, kind: &str) -> PathBuf {
        self.description.sockets.join(format!("{}.{kind}", self.description.machine.name))
    }

    fn nvram(&self) -> PathBuf {
        self.folder.join("nvram.fd")
    }
}

/// Name of a tap; taps live in the site namespace of their lab only.
pub(crate) fn tap(machine: u16, nic: usize) -> String {
    format!("tap{machine}n{nic}")
}

fn sol_port(number: u16) -> u16 {
    9100 + number
}
