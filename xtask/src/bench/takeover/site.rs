//! The site under test, and how it is watched.

use super::client::{Asking, Kind, Sample, is_well, longest_gap, lost};
use super::report::Figure;
use crate::cluster::Cluster;
use crate::http::Client;
use anyhow::{Context, Result};
use rackwright_lab::interrupt::Interrupt;
use rackwright_lab::{Lab, forward, poll};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

/// The site under test.
pub struct Site<'a> {
    /// Where it is.
    pub lab: &'a Lab,
    /// Its boxes.
    pub cluster: &'a Cluster<'a>,
    /// The API behind the people's address.
    pub api: Client,
    /// How long all regions are to be dead.
    pub dead: Duration,
    /// A person may have had enough.
    pub interrupt: &'a Interrupt,
    /// What a machine's disk is written from.
    pub image: Blob,
}

/// A file of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blob {
    /// Its hash, under which racks serve it.
    pub sha256: String,
    /// Bytes.
    pub size: u64,
}

/// What people saw of one fault.
pub struct Seen {
    /// Questions.
    pub reads: Vec<Sample>,
    /// Changes.
    pub writes: Vec<Sample>,
    /// When it was.
    pub fault: Instant,
}

/// Before the fault.
const CALM: Duration = Duration::from_secs(2);
/// All is well again when nothing fails for this long.
const WELL: Duration = Duration::from_secs(2);

impl<'a> Site<'a> {
    /// A site whose racks have these images.
    pub fn new(
        lab: &'a Lab,
        cluster: &'a Cluster<'a>,
        images: &[PathBuf],
        dead: Duration,
        interrupt: &'a Interrupt,
    ) -> Result<Self> {
        let found = images.iter().find_map(|folder| disk_of(folder).transpose());
        let image = found.context("no image of a disk")??;
        Ok(Self { lab, cluster, api: cluster.api()?, dead, interrupt, image })
    }

    /// Asks all along, does something to the site, and goes on until all is well again.
    pub fn watch(&self, run: &str, limit: Duration, fault: impl FnOnce() -> Result<()>) -> Result<Seen> {
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
    pub fn none_lost(&self, seen: &Seen) -> Result<Figure> {
        let there = self.ask_until("/api/v1/fabrics")?;
        Ok(Figure::at_most(0.0, "acknowledged changes lost", lost(&seen.writes, &there)? as f64))
    }

    /// What the API answers, in the end.
    pub fn ask_until(&self, path: &str) -> Result<Value> {
        let (namespace, api, path) = (self.cluster.client_namespace(), self.api.clone(), path.to_owned());
        let asking = thread::spawn(move || {
            forward::enter(&namespace)?;
            poll::until(Duration::from_secs(30), &path, || api.get(&path).map(Some))
        });
        asking.join().map_err(|_| anyhow::anyhow!("the asking thread panicked"))?
    }

    /// All nodes, regions and racks are well.
    pub fn settle(&self) -> Result<()> {
        self.cluster.until_healthy(Duration::from_secs(180))?;
        (0..self.cluster.nodes()).try_for_each(|at| self.cluster.until_ready(at))?;
        self.cluster.holder()?;
        self.cluster.until_racks_serve(Duration::from_secs(60))
    }

    /// Starts whatever does not run, after a run that broke off. What cannot be started is seen by [`Self::settle`].
    pub fn put_back(&self) {
        for host in &self.lab.plan().hosts {
            let is_box = self.cluster.is_box(&host.name);
            if !is_box {
                continue;
            }
            if let Err(error) = self.cluster.set_cables(&host.name, true) {
                eprintln!("{}: {error:#}", host.name);
            }
            if let Err(error) = self.cluster.start_what_is_missing(&host.name) {
                eprintln!("{}: {error:#}", host.name);
            }
        }
    }

    /// A folder for what clients on this host keep.
    pub fn client_folder(&self, host: &str) -> Result<PathBuf> {
        let folder = self.lab.state().folder().join("clients").join(host);
        fs::create_dir_all(&folder)?;
        Ok(folder)
    }
}

impl Seen {
    /// The longest gaps.
    pub fn gaps(&self, reads: f64, writes: f64) -> Vec<Figure> {
        let of = |samples: &[Sample]| longest_gap(samples, self.fault);
        vec![
            Figure::at_most(reads, "longest gap in reads, s", of(&self.reads)),
            Figure::at_most(writes, "longest gap in changes, s", of(&self.writes)),
        ]
    }

    /// Questions and changes that failed.
    pub fn failed(&self) -> f64 {
        self.reads.iter().chain(&self.writes).filter(|sample| !sample.ok).count() as f64
    }
}

/// The last failures, for an error message.
fn trouble(reads: &[Sample], writes: &[Sample]) -> String {
    let last = |samples: &[Sample]| {
        samples.iter().rev().find(|s| !s.ok).map_or_else(String::new, |s| s.error.clone())
    };
    format!("last failed read: {:?}; last failed change: {:?}", last(reads), last(writes))
}

/// The whole disk in an image's folder.
fn disk_of(folder: &Path) -> Result<Option<Blob>> {
    let manifest: Value = serde_json::from_slice(&fs::read(folder.join("manifest.json"))?)?;
    let files = manifest["images"].as_array();
    let Some(disk) = files.into_iter().flatten().find(|file| file["kind"] == "disk") else { return Ok(None) };
    let sha256 = disk["sha256"].as_str().context("a hash")?.to_owned();
    Ok(Some(Blob { sha256, size: disk["size"].as_u64().context("a size")? }))
}
