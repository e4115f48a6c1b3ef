//! Making, finding and removing a lab.

use crate::bmc::BmcHandle;
use crate::machine::{self, MachineHandle};
use crate::plan::{BMC_VLAN, HostNic, LabPlan};
use crate::process::{self, ProcessId};
use crate::state::State;
use crate::status::Status;
use crate::{chassis, ns};
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// How long a program on a host gets to end by itself.
const PATIENCE: Duration = Duration::from_secs(5);

/// A lab that exists. Dropping this value leaves the lab as it is; see [`Lab::temporary`] for the other way.
#[derive(Debug)]
pub struct Lab {
    state: State,
    plan: LabPlan,
}

/// A lab that is removed when this value is dropped, after a panic too. Its serial logs are then kept in
/// `.lab/failed-<prefix>/`.
#[derive(Debug)]
pub struct TemporaryLab(Lab);

impl Lab {
    /// Makes a lab: namespaces, bridges, taps, disks, BMCs; every machine is off. What an earlier lab of this
    /// prefix left behind is removed first. On an error nothing remains.
    pub fn create(prefix: &str, plan: LabPlan) -> Result<Self> {
        plan.check()?;
        let state = State::of(prefix)?;
        Self::destroy(prefix).context("removing an earlier lab of this name")?;
        let lab = Self { state, plan };
        match lab.build() {
            Ok(()) => Ok(lab),
            Err(error) => match Self::destroy(prefix) {
                Ok(()) => Err(error),
                Err(second) => Err(error.context(format!("and it could not be removed: {second:#}"))),
            },
        }
    }

    /// The same, removed when the value is dropped.
    pub fn temporary(prefix: &str, plan: LabPlan) -> Result<TemporaryLab> {
        Self::create(prefix, plan).map(TemporaryLab)
    }

    /// The lab of this prefix; an error when there is none.
    pub fn open(prefix: &str) -> Result<Self> {
        let state = State::of(prefix)?;
        match state.read_plan()? {
            Some(plan) => Ok(Self { state, plan }),
            None => bail!("there is no lab {prefix:?}; `cargo xtask lab up` makes one"),
        }
    }

    /// Whether there is a lab of this prefix.
    pub fn exists(prefix: &str) -> Result<bool> {
        Ok(State::of(prefix)?.read_plan()?.is_some())
    }

    /// Removes everything of this prefix: processes, namespaces with their links, sockets, files. Works on
    /// whatever is left of a lab; nothing to remove is no error.
    pub fn destroy(prefix: &str) -> Result<()> {
        let state = State::of(prefix)?;
        for process in recorded_machines(&state)? {
            process.signal(process::SIGKILL);
        }
        stop_programs(&state)?;
        for namespace in ns::list(prefix)? {
            ns::remove(&namespace)?;
        }
        state.remove()
    }

    /// What of a lab exists and runs.
    pub fn status(prefix: &str) -> Result<Status> {
        Status::of(&State::of(prefix)?)
    }

    /// Its plan.
    #[must_use]
    pub fn plan(&self) -> &LabPlan {
        &self.plan
    }

    /// Its folders.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Namespace of a host, or of `site`.
    #[must_use]
    pub fn namespace(&self, host: &str) -> String {
        ns::name(self.state.prefix(), host)
    }

    /// A command that runs on a host: arguments and standard streams are the caller's.
    #[must_use]
    pub fn exec(&self, host: &str, program: &str) -> Command {
        ns::command(&self.namespace(host), program)
    }

    /// Starts a program on a host that goes on after this process. It is known by `name`: its record and its
    /// output are `processes/<name>.pid` and `processes/<name>.log` in the lab's folder.
    pub fn spawn(&self, name: &str, command: &Command) -> Result<ProcessId> {
        process::spawn_detached(command, &self.process_record(name), &self.process_log(name))
    }

    /// A program that [`Self::spawn`] started, if it still runs.
    #[must_use]
    pub fn process(&self, name: &str) -> Option<ProcessId> {
        ProcessId::recorded(&self.process_record(name))
    }

    /// The record of a program that [`Self::spawn`] started; it is written in the moment before the program is
    /// executed.
    #[must_use]
    pub fn process_record(&self, name: &str) -> PathBuf {
        self.state.processes().join(format!("{name}.pid"))
    }

    /// Output of a program that [`Self::spawn`] started.
    #[must_use]
    pub fn process_log(&self, name: &str) -> PathBuf {
        self.state.processes().join(format!("{name}.log"))
    }

