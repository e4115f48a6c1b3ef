//! What happened, in order, until a region has stored it.
//!
//! An entry is in memory at once, and in the file a moment later; [`Journal::append_durable`] returns when it is
//! on disk (one fsync for all that came in meanwhile). Numbers begin at the time of the start in microseconds: a
//! number is never used twice, even when the tail of the file was lost with the power.
//!
//! Left out: telling what a region has stored across a restart; it gets such entries again and knows their
//! numbers.

use super::journal_file::JournalFile;
use super::world::StateError;
use rackwright_common::clock::Clock;
use rackwright_common::link::{Fact, JournalEntry};
use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, oneshot, watch};
use tokio_util::sync::CancellationToken;

const FILE: &str = "journal";
/// Entries kept, bytes of JSON; beyond it steps of boots are forgotten, oldest first.
const KEEP: usize = 64 << 20;
/// The file is rewritten when it has this many bytes more than twice what is alive.
const SLACK: u64 = 1 << 20;

/// An entry that had to be on disk is not.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// Nothing can be written now.
    #[error("the journal cannot be written: free space on the rack's disk")]
    Write(#[source] Arc<io::Error>),
    /// There is too much that no region has taken.
    #[error("the journal is full: no region has taken it for too long")]
    Full,
    /// The rack stops.
    #[error("the journal is closed")]
    Closed,
}

#[derive(Debug)]
struct Kept {
    entry: JournalEntry,
    bytes: usize,
}

type Waiter = oneshot::Sender<Result<(), JournalError>>;

#[derive(Debug, Default)]
struct Entries {
    kept: VecDeque<Kept>,
    bytes: usize,
    next: u64,
    /// Lines not yet in the file, and who waits for them.
    unwritten: Vec<u8>,
    waiters: Vec<Waiter>,
    closed: bool,
}

/// The rack's journal; clones share it. [`Journal::run`] has to run for anything to reach the disk.
#[derive(Clone)]
pub struct Journal {
    entries: Arc<Mutex<Entries>>,
    file: Arc<Mutex<JournalFile>>,
    work: Arc<Notify>,
    last: watch::Sender<u64>,
    clock: Arc<dyn Clock>,
}

impl Journal {
    /// Opens the journal of a data folder, with what no region has taken yet.
    pub fn open(data: &Path, clock: Arc<dyn Clock>) -> Result<Self, StateError> {
        let path = data.join(FILE);
        std::fs::create_dir_all(data).map_err(StateError::at(data))?;
        let (file, found) = JournalFile::open(&path).map_err(StateError::at(&path))?;
        let mut entries = Entries::default();
        let started = u64::try_from(clock.now().unix_timestamp_nanos() / 1000).unwrap_or(1);
        entries.next = found.last().map_or(0, |e| e.seq + 1).max(started);
        for entry in found {
            let bytes = line(&entry).len();
            entries.bytes += bytes;
            entries.kept.push_back(Kept { entry, bytes });
        }
        let (last, _) = watch::channel(entries.next.saturating_sub(1));
        Ok(Self {
            entries: Arc::new(Mutex::new(entries)),
            file: Arc::new(Mutex::new(file)),
            work: Arc::default(),
            last,
            clock,
        })
    }

    /// Takes note. Does not wait for the disk.
    pub fn append(&self, fact: Fact) -> u64 {
        let mut entries = self.lock();
        let seq = self.push(&mut entries, fact);
        drop(entries);
        self.work.notify_one();
        self.last.send_replace(seq);
        seq
    }

    /// Takes note, and returns when it is on disk.
    pub async fn append_durable(&self, fact: Fact) -> Result<u64, JournalError> {
        let (sender, written) = oneshot::channel();
        let seq = {
            let mut entries = self.lock();
            if entries.closed {
                return Err(JournalError::Closed);
            }
            if entries.bytes >= KEEP {
                return Err(JournalError::Full);
            }
            let seq = self.push(&mut entries, fact);
            entries.waiters.push(sender);
            seq
        };
        self.work.notify_one();
        self.last.send_replace(seq);
        written.await.map_err(|_| JournalError::Closed)??;
        Ok(seq)
    }

