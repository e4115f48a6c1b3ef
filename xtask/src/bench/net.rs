//! `bench net`: a rack's DHCP and DNS beside Kea, dnsmasq, BIND and Knot, one after the other in one run, each on a host of
//! its own in the lab, the load from another one.
//!
//! What holds: all answer about the same: 20,000 clients whose addresses are fixed, each served again and again, and a zone of
//! 20,000 names. So many clients, because a rack listens to five messages a second of one. DHCP servers keep leases on disk as
//! they do by default. The rate of DHCP is the highest of a ladder at which less than 1 % of exchanges are lost, with one
//! processor for the server and one for the load; beside it stands what perfdhcp reaches when it shares them, which is what it
//! can do itself. That of DNS is what dnsperf reaches. Goals are ratios; what a server itself uses of a processor for an answer
//! is told beside its rate. Left out: addresses of strangers, which a region grants in blocks.

mod dhcp;
mod dns;
pub(super) mod exchanges;

use super::memory::Site;
use super::{load, processor_time, program};
use crate::arguments::Arguments;
use crate::packages::Need;
use crate::postgres::Postgres;
use crate::setup;
use anyhow::{Context, Result, bail, ensure};
use rackwright_lab::interrupt::Interrupt;
use rackwright_lab::plan::{BOOT_VLAN, Host, HostNic};
use rackwright_lab::process::ProcessId;
use rackwright_lab::{Lab, LabPlan, poll, process};
use serde::Serialize;
use std::process::{Command, ExitCode};
use std::time::Duration;

const PREFIX: &str = "bncnet";
/// The network that all are in.
const NETWORK: &str = "10.64.0.0/16";
/// Ours: region and rack.
const RACK: &str = "10.64.255.254";
/// Where the load comes from.
const LOAD: &str = "10.64.255.253";
/// Host and address of each peer.
const PEERS: [(&str, &str); 4] =
    [("kea", "10.64.255.1"), ("dnsmasq", "10.64.255.2"), ("bind", "10.64.255.3"), ("knot", "10.64.255.4")];
const LIMIT: Duration = Duration::from_secs(120);
/// Clients of DHCP, and names.
const CLIENTS: u32 = 20_000;
const NAMES: u32 = 20_000;

/// A rate beside those of the peers.
#[derive(Debug, Serialize)]
struct Row {
    what: &'static str,
    ours: Served,
    peers: Vec<Peer>,
}

/// How much a server did.
#[derive(Debug, Clone, Copy, Default, Serialize)]
struct Served {
    /// Answers or exchanges per second.
    rate: f64,
    /// Processor time of its process for each, microseconds.
    micros: f64,
}

/// A peer's rate, and how many times as fast ours has to be.
#[derive(Debug, Serialize)]
struct Peer {
    name: &'static str,
    served: Served,
    goal: Option<f64>,
}

impl Peer {
    fn ratio(&self, ours: f64) -> f64 {
        if self.served.rate > 0.0 { ours / self.served.rate } else { f64::INFINITY }
    }

    fn missed(&self, ours: f64) -> bool {
        self.goal.is_some_and(|goal| self.ratio(ours) < goal)
    }
}

/// What was measured.
#[derive(Debug, Serialize)]
struct Report {
    rows: Vec<Row>,
    load_before: f64,
}

