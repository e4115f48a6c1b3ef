//! Reads a blob, complete or still arriving.

use super::CacheError;
use super::download::Progress;
use bytes::{Bytes, BytesMut};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Bytes given at a time.
const CHUNK: u64 = 256 * 1024;
/// A download that gains nothing for so long fails its readers.
const PATIENCE: Duration = Duration::from_secs(60);

/// An open blob.
#[derive(Debug, Clone)]
pub struct BlobReader {
    file: Arc<File>,
    size: u64,
    growing: Option<watch::Receiver<Progress>>,
}

impl BlobReader {
    pub(super) fn complete(file: File, size: u64) -> Self {
        Self { file: Arc::new(file), size, growing: None }
    }

    /// The file keeps its content when it is renamed at the end of the download.
    pub(super) fn growing(file: File, size: u64, progress: watch::Receiver<Progress>) -> Self {
        Self { file: Arc::new(file), size, growing: Some(progress) }
    }

    /// Bytes of the whole blob.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Some bytes from `offset` on, at most up to `end`; waits for them to arrive. Empty only for `offset >= end`.
    pub async fn read(&mut self, offset: u64, end: u64) -> Result<Bytes, CacheError> {
        let end = end.min(self.size);
        let ready = match &mut self.growing {
            None => self.size,
            Some(_) if offset >= end => offset,
            Some(progress) => {
                let size = self.size;
                let arrived = progress.wait_for(|p| p.finished() || p.ready(size) > offset);
                match tokio::time::timeout(PATIENCE, arrived).await {
                    Ok(Ok(now)) => {
                        now.check()?;
                        now.ready(size)
                    }
                    Ok(Err(_)) | Err(_) => {
                        return Err(
                            io::Error::new(io::ErrorKind::TimedOut, "the download stands still").into()
                        );
                    }
                }
            }
        };
        let length = end.min(ready).saturating_sub(offset).min(CHUNK);
        let file = self.file.clone();
        let read = tokio::task::spawn_blocking(move || read_at(&file, offset, length)).await;
        Ok(read.map_err(io::Error::other)??)
    }
}

fn read_at(file: &File, offset: u64, length: u64) -> io::Result<Bytes> {
    let mut bytes = BytesMut::zeroed(usize::try_from(length).map_err(io::Error::other)?);
    file.read_exact_at(&mut bytes, offset)?;
    Ok(bytes.freeze())
}
