//! How many requests a second one, two and three regions answer, each held to the same part of a processor.
//!
//! Only answers with success are counted. What holds: all go through the people's address; what is held is the regions alone, so that clients, HAProxy and the
//! database have room, and how much of their quota the regions used is told beside.

use super::client::Load;
use super::quota::Quota;
use super::report::Figure;
use super::site::Site;
use anyhow::{Context, Result, ensure};
use rackwright_lab::process::{ProcessId, SIGTERM};
use std::thread;
use std::time::{Duration, Instant};

/// Hundredths of a processor for each region.
const PERCENT: u32 = 15;
/// Requests under way at the same time.
const THREADS: usize = 18;
/// Until all are at their pace.
const WARMING: Duration = Duration::from_secs(3);
/// How long answers are counted.
const COUNTING: Duration = Duration::from_secs(8);

/// One run.
pub fn requests(site: &Site<'_>, _run: &str) -> Result<Vec<Figure>> {
    let count = site.cluster.nodes();
    let regions: Vec<_> = (0..count).map(|at| site.cluster.region(at)).collect::<Result<_>>()?;
    let outcome = rates(site, &regions);
    for (at, region) in regions.iter().enumerate() {
        if !region.is_alive() {
            site.cluster.start_region(at)?;
        }
    }
    let rates = outcome?;
    let [one, two, three] = rates.as_slice() else { anyhow::bail!("{} rates of three", rates.len()) };
    Ok(vec![
        Figure::told("requests a second, 1 region", one.answered),
        Figure::told("requests a second, 2 regions", two.answered),
        Figure::told("requests a second, 3 regions", three.answered),
        Figure::told("part of their quota that 3 regions used", three.used),
        Figure::told("requests that failed", f64::from(one.failed + two.failed + three.failed)),
        Figure::at_least(0.8, "2 regions, beside twice one", two.answered / (2.0 * one.answered)),
        Figure::at_least(0.8, "3 regions, beside three times one", three.answered / (3.0 * one.answered)),
    ])
}

/// What so many regions did.
struct Pace {
    /// Requests a second, answered with success.
    answered: f64,
    /// Part of their quota that they used.
    used: f64,
    /// Requests that failed.
    failed: u32,
}

/// The pace by number of regions: of one first.
fn rates(site: &Site<'_>, regions: &[ProcessId]) -> Result<Vec<Pace>> {
    let mut quotas: Vec<_> = regions
        .iter()
        .enumerate()
        .map(|(at, region)| Quota::hold(&site.cluster.node_name(at), region, PERCENT))
        .collect::<Result<_>>()?;
    let mut rates = Vec::new();
    while !quotas.is_empty() {
        rates.push(rate(site, &mut quotas)?);
        let last = &regions[quotas.len() - 1];
        // Free of it, it ends in order.
        drop(quotas.pop());
        if quotas.is_empty() {
            break;
        }
        ensure!(last.signal(SIGTERM), "a region ended by itself");
        last.wait(Duration::from_secs(20)).context("a region that was stopped")?;
    }
    rates.reverse();
    Ok(rates)
}

fn rate(site: &Site<'_>, quotas: &mut [Quota]) -> Result<Pace> {
    let load = Load::start(&site.cluster.client_namespace(), &site.api, THREADS);
    thread::sleep(WARMING);
    quotas.iter_mut().try_for_each(Quota::count)?;
    let (began, (before, failed)) = (Instant::now(), load.counts());
    thread::sleep(COUNTING);
    let (answered, refused) = load.counts();
    let seconds = began.elapsed().as_secs_f64();
    drop(load);
    let used = quotas.iter().map(|quota| quota.used(seconds)).sum::<Result<f64>>()? / quotas.len() as f64;
    Ok(Pace { answered: f64::from(answered - before) / seconds, used, failed: refused - failed })
}
