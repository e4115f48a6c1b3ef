//! The rows of the table: what is done to the site, and what people and machines may notice of it.

use super::client::Load;
use super::report::Figure;
use super::site::Site;
use super::traffic::Traffic;
use super::{dark, fenced, rack, rotation, scale};
use anyhow::Result;
use rackwright_lab::Signal;
use rackwright_lab::process::{SIGKILL, SIGTERM};
use std::thread;
use std::time::Duration;

/// Threads that ask as fast as they can, under load.
const LOAD: usize = 4;

/// A row.
pub struct Row {
    /// For `--only`.
    pub name: &'static str,
    /// What is done.
    pub tells: &'static str,
    /// Takes too long to be done several times.
    pub once: bool,
    /// Does it once, and puts everything back.
    pub run: fn(&Site<'_>, &str) -> Result<Vec<Figure>>,
}

const fn row(
    name: &'static str,
    tells: &'static str,
    run: fn(&Site<'_>, &str) -> Result<Vec<Figure>>,
) -> Row {
    Row { name, tells, once: false, run }
}

/// All of them.
pub const ROWS: &[Row] = &[
    row("stop", "1 a region is stopped in order", |site, run| region_ends(site, run, SIGTERM, 0)),
    row("kill", "2 a region is killed", |site, run| {
        with_machines(site, || region_ends(site, run, SIGKILL, 0))
    }),
    row("load", "8 … under load", |site, run| region_ends(site, run, SIGKILL, LOAD)),
    row("cut", "3 the network of the node with the people's address is cut", |site, run| {
        with_machines(site, || node_is_cut(site, run))
    }),
    row("database", "4 the primary database is killed", |site, run| {
        primary_fails(site, run, Fault::Killed, 0)
    }),
    row("power", "4 the primary's node loses its power", |site, run| {
        with_machines(site, || primary_fails(site, run, Fault::Power, 0))
    }),
    row("partition", "4 the primary's node is cut off", |site, run| primary_fails(site, run, Fault::Cut, 0)),
    row("loaded", "9 the primary's node loses its power, under load", |site, run| {
        primary_fails(site, run, Fault::Power, LOAD)
    }),
    row("fenced", "4 with a fence agent: the primary's node loses its power", |site, run| {
        fenced::primary_fails(site, run, Fault::Power, 0)
    }),
    row("fenced-cut", "4 with a fence agent: the primary's node is cut off", |site, run| {
        fenced::primary_fails(site, run, Fault::Cut, 0)
    }),
    row(
        "fenced-loaded",
        "9 with a fence agent: the primary's node loses its power, under load",
        |site, run| fenced::primary_fails(site, run, Fault::Power, LOAD),
    ),
    row("rotation", "5, 6 HAProxy and a region that dies or is cut off", rotation::out_and_back),
    row("rack", "a rack loses its power: the next DISCOVER of a new client", rack::dies),
    row("scale", "10 requests a second with 1, 2, 3 regions of the same CPU quota", scale::requests),
    Row { name: "dark", tells: dark::TELLS, once: true, run: dark::all_regions },
];

/// What happens to the primary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// PostgreSQL alone.
    Killed,
    /// The node with all on it.
    Power,
    /// The node's cable.
    Cut,
}

/// The same, with machines that boot and install all along.
fn with_machines(site: &Site<'_>, does: impl FnOnce() -> Result<Vec<Figure>>) -> Result<Vec<Figure>> {
    let traffic = Traffic::start(site)?;
    let figures = does();
    let seen = traffic.stop()?;
    let mut figures = figures?;
    figures.extend(seen.figures()?);
    Ok(figures)
}

fn region_ends(site: &Site<'_>, run: &str, signal: Signal, load: usize) -> Result<Vec<Figure>> {
    let at = run.bytes().map(usize::from).sum::<usize>() % site.cluster.nodes();
    let region = site.cluster.region(at)?;
    let load = Load::start(&site.cluster.client_namespace(), &site.api, load);
    let seen = site.watch(run, Duration::from_secs(30), || {
        region.signal(signal);
        Ok(())
    })?;
    load.tell();
    drop(load);
    region.wait(Duration::from_secs(10))?;
    site.cluster.start_region(at)?;
    let limit = if signal == SIGTERM { 1.0 } else { 3.0 };
    let mut figures = seen.gaps(limit, limit);
    figures.push(site.none_lost(&seen)?);
    if signal == SIGTERM {
        figures.push(Figure::told("requests that failed", seen.failed()));
    }
    Ok(figures)
}

fn node_is_cut(site: &Site<'_>, run: &str) -> Result<Vec<Figure>> {
    let at = site.cluster.holder()?;
    if site.cluster.leader()? == at {
        site.cluster.switch_over(at, (at + 1) % site.cluster.nodes())?;
        site.settle()?;
    }
    let cut = site.watch(run, Duration::from_secs(60), || site.cluster.set_link(at, false))?;
    let back = site.watch(&format!("{run}b"), Duration::from_secs(60), || {
        site.cluster.set_link(at, true)?;
        // Long enough to be seen and taken back.
        thread::sleep(Duration::from_secs(8));
        Ok(())
    })?;
    let mut figures = cut.gaps(3.0, 3.0);
    figures.push(Figure::at_most(0.0, "requests that failed when it returned", back.failed()));
    figures.push(site.none_lost(&cut)?);
    Ok(figures)
}

fn primary_fails(site: &Site<'_>, run: &str, fault: Fault, load: usize) -> Result<Vec<Figure>> {
    let at = site.cluster.leader()?;
    let load = Load::start(&site.cluster.client_namespace(), &site.api, load);
    let seen = site.watch(run, Duration::from_secs(90), || strike(site, at, fault));
    load.tell();
    drop(load);
    match fault {
        Fault::Killed => {}
        Fault::Power => site.cluster.revive(at)?,
        Fault::Cut => site.cluster.set_link(at, true)?,
    }
    let seen = seen?;
    let mut figures = seen.gaps(3.0, 30.0);
    figures.push(site.none_lost(&seen)?);
    Ok(figures)
}

/// Does it to a node.
pub fn strike(site: &Site<'_>, at: usize, fault: Fault) -> Result<()> {
    match fault {
        Fault::Killed => site.cluster.kill_database(at),
        Fault::Power => site.cluster.kill(at, true),
        Fault::Cut => site.cluster.set_link(at, false),
    }
}
