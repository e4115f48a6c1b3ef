//! `bench takeover`: a site of three nodes and two racks, the faults that its boxes suffer, and what people and machines
//! notice of them.
//!
//! What holds: people ask through HAProxy and the address that keepalived moves, every 50 ms, reads and changes at the same
//! time; machines do full exchanges by programs that nobody here wrote. A figure is the longest time without a success around
//! the fault. A run that does not come to its end misses the row's limits; the others go on.

mod client;
mod dark;
mod dhcp;
mod fenced;
mod quota;
mod rack;
mod report;
mod rotation;
mod rows;
mod scale;
mod site;
mod traffic;

use super::{load, program, runs};
use crate::arguments::Arguments;
use crate::cluster::{self, Cluster, Size};
use crate::setup;
use anyhow::{Context, Result, bail};
use rackwright_lab::Lab;
use rackwright_lab::interrupt::Interrupt;
use report::Report;
use rows::{ROWS, Row};
use site::Site;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Of the lab.
const PREFIX: &str = "bnctake";
const SIZE: Size = Size { nodes: 3, regions: 3, racks: 2, machines: 1 };

/// `bench takeover [--runs N] [--only ROW[,ROW]] [--dead-minutes M] [--program FILE] [--prefix P] [--json]`
pub fn run(mut arguments: Arguments) -> Result<ExitCode> {
    let (runs, json) = (runs(&mut arguments)?, arguments.flag("--json"));
    let only = arguments.option("--only")?;
    let prefix = arguments.option("--prefix")?.unwrap_or_else(|| PREFIX.to_owned());
    let given = arguments.option("--program")?;
    let dead = minutes(arguments.option("--dead-minutes")?)?;
    arguments.done()?;
    let rows = chosen(only.as_deref())?;
    setup::ensure_installed(setup::CLUSTER)?;
    let program = program(given)?;
    let images = cluster::images(&program)?;
    let interrupt = Interrupt::listen()?;
    let (began, before) = (Instant::now(), load()?);
    let mut plan = cluster::plan(SIZE)?;
    plan.hosts.extend(traffic::hosts());
    let lab = Lab::temporary(&prefix, plan)?;
    let cluster = Cluster::start(&lab, &program, SIZE)?;
    cluster.load_images(&images)?;
    let site = Site::new(&lab, &cluster, &images, dead, &interrupt)?;
    let mut report = Report::default();
    for row in rows {
        measure(&site, row, runs, &interrupt, &mut report)?;
    }
    drop(lab);
    (report.load, report.took) = ([before, load()?], began.elapsed().as_secs_f64());
    if json {
        eprint!("{}", report.table());
        println!("{}", serde_json::to_string(&report)?);
    } else {
        print!("{}", report.table());
    }
    Ok(if report.met() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// How long all regions are dead.
fn minutes(given: Option<String>) -> Result<Duration> {
    let Some(text) = given else { return Ok(Duration::from_secs(600)) };
    match text.parse::<f64>() {
        Ok(minutes) if minutes > 0.0 && minutes <= 600.0 => Ok(Duration::from_secs_f64(minutes * 60.0)),
        _ => bail!("--dead-minutes {text}: a number, more than 0, 600 at most"),
    }
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

/// All runs of a row. An error is that of a person who pressed Ctrl-C.
fn measure(
    site: &Site<'_>,
    row: &'static Row,
    runs: usize,
    interrupt: &Interrupt,
    report: &mut Report,
) -> Result<()> {
    let runs = if row.once { 1 } else { runs };
    for number in 1..=runs {
        interrupt.check()?;
        let began = Instant::now();
        let outcome = site.settle().and_then(|()| (row.run)(site, &format!("{}-{number}", row.name)));
        interrupt.check()?;
        match outcome {
            Ok(figures) => {
                for figure in figures {
                    eprintln!("{:<13} {number}/{runs}  {:<60} {:.2}", row.name, figure.what, figure.value);
                    report.take(row.tells, &figure);
                }
            }
            Err(error) => {
                // A box that has too little for everybody looks like a site that does not come back.
                let error = error.context(format!("load {:.1}", load()?));
                eprintln!("{:<13} {number}/{runs}  DID NOT COME TO ITS END: {error:#}", row.name);
                report.fail(row.tells, &error);
                // Of all that ran until then: what follows may change the picture.
                site.lab.keep_logs()?;
                site.put_back();
            }
        }
        eprintln!("{:<13} {number}/{runs}  took {:.0} s", row.name, began.elapsed().as_secs_f64());
    }
    Ok(())
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
    fn the_dead_are_dead_for_ten_minutes_unless_told() {
        assert_eq!(minutes(None).unwrap(), Duration::from_secs(600));
        assert_eq!(minutes(Some("0.5".to_owned())).unwrap(), Duration::from_secs(30));
        assert!(minutes(Some("0".to_owned())).is_err() && minutes(Some("x".to_owned())).is_err());
    }
}
