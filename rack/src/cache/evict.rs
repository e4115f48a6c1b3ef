//! Makes room: what no snapshot lists goes first, least recently used first; what is listed stays.

use super::{Cache, is_hash};
use rackwright_common::snapshot::Snapshot;
use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::PoisonError;
use std::time::SystemTime;

struct Spare {
    path: PathBuf,
    bytes: u64,
    used: SystemTime,
}

impl Cache {
    /// Removes what `snapshot` does not list, until the rest of that is within the limit.
    pub fn evict(&self, snapshot: &Snapshot) {
        let keep: HashSet<&str> = super::listed(snapshot).map(|b| b.sha256.as_str()).collect();
        *self.inner.keep.lock().unwrap_or_else(PoisonError::into_inner) =
            keep.iter().map(|s| (*s).to_owned()).collect();
        self.evict_to(self.inner.config.spare_bytes);
    }

    /// Removes everything that the last snapshot did not list: the disk is full.
    pub(super) fn evict_all_spare(&self) {
        self.evict_to(0);
    }

    fn evict_to(&self, limit: u64) {
        if let Err(error) = self.try_evict_to(limit) {
            tracing::warn!(%error, "old blobs cannot be removed");
        }
    }

    fn try_evict_to(&self, limit: u64) -> io::Result<()> {
        let mut spare = self.spare()?;
        spare.sort_by_key(|s| std::cmp::Reverse(s.used));
        let mut total = 0;
        for blob in spare {
            total += blob.bytes;
            if total > limit {
                tracing::info!(path = %blob.path.display(), "an old blob is removed");
                fs::remove_file(blob.path)?;
            }
        }
        Ok(())
    }

    fn spare(&self) -> io::Result<Vec<Spare>> {
        let keep = self.inner.keep.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let running: HashSet<String> = {
            let downloads = self.inner.downloads.lock().unwrap_or_else(PoisonError::into_inner);
            downloads.keys().cloned().collect()
        };
        let mut spare = Vec::new();
        for entry in fs::read_dir(&self.inner.config.dir)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let hash = name.strip_suffix(".partial").unwrap_or(&name);
            if is_hash(hash) && !keep.contains(hash) && !running.contains(hash) {
                let metadata = entry.metadata()?;
                spare.push(Spare { path: entry.path(), bytes: metadata.len(), used: metadata.accessed()? });
            }
        }
        Ok(spare)
    }
}
