//! A deployment, phase by phase: from its operation and the agent's items, from the wire, and from the machine's console.

use super::capture::{Packet, What};
use super::stages::{self, Files, Stage};
use crate::bench::figures::{moment, seconds};
use anyhow::{Context, Result};
use rackwright_lab::MachineHandle;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, SystemTime};

/// A phase, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// From the request until the BMC has switched the machine on.
    Power,
    /// Until the boot loader asks for the kernel.
    NetworkBoot,
    /// Until the agent's hello.
    Agent,
    /// Until the image is on the disk.
    Write,
    /// Until partitions, boot loader and configuration are done and checked.
    Loader,
    /// Until the installed system asks for its metadata.
    Reboot,
    /// Until its cloud-init has reported and the operation is done.
    CloudInit,
    /// From the request to the end.
    Whole,
}

impl Phase {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Power,
        Self::NetworkBoot,
        Self::Agent,
        Self::Write,
        Self::Loader,
        Self::Reboot,
        Self::CloudInit,
        Self::Whole,
    ];
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Power => "request to power-on",
            Self::NetworkBoot => "network boot, to the kernel",
            Self::Agent => "agent, to its hello",
            Self::Write => "write the image",
            Self::Loader => "loader, configuration, check",
            Self::Reboot => "reboot, to the installed system",
            Self::CloudInit => "cloud-init reported",
            Self::Whole => "request to deployed",
        })
    }
}

/// Seconds that each phase took.
pub type Phases = BTreeMap<Phase, f64>;

/// What a deployment left behind; times are seconds since 1970.
pub struct Seen<'a> {
    /// The operation with its items, as the API tells it.
    pub operation: &'a Value,
    /// The wire.
    pub packets: &'a [Packet],
    /// The console.
    pub lines: &'a [Line],
    /// Power-on.
    pub on: f64,
}

/// A line on the console.
pub struct Line {
    /// When it was complete, seconds since 1970.
    pub at: f64,
    /// Without its end.
    pub text: String,
}

/// How long each phase took.
pub fn phases(seen: &Seen<'_>, files: &Files) -> Result<Phases> {
    let at = |value: &Value, key: &str| moment(value[key].as_str().with_context(|| format!("no {key}"))?);
    let times = stages::times(seen.packets, seen.on, files);
    let stage =
        |stage: Stage| times.get(&stage).map(|time| seen.on + time).with_context(|| stage.to_string());
    let mut items = seen.operation["items"].as_array().into_iter().flatten();
    let install = items.find(|item| item["kind"] == "install").context("no item install")?;
    let installed = at(install, "finished_at")?;
    let marks = [
        (Phase::Power, seen.on),
        (Phase::NetworkBoot, stage(Stage::Kernel)?),
        (Phase::Agent, stage(Stage::Hello)?),
        (Phase::Write, written(seen.lines, stage(Stage::Hello)?).context("no step after writing")?),
        (Phase::Loader, installed),
        (Phase::Reboot, metadata(seen.packets, installed).context("no request for metadata")?),
        (Phase::CloudInit, at(seen.operation, "finished_at")?),
    ];
    let begin = at(seen.operation, "created_at")?;
    let mut before = begin;
    let mut phases = Phases::new();
    for (phase, end) in marks {
        phases.insert(phase, end - before);
        before = end;
    }
    phases.insert(Phase::Whole, before - begin);
    Ok(phases)
}

/// When the agent says that it goes on with what comes after the writing.
fn written(lines: &[Line], since: f64) -> Option<f64> {
    const NEXT: [&str; 2] = ["rackwright-agent: growing the last partition", "rackwright-agent: configuring"];
    let mut later = lines.iter().filter(|line| line.at >= since);
    later.find(|line| NEXT.iter().any(|next| line.text.contains(next))).map(|line| line.at)
}

/// The first word of the installed system's cloud-init.
fn metadata(packets: &[Packet], since: f64) -> Option<f64> {
    let asks = |what: &What| matches!(what, What::Request(line) if line.starts_with("GET /MAAS/metadata/"));
    packets.iter().find(|packet| packet.at >= since && asks(&packet.what)).map(|packet| packet.at)
}

/// A console that is read along, so that its lines have times.
pub struct Console {
    lines: Arc<Mutex<Vec<Line>>>,
    stop: Arc<AtomicBool>,
}

impl Console {
    /// Reads what is written from now on, until this is dropped.
    pub fn watch(machine: &MachineHandle) -> Self {
        let console = Self { lines: Arc::default(), stop: Arc::default() };
        let (lines, stop) = (console.lines.clone(), console.stop.clone());
        let log = machine.serial_log().to_owned();
        let from = log.metadata().map_or(0, |data| data.len());
        thread::spawn(move || follow(&log, from, &lines, &stop));
        console
    }

    /// The lines so far.
    pub fn lines(&self) -> Vec<Line> {
        std::mem::take(&mut self.lines.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn follow(log: &PathBuf, from: u64, lines: &Mutex<Vec<Line>>, stop: &AtomicBool) {
    const EVERY: Duration = Duration::from_millis(100);
    let (mut at, mut unfinished) = (from, Vec::new());
    let mut buffer = vec![0; 64 * 1024];
    while !stop.load(Ordering::Relaxed) {
        let read = File::open(log).and_then(|file| file.read_at(&mut buffer, at)).unwrap_or(0);
        if read == 0 {
            thread::sleep(EVERY);
            continue;
        }
        at += read as u64;
        let now = seconds(SystemTime::now());
        for byte in buffer.iter().take(read) {
            match byte {
                b'\n' => {
                    let text =
                        String::from_utf8_lossy(&std::mem::take(&mut unfinished)).trim_end().to_owned();
                    lines.lock().unwrap_or_else(PoisonError::into_inner).push(Line { at: now, text });
                }
                byte => unfinished.push(*byte),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn phases_follow_each_other_and_make_the_whole() {
        let request = |at, line: &str| Packet { at, what: What::Request(line.to_owned()) };
        let operation = json!({
            "created_at": "1970-01-01T00:16:40Z",
            "finished_at": "1970-01-01T00:18:20Z",
            "items": [
                { "kind": "reboot" },
                { "kind": "install", "finished_at": "1970-01-01T00:17:25Z" },
            ],
        });
        let packets = [
            request(1005.0, "GET /blob/k"),
            request(1007.0, "GET /blob/i"),
            request(1012.0, "POST /agent/v1/hello"),
            request(1070.0, "GET /MAAS/metadata/2012-03-01/meta-data/instance-id"),
        ];
        let line = |at, text: &str| Line { at, text: text.to_owned() };
        let lines = [
            line(1011.0, "rackwright-agent: configuring the last system"),
            line(1040.0, "rackwright-agent: growing the last partition"),
            line(1041.0, "rackwright-agent: configuring the system"),
        ];
        let files = Files { kernel: "/blob/k".to_owned(), initrd: "/blob/i".to_owned() };
        let seen = Seen { operation: &operation, packets: &packets, lines: &lines, on: 1002.0 };
        let expected = [
            (Phase::Power, 2.0),
            (Phase::NetworkBoot, 3.0),
            (Phase::Agent, 7.0),
            (Phase::Write, 28.0),
            (Phase::Loader, 5.0),
            (Phase::Reboot, 25.0),
            (Phase::CloudInit, 30.0),
            (Phase::Whole, 100.0),
        ];
        assert_eq!(phases(&seen, &files).unwrap(), expected.into_iter().collect());
    }
}
