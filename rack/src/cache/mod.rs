//! Blobs on this rack, by their hash: kernels, initial RAM disks, images.
//!
//! A blob is served from the region's store on the same box when there is one, else from the rack's own folder, else
//! it is fetched: one download per blob, whoever asks, resumed where it stopped, from any region that
//! answers. What arrives is passed on while it arrives, except for its last byte, which waits until the hash of the
//! whole is right: nobody gets a complete file that is not the one that was asked for. The same holds for a file
//! that was here already: see [`check`].
//!
//! What the snapshot lists is fetched before anybody asks and never evicted; what it lists no more goes, least
//! recently used first, when it takes more room than it may. Left out: fetching from sibling racks.

mod check;
mod download;
mod evict;
mod held;
mod listed;
mod pin;
mod reader;

pub use held::keep_told;
pub use listed::{find_listed, listed};
pub use pin::keep_pinned;
pub use reader::BlobReader;

use crate::state::StateError;
use async_trait::async_trait;
use bytes::Bytes;
use check::{Checks, Found};
use download::Progress;
use rackwright_common::snapshot::BlobRef;
use rackwright_link::LinkError;
use std::collections::{HashMap, HashSet};
use std::fs::{self, File, FileTimes};
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};
use tokio::sync::watch;
use tokio_stream::Stream;

/// How long somebody waits for the first bytes of a blob that no region gives.
const PATIENCE: Duration = Duration::from_secs(30);

/// A blob on its way from a region.
pub type BlobStream = Pin<Box<dyn Stream<Item = Result<Bytes, LinkError>> + Send>>;

/// Where blobs come from.
#[async_trait]
pub trait BlobSource: Send + Sync + 'static {
    /// Asks for a blob from `offset` on. Called again after a failure, it should try another region; "not found"
    /// means that every region said so.
    async fn fetch(&self, sha256: &str, offset: u64) -> Result<BlobStream, LinkError>;
}

/// Where to keep what.
#[derive(Debug, Clone)]
pub struct CacheConfig {
    /// The rack's own folder.
    pub dir: PathBuf,
    /// The region's store on the same box.
    pub local_store: Option<PathBuf>,
    /// Bytes that blobs may take which no snapshot lists.
    pub spare_bytes: u64,
}

/// Why a blob cannot be given.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CacheError {
    /// No region gave it in time.
    #[error("no region gives blob {sha256}: {reason}")]
    NotFetched {
        /// Which.
        sha256: String,
        /// What the last attempt said.
        reason: String,
    },
    /// Every region says that it has no such blob.
    #[error("no region has blob {sha256}: {reason}")]
    Nowhere {
        /// Which.
        sha256: String,
        /// What the regions said.
        reason: String,
    },
    /// The copy on this rack's disk is not what its name says. The next who ask get another one.
    #[error("the copy of blob {0} on this rack is damaged")]
    Damaged(String),
    /// The rack's disk is full.
    #[error("the rack's disk is full: free space, or lower `cache_bytes`")]
    Full,
    /// The rack's disk does not do what it should.
    #[error("the cache folder cannot be used")]
    Disk(#[source] Arc<io::Error>),
}

impl From<io::Error> for CacheError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full,
            _ => Self::Disk(Arc::new(error)),
        }
    }
}

/// The rack's blobs; clones share them.
#[derive(Clone)]
pub struct Cache {
    inner: Arc<Inner>,
}

struct Inner {
    config: CacheConfig,
    source: Arc<dyn BlobSource>,
    downloads: Mutex<HashMap<String, watch::Receiver<Progress>>>,
    checks: Checks,
    /// Hashes that the last snapshot listed.
    keep: Mutex<HashSet<String>>,
}

impl Cache {
    /// Opens the cache, its folder made when missing.
    pub fn open(config: CacheConfig, source: Arc<dyn BlobSource>) -> Result<Self, StateError> {
        fs::create_dir_all(&config.dir).map_err(StateError::at(&config.dir))?;
        Ok(Self {
            inner: Arc::new(Inner {
                config,
                source,
                downloads: Mutex::default(),
                checks: Checks::default(),
                keep: Mutex::default(),
            }),
        })
    }

    /// The file of the blob, if it is here with its whole size and not known to be damaged. An own file of the wrong
    /// size is removed.
    fn find(&self, blob: &BlobRef) -> io::Result<Option<Found>> {
        if !is_hash(&blob.sha256) {
            return Ok(None);
        }
        for (path, own) in self.places(&blob.sha256) {
            match open_sized(&path, blob.size)? {
                Some(file) if self.inner.checks.is_damaged(&path, &file)? => {}
                Some(file) => {
                    if own {
                        // Tells the eviction that it is in use; a read-only disk is no reason not to serve.
                        drop(file.set_times(FileTimes::new().set_accessed(SystemTime::now())));
                    }
                    return Ok(Some(Found { file, path, own }));
                }
                None if own && path.exists() => {
                    tracing::warn!(path = %path.display(), "a cached blob has the wrong size and is removed");
                    fs::remove_file(&path)?;
                }
                None => {}
            }
        }
        Ok(None)
    }

