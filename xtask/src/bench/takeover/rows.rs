//! The rows of the table: what is done to the site, and what people may notice of it.

use super::client::{Asking, Kind, Load, Sample, is_well, longest_gap, lost};
use crate::cluster::Cluster;
use crate::http::Client;
use anyhow::{Context, Result};
use rackwright_lab::poll;
use rackwright_lab::process::{SIGKILL, SIGTERM};
use std::thread;
use std::time::{Duration, Instant};

/// One figure of one run.
#[derive(Debug, Clone)]
pub struct Figure {
    /// What it tells.
    pub what: &'static str,
    /// It must not be more.
    pub limit: f64,
    /// It was.
    pub value: f64,
}

/// A row that can be measured.
pub struct Row {
    /// For `--only`.
    pub name: &'static str,
    /// What is done.
    pub tells: &'static str,
    /// Does it once, and puts everything back.
    pub run: fn(&Site<'_>, &str) -> Result<Vec<Figure>>,
}

/// All that can be measured now.
pub const ROWS: &[Row] = &[
    Row {
        name: "stop",
        tells: "1 a region is stopped in order",
        run: |site, run| site.region_ends(run, SIGTERM, 0),
    },
    Row { name: "kill", tells: "2 a region is killed", run: |site, run| site.region_ends(run, SIGKILL, 0) },
    Row { name: "load", tells: "8 … under load", run: |site, run| site.region_ends(run, SIGKILL, 4) },
    Row {
        name: "cut",
        tells: "3 the network of the node with the people's address is cut",
        run: |site, run| site.node_is_cut(run),
    },
    Row {
        name: "database",
        tells: "4 the primary database is killed",
        run: |site, run| site.primary_fails(run, Fault::Killed),
    },
    Row {
        name: "power",
        tells: "4 the primary's node loses its power",
        run: |site, run| site.primary_fails(run, Fault::Power),
    },
    Row {
        name: "partition",
        tells: "4 the primary's node is cut off",
        run: |site, run| site.primary_fails(run, Fault::Cut),
    },
];

/// Rows of the table that nothing measures yet.
pub const NOT_YET: &[&str] = &[
    "5, 6 a region that died or was cut off: out of rotation, back in",
    "7 racks and agents during 2, 3, 4: served DHCP, boot and image traffic",
    "a rack is killed: next DISCOVER of a new client; a deploy in progress",
    "all regions dead for ten minutes: renewals, DNS, reboots, a running image write",
    "9 the primary database fails under load",
    "10 requests a second with 1, 2, 3 regions",
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

/// The site under test.
pub struct Site<'a> {
    /// Its nodes.
    pub cluster: &'a Cluster<'a>,
    /// The API behind the people's address.
    pub api: Client,
}

/// What people saw of one fault.
struct Seen {
    reads: Vec<Sample>,
    writes: Vec<Sample>,
    fault: Instant,
}

/// Before the fault.
const CALM: Duration = Duration::from_secs(2);
/// All is well again when nothing fails for this long.
const WELL: Duration = Duration::from_secs(2);

impl Site<'_> {
    /// Asks all along, does something to the site, and goes on until all is well again.
    fn watch(&self, run: &str, limit: Duration, fault: impl FnOnce() -> Result<()>) -> Result<Seen> {
        let namespace = self.cluster.client_namespace();
        let start = |kind, name: String| Asking::start(&namespace, &self.api, kind, &name);
        let (reads, writes) =
            (start(Kind::Read, String::new()), start(Kind::Write, format!("takeover-{run}")));
        thread::sleep(CALM);
        let began = Instant::now();
        let done = fault();
        let well = poll::until(limit, "answers without a failure", || {
            let now = Instant::now();
            let well = now - began > WELL
                && is_well(&reads.so_far(), now, WELL)
                && is_well(&writes.so_far(), now, WELL);
            Ok(well.then_some(()))
        });
        let (reads, writes) = (reads.stop()?, writes.stop()?);
        done?;
        well.with_context(|| trouble(&reads, &writes))?;
        Ok(Seen { reads, writes, fault: began })
    }