    /// A machine.
    pub fn machine(&self, name: &str) -> Result<MachineHandle> {
        MachineHandle::open(&self.state.machine(name))
    }

    /// A machine's BMC; an error when it has none.
    pub fn bmc(&self, machine: &str) -> Result<BmcHandle> {
        let handle = self.machine(machine)?;
        BmcHandle::of(&self.state, handle).with_context(|| format!("{machine} has no BMC"))
    }

    /// `ipmitool` on the host `ctl` against a machine's BMC, by cipher suite 3; arguments follow. It waits 5 s
    /// for a reply: `ipmi_sim` carries out a repeated request twice, which undoes a one-shot boot device.
    pub fn ipmitool(&self, machine: &str) -> Result<Command> {
        let bmc = self.bmc(machine)?;
        let mut command = self.exec("ctl", "ipmitool");
        command.args(["-I", "lanplus", "-C", "3", "-N", "5", "-H", &bmc.plan().address.to_string()]);
        command.args(["-U", &bmc.plan().user, "-E"]).env("IPMI_PASSWORD", &bmc.plan().password.0);
        Ok(command)
    }

    /// Cuts or restores the cable of a host's interface: the end at the bridge goes down.
    pub fn set_host_link(&self, host: &str, nic: &str, up: bool) -> Result<()> {
        let number = self.plan.hosts.iter().position(|known| known.name == host).context("no such host")?;
        let at = self.plan.hosts[number].nics.iter().position(|known| known.name == nic);
        let end = host_end(number, at.context("no such interface")?);
        let state = if up { "up" } else { "down" };
        ns::batch(&self.namespace("site"), &[format!("link set {end} {state}")])
    }

    /// Copies what tells the lab's story to `.lab/failed-<prefix>/`: consoles, programs on hosts, chassis, BMCs.
    pub fn keep_logs(&self) -> Result<()> {
        keep_logs(&self.state)
    }

    fn build(&self) -> Result<()> {
        self.state.make()?;
        self.state.write_plan(&self.plan)?;
        fs::copy(chassis::find_program()?, self.state.folder().join("chassis"))
            .context("the chassis program")?;
        self.build_networks()?;
        for (number, machine) in self.plan.machines.iter().enumerate() {
            let handle = MachineHandle::make(&self.state, number, machine)?;
            if let Some(bmc) = BmcHandle::of(&self.state, handle) {
                bmc.start().with_context(|| format!("the BMC of {}", machine.name))?;
            }
        }
        Ok(())
    }

    fn build_networks(&self) -> Result<()> {
        let site = self.namespace("site");
        ns::add(&site)?;
        for host in &self.plan.hosts {
            ns::add(&self.namespace(&host.name))?;
        }
        ns::batch(&site, &self.site_links())?;
        for host in &self.plan.hosts {
            let lines: Vec<_> = host.nics.iter().flat_map(host_lines).collect();
            ns::batch(&self.namespace(&host.name), &lines)?;
        }
        Ok(())
    }

    /// `ip` commands for the site: a bridge per VLAN, a veth per host interface, a tap per machine interface,
    /// an address per BMC. Nothing in the site speaks IPv6: its links have no link-local address.
    fn site_links(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for vlan in &self.plan.vlans {
            lines
                .push(format!("link add br-{vlan} type bridge stp_state 0 forward_delay 0 mcast_snooping 0"));
            lines.push(format!("link set br-{vlan} addrgenmode none up"));
        }
        for (number, host) in self.plan.hosts.iter().enumerate() {
            for (at, nic) in host.nics.iter().enumerate() {
                let (end, namespace) = (host_end(number, at), self.namespace(&host.name));
                lines.push(format!("link add {end} type veth peer name {} netns {namespace}", nic.name));
                lines.push(format!("link set {end} addrgenmode none master br-{} up", nic.vlan));
            }
        }
        for (number, plan) in (0..).zip(&self.plan.machines) {
            for (at, nic) in plan.nics.iter().enumerate() {
                let tap = machine::tap(number, at);
                lines.push(format!("tuntap add {tap} mode tap"));
                lines.push(format!("link set {tap} addrgenmode none master br-{} up", nic.vlan));
            }
            if let Some(bmc) = &plan.bmc {
                lines.push(format!("address add {}/32 dev br-{BMC_VLAN}", bmc.address));
            }
        }
        if let Some(network) = self.bmc_network() {
            lines.push(format!("route add {network} dev br-{BMC_VLAN}"));
        }
        lines
    }

