//! BMCs: programs that play a management controller and switch a machine by the chassis program.
//!
//! What holds: each BMC has an address of its own (/32) on the bridge of VLAN `bmc` in the site namespace, and
//! runs there. Passwords are in files readable by their owner only, never in an argument.
//!
//! `ipmi_sim` as packaged knows cipher suites 0 to 3 only, does not answer Get Channel Cipher Suites, and passes
//! on neither the UEFI flag nor the persistent flag of a boot device.

use crate::machine::MachineHandle;
use crate::plan::{Bmc, BmcKind};
use crate::process::{self, ProcessId, SIGCONT, SIGSTOP};
use crate::qemu::Console;
use crate::state::{State, write_private};
use crate::{ns, poll};
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// One BMC of a lab.
#[derive(Debug)]
pub struct BmcHandle {
    namespace: String,
    folder: PathBuf,
    machine: MachineHandle,
    bmc: Bmc,
    chassis: PathBuf,
}

impl BmcHandle {
    /// The BMC of a machine; `None` when it has none.
    pub(crate) fn of(state: &State, machine: MachineHandle) -> Option<Self> {
        let bmc = machine.plan().bmc.clone()?;
        Some(Self {
            namespace: ns::name(state.prefix(), "site"),
            folder: state.bmc(&machine.plan().name),
            chassis: state.folder().join("chassis"),
            machine,
            bmc,
        })
    }

    /// Its part of the plan.
    #[must_use]
    pub fn plan(&self) -> &Bmc {
        &self.bmc
    }

    /// The process, when it runs.
    #[must_use]
    pub fn process(&self) -> Option<ProcessId> {
        ProcessId::recorded(&self.folder.join("pid"))
    }

    /// Starts the program; nothing happens when it runs.
    pub fn start(&self) -> Result<()> {
        if self.process().is_some() {
            return Ok(());
        }
        fs::create_dir_all(self.folder.join("state"))?;
        let command = match self.bmc.kind.clone() {
            BmcKind::IpmiSim { sol, .. } => self.ipmi_sim(sol)?,
            BmcKind::Program { program, args } => self.program(&program, &args)?,
        };
        let log = self.folder.join("log");
        let process = process::spawn_detached(&command, &self.folder.join("pid"), &log)?;
        let what = format!("the BMC at {} to listen", self.bmc.address);
        poll::until(Duration::from_secs(10), &what, || {
            if !process.is_alive() {
                return Ok(Some(Err(anyhow::anyhow!("the BMC ended at once: {}", process::tail(&log, 5)))));
            }
            if !self.is_bound()? {
                bail!("no socket on it");
            }
            Ok(Some(Ok(())))
        })?
    }

    /// Ends the program: the BMC is gone from the network. The machine keeps its power state.
    pub fn stop(&self) -> Result<()> {
        self.process().map_or(Ok(()), |process| process.stop(Duration::from_secs(2)))
    }

    /// Freezes the program: requests arrive and are not answered.
    pub fn freeze(&self) {
        if let Some(process) = self.process() {
            process.signal(SIGSTOP);
        }
    }

    /// Lets a frozen program go on.
    pub fn thaw(&self) {
        if let Some(process) = self.process() {
            process.signal(SIGCONT);
        }
    }

    /// Replaces the faults of a simulator that has been given `{faults}`, one a line; see
    /// `rackwright-bmc-sim --help`. Empty: none.
    pub fn set_faults(&self, faults: &str) -> Result<()> {
        fs::create_dir_all(&self.folder)?;
        write_private(&self.faults(), faults.as_bytes())
    }

    fn faults(&self) -> PathBuf {
        self.folder.join("faults")
    }

    /// Whether a socket of the site namespace is bound to the address.
    fn is_bound(&self) -> Result<bool> {
        let mut command = ns::command(&self.namespace, "ss");
        command.args(["-H", "-n", "-l", "-u", "-t", "src", &self.bmc.address.to_string()]);
        Ok(!ns::run_for_text(&mut command)?.trim().is_empty())
    }

    fn ipmi_sim(&self, sol: bool) -> Result<Command> {
        let (config, emulator) = (self.folder.join("lan.conf"), self.folder.join("sim.emu"));
        write_private(&config, self.lan_configuration(sol).as_bytes())?;
        fs::write(&emulator, EMULATOR)?;
        let mut command = ns::command(&self.namespace, "ipmi_sim");
        command.arg("-n").arg("-c").arg(config).arg("-f").arg(emulator);
        command.arg("-s").arg(self.folder.join("state"));
        Ok(command)
    }

    fn lan_configuration(&self, sol: bool) -> String {
        let machine = self.machine.plan();
        let levels = ["callback", "user", "operator", "admin"];
        let allowed = levels.map(|level| format!("  allowed_auths_{level} none md2 md5 straight\n")).concat();
        let mut text = format!(
            "name \"{}\"\nstartlan 1\n  addr {} 623\n  priv_limit admin\n{allowed}  guid {}\n",
            machine.name,
            self.bmc.address,
            machine.uuid.replace('-', "")
        );
        text += &format!("  lan_config_program \"{}\"\nendlan\n", self.called("lan-config"));
        text += &format!("chassis_control \"{}\"\n", self.called("chassis"));
        if let (true, Console::Tcp(port)) = (sol, self.machine.console()) {
            text += &format!("sol \"tcp:127.0.0.1:{port}\" 115200 history=16000\n");
        }
        if let Some(port) = self.machine.kcs_port() {
            text += &format!("serial kcs 127.0.0.1 {port} codec VM\n");
        }
        let (user, password) = (&self.bmc.user, &self.bmc.password.0);
        text + &format!("user 2 true \"{user}\" \"{password}\" admin 10 none md2 md5 straight\n")
    }

    fn program(&self, program: &Path, args: &[String]) -> Result<Command> {
        let secret = self.folder.join("password");
        write_private(&secret, self.bmc.password.0.as_bytes())?;
        if !self.faults().exists() {
            self.set_faults("")?;
        }
        let state = self.folder.join("state");
        let console = match self.machine.console() {
            Console::Unix(socket) => format!("unix:{}", socket.display()),
            Console::Tcp(port) => format!("tcp:127.0.0.1:{port}"),
        };
        let filled = |text: &String| {
            text.replace("{address}", &self.bmc.address.to_string())
                .replace("{user}", &self.bmc.user)
                .replace("{password_file}", &secret.to_string_lossy())
                .replace("{faults}", &self.faults().to_string_lossy())
                .replace("{console}", &console)
                .replace("{state}", &state.to_string_lossy())
                .replace("{chassis}", &self.called("chassis"))
                .replace("{chassis_program}", &self.chassis.to_string_lossy())
                .replace("{chassis_state}", &self.machine.folder().to_string_lossy())
                .replace("{uuid}", &self.machine.plan().uuid)
        };
        let program = program.to_str().context("path of the BMC program")?;
        let mut command = ns::command(&self.namespace, program);
        command.args(args.iter().map(filled));
        Ok(command)
    }

    /// The command line of a subcommand that acts on this machine.
    fn called(&self, subcommand: &str) -> String {
        format!("{} {subcommand} {}", self.chassis.display(), self.machine.folder().display())
    }
}

/// One management controller with an event log of 1,000 entries and stored sensor records.
const EMULATOR: &str = "\
mc_setbmc 0x20
mc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02 persist_sdr
sel_enable 0x20 1000 0x0a
mc_enable 0x20
";
