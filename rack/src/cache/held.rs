//! Which blobs are here whole, for regions to show.

use super::{Cache, is_hash};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// How often the folders are read.
const EVERY: Duration = Duration::from_secs(5);
/// Blobs that are told of at most; a site has some dozens.
const MOST: usize = 4096;

impl Cache {
    /// Hashes of the blobs in the rack's own folder and in the region's store on the same box, in order.
    pub fn held(&self) -> Vec<String> {
        let mut found = BTreeSet::new();
        let store = self.inner.config.local_store.iter();
        let folders = store.flat_map(|store| [store.join("blobs"), store.clone()]);
        for folder in folders.chain([self.inner.config.dir.clone()]) {
            collect(&folder, &mut found);
        }
        found.into_iter().take(MOST).collect()
    }
}

/// A file gets its hash as its name when the whole of it was found right. What cannot be read is not told of.
fn collect(folder: &Path, found: &mut BTreeSet<String>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    let files = entries.flatten().filter(|e| e.file_type().is_ok_and(|kind| kind.is_file()));
    found.extend(files.filter_map(|e| e.file_name().into_string().ok()).filter(|name| is_hash(name)));
}

/// Keeps `told` true until cancelled.
pub async fn keep_told(cache: Cache, told: watch::Sender<Vec<String>>, cancel: CancellationToken) {
    loop {
        let here = cache.clone();
        if let Ok(held) = tokio::task::spawn_blocking(move || here.held()).await {
            told.send_if_modified(|before| {
                let changed = *before != held;
                *before = held;
                changed
            });
        }
        tokio::select! {
            () = cancel.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}
