//! Leases on disk: one JSON line per change, appended; the last line of an address counts.
//!
//! Written whole at each start (to a new file that replaces the old one), so that it does not grow for ever. A line
//! that cannot be read is skipped: after a crash it is the last, whose client never got an answer.

use std::io;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use rackwright_dhcp::{ClientKey, Lease, LeaseState, Leases};
use serde::{Deserialize, Serialize};
use tokio::fs::{self, File, OpenOptions};
use tokio::io::AsyncWriteExt;

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

/// One line.
#[derive(Debug, Serialize, Deserialize)]
struct Line {
    address: Ipv4Addr,
    /// The key's bytes, hexadecimal.
    client: String,
    state: State,
    expires: u64,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum State {
    Offered,
    Bound,
    Released,
    Declined,
}

/// Where changes are appended.
#[derive(Debug)]
pub(super) struct LeaseFile {
    path: PathBuf,
    file: File,
    /// Keeps other processes off the folder.
    _lock: std::fs::File,
    lines: usize,
    /// The last write failed, perhaps in the middle of a line.
    torn: bool,
}

/// Reads what there is and opens the file for appending.
pub(super) async fn open(directory: &Path) -> Result<(Leases, LeaseFile), LeaseFileError> {
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
    let leases = read(&text);
    let file = write_whole(&path, &leases).await.map_err(at(&path))?;
    let lines = leases.len();
    Ok((leases, LeaseFile { path, file, _lock: lock, lines, torn: false }))
}

fn read(text: &[u8]) -> Leases {
    let mut leases = Leases::new();
    let mut skipped = 0;
    for line in text.split(|b| *b == b'\n').filter(|l| !l.is_empty()) {
        match serde_json::from_slice::<Line>(line).ok().and_then(Line::into_lease) {
            Some(lease) => leases.insert(lease),
            None => skipped += 1,
        }
    }
    if skipped > 0 {
        tracing::warn!(skipped, "DHCP: unreadable lines in the lease file were skipped");
    }
    leases
}

/// Replaces the file by one line per lease, safely against a crash at any point.
async fn write_whole(path: &Path, leases: &Leases) -> io::Result<File> {
    let new = path.with_extension("new");
    let mut file = OpenOptions::new().create(true).write(true).truncate(true).open(&new).await?;
    file.write_all(&lines(leases.iter())).await?;
    file.flush().await?;
    file.sync_all().await?;
    fs::rename(&new, path).await?;
    if let Some(directory) = path.parent() {
        File::open(directory).await?.sync_all().await?;
    }
    OpenOptions::new().append(true).open(path).await
}

fn lines<'a>(leases: impl IntoIterator<Item = &'a Lease>) -> Vec<u8> {
    let mut text = Vec::new();
    for lease in leases {
        serde_json::to_writer(&mut text, &Line::of(lease)).expect("a line is made of plain values");
        text.push(b'\n');
    }
    text
}

impl LeaseFile {
    /// Appends the changes and returns when they are on the disk. After an error they count as not written.
    pub(super) async fn append(&mut self, changes: &[Lease]) -> Result<(), LeaseFileError> {
        let mut text = if std::mem::replace(&mut self.torn, true) { vec![b'\n'] } else { Vec::new() };
        text.extend(lines(changes));
        let written = self.write(&text).await;
        self.torn = written.is_err();
        self.lines += changes.len();
        written.map_err(|source| LeaseFileError::Io { path: self.path.clone(), source })
    }

    async fn write(&mut self, text: &[u8]) -> io::Result<()> {
        self.file.write_all(text).await?;
        self.file.flush().await?;
        self.file.sync_data().await
    }

    /// Writes the file anew when most of its lines are of the past.
    pub(super) async fn compact(&mut self, leases: &Leases) -> Result<(), LeaseFileError> {
        if self.lines < 4 * leases.len() + 10_000 {
            return Ok(());
        }
        let written = write_whole(&self.path, leases).await;
        self.file = written.map_err(|source| LeaseFileError::Io { path: self.path.clone(), source })?;
        (self.lines, self.torn) = (leases.len(), false);
        Ok(())
    }
}

impl Line {
    fn of(lease: &Lease) -> Line {
        let state = match lease.state {
            LeaseState::Offered => State::Offered,
            LeaseState::Bound => State::Bound,
            LeaseState::Released => State::Released,
            LeaseState::Declined => State::Declined,
        };
        Line {
            address: lease.address,
            client: hex::encode(lease.client.as_bytes()),
            state,
            expires: lease.expires,
        }
    }

    fn into_lease(self) -> Option<Lease> {
        let state = match self.state {
            State::Offered => LeaseState::Offered,
            State::Bound => LeaseState::Bound,
            State::Released => LeaseState::Released,
            State::Declined => LeaseState::Declined,
        };
        let client = ClientKey::from_bytes(&hex::decode(&self.client).ok()?)?;
        Some(Lease { address: self.address, client, state, expires: self.expires })
    }
}

#[cfg(test)]
mod tests;
