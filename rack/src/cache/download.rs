//! One blob from a region to the disk.

use super::{Cache, CacheError};
use crate::error_chain;
use rackwright_common::snapshot::BlobRef;
use rackwright_link::{LinkError, is_full};
use sha2::{Digest, Sha256};
use std::fs;
use std::io;
use std::time::Duration;
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;
use tokio_stream::StreamExt;

/// Failures in a row, without a byte gained, after which those who wait are told. The next request starts anew.
const ATTEMPTS: u32 = 12;
const PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
const SILENCE: Duration = Duration::from_secs(20);

/// After so many bytes a download looks how much room it leaves to others.
const LOOK: u64 = 4 << 20;

/// How far a download is.
#[derive(Debug, Clone, Default)]
pub(super) struct Progress {
    /// Bytes in the partial file.
    pub(super) bytes: u64,
    /// What the last failed attempt said.
    pub(super) last_error: Option<String>,
    pub(super) end: Option<Result<(), CacheError>>,
}

impl Progress {
    pub(super) fn finished(&self) -> bool {
        self.end.is_some()
    }

    /// Bytes that may be passed on: the last one only when the whole has the right hash.
    pub(super) fn ready(&self, size: u64) -> u64 {
        match &self.end {
            Some(Ok(())) => size,
            _ => self.bytes.min(size.saturating_sub(1)),
        }
    }

    /// An error when the download ended in one.
    pub(super) fn check(&self) -> Result<(), CacheError> {
        self.end.clone().unwrap_or(Ok(()))
    }
}

/// Why an attempt failed.
enum Failure {
    /// Worth another attempt.
    Again(String),
    /// No region has it: whoever asked should ask another rack, at once.
    Nowhere(String),
    /// Not before somebody has made room.
    Disk(io::Error),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Disk(error)
    }
}

/// Fetches until the blob is here or nothing helps, and says so at the end.
pub(super) async fn run(cache: &Cache, blob: &BlobRef, progress: &watch::Sender<Progress>) {
    let mut failures = 0;
    let mut made_room = false;
    let end = loop {
        let before = progress.borrow().bytes;
        match attempt(cache, blob, progress).await {
            Ok(()) => break Ok(()),
            Err(Failure::Disk(e)) if CacheError::is_full(&e) && !made_room => {
                made_room = true;
                cache.evict_all_spare();
            }
            Err(Failure::Disk(e)) => break Err(CacheError::from(e)),
            Err(Failure::Nowhere(reason)) => {
                break Err(CacheError::Nowhere { sha256: blob.sha256.clone(), reason });
            }
            Err(Failure::Again(reason)) => {
                tracing::warn!(blob = blob.sha256, reason, "fetching a blob failed");
                failures = if progress.borrow().bytes > before { 0 } else { failures + 1 };
                if failures >= ATTEMPTS {
                    break Err(cache.not_fetched(blob, &reason));
                }
                progress.send_modify(|p| p.last_error = Some(reason));
                tokio::time::sleep((PAUSE * 2_u32.saturating_pow(failures)).min(LONGEST_PAUSE)).await;
            }
        }
    };
    if end.is_ok() {
        tracing::info!(blob = blob.sha256, bytes = blob.size, "a blob was fetched");
    }
    progress.send_modify(|p| p.end = Some(end));
}

async fn attempt(cache: &Cache, blob: &BlobRef, progress: &watch::Sender<Progress>) -> Result<(), Failure> {
    let partial = cache.partial_path(&blob.sha256);
    let mut file = File::options().read(true).append(true).create(true).open(&partial).await?;
    let (mut hasher, mut have) = hash_of(&mut file).await?;
    if have > blob.size {
        file.set_len(0).await?;
        (hasher, have) = (Sha256::new(), 0);
    }
    progress.send_modify(|p| p.bytes = have);
    if have < blob.size {
        let source = cache.inner.source.fetch(&blob.sha256, have);
        let mut chunks = in_time(source).await?.map_err(|e| match e {
            LinkError::NotFound(_) => Failure::Nowhere(error_chain(&e)),
            other => Failure::Again(error_chain(&other)),
        })?;
        while let Some(chunk) = in_time(chunks.next()).await? {
            let chunk = chunk.map_err(|e| Failure::Again(error_chain(&e)))?;
            let before = have;
            have += chunk.len() as u64;
            if have > blob.size {
                break;
            }
            if before / LOOK != have / LOOK && is_full(&cache.inner.config.dir)? {
                return Err(Failure::Disk(io::ErrorKind::StorageFull.into()));
            }
            file.write_all(&chunk).await?;
            file.flush().await?;
            hasher.update(&chunk);
            progress.send_modify(|p| p.bytes = have);
        }
        if have < blob.size {
            return Err(Failure::Again(format!("it ended after {have} of {} bytes", blob.size)));
        }
    }
    if have > blob.size || hex::encode(hasher.finalize()) != blob.sha256 {
        progress.send_modify(|p| p.bytes = 0);
        tokio::fs::remove_file(&partial).await?;
        return Err(Failure::Again("what arrived is not what was asked for".to_owned()));
    }
    file.sync_all().await?;
    fs::rename(&partial, cache.path(&blob.sha256))?;
    cache.inner.checks.learn_sound(&cache.path(&blob.sha256))?;
    crate::state::sync_folder(&partial)?;
    Ok(())
}

/// Hashes what an earlier attempt left.
async fn hash_of(file: &mut File) -> io::Result<(Sha256, u64)> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    let mut have = 0;
    loop {
        match file.read(&mut buffer).await? {
            0 => return Ok((hasher, have)),
            n => {
                hasher.update(buffer.get(..n).unwrap_or_default());
                have += n as u64;
            }
        }
    }
}

async fn in_time<T>(step: impl Future<Output = T>) -> Result<T, Failure> {
    let ended = tokio::time::timeout(SILENCE, step).await;
    ended.map_err(|_| Failure::Again(format!("no byte for {} s", SILENCE.as_secs())))
}

impl CacheError {
    fn is_full(error: &io::Error) -> bool {
        matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
    }
}
