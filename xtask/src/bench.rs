//! `cargo xtask bench [NAME]`: how fast it is and how much memory it takes, beside goals.
//!
//! What holds: programs are built for release, unless `--program` names one; everything that serves does so inside a lab of its own, which is
//! removed at the end. A missed goal ends with exit code 1. `docs/benchmarks.md` has measured figures.

mod api;
mod boot;
mod figures;
mod memory;
mod net;
mod pages;
mod ready;
mod takeover;

use crate::arguments::Arguments;
use crate::build;
use anyhow::{Context, Result, bail, ensure};
use rackwright_lab::process::ProcessId;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

/// A benchmark: name, what it tells, what it takes.
struct Bench {
    name: &'static str,
    tells: &'static str,
    options: &'static str,
    run: fn(Arguments) -> Result<ExitCode>,
}

const BENCHES: &[Bench] = &[
    Bench {
        name: "boot",
        tells: "power-on to agent, inventory and deployed system, beside dnsmasq + nginx",
        options: "[--runs N] [--firmware bios|uefi] [--skip-deploy] [--only ours|floor] [--program FILE] [--json]",
        run: boot::run,
    },
    Bench {
        name: "api",
        tells: "listing and showing machines, beside MAAS",
        options: "[--machines N[,N]] [--json]",
        run: api::run,
    },
    Bench {
        name: "memory",
        tells: "resident memory of region and rack with 1,000 machines",
        options: "[--machines N] [--program FILE] [--json]",
        run: memory::run,
    },
    Bench {
        name: "net",
        tells: "a rack's DHCP and DNS, beside Kea, dnsmasq, BIND and Knot",
        options: "[--only dhcp|dns] [--seconds N] [--program FILE] [--json]",
        run: net::run,
    },
    Bench {
        name: "pages",
        tells: "the web pages with 5,000 machines: time on the server, statements, bytes of a first load",
        options: "[--machines N] [--json]",
        run: pages::run,
    },
    Bench {
        name: "ready",
        tells: "`rackwright up` until it is ready",
        options: "[--runs N] [--program FILE] [--json]",
        run: ready::run,
    },
    Bench {
        name: "takeover",
        tells: "how long people and machines notice that a region, a rack, a node, a database has died",
        options: "[--runs N] [--only ROW[,ROW]] [--dead-minutes M] [--program FILE] [--prefix P] [--json]",
        run: takeover::run,
    },
];

/// `bench [NAME [OPTION…]]`; without a name the benchmarks are listed.
pub fn run(mut arguments: Arguments) -> Result<ExitCode> {
    let Some(name) = arguments.word() else {
        print!("{}", list());
        return Ok(ExitCode::SUCCESS);
    };
    match BENCHES.iter().find(|bench| bench.name == name) {
        Some(bench) => (bench.run)(arguments),
        // A part of `net`, on another host of its lab.
        None if name == net::exchanges::NAME => net::exchanges::run(arguments),
        None => bail!("there is no benchmark {name:?}\n\n{}", list()),
    }
}

fn list() -> String {
    let line = |b: &Bench| format!("  {:<8} {}\n           {}\n", b.name, b.tells, b.options);
    format!("benchmarks:\n{}", BENCHES.iter().map(line).collect::<String>())
}

/// `--program FILE`, or `rackwright` built for release from here.
pub fn program(given: Option<String>) -> Result<PathBuf> {
    match given {
        Some(file) => fs::canonicalize(&file).with_context(|| format!("--program {file}")),
        None => Ok(build::release(&["rackwright"])?.join("rackwright")),
    }
}

/// `--runs N`, 1 at least.
fn runs(arguments: &mut Arguments) -> Result<usize> {
    let Some(text) = arguments.option("--runs")? else { return Ok(5) };
    match text.parse() {
        Ok(runs) if runs > 0 => Ok(runs),
        _ => bail!("--runs {text}: a number, 1 at least"),
    }
}

/// How busy the box is: the mean number of runnable processes over the last minute.
fn load() -> Result<f64> {
    let text = fs::read_to_string("/proc/loadavg")?;
    text.split(' ').next().and_then(|word| word.parse().ok()).context("/proc/loadavg")
}

/// What a process has used of processors so far, seconds.
fn processor_time(process: &ProcessId) -> Result<f64> {
    ensure!(process.is_alive(), "process {} has ended", process.pid());
    let stat = fs::read_to_string(format!("/proc/{}/stat", process.pid()))?;
    // The name of the program may hold spaces; a tick is a hundredth of a second on Linux.
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: u64 = fields.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    Ok(ticks as f64 / 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_benchmark_is_listed_with_its_options() {
        let list = list();
        for bench in BENCHES {
            assert!(list.contains(bench.name) && list.contains(bench.options), "{list}");
        }
    }

    #[test]
    fn the_load_is_a_number() {
        assert!(load().unwrap() >= 0.0);
    }

    #[test]
    fn processor_time_grows_with_work() {
        let me = ProcessId::of(std::process::id().cast_signed()).unwrap();
        let before = processor_time(&me).unwrap();
        let began = std::time::Instant::now();
        while began.elapsed().as_millis() < 300 {
            std::hint::black_box(0);
        }
        let after = processor_time(&me).unwrap();
        assert!(after > before && after - before < 60.0, "{before} {after}");
    }
}
