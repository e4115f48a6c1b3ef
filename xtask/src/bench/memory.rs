//! `bench memory`: resident memory of `rackwright region` and `rackwright rack`, each a process of its own, with so many
//! machines: after the rack has taken its snapshot and lists of all machines were read.
//!
//! What holds: the region starts on an empty database and brings the schema; machines are seeded as `bench api` does,
//! all of them at rest; the rack is enrolled with a token, as on a second box. Resident means `VmRSS`, shared pages
//! counted in full. MB are 10^6 bytes.

use super::{load, program};
use crate::arguments::Arguments;
use crate::http::Client;
use crate::postgres::Postgres;
use crate::{build, setup};
use anyhow::{Context, Result, ensure};
use rackwright_lab::interrupt::Interrupt;
use rackwright_lab::process::ProcessId;
use rackwright_lab::{Lab, LabPlan, forward, ns, poll, process};
use serde::Serialize;
use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

const PREFIX: &str = "bncmem";
/// The gateway of the seeded machines' subnet, which makes all of them the rack's.
const ADDRESS: &str = "10.64.255.254/16";
const REGION: &str = "127.0.0.1:5240";
const LIMIT: Duration = Duration::from_secs(120);
/// Lists of all machines that are read.
const LISTS: usize = 50;
/// Most resident memory, MB.
const REGION_GOAL: f64 = 100.0;
const RACK_GOAL: f64 = 60.0;

/// A process's memory, MB.
#[derive(Debug, Serialize)]
struct Memory {
    /// `VmRSS`.
    resident: f64,
    /// Shared pages counted in part (`Pss`).
    proportional: f64,
    /// The most it ever was (`VmHWM`).
    peak: f64,
    goal: f64,
    met: bool,
}

/// What was measured.
#[derive(Debug, Serialize)]
struct Report {
    machines: u32,
    region: Memory,
    rack: Memory,
    load: f64,
}

