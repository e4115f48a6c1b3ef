//! The journal's file: one JSON entry a line, appended; rewritten when most of it is of the past.

use super::write_atomically;
use rackwright_common::link::JournalEntry;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The open file. After a failed write it is rewritten whole before anything is appended.
#[derive(Debug)]
pub(super) struct JournalFile {
    path: PathBuf,
    file: File,
    length: u64,
    broken: bool,
}

impl JournalFile {
    /// Opens it, made when missing, with the entries in it. A last line that was cut off by a crash is removed;
    /// other lines that make no sense are left out.
    pub(super) fn open(path: &Path) -> io::Result<(Self, Vec<JournalEntry>)> {
        // Kept reports carry a machine's credentials.
        let mut file = File::options().read(true).append(true).create(true).mode(0o600).open(path)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let whole = bytes.iter().rposition(|&b| b == b'\n').map_or(0, |at| at + 1);
        if whole < bytes.len() {
            tracing::warn!(bytes = bytes.len() - whole, "the journal's last line was cut off and is dropped");
            file.set_len(whole as u64)?;
        }
        let lines = bytes.get(..whole).unwrap_or_default().split(|&b| b == b'\n').filter(|l| !l.is_empty());
        let mut entries = Vec::new();
        for line in lines {
            match serde_json::from_slice(line) {
                Ok(entry) => entries.push(entry),
                Err(error) => tracing::error!(%error, "a line of the journal makes no sense and is left out"),
            }
        }
        Ok((Self { path: path.to_owned(), file, length: whole as u64, broken: false }, entries))
    }

    /// Bytes in the file.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Whether a write failed and [`Self::rewrite`] has to come next.
    pub(super) fn is_broken(&self) -> bool {
        self.broken
    }

    /// Appends whole lines, and waits for the disk when told to.
    pub(super) fn append(&mut self, lines: &[u8], sync: bool) -> io::Result<()> {
        let result =
            self.file.write_all(lines).and_then(|()| if sync { self.file.sync_data() } else { Ok(()) });
        match &result {
            Ok(()) => self.length += lines.len() as u64,
            Err(_) => self.broken = true,
        }
        result
    }

    /// Replaces the whole content.
    pub(super) fn rewrite(&mut self, lines: &[u8]) -> io::Result<()> {
        if lines.is_empty() {
            self.file.set_len(0)?;
        } else {
            write_atomically(&self.path, lines)?;
            self.file = File::options().append(true).open(&self.path)?;
        }
        self.length = self.file.seek(SeekFrom::End(0))?;
        self.broken = false;
        Ok(())
    }
}