    /// Where a blob may be, and whether the file would be the rack's own.
    fn places(&self, sha256: &str) -> Vec<(PathBuf, bool)> {
        let store = self.inner.config.local_store.iter();
        let store = store.flat_map(|store| [store.join("blobs").join(sha256), store.join(sha256)]);
        store.map(|place| (place, false)).chain([(self.path(sha256), true)]).collect()
    }

    /// Opens a blob for reading, and starts fetching it when it is not here. Returns once there is something to
    /// read.
    pub async fn open_blob(&self, blob: &BlobRef) -> Result<BlobReader, CacheError> {
        if let Some(found) = self.find(blob)? {
            return self.reader(blob, found);
        }
        let mut progress = self.download(blob);
        self.wait(blob, &mut progress, PATIENCE, |p| p.finished() || p.ready(blob.size) > 0).await?;
        if let Some(found) = self.find(blob)? {
            return self.reader(blob, found);
        }
        match File::open(self.partial_path(&blob.sha256)) {
            Ok(file) => Ok(BlobReader::growing(file, blob.size, progress)),
            // It has become complete between the two looks.
            Err(_) => {
                let file = self.open_complete(blob, PATIENCE).await?;
                Ok(BlobReader::complete(file, blob.size))
            }
        }
    }

    /// A reader that does not give the last byte before the file is known to be right.
    fn reader(&self, blob: &BlobRef, found: Found) -> Result<BlobReader, CacheError> {
        Ok(match self.check(blob, &found)? {
            None => BlobReader::complete(found.file, blob.size),
            Some(checking) => BlobReader::growing(found.file, blob.size, checking),
        })
    }

    /// Opens a blob once it is here completely and right, waiting for at most `patience`.
    pub async fn open_complete(&self, blob: &BlobRef, patience: Duration) -> Result<File, CacheError> {
        while let Some(found) = self.find(blob)? {
            let Some(mut checking) = self.check(blob, &found)? else { return Ok(found.file) };
            match self.wait(blob, &mut checking, patience, Progress::finished).await {
                Ok(()) => return Ok(found.file),
                // There may be another place to look at.
                Err(CacheError::Damaged(_)) => {}
                Err(error) => return Err(error),
            }
        }
        let mut progress = self.download(blob);
        self.wait(blob, &mut progress, patience, Progress::finished).await?;
        let found = self.find(blob)?.ok_or_else(|| self.not_fetched(blob, "it was removed again"))?;
        Ok(found.file)
    }

    /// Waits for a download to come so far; an error when it failed or takes too long.
    async fn wait(
        &self,
        blob: &BlobRef,
        progress: &mut watch::Receiver<Progress>,
        patience: Duration,
        so_far: impl FnMut(&Progress) -> bool + Send,
    ) -> Result<(), CacheError> {
        let waited = tokio::time::timeout(patience, progress.wait_for(so_far)).await;
        let arrived = waited.ok().and_then(Result::ok).map(|now| now.check());
        arrived.unwrap_or_else(|| {
            let reason = progress.borrow().last_error.clone();
            Err(self.not_fetched(blob, reason.as_deref().unwrap_or("it takes too long")))
        })
    }

    /// The download of this blob, started when there is none.
    fn download(&self, blob: &BlobRef) -> watch::Receiver<Progress> {
        let mut downloads = self.inner.downloads.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = downloads.get(&blob.sha256) {
            return running.clone();
        }
        let (sender, receiver) = watch::channel(Progress::default());
        downloads.insert(blob.sha256.clone(), receiver.clone());
        let (cache, blob) = (self.clone(), blob.clone());
        tokio::spawn(async move {
            download::run(&cache, &blob, &sender).await;
            let mut downloads = cache.inner.downloads.lock().unwrap_or_else(PoisonError::into_inner);
            downloads.remove(&blob.sha256);
        });
        receiver
    }

    fn not_fetched(&self, blob: &BlobRef, reason: &str) -> CacheError {
        CacheError::NotFetched { sha256: blob.sha256.clone(), reason: reason.to_owned() }
    }

    fn path(&self, sha256: &str) -> PathBuf {
        self.inner.config.dir.join(sha256)
    }

    fn partial_path(&self, sha256: &str) -> PathBuf {
        self.inner.config.dir.join(format!("{sha256}.partial"))
    }
}

/// Only such names may become file names.
fn is_hash(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

fn open_sized(path: &Path, size: u64) -> io::Result<Option<File>> {
    match File::open(path) {
        Ok(file) => Ok((file.metadata()?.len() == size).then_some(file)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

#[cfg(test)]
mod tests;
