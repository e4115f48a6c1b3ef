//! `cargo xtask chaos --seed S --rounds N`: faults that a seed chooses, while machines are deployed, and what has to hold.
//!
//! What holds: one seed gives the same faults in the same order with the same targets and times on every box; what the box's own
//! timing adds is not in anybody's hand. Checked: no acknowledged change is lost; nothing is done to a machine's power
//! that its operation does not tell of; what is installed is what was stored; no address has two holders; each deploy ends
//! Deployed, or in a failed status that says why and that a release ends; all controllers and the database come back by themselves.
//! With `--planted` harm is done at the end that each of these checks has to find.
//! Left out: faults of machines' own networks, and more than two faults at a time.

mod fault;
mod machine;
mod planted;
mod random;
mod round;
mod watch;

use crate::arguments::Arguments;
use crate::cluster::{self, Cluster, Size};
use crate::simulated::{self, Simulated};
use crate::{build, setup};
use anyhow::{Context, Result, ensure};
use machine::Machine;
use rackwright_lab::interrupt::Interrupt;
use rackwright_lab::{Host, HostNic, Lab, ns};
use random::Random;
use round::{Round, Site};
use serde::Serialize;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Instant;
use watch::Writer;

/// The seeds of the tests: in so many rounds of each, every kind of fault comes.
pub const SEEDS: &str = "13,30,1717";
/// See [`SEEDS`].
pub const ROUNDS: &str = "2";
const MACHINES: [&str; 2] = ["played-1", "played-2"];
const SIZE: Size = Size { nodes: 3, regions: 3, racks: 2, machines: 0 };
/// A rack's disk, which a fault fills, MiB: with room for the images of real machines or not.
const DISK: [u32; 2] = [64, 512];
const FAKETIME: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1";

/// What came of a run.
#[derive(Debug, Default, Serialize)]
struct Report {
    rounds: Vec<Round>,
    /// Changes that were acknowledged.
    acknowledged: usize,
    /// Addresses that were given.
    addresses: usize,
    /// Late commands that a machine refused.
    refused: usize,
    violations: Vec<String>,
    seconds: f64,
}

/// `chaos --seed S[,S] [--rounds N] [--planted] [--qemu] [--program FILE] [--prefix P] [--json]`
pub fn run(mut arguments: Arguments) -> Result<ExitCode> {
    let seeds = arguments.option("--seed")?.unwrap_or_else(|| "1".to_owned());
    let rounds = arguments.option("--rounds")?.unwrap_or_else(|| "5".to_owned());
    let prefix = arguments.option("--prefix")?.unwrap_or_else(|| "chaos".to_owned());
    let (program, json) = (arguments.option("--program")?, arguments.flag("--json"));
    let (qemu, planted) = (arguments.flag("--qemu"), arguments.flag("--planted"));
    arguments.done()?;
    ensure!(!(qemu && planted), "--planted: with machines that are played only");
    let seeds: Vec<u64> = seeds
        .split(',')
        .map(|seed| seed.parse().with_context(|| format!("--seed {seed}: a number")))
        .collect::<Result<_>>()?;
    let rounds: usize = rounds.parse().with_context(|| format!("--rounds {rounds}: a number"))?;
    ensure!(rounds > 0 && !seeds.is_empty(), "--rounds {rounds}: one at least");
    setup::ensure_installed(setup::CLUSTER)?;
    let program = match program {
        Some(file) => fs::canonicalize(file)?,
        None => build::product()?,
    };
    let simulator = build::bmc_simulator()?;
    let interrupt = Interrupt::listen()?;
    let mut plan = cluster::plan(SIZE)?;
    for (name, last) in MACHINES.into_iter().zip(101..) {
        match qemu {
            true => {
                plan.machines.push(rackwright_lab::Machine::bios(name).with_rackwright_sim(last, &simulator))
            }
            false => simulated::add(&mut plan, name, last, &simulator)?,
        }
    }
    let nic = HostNic { name: "eth0".to_owned(), vlan: "boot".to_owned(), addresses: Vec::new() };
    plan.hosts.push(Host { name: watch::STRANGERS.to_owned(), nics: vec![nic] });
    let began = Instant::now();
    let lab = Lab::temporary(&prefix, plan)?;
    let site = start(&lab, &program, qemu)?;
    println!("{:>5.0} s  a site of {} boxes runs", began.elapsed().as_secs_f64(), SIZE.nodes + SIZE.racks);
    let mut report = Report::default();
    for seed in seeds {
        let writer = Writer::start(&site.cluster, &format!("chaos-{seed}"))?;
        let mut random = Random::new(seed);
        for number in 1..=rounds {
            interrupt.check()?;
            let round = site.round(seed, number, &mut random)?;
            print!("{}", round.text());
            report.violations.extend(round.violations.iter().cloned());
            report.rounds.push(round);
        }
        let (acknowledged, lost) = writer.end(&site.cluster)?;
        report.acknowledged += acknowledged;
        report.violations.extend(lost.iter().map(|name| format!("the acknowledged change {name} is lost")));
        if acknowledged == 0 {
            report.violations.push(format!("seed {seed}: no change was ever acknowledged"));
        }
    }
    finish(&lab, &site, &mut report);
    if planted {
        let unseen = planted::unseen(&site)?;
        println!("what was planted was {}", if unseen.is_empty() { "seen" } else { "NOT ALL SEEN" });
        report.violations.extend(unseen);
    }
    report.seconds = began.elapsed().as_secs_f64();
    print!("{}", text(&report));
    if json {
        println!("{}", serde_json::to_string(&report)?);
    }
    if !report.violations.is_empty() {
        lab.keep_logs()?;
    }
    Ok(if report.violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What is only seen at the end.
fn finish(lab: &Lab, site: &Site<'_>, report: &mut Report) {
    let holders = watch::holders(lab);
    report.addresses = holders.len();
    for (address, macs) in holders.iter().filter(|(_, macs)| macs.len() > 1) {
        report.violations.push(format!("the address {address} has several holders: {macs:?}"));
    }
    let refused = |machine: &Machine| {
        let story = machine.story();
        story.iter().filter(|(_, what)| matches!(what, simulated::Happened::Refused(..))).count()
    };
    report.refused = site.machines.iter().map(refused).sum();
}

/// A site with small disks, clocks that can be set, and machines that were commissioned.
fn start<'a>(lab: &'a Lab, program: &Path, qemu: bool) -> Result<Site<'a>> {
    let cluster = Cluster::new(lab, program, SIZE);
    for at in 0..SIZE.racks {
        let data = cluster.folder(&cluster.rack_name(at)).join("data");
        fs::create_dir_all(&data)?;
        ns::run(
            Command::new("mount")
                .args(["-t", "tmpfs", "-o", &format!("size={}m", DISK[usize::from(qemu)]), "lab"])
                .arg(data),
        )?;
    }
    let hosts = (0..SIZE.nodes).map(|at| cluster.node_name(at));
    for host in hosts.chain((0..SIZE.racks).map(|at| cluster.rack_name(at))) {
        fs::create_dir_all(cluster.folder(&host))?;
        fault::set_clock(&cluster, &host, 0)?;
    }
    let clock = cluster.folder("{host}").join("clock");
    let cluster = cluster
        .with_environment("LD_PRELOAD", FAKETIME)
        .with_environment("FAKETIME_TIMESTAMP_FILE", &clock.to_string_lossy())
        .with_environment("FAKETIME_CACHE_DURATION", "1")
        .with_environment("FAKETIME_DONT_FAKE_MONOTONIC", "1")
        .launch()?;
    watch::listen(lab)?;
    let images = match qemu {
        true => cluster::images(program)?,
        false => simulated::images::make(&lab.state().folder().join("noise"))?,
    };
    cluster.load_images(&images)?;
    let mut machines = Vec::new();
    for (id, name) in cluster.enter_machines()?.into_iter().zip(MACHINES) {
        let played = if qemu { None } else { Some(Simulated::start(lab, name)?) };
        machines.push(Machine { id, name: name.to_owned(), played });
    }
    let image = if qemu { "debian-12" } else { simulated::images::SYSTEM }.to_owned();
    let site = Site { lab, cluster, machines, image };
    site.commission()?;
    Ok(site)
}

