//! `bench boot`: how long a machine takes from power-on to the agent's hello, to a stored inventory and to a deployed
//! system; beside the floor, which is the same machine with the same kernel and initial RAM disk served by dnsmasq and
//! nginx.
//!
//! What holds: two labs of the same plan, so that both machines have the same firmware, MAC and UUID; one machine is
//! on at a time; runs alternate (Rackwright, floor, Rackwright, …), so that noise of the box hits both alike. Both are
//! watched in the same way, on the wire. What is decided is a ratio of medians: absolute times are the box's.

mod capture;
mod deploy;
mod floor;
mod ours;
mod report;
mod stages;

use super::{program, runs};
use crate::arguments::Arguments;
use crate::demo::{Programs, images};
use crate::{build, setup};
use anyhow::{Context, Result, bail};
use deploy::Phases;
use floor::Floor;
use ours::Ours;
use rackwright_lab::interrupt::Interrupt;
use rackwright_lab::{Lab, LabPlan, MachineHandle, ns, poll, state};
use report::{Measured, Report};
use stages::Times;
use std::process::ExitCode;
use std::time::Duration;

const OURS: &str = "bncours";
const FLOOR: &str = "bncfloor";
/// Everything is emulated, and the box may be busy.
const LIMIT: Duration = Duration::from_secs(900);
/// Arguments for the environment's kernel that both servers give.
const KERNEL_ARGUMENTS: &str = "console=ttyS0 no_timer_check";

/// What was asked for.
struct Options {
    runs: usize,
    /// Machines of the demo's plan.
    machines: Vec<&'static str>,
    deploy: bool,
    program: Option<String>,
    ours: bool,
    floor: bool,
    json: bool,
}

/// One run.
pub struct Boot {
    /// When the stages were reached.
    pub stages: Times,
    /// How long the phases of a deployment took.
    pub deploy: Option<Phases>,
}

/// `bench boot [--runs N] [--firmware bios|uefi] [--skip-deploy] [--only ours|floor] [--program FILE]
/// [--json]`
pub fn run(arguments: Arguments) -> Result<ExitCode> {
    let options = options(arguments)?;
    setup::ensure_installed(setup::BENCH)?;
    let interrupt = Interrupt::listen()?;
    let programs = if options.ours { Some(build(options.program.clone(), &interrupt)?) } else { None };
    let report = measure(&options, programs.as_ref(), &interrupt)?;
    if options.json {
        eprint!("{}", report.table());
        println!("{}", serde_json::to_string(&report)?);
    } else {
        print!("{}", report.table());
    }
    Ok(if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Builds the programs, and the images where they are missing or stale.
fn build(given: Option<String>, interrupt: &Interrupt) -> Result<Programs> {
    let programs = Programs { agent: build::agent()?, rackwright: program(given)? };
    images::build(&programs, interrupt)?;
    Ok(programs)
}

fn options(mut arguments: Arguments) -> Result<Options> {
    let machines = match arguments.option("--firmware")?.as_deref() {
        None => vec!["bios-1", "uefi-1"],
        Some("bios") => vec!["bios-1"],
        Some("uefi") => vec!["uefi-1"],
        Some(other) => bail!("--firmware {other}: bios or uefi"),
    };
    let (ours, floor) = match arguments.option("--only")?.as_deref() {
        None => (true, true),
        Some("ours") => (true, false),
        Some("floor") => (false, true),
        Some(other) => bail!("--only {other}: ours or floor"),
    };
    let deploy = !arguments.flag("--skip-deploy");
    let (runs, json) = (runs(&mut arguments)?, arguments.flag("--json"));
    let program = arguments.option("--program")?;
    arguments.done()?;
    Ok(Options { runs, machines, deploy, program, ours, floor, json })
}

/// Without programs only the floor is measured, with the images that an earlier run has built.
fn measure(options: &Options, programs: Option<&Programs>, interrupt: &Interrupt) -> Result<Report> {
    let cache = state::root().join("cache");
    let our_lab = programs.map(|_| Lab::temporary(OURS, LabPlan::demo())).transpose()?;
    let floor_lab = options.floor.then(|| Lab::temporary(FLOOR, LabPlan::demo())).transpose()?;
    let our_place = our_lab.as_ref().map(|lab| Place { lab, interrupt });
    let floor_place = floor_lab.as_ref().map(|lab| Place { lab, interrupt });
    let ours = our_place.as_ref().zip(programs);
    let ours = ours.map(|(place, programs)| Ours::start(place, programs, &cache)).transpose()?;
    let floor = floor_place.as_ref().map(|place| Floor::start(place, &cache)).transpose()?;
    let mut report = Report::new(options.runs)?;
    for name in &options.machines {
        let mut measured = Measured::of(name);
        for run in 1..=options.runs {
            if let Some(ours) = &ours {
                measured.add_ours(told(name, run, "Rackwright", ours.boot(name, options.deploy)));
            }
            if let Some(floor) = &floor {
                measured.add_floor(told(name, run, "floor", floor.boot(name)));
            }
            interrupt.check()?;
        }
        report.machines.push(measured);
    }
    report.finish()?;
    Ok(report)
}

/// Says how a run went; a failed one is told in the report as well, and the others go on.
fn told(machine: &str, run: usize, who: &str, outcome: Result<Boot>) -> Result<Boot> {
    match &outcome {
        Ok(boot) => {
            let at = boot.stages.get(&stages::Stage::Hello).copied().unwrap_or(f64::NAN);
            eprintln!("{machine}, run {run}, {who}: hello after {at:.2} s");
        }
        Err(error) => eprintln!("{machine}, run {run}, {who}: FAILED: {error:#}"),
    }
    outcome
}

/// A lab with what is done to machines from outside.
pub struct Place<'a> {
    lab: &'a Lab,
    interrupt: &'a Interrupt,
}

impl Place<'_> {
    /// The machine's state as delivered: off, empty disk, empty variables.
    fn renew(&self, machine: &MachineHandle) -> Result<()> {
        machine.stop()?;
        machine.reset_nvram()?;
        machine.wipe_disk(0)
    }

    /// Powers on by the BMC, as a person would.
    fn power_on(&self, machine: &MachineHandle) -> Result<()> {
        ns::run(self.lab.ipmitool(&machine.plan().name)?.args(["chassis", "power", "on"]))
    }

    fn mac<'m>(&self, machine: &'m MachineHandle) -> Result<&'m str> {
        Ok(&machine.plan().nics.first().context("it has no interface")?.mac)
    }

    /// Looks until there is something; ends with Ctrl-C.
    fn until<T>(&self, what: &str, mut look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
        poll::until(LIMIT, what, || match self.interrupt.check() {
            Err(interrupted) => Ok(Some(Err(interrupted))),
            Ok(()) => Ok(look()?.map(Ok)),
        })?
    }
}
