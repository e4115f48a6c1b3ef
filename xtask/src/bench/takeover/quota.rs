//! A part of one processor for a process, by the kernel's cgroups of either version.
//!
//! What holds: the group goes with the value, and what still runs in it goes back to where it was. Threads that a process
//! makes later are in the group as well.

use crate::bench::processor_time;
use anyhow::{Context, Result, ensure};
use rackwright_lab::process::ProcessId;
use std::fs;
use std::path::{Path, PathBuf};

/// The kernel's period, microseconds: short, so that nobody stands still for long.
const PERIOD: u32 = 20_000;

/// A process that is held to its quota.
pub struct Quota {
    folder: PathBuf,
    back: PathBuf,
    process: ProcessId,
    percent: u32,
    /// Processor time that it had used at the beginning, seconds.
    used: f64,
}

impl Quota {
    /// Holds a process to so many hundredths of a processor.
    pub fn hold(name: &str, process: &ProcessId, percent: u32) -> Result<Self> {
        let root = Root::find()?;
        let folder = root.folder().join(format!("rackwright-bench-{name}"));
        fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        let quota = PERIOD * percent / 100;
        match root {
            Root::First(_) => {
                fs::write(folder.join("cpu.cfs_period_us"), PERIOD.to_string())?;
                fs::write(folder.join("cpu.cfs_quota_us"), quota.to_string())?;
            }
            Root::Second(_) => fs::write(folder.join("cpu.max"), format!("{quota} {PERIOD}"))?,
        }
        let held =
            Self { back: root.folder().to_owned(), process: process.clone(), percent, used: 0.0, folder };
        fs::write(held.folder.join("cgroup.procs"), process.pid().to_string())
            .with_context(|| format!("holding process {} to {percent} %", process.pid()))?;
        Ok(held)
    }

    /// A new count of its use begins.
    pub fn count(&mut self) -> Result<()> {
        self.used = processor_time(&self.process)?;
        Ok(())
    }

    /// Which part of its quota it has used in so many seconds since [`Self::count`].
    pub fn used(&self, seconds: f64) -> Result<f64> {
        let used = processor_time(&self.process)? - self.used;
        Ok(used / (seconds * f64::from(self.percent) / 100.0))
    }
}

impl Drop for Quota {
    fn drop(&mut self) {
        let procs = fs::read_to_string(self.folder.join("cgroup.procs")).unwrap_or_default();
        for pid in procs.lines() {
            // One that ended meanwhile cannot be moved, which is as well.
            drop(fs::write(self.back.join("cgroup.procs"), pid));
        }
        if let Err(error) = fs::remove_dir(&self.folder) {
            eprintln!("{}: {error}", self.folder.display());
        }
    }
}

/// Where groups that share out processor time are made.
enum Root {
    /// Version 1.
    First(PathBuf),
    /// Version 2.
    Second(PathBuf),
}

impl Root {
    fn find() -> Result<Self> {
        let first = Path::new("/sys/fs/cgroup/cpu");
        if first.join("tasks").exists() {
            return Ok(Self::First(first.to_owned()));
        }
        let second = Path::new("/sys/fs/cgroup");
        let controllers = fs::read_to_string(second.join("cgroup.controllers"))
            .context("no cgroups in /sys/fs/cgroup: processor time cannot be shared out")?;
        ensure!(controllers.split_whitespace().any(|name| name == "cpu"), "no cgroup controller `cpu` here");
        fs::write(second.join("cgroup.subtree_control"), "+cpu")?;
        Ok(Self::Second(second.to_owned()))
    }

    fn folder(&self) -> &Path {
        match self {
            Self::First(folder) | Self::Second(folder) => folder,
        }
    }
}