/// `bench memory [--machines N] [--program FILE] [--json]`
pub fn run(mut arguments: Arguments) -> Result<ExitCode> {
    let machines = arguments.option("--machines")?.unwrap_or_else(|| "1000".to_owned());
    let machines: u32 = machines.parse().with_context(|| format!("--machines {machines}"))?;
    let json = arguments.flag("--json");
    let given = arguments.option("--program")?;
    arguments.done()?;
    setup::ensure_installed(setup::BENCH)?;
    let program = program(given)?;
    let seed = build::seed()?;
    let interrupt = Interrupt::listen()?;
    let postgres = Postgres::start()?;
    let mut plan = LabPlan::with_machines(Vec::new());
    for nic in plan.hosts.iter_mut().flat_map(|host| &mut host.nics).filter(|nic| nic.name == "eth1") {
        nic.addresses = vec![ADDRESS.to_owned()];
    }
    let lab = Lab::temporary(PREFIX, plan)?;
    let site = Site { lab: &lab, program, seed: Some(seed), interrupt: &interrupt };
    let report = site.measure(&postgres.url("postgres"), machines)?;
    // The region lets go of the database first.
    drop(lab);
    print(&report, json)?;
    let met = report.region.met && report.rack.met;
    Ok(if met { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn print(report: &Report, json: bool) -> Result<()> {
    let row = |name: &str, memory: &Memory| {
        let verdict = if memory.met { "met" } else { "MISSED" };
        format!(
            "  {name:<8} {:>9.1} {:>13.1} {:>6.1} {:>6.0} {verdict}\n",
            memory.resident, memory.proportional, memory.peak, memory.goal
        )
    };
    let text = format!(
        "memory with {} machines, MB (load of the box {:.1})\n           resident  proportional   peak   goal\n{}{}",
        report.machines,
        report.load,
        row("region", &report.region),
        row("rack", &report.rack)
    );
    if json {
        eprint!("{text}");
        println!("{}", serde_json::to_string(report)?);
    } else {
        print!("{text}");
    }
    Ok(())
}

/// A region and a rack on the lab's controller.
pub(super) struct Site<'a> {
    pub(super) lab: &'a Lab,
    pub(super) program: PathBuf,
    /// `bench-seed`; without it the only network is the rack's own.
    pub(super) seed: Option<PathBuf>,
    pub(super) interrupt: &'a Interrupt,
}

/// A region and a rack that run.
pub(super) struct Running {
    region: ProcessId,
    pub(super) rack: ProcessId,
    api: Client,
}

impl Site<'_> {
    fn measure(&self, database: &str, machines: u32) -> Result<Report> {
        let running = self.start(database, machines)?;
        for _ in 0..LISTS {
            self.interrupt.check()?;
            let page = running.api.get("/api/v1/machines?limit=1000")?;
            let found = page["items"].as_array().map_or(0, Vec::len);
            ensure!(found == usize::try_from(machines.min(1000))?, "{found} machines were listed");
        }
        has_snapshot(&running.api)?;
        let memory = |process: &ProcessId, goal| Memory::of(process.pid(), goal);
        Ok(Report {
            machines,
            region: memory(&running.region, REGION_GOAL)?,
            rack: memory(&running.rack, RACK_GOAL)?,
            load: load()?,
        })
    }

    /// Starts both on an empty database and seeds so many machines; returns when the rack serves them.
    pub(super) fn start(&self, database: &str, machines: u32) -> Result<Running> {
        let region = self.start_region(database)?;
        let port = forward::spawn(0, &self.lab.namespace("ctl"), REGION.parse()?)?;
        let api = Client::new(port);
        self.until("the region to be ready", &region, "region", || {
            let answer = api.request("GET", "/readyz", None)?;
            ensure!(answer.status == 200, "/readyz says {}", answer.status);
            Ok(())
        })?;
        if let Some(seed) = &self.seed {
            ns::run(Command::new(seed).arg(machines.to_string()).env("DATABASE_URL", database))?;
        }
        let token = fs::read_to_string(self.folder("region").join("admin.token"))?;
        let api = api.with_token(&token);
        let rack = self.start_rack()?;
        self.until("the rack to run its newest snapshot", &rack, "rack", || has_snapshot(&api))?;
        Ok(Running { region, rack, api })
    }

    fn start_region(&self, database: &str) -> Result<ProcessId> {
        let data = self.folder("region");
        fs::create_dir_all(&data)?;
        let config = data.join("region.toml");
        let text = format!("name = \"region-1\"\ndata = {data:?}\ndatabase_url = \"{database}\"\n");
        fs::write(&config, text).with_context(|| config.display().to_string())?;
        let mut command = self.command();
        command.args(["region", "--config"]).arg(&config);
        self.lab.spawn("region", &command)
    }

    fn start_rack(&self) -> Result<ProcessId> {
        let data = self.folder("rack");
        fs::create_dir_all(&data)?;
        let config = data.join("rack.toml");
        let mut command = self.command();
        command.args(["rack", "token", "rack-1"]).env("RACKWRIGHT_URL", format!("http://{REGION}"));
        command.env("RACKWRIGHT_TOKEN_FILE", self.folder("region").join("admin.token"));
        let token = ns::run_for_text(&mut command)?;
        let mut enroll = self.command();
        enroll.args(["rack", "enroll", "-", "--interface", "eth1", "--data"]).arg(&data);
        enroll.arg("--config").arg(&config).stdin(Stdio::piped()).stdout(Stdio::null());
        let mut enrolling = enroll.spawn().context("rackwright rack enroll")?;
        enrolling.stdin.take().context("no standard input")?.write_all(token.as_bytes())?;
        let status = enrolling.wait()?;
        ensure!(status.success(), "rackwright rack enroll: {status}");
        let mut command = self.command();
        // As its peers in `bench net`, it writes no line for each message.
        command.args(["rack", "--config"]).arg(&config).env("RUST_LOG", "warn");
        self.lab.spawn("rack", &command)
    }

    fn until(
        &self,
        what: &str,
        running: &ProcessId,
        name: &str,
        look: impl Fn() -> Result<()>,
    ) -> Result<()> {
        poll::until(LIMIT, what, || {
            if let Err(interrupted) = self.interrupt.check() {
                return Ok(Some(Err(interrupted)));
            }
            if !running.is_alive() {
                let said = process::tail(&self.lab.process_log(name), 20);
                return Ok(Some(Err(anyhow::anyhow!("{name} ended:\n{said}"))));
            }
            look().map(|()| Some(Ok(())))
        })?
    }

    /// `rackwright` on the controller.
    fn command(&self) -> Command {
        self.lab.exec("ctl", &self.program.to_string_lossy())
    }

    fn folder(&self, name: &str) -> PathBuf {
        self.lab.state().data().join(name)
    }
}

/// An error unless the rack is connected and runs the newest snapshot there is.
fn has_snapshot(api: &Client) -> Result<()> {
    let racks = api.get("/api/v1/racks")?;
    let rack = racks["items"].as_array().and_then(|racks| racks.first()).context("no rack yet")?;
    let number = |key: &str| rack[key].as_i64().unwrap_or(0);
    let there =
        rack["connected"] == true && number("running") > 0 && number("running") == number("generation");
    ensure!(there, "{rack}");
    Ok(())
}

impl Memory {
    fn of(pid: i32, goal: f64) -> Result<Self> {
        let read = |file: &str| {
            let path = format!("/proc/{pid}/{file}");
            fs::read_to_string(&path).context(path)
        };
        let (status, rollup) = (read("status")?, read("smaps_rollup")?);
        let resident = megabytes(&status, "VmRSS:")?;
        let (proportional, peak) = (megabytes(&rollup, "Pss:")?, megabytes(&status, "VmHWM:")?);
        Ok(Self { resident, proportional, peak, goal, met: resident <= goal })
    }
}

/// A line such as `VmRSS:   1234 kB`, where kB are KiB.
fn megabytes(text: &str, key: &str) -> Result<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key)).with_context(|| format!("no {key}"))?;
    let kib: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kib * 1024.0 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kibibytes_become_megabytes() {
        assert_eq!(megabytes("Name:\tx\nVmRSS:\t  125000 kB\n", "VmRSS:").unwrap(), 128.0);
        assert!(megabytes("Name:\tx\n", "VmRSS:").is_err());
    }

    #[test]
    fn a_process_that_takes_more_than_its_goal_misses_it() {
        let pid = std::process::id().cast_signed();
        let memory = Memory::of(pid, 0.1).unwrap();
        assert!(!memory.met && memory.resident > 0.1 && memory.peak >= memory.resident);
        assert!(Memory::of(pid, 100_000.0).unwrap().met);
    }
}