fn text(report: &Report) -> String {
    let deploys: usize = report.rounds.iter().map(|round| round.deploys.len()).sum();
    let deployed =
        report.rounds.iter().flat_map(|round| &round.deploys).filter(|d| d.ended == "deployed").count();
    let kinds: BTreeSet<_> = report.rounds.iter().flat_map(|round| &round.kinds).collect();
    let mut text = format!(
        "\n{} rounds with {} kinds of fault in {:.0} s: {deployed} of {deploys} deploys ended Deployed, {} changes acknowledged, {} addresses given, {} late commands refused\n",
        report.rounds.len(),
        kinds.len(),
        report.seconds,
        report.acknowledged,
        report.addresses,
        report.refused
    );
    for violation in &report.violations {
        text.push_str(&format!("VIOLATED: {violation}\n"));
    }
    if report.violations.is_empty() {
        text.push_str("nothing was violated\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::fault::{Kind, Targets};
    use super::*;

    fn kinds(seed: u64) -> BTreeSet<Kind> {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let targets = Targets {
            nodes: names(&["one", "two", "three"]),
            racks: names(&["rack-1", "rack-2"]),
            machines: names(&MACHINES),
        };
        let (mut random, rounds) = (Random::new(seed), ROUNDS.parse().unwrap());
        (0..rounds).flat_map(|_: usize| round::plan(&mut random, &targets)).map(|one| one.kind).collect()
    }

    /// Three seeds that draw everything, for whoever added a kind.
    fn three() -> Option<[u64; 3]> {
        let most = (Kind::ALL.len().div_ceil(3)).min(4);
        let rich: Vec<_> =
            (1..20_000).map(|seed| (seed, kinds(seed))).filter(|(_, kinds)| kinds.len() >= most).collect();
        for (at, (a, first)) in rich.iter().enumerate() {
            let others: Vec<_> = rich[at..].iter().filter(|(_, kinds)| kinds.is_disjoint(first)).collect();
            for (at, (b, second)) in others.iter().enumerate() {
                let both: BTreeSet<_> = first.union(second).copied().collect();
                let all = |kinds: &BTreeSet<Kind>| kinds.union(&both).count() == Kind::ALL.len();
                if let Some((c, _)) = others[at..].iter().find(|(_, kinds)| all(kinds)) {
                    return Some([*a, *b, *c]);
                }
            }
        }
        None
    }

    #[test]
    fn the_seeds_of_the_tests_draw_every_kind_of_fault() {
        let drawn: BTreeSet<_> = SEEDS.split(',').flat_map(|seed| kinds(seed.parse().unwrap())).collect();
        let missing: Vec<_> = Kind::ALL.into_iter().filter(|kind| !drawn.contains(kind)).collect();
        assert!(missing.is_empty(), "{missing:?} never come; the seeds {:?} would do", three());
    }
}
