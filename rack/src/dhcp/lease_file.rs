//! The lease file: what has to be found again after a crash, one line each, appended in the order in which it happened.
//!
//! Written whole at each start (to a new file that replaces the old one), and when it has grown long. A line that cannot
//! be read is skipped: after a crash it is the last, whose client never got an answer. Leases that the version before
//! wrote are found and become lines of today's.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rackwright_dhcp::Lease;
use rackwright_dhcp::racks::{Block, Record};
use tokio::fs::{self, File, OpenOptions};
use tokio::io::AsyncWriteExt;
use uuid::Uuid;

use super::line::{self, Entry};

/// The lease file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LeaseFileError {
    /// Reading or writing failed.
    #[error("`{}`", path.display())]
    Io {
        /// Which file or folder.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// Another process serves from it.
    #[error("`{}` is in use by another rack process: stop it first", .0.display())]
    InUse(PathBuf),
}

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Which memory the file is, and the last start on it; none for a new one.
    pub(super) memory: Option<(Uuid, u64)>,
    /// The rack's number in the region.
    pub(super) rack: Option<i64>,
    /// The blocks that it was told of last.
    pub(super) blocks: Option<Vec<Block>>,
    /// To make the rack of.
    pub(super) records: Vec<Record>,
    /// What regions may not have stored yet.
    pub(super) untold: Vec<Record>,
    /// Of the version before: the last line of each address.
    pub(super) former: Vec<Lease>,
}

/// Lines of the past that are kept in any case: writing the file anew holds all answers up, reading these at a start takes
/// a fraction of a second.
const LONG: usize = 100_000;

/// Where lines are appended.
#[derive(Debug)]
pub(super) struct LeaseFile {
    path: PathBuf,
    file: Arc<std::fs::File>,
    /// Keeps other processes off the folder.
    _lock: std::fs::File,
    lines: usize,
    /// The last write failed, perhaps in the middle of a line.
    torn: bool,
}

/// Reads what there is and opens the file for appending.
pub(super) async fn open(directory: &Path) -> Result<(Found, LeaseFile), LeaseFileError> {
    let at = |path: &Path| {
        let path = path.to_owned();
        move |source| LeaseFileError::Io { path, source }
    };
    fs::create_dir_all(directory).await.map_err(at(directory))?;
    let lock_path = directory.join("leases.lock");
    let lock = std::fs::File::create(&lock_path).map_err(at(&lock_path))?;
    lock.try_lock().map_err(|_| LeaseFileError::InUse(directory.to_owned()))?;

    let path = directory.join("leases.jsonl");
    let text = match fs::read(&path).await {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(source) => return Err(LeaseFileError::Io { path, source }),
    };
    let (found, lines) = read(&text);
    let file = OpenOptions::new().create(true).append(true).open(&path).await.map_err(at(&path))?;
    let file = Arc::new(file.into_std().await);
    Ok((found, LeaseFile { path, file, _lock: lock, lines, torn: true }))
}

fn read(text: &[u8]) -> (Found, usize) {
    let (mut found, mut skipped, mut lines) = (Found::default(), 0, 0);
    let (mut stored, mut former) = (0, rackwright_dhcp::Leases::new());
    for bytes in text.split(|b| *b == b'\n').filter(|l| !l.is_empty()) {
        lines += 1;
        match line::read(bytes) {
            None => match line::read_former(bytes) {
                Some(lease) => former.insert(lease),
                None => skipped += 1,
            },
            Some(Entry::Memory { id, life }) => found.memory = Some((id, life)),
            Some(Entry::Rack(id)) => found.rack = Some(id),
            Some(Entry::Blocks(blocks)) => found.blocks = Some(blocks),
            Some(Entry::Stored(number)) => stored = stored.max(number),
            Some(Entry::State(record)) => found.records.push(record),
            Some(Entry::Tell(record)) => found.untold.push(record),
            Some(Entry::Happened(record)) => {
                if is_told(&record) {
                    found.untold.push(record.clone());
                }
                found.records.push(record);
            }
        }
    }
    if skipped > 0 {
        tracing::warn!(skipped, "DHCP: unreadable lines in the lease file were skipped");
    }
    found.untold.retain(|record| record.number().is_some_and(|number| number > stored));
    found.former = former.iter().cloned().collect();
    (found, lines)
}

/// Whether regions are told of it: they do not decide about fixed addresses.
pub(super) fn is_told(record: &Record) -> bool {
    matches!(record, Record::Lease { dynamic: true, .. } | Record::CaughtUp { .. })
}

/// Whether it is about an address that its client has by configuration.
fn is_fixed(entry: &Entry) -> bool {
    matches!(entry, Entry::Happened(Record::Lease { dynamic: false, .. }))
}

/// Replaces the file, safely against a crash at any point.
async fn write_whole(path: &Path, text: &[u8]) -> io::Result<File> {
    let new = path.with_extension("new");
    let mut file = OpenOptions::new().create(true).write(true).truncate(true).open(&new).await?;
    file.write_all(text).await?;
    file.flush().await?;
    file.sync_all().await?;
    fs::rename(&new, path).await?;
    if let Some(directory) = path.parent() {
        File::open(directory).await?.sync_all().await?;
    }
    OpenOptions::new().append(true).open(path).await
}

fn text_of(entries: &[Entry]) -> Vec<u8> {
    let mut text = Vec::new();
    entries.iter().for_each(|entry| line::write(&mut text, entry));
    text
}

impl LeaseFile {
    /// Appends the entries and returns when they are on the disk; leases of fixed addresses alone when the kernel has
    /// them (`docs/decisions/0027-fixed-addresses-wait-for-no-disk.md`). After an error they count as not written.
    pub(super) async fn append(&mut self, entries: &[Entry]) -> Result<(), LeaseFileError> {
        let mut text = if std::mem::replace(&mut self.torn, true) { vec![b'\n'] } else { Vec::new() };
        text.extend(text_of(entries));
        let sync = !entries.iter().all(is_fixed);
        let written = self.write(text, sync).await;
        self.torn = written.is_err();
        self.lines += entries.len();
        written.map_err(|source| LeaseFileError::Io { path: self.path.clone(), source })
    }

    /// What need not be on the disk is a copy into the kernel's memory, as a line of the log is, and changing threads for
    /// that would cost more than the writing.
    async fn write(&mut self, text: Vec<u8>, sync: bool) -> io::Result<()> {
        if !sync {
            return (&*self.file).write_all(&text);
        }
        let file = self.file.clone();
        let write = move || {
            (&*file).write_all(&text)?;
            file.sync_data()
        };
        tokio::task::spawn_blocking(write).await.map_err(io::Error::other)?
    }

    /// Whether most of its lines are of the past, when `entries` say the same.
    pub(super) fn is_long(&self, entries: usize) -> bool {
        self.lines > 4 * entries + LONG
    }

    /// Replaces all that is in it.
    pub(super) async fn rewrite(&mut self, entries: &[Entry]) -> Result<(), LeaseFileError> {
        let written = write_whole(&self.path, &text_of(entries)).await;
        let file = written.map_err(|source| LeaseFileError::Io { path: self.path.clone(), source })?;
        self.file = Arc::new(file.into_std().await);
        (self.lines, self.torn) = (entries.len(), false);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