    /// Acknowledged changes that are not there.
    fn lost(&self, writes: &[Sample]) -> Result<f64> {
        let (namespace, api) = (self.cluster.client_namespace(), self.api.clone());
        let asking = thread::spawn(move || {
            rackwright_lab::forward::enter(&namespace)?;
            poll::until(Duration::from_secs(30), "the list of fabrics", || {
                api.get("/api/v1/fabrics").map(Some)
            })
        });
        let there = asking.join().map_err(|_| anyhow::anyhow!("the asking thread panicked"))??;
        Ok(lost(writes, &there)? as f64)
    }

    /// All nodes and regions are well.
    pub fn settle(&self) -> Result<()> {
        self.cluster.until_healthy(Duration::from_secs(180))?;
        (0..self.cluster.nodes()).try_for_each(|at| self.cluster.until_ready(at))?;
        self.cluster.holder().map(drop)
    }

    fn region_ends(&self, run: &str, signal: rackwright_lab::Signal, load: usize) -> Result<Vec<Figure>> {
        let at = run.bytes().map(usize::from).sum::<usize>() % self.cluster.nodes();
        let region = self.cluster.region(at)?;
        let load = Load::start(&self.cluster.client_namespace(), &self.api, load);
        let seen = self.watch(run, Duration::from_secs(30), || {
            region.signal(signal);
            Ok(())
        })?;
        if load.answered() > 0 {
            eprintln!("  {} further requests answered meanwhile", load.answered());
        }
        drop(load);
        region.wait(Duration::from_secs(10))?;
        self.cluster.start_region(at)?;
        let limit = if signal == SIGTERM { 1.0 } else { 3.0 };
        Ok(seen.gaps(limit, limit).into_iter().chain([self.none_lost(&seen)?]).collect())
    }

    fn none_lost(&self, seen: &Seen) -> Result<Figure> {
        Ok(Figure { what: "acknowledged changes lost", limit: 0.0, value: self.lost(&seen.writes)? })
    }

    fn node_is_cut(&self, run: &str) -> Result<Vec<Figure>> {
        let at = self.cluster.holder()?;
        if self.cluster.leader()? == at {
            self.cluster.switch_over(at, (at + 1) % self.cluster.nodes())?;
            self.settle()?;
        }
        let cut = self.watch(run, Duration::from_secs(60), || self.cluster.set_link(at, false))?;
        let back = self.watch(&format!("{run}b"), Duration::from_secs(60), || {
            self.cluster.set_link(at, true)?;
            // Long enough to be seen and taken back.
            thread::sleep(Duration::from_secs(8));
            Ok(())
        })?;
        let failed = |samples: &[Sample]| samples.iter().filter(|sample| !sample.ok).count();
        let mut figures = cut.gaps(3.0, 3.0);
        figures.push(Figure {
            what: "requests that failed when it returned",
            limit: 0.0,
            value: (failed(&back.reads) + failed(&back.writes)) as f64,
        });
        figures.push(self.none_lost(&cut)?);
        Ok(figures)
    }

    fn primary_fails(&self, run: &str, fault: Fault) -> Result<Vec<Figure>> {
        let at = self.cluster.leader()?;
        let seen = self.watch(run, Duration::from_secs(90), || match fault {
            Fault::Killed => self.cluster.kill_database(at),
            Fault::Power => self.cluster.kill(at, true),
            Fault::Cut => self.cluster.set_link(at, false),
        });
        match fault {
            Fault::Killed => {}
            Fault::Power => self.cluster.revive(at)?,
            Fault::Cut => self.cluster.set_link(at, true)?,
        }
        let seen = seen?;
        let mut figures = seen.gaps(3.0, 30.0);
        figures.push(self.none_lost(&seen)?);
        Ok(figures)
    }
}

impl Seen {
    fn gaps(&self, reads: f64, writes: f64) -> Vec<Figure> {
        vec![
            Figure {
                what: "longest gap in reads, s",
                limit: reads,
                value: longest_gap(&self.reads, self.fault),
            },
            Figure {
                what: "longest gap in changes, s",
                limit: writes,
                value: longest_gap(&self.writes, self.fault),
            },
        ]
    }
}

/// The last failures, for an error message.
fn trouble(reads: &[Sample], writes: &[Sample]) -> String {
    let last = |samples: &[Sample]| {
        samples.iter().rev().find(|s| !s.ok).map_or_else(String::new, |s| s.error.clone())
    };
    format!("last failed read: {:?}; last failed change: {:?}", last(reads), last(writes))
}
