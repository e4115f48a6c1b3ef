//! `bench ready`: from starting `rackwright up` until `/readyz` says ready, at the first start (the database is made)
//! and at later ones.
//!
//! What holds: the clock starts when the program is executed; `/readyz` is asked again every few milliseconds. Ready
//! means that the database takes writes and the API answers.

use super::figures::{median, seconds, written_at};
use super::{load, program, runs};
use crate::arguments::Arguments;
use crate::demo::controller::Controller;
use crate::setup;
use anyhow::{Context, Result, bail, ensure};
use rackwright_lab::interrupt::Interrupt;
use rackwright_lab::{Lab, LabPlan, forward, process};
use serde::Serialize;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime};

const PREFIX: &str = "bncready";
/// Later starts shall not take longer, seconds.
const GOAL: f64 = 2.0;
/// `up` stops PostgreSQL in order, which takes a checkpoint.
const STOPS_WITHIN: Duration = Duration::from_secs(30);
const STARTS_WITHIN: Duration = Duration::from_secs(120);
const PAUSE: Duration = Duration::from_millis(5);

/// What was measured, seconds.
#[derive(Debug, Serialize)]
struct Report {
    /// With an empty data folder.
    first: f64,
    /// With the database made.
    later: Vec<f64>,
    later_median: f64,
    goal: f64,
    met: bool,
    /// Load of the box before and after.
    load: [f64; 2],
}

/// `bench ready [--runs N] [--program FILE] [--json]`
pub fn run(mut arguments: Arguments) -> Result<ExitCode> {
    let (runs, json) = (runs(&mut arguments)?, arguments.flag("--json"));
    let given = arguments.option("--program")?;
    arguments.done()?;
    setup::ensure_installed(setup::BENCH)?;
    let program = program(given)?;
    let interrupt = Interrupt::listen()?;
    let lab = Lab::temporary(PREFIX, LabPlan::with_machines(Vec::new()))?;
    let report = measure(&lab, &program, runs, &interrupt)?;
    drop(lab);
    let verdict = if report.met { "met" } else { "MISSED" };
    let text = format!(
        "`rackwright up` until it is ready\n  first start  {:.2} s\n  later        {:.2} s, median of {} ({})\n  \
         goal         {GOAL:.1} s {verdict}\n  load         {:.1} before, {:.1} after\n",
        report.first,
        report.later_median,
        report.later.len(),
        report.later.iter().map(|s| format!("{s:.2}")).collect::<Vec<_>>().join(", "),
        report.load[0],
        report.load[1],
    );
    if json {
        eprint!("{text}");
        println!("{}", serde_json::to_string(&report)?);
    } else {
        print!("{text}");
    }
    Ok(if report.met { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn measure(lab: &Lab, program: &Path, runs: usize, interrupt: &Interrupt) -> Result<Report> {
    let region = forward::spawn(0, &lab.namespace("ctl"), Controller::REGION.parse()?)?;
    let api = crate::http::Client::new(region);
    let before = load()?;
    let mut times = Vec::new();
    for _ in 0..=runs {
        interrupt.check()?;
        let running = lab.spawn("rackwright", &Controller::up(lab, program))?;
        let began = written_at(&lab.process_record("rackwright"))?;
        let deadline = Instant::now() + STARTS_WITHIN;
        let ready = loop {
            let answer = api.request("GET", "/readyz", None);
            if answer.as_ref().is_ok_and(|answer| answer.status == 200) {
                break seconds(SystemTime::now());
            }
            let log = lab.process_log("rackwright");
            ensure!(running.is_alive(), "`rackwright up` ended:\n{}", process::tail(&log, 20));
            if Instant::now() >= deadline {
                bail!("/readyz: not within {STARTS_WITHIN:?}; last seen: {answer:?}");
            }
            std::thread::sleep(PAUSE);
        };
        times.push(ready - began);
        eprintln!("start {}: {:.2} s", times.len(), ready - began);
        running.stop(STOPS_WITHIN)?;
    }
    let later = times.split_off(1);
    let later_median = median(&later).context("no run")?;
    let first = times.pop().context("no first run")?;
    Ok(Report { first, later, later_median, goal: GOAL, met: later_median <= GOAL, load: [before, load()?] })
}