    /// The IPv4 network of the first host interface on the VLAN of the BMCs: they answer to all of it.
    fn bmc_network(&self) -> Option<String> {
        let mut nics = self.plan.hosts.iter().flat_map(|host| &host.nics);
        let nic = nics.find(|nic| nic.vlan == BMC_VLAN)?;
        let address = nic.addresses.iter().find(|address| address.contains('.'))?;
        let (address, length) = address.split_once('/')?;
        let address: std::net::Ipv4Addr = address.parse().ok()?;
        let mask = u32::MAX.checked_shl(32 - length.parse::<u32>().ok()?).unwrap_or(0);
        Some(format!("{}/{length}", std::net::Ipv4Addr::from(u32::from(address) & mask)))
    }
}

impl std::ops::Deref for TemporaryLab {
    type Target = Lab;
    fn deref(&self) -> &Lab {
        &self.0
    }
}

impl Drop for TemporaryLab {
    fn drop(&mut self) {
        let prefix = self.0.state.prefix();
        if std::thread::panicking()
            && let Err(error) = keep_logs(&self.0.state)
        {
            eprintln!("lab {prefix}: the logs were not kept: {error:#}");
        }
        if let Err(error) = Lab::destroy(prefix) {
            eprintln!("lab {prefix} was not removed: {error:#}");
        }
    }
}

/// The end of a host's cable in the site namespace.
fn host_end(host: usize, nic: usize) -> String {
    format!("host{host}n{nic}")
}

fn host_lines(nic: &HostNic) -> Vec<String> {
    let address = |address: &String| {
        let nodad = if address.contains(':') { " nodad" } else { "" };
        format!("address add {address} dev {}{nodad}", nic.name)
    };
    let mut lines: Vec<_> = nic.addresses.iter().map(address).collect();
    lines.push(format!("link set {} up", nic.name));
    lines
}

/// Machines and BMCs that run.
fn recorded_machines(state: &State) -> Result<Vec<ProcessId>> {
    let mut records = Vec::new();
    for folder in ["bmc", "machines"] {
        for entry in entries(&state.folder().join(folder))? {
            records.push(entry.join("pid"));
            records.push(entry.join("qemu.pid"));
        }
    }
    Ok(records.iter().filter_map(|record| ProcessId::recorded(record)).collect())
}

/// Ends the programs on hosts, all at once: a database that is asked gives its shared memory back.
fn stop_programs(state: &State) -> Result<()> {
    let records = entries(&state.processes())?;
    let running: Vec<_> = records.iter().filter_map(|record| ProcessId::recorded(record)).collect();
    for process in &running {
        process.signal(process::SIGCONT);
        process.signal(process::SIGTERM);
    }
    running.iter().try_for_each(|process| process.stop(PATIENCE))
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    match fs::read_dir(folder) {
        Ok(entries) => Ok(entries.collect::<Result<Vec<_>, _>>()?.iter().map(fs::DirEntry::path).collect()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error).with_context(|| folder.display().to_string()),
    }
}

/// Copies what tells a failed test's story: consoles, programs on hosts, chassis, QEMU, BMCs.
fn keep_logs(state: &State) -> Result<()> {
    let kept = crate::state::root().join(format!("failed-{}", state.prefix()));
    fs::create_dir_all(&kept)?;
    for folder in [state.folder().join("serial"), state.processes()] {
        for file in entries(&folder)? {
            keep(&file, &kept, "")?;
        }
    }
    for machine in entries(&state.folder().join("machines"))? {
        let name = machine.file_name().unwrap_or_default().to_string_lossy().into_owned();
        keep(&machine.join("chassis.log"), &kept, &format!("{name}-"))?;
        keep(&machine.join("qemu.log"), &kept, &format!("{name}-"))?;
        keep(&state.bmc(&name).join("log"), &kept, &format!("{name}-bmc-"))?;
    }
    eprintln!("lab {}: logs are in {}", state.prefix(), kept.display());
    Ok(())
}

fn keep(file: &Path, folder: &Path, before: &str) -> Result<()> {
    if let (Some(name), true) = (file.file_name(), file.is_file()) {
        fs::copy(file, folder.join(format!("{before}{}", name.to_string_lossy())))?;
    }
    Ok(())
}
