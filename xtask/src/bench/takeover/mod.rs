//! `bench takeover`: a site of three nodes, the faults that its boxes suffer, and how long people notice.
//!
//! What holds: people ask through HAProxy and the address that keepalived moves, every 50 ms, reads and changes at the same
//! time. A figure is the longest time without a success around the fault. Rows that nothing measures yet are named
//! as such, and never as passed.

mod client;
mod rows;

use super::figures::median;
use super::{load, program, runs};
use crate::arguments::Arguments;
use crate::cluster::{self, Cluster, Size};
use crate::setup;
use anyhow::{Context, Result, ensure};
use rackwright_lab::Lab;
use rackwright_lab::interrupt::Interrupt;
use rows::{NOT_YET, ROWS, Row, Site};
use serde::Serialize;
use std::process::ExitCode;

/// Of the lab.
const PREFIX: &str = "bnctake";
const SIZE: Size = Size { nodes: 3, regions: 3, racks: 0, machines: 0 };

/// A line of the table.
#[derive(Debug, Serialize)]
struct Line {
    row: &'static str,
    what: &'static str,
    limit: f64,
    values: Vec<f64>,
    median: f64,
    worst: f64,
    met: bool,
}

/// What was measured.
#[derive(Debug, Serialize)]
struct Report {
    lines: Vec<Line>,
    not_measured: &'static [&'static str],
    met: bool,
    /// Load of the box before and after.
    load: [f64; 2],
}

/// `bench takeover [--runs N] [--only ROW[,ROW]] [--program FILE] [--prefix P] [--json]`
pub fn run(mut arguments: Arguments) -> Result<ExitCode> {
    let (runs, json) = (runs(&mut arguments)?, arguments.flag("--json"));
    let only = arguments.option("--only")?;
    let prefix = arguments.option("--prefix")?.unwrap_or_else(|| PREFIX.to_owned());
    let given = arguments.option("--program")?;
    arguments.done()?;
    let rows = chosen(only.as_deref())?;
    setup::ensure_installed(setup::CLUSTER)?;
    let program = program(given)?;
    let interrupt = Interrupt::listen()?;
    let before = load()?;
    let lab = Lab::temporary(&prefix, cluster::plan(SIZE)?)?;
    let cluster = Cluster::start(&lab, &program, SIZE)?;
    let site = Site { api: cluster.api()?, cluster: &cluster };
    let mut lines = Vec::new();
    for row in rows {
        lines.extend(measure(&site, row, runs, &interrupt)?);
    }
    drop(lab);
    let met = lines.iter().all(|line| line.met);
    let report = Report { lines, not_measured: NOT_YET, met, load: [before, load()?] };
    if json {
        eprint!("{}", table(&report));
        println!("{}", serde_json::to_string(&report)?);
    } else {
        print!("{}", table(&report));
    }
    Ok(if report.met { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn chosen(only: Option<&str>) -> Result<Vec<&'static Row>> {
    let Some(only) = only else { return Ok(ROWS.iter().collect()) };
    let names = ROWS.iter().map(|row| row.name).collect::<Vec<_>>().join(", ");
    only.split(',')
        .map(|name| {
            ROWS.iter().find(|row| row.name == name).with_context(|| format!("--only {name}: {names}"))
        })
        .collect()
}

fn measure(site: &Site<'_>, row: &'static Row, runs: usize, interrupt: &Interrupt) -> Result<Vec<Line>> {
    let mut lines: Vec<Line> = Vec::new();
    for number in 1..=runs {
        interrupt.check()?;
        site.settle().with_context(|| format!("before {}", row.tells))?;
        let figures = (row.run)(site, &format!("{}-{number}", row.name)).with_context(|| row.tells)?;
        for (at, figure) in figures.into_iter().enumerate() {
            eprintln!("{:<10} {number}/{runs}  {:<40} {:.2}", row.name, figure.what, figure.value);
            match lines.get_mut(at) {
                Some(line) => {
                    ensure!(line.what == figure.what, "{}: another figure than before", figure.what);
                    line.values.push(figure.value);
                }
                None => lines.push(Line {
                    row: row.tells,
                    what: figure.what,
                    limit: figure.limit,
                    values: vec![figure.value],
                    median: 0.0,
                    worst: 0.0,
                    met: false,
                }),
            }
        }
    }
    for line in &mut lines {
        line.median = median(&line.values).context("no run")?;
        line.worst = line.values.iter().copied().fold(0.0, f64::max);
        line.met = line.worst <= line.limit;
    }
    Ok(lines)
}

fn table(report: &Report) -> String {
    let mut text = format!("{:<58} {:>7} {:>7} {:>7}\n", "", "limit", "median", "worst");
    let mut row = "";
    for line in &report.lines {
        if row != line.row {
            row = line.row;
            text.push_str(&format!("{row}\n"));
        }
        let verdict = if line.met { "" } else { "  MISSED" };
        text.push_str(&format!(
            "  {:<56} {:>7.2} {:>7.2} {:>7.2}{verdict}\n",
            line.what, line.limit, line.median, line.worst
        ));
    }
    text.push_str("\nNot measured yet, so neither met nor missed:\n");
    for row in report.not_measured {
        text.push_str(&format!("  {row}\n"));
    }
    let runs = report.lines.first().map_or(0, |line| line.values.len());
    text.push_str(&format!(
        "\n{runs} runs; load {:.1} before, {:.1} after\n",
        report.load[0], report.load[1]
    ));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_chosen_by_name() {
        assert_eq!(chosen(None).unwrap().len(), ROWS.len());
        assert_eq!(chosen(Some("kill,power")).unwrap()[1].name, "power");
        assert!(chosen(Some("nothing")).err().unwrap().to_string().contains("database"));
    }

    #[test]
    fn what_is_not_measured_is_not_said_to_be_met() {
        let line =
            Line { row: "a", what: "b", limit: 1.0, values: vec![2.0], median: 2.0, worst: 2.0, met: false };
        let report = Report { lines: vec![line], not_measured: NOT_YET, met: false, load: [0.0, 0.0] };
        let text = table(&report);
        assert!(text.contains("MISSED") && text.contains("Not measured yet"), "{text}");
    }
}