/// `bench net [--only dhcp|dns] [--seconds N] [--program FILE] [--json]`
pub fn run(mut arguments: Arguments) -> Result<ExitCode> {
    let only = arguments.option("--only")?;
    if let Some(word) = only.as_deref().filter(|word| !["dhcp", "dns"].contains(word)) {
        bail!("--only {word}: dhcp or dns");
    }
    let seconds = arguments.option("--seconds")?.unwrap_or_else(|| "6".to_owned());
    let seconds: u32 = seconds.parse().with_context(|| format!("--seconds {seconds}"))?;
    let json = arguments.flag("--json");
    let given = arguments.option("--program")?;
    arguments.done()?;
    setup::ensure_installed(&[Need::Run, Need::Lab, Need::Test, Need::Bench])?;
    let program = program(given)?;
    let interrupt = Interrupt::listen()?;
    let load_before = load()?;
    let postgres = Postgres::start()?;
    let lab = Lab::temporary(PREFIX, plan())?;
    let site = Site { lab: &lab, program, seed: None, interrupt: &interrupt };
    let database = postgres.url("postgres");
    let running = site.start(&database, 0)?;
    let bench = Bench { lab: &lab, interrupt: &interrupt, rack: running.rack, seconds };
    let mut rows = Vec::new();
    let wanted = |word: &str| only.as_deref().is_none_or(|only| only == word);
    if wanted("dns") {
        rows.push(dns::measure(&bench, &database)?);
    }
    if wanted("dhcp") {
        rows.extend(dhcp::measure(&bench, &database)?);
    }
    // The region lets go of the database first.
    drop(lab);
    let report = Report { rows, load_before };
    print(&report, json)?;
    let missed = report.rows.iter().any(|row| row.peers.iter().any(|peer| peer.missed(row.ours.rate)));
    Ok(if missed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn plan() -> LabPlan {
    let host = |name: &str, address: &str| Host {
        name: name.to_owned(),
        nics: vec![HostNic {
            name: "eth1".to_owned(),
            vlan: BOOT_VLAN.to_owned(),
            addresses: vec![format!("{address}/16")],
        }],
    };
    let mut plan = LabPlan::with_machines(Vec::new());
    for nic in plan.hosts.iter_mut().flat_map(|host| &mut host.nics).filter(|nic| nic.name == "eth1") {
        nic.addresses = vec![format!("{RACK}/16")];
    }
    plan.hosts.push(host("load", LOAD));
    plan.hosts.extend(PEERS.iter().map(|(name, address)| host(name, address)));
    plan
}

fn print(report: &Report, json: bool) -> Result<()> {
    let mut text = format!("network services (load of the box before {:.1})\n", report.load_before);
    for row in &report.rows {
        let ours = row.ours;
        let line = |name: &str, served: Served| {
            format!("  {name:<10} {:>9.0}/s {:>7.1} µs of a processor each", served.rate, served.micros)
        };
        text.push_str(&format!("{}\n{}\n", row.what, line("rackwright", ours)));
        for peer in &row.peers {
            let goal = peer.goal.map_or_else(String::new, |goal| {
                let verdict = if peer.missed(ours.rate) { "MISSED" } else { "met" };
                format!("  goal {goal:.1}, {verdict}")
            });
            let (ratio, cost) = (peer.ratio(ours.rate), peer.served.micros / ours.micros);
            let told = line(peer.name, peer.served);
            text.push_str(&format!(
                "{told}  ours is {ratio:.2} times as fast{goal}, {cost:.2} times as thrifty\n"
            ));
        }
    }
    if json {
        eprint!("{text}");
        println!("{}", serde_json::to_string(report)?);
    } else {
        print!("{text}");
    }
    Ok(())
}

/// The lab with the site in it.
struct Bench<'a> {
    lab: &'a Lab,
    interrupt: &'a Interrupt,
    rack: ProcessId,
    seconds: u32,
}

impl Bench<'_> {
    /// Runs a statement in the region's database.
    fn sql(&self, database: &str, statement: &str) -> Result<()> {
        let output = Command::new("psql")
            .args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", database, "-c", statement])
            .output()
            .context("psql")?;
        ensure!(output.status.success(), "psql: {}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }

    /// Writes a file for a peer; its path.
    fn file(&self, peer: &str, name: &str, text: &str) -> Result<String> {
        let folder = self.lab.state().data().join(peer);
        std::fs::create_dir_all(&folder)?;
        let file = folder.join(name);
        std::fs::write(&file, text).with_context(|| file.display().to_string())?;
        Ok(file.display().to_string())
    }

    /// The folder of a peer.
    fn folder(&self, peer: &str) -> String {
        self.lab.state().data().join(peer).display().to_string()
    }

    /// Starts a peer, measures, and ends it: one at a time has the processors.
    fn beside<T>(
        &self,
        peer: &'static str,
        command: &[&str],
        ready: impl Fn() -> Result<()>,
        measure: impl FnOnce(&ProcessId) -> Result<T>,
    ) -> Result<T> {
        self.interrupt.check()?;
        let (program, arguments) = command.split_first().context("no program")?;
        let mut begin = self.lab.exec(peer, program);
        let running: ProcessId = self.lab.spawn(peer, begin.args(arguments))?;
        poll::until(LIMIT, &format!("{peer} to answer"), || {
            if !running.is_alive() {
                let said = process::tail(&self.lab.process_log(peer), 20);
                return Ok(Some(Err(anyhow::anyhow!("{peer} ended:\n{said}"))));
            }
            ready().map(|()| Some(Ok(())))
        })??;
        let served = measure(&running);
        running.stop(Duration::from_secs(10))?;
        served
    }

    /// What a program of the load's host says.
    fn load(&self, program: &str, arguments: &[&str]) -> Result<String> {
        self.interrupt.check()?;
        let output = self.lab.exec("load", program).args(arguments).output().context(program.to_owned())?;
        Ok(format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)))
    }
}

fn address(peer: &str) -> &'static str {
    PEERS.iter().find(|(name, _)| *name == peer).map_or("", |(_, address)| address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_is_missed_below_its_ratio() {
        let served = Served { rate: 100.0, micros: 1.0 };
        let peer = Peer { name: "kea", served, goal: Some(3.0) };
        assert!(peer.missed(299.0) && !peer.missed(300.0));
        assert!(!Peer { goal: None, ..peer }.missed(1.0));
        assert!(plan().hosts.len() == 6 && address("knot").ends_with(".4"));
    }
}