    /// Entries after number `after`, oldest first, up to `most`.
    pub fn after(&self, after: u64, most: usize) -> Vec<JournalEntry> {
        let entries = self.lock();
        let from = entries.kept.partition_point(|k| k.entry.seq <= after);
        entries.kept.range(from..).take(most).map(|k| k.entry.clone()).collect()
    }

    /// How many entries there are after number `after`, up to number `last`.
    pub fn count_between(&self, after: u64, last: u64) -> usize {
        let entries = self.lock();
        let upto = |seq| entries.kept.partition_point(|k| k.entry.seq <= seq);
        upto(last).saturating_sub(upto(after))
    }

    /// A region has everything up to this number.
    pub fn acknowledge(&self, seq: u64) {
        let mut entries = self.lock();
        while entries.kept.front().is_some_and(|k| k.entry.seq <= seq) {
            let gone = entries.kept.pop_front();
            entries.bytes -= gone.map_or(0, |k| k.bytes);
        }
        drop(entries);
        self.work.notify_one();
    }

    /// Told the number of each new entry.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.last.subscribe()
    }

    /// Writes until cancelled, and once more then.
    pub async fn run(self, cancel: CancellationToken) {
        loop {
            let stopping = tokio::select! {
                () = self.work.notified() => false,
                () = cancel.cancelled() => true,
            };
            if stopping {
                self.lock().closed = true;
            }
            let journal = self.clone();
            let written = tokio::task::spawn_blocking(move || journal.write()).await;
            if stopping || written.is_err() {
                return;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, entries: &mut Entries, fact: Fact) -> u64 {
        let seq = entries.next;
        entries.next += 1;
        let entry = JournalEntry { seq, at: self.clock.now(), fact };
        let line = line(&entry);
        entries.bytes += line.len();
        entries.unwritten.extend(&line);
        entries.kept.push_back(Kept { entry, bytes: line.len() });
        if entries.bytes > KEEP {
            entries.forget_boots();
        }
        seq
    }

    /// Everything that waits goes into the file with one write and at most one fsync.
    fn write(&self) {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let (lines, waiters, alive, whole) = {
            let mut entries = self.lock();
            let alive = entries.bytes as u64;
            let length = file.length() + entries.unwritten.len() as u64;
            let whole = file.is_broken() || (length > 0 && alive == 0) || length > 2 * alive + SLACK;
            let lines = std::mem::take(&mut entries.unwritten);
            let lines =
                if whole { entries.kept.iter().flat_map(|k| line(&k.entry)).collect() } else { lines };
            (lines, std::mem::take(&mut entries.waiters), alive, whole)
        };
        let result = if whole {
            file.rewrite(&lines)
        } else if lines.is_empty() {
            Ok(())
        } else {
            file.append(&lines, !waiters.is_empty())
        };
        let result = result.map_err(Arc::new);
        if let Err(error) = &result {
            tracing::error!(%error, bytes = alive, "the journal cannot be written: free space on this disk");
        }
        for waiter in waiters {
            let told = waiter.send(result.clone().map_err(JournalError::Write));
            drop(told);
        }
    }
}

impl Entries {
    /// Makes room: steps of boots and who was heard first, as they only tell a story; leases and reports never.
    fn forget_boots(&mut self) {
        let mut over = self.bytes.saturating_sub(KEEP - KEEP / 8);
        self.kept.retain(|k| {
            let story = matches!(k.entry.fact, Fact::Boot { .. } | Fact::Warning { .. } | Fact::Sighting(_));
            let forget = over > 0 && story;
            if forget {
                over = over.saturating_sub(k.bytes);
                self.bytes -= k.bytes;
            }
            !forget
        });
    }
}

fn line(entry: &JournalEntry) -> Vec<u8> {
    let mut line = serde_json::to_vec(entry).expect("an entry has string keys only");
    line.push(b'\n');
    line
}

#[cfg(test)]
mod tests;
