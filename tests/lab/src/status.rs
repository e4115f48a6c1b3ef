//! What of a lab exists and runs.

use crate::machine::MachineHandle;
use crate::ns;
use crate::process::ProcessId;
use crate::state::State;
use anyhow::Result;
use serde::Serialize;

/// A look at a lab.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// Whether its plan exists.
    pub exists: bool,
    /// Namespaces that exist.
    pub namespaces: Vec<String>,
    /// Its machines.
    pub machines: Vec<MachineStatus>,
    /// Programs on hosts that run.
    pub processes: Vec<ProcessStatus>,
}

/// One machine.
#[derive(Clone, Debug, Serialize)]
pub struct MachineStatus {
    /// Its name.
    pub name: String,
    /// Whether it is on.
    pub on: bool,
    /// Address of its BMC.
    pub bmc: Option<String>,
    /// Whether the BMC's program runs.
    pub bmc_runs: bool,
    /// First MAC address.
    pub mac: Option<String>,
    /// Where its console is kept.
    pub serial_log: String,
}

/// One program.
#[derive(Clone, Debug, Serialize)]
pub struct ProcessStatus {
    /// Name of its record.
    pub name: String,
    /// Its pid.
    pub pid: i32,
}

impl Status {
    pub(crate) fn of(state: &State) -> Result<Self> {
        let plan = state.read_plan()?;
        let machines = plan.iter().flat_map(|plan| &plan.machines).map(|machine| {
            let handle = MachineHandle::open(&state.machine(&machine.name));
            MachineStatus {
                name: machine.name.clone(),
                on: handle.is_ok_and(|handle| handle.is_on()),
                bmc: machine.bmc.as_ref().map(|bmc| bmc.address.to_string()),
                bmc_runs: ProcessId::recorded(&state.bmc(&machine.name).join("pid")).is_some(),
                mac: machine.nics.first().map(|nic| nic.mac.clone()),
                serial_log: state.serial_log(&machine.name).display().to_string(),
            }
        });
        Ok(Self {
            exists: plan.is_some(),
            machines: machines.collect(),
            namespaces: ns::list(state.prefix())?,
            processes: processes(state),
        })
    }
}

fn processes(state: &State) -> Vec<ProcessStatus> {
    let Ok(entries) = std::fs::read_dir(state.processes()) else { return Vec::new() };
    let record = |entry: std::io::Result<std::fs::DirEntry>| {
        let path = entry.ok()?.path();
        let process = ProcessId::recorded(&path)?;
        let name = path.file_stem()?.to_string_lossy().into_owned();
        (path.extension()? == "pid").then(|| ProcessStatus { name, pid: process.pid() })
    };
    let mut found: Vec<_> = entries.filter_map(record).collect();
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}
