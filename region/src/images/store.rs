//! Blobs by their SHA-256, as files. What is in place is whole: files get there by renaming, after their hash was
//! checked.
//!
//! `blobs/HASH` holds content, `uploads/KEY` what is still arriving and may be resumed, `damaged/HASH` what was found
//! to be something else than its name says: it counts as not here, and may be uploaded again.

use rackwright_common::snapshot::BlobRef;
use rackwright_link::{FileStamp, hash_file, is_full};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};
use tokio::fs;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// After so many bytes an upload looks how much room is left.
const LOOK: u64 = 4 << 20;

/// The folder of a region's blobs.
#[derive(Debug, Clone)]
pub struct Store(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    root: PathBuf,
    /// Files that were read since the start and were right, by hash.
    sound: Mutex<HashMap<String, FileStamp>>,
    /// One file is read at a time.
    reading: tokio::sync::Mutex<()>,
}

/// How a blob is here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stored {
    /// Whole and right, in this file.
    Sound(PathBuf),
    /// It was found to be damaged just now, and was put aside.
    Damaged,
    /// Not at all.
    Absent,
}

/// A blob could not be stored.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file system.
    #[error("the image store {path} cannot be used")]
    File {
        /// Where.
        path: String,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// The content is not what was announced.
    #[error("the content has SHA-256 {actual}, not {expected}; it was damaged on the way, send it again")]
    Hash {
        /// As announced.
        expected: String,
        /// As arrived.
        actual: String,
    },
    /// An upload goes on elsewhere than it stopped.
    #[error("the upload stands at byte {at}, not {asked}; go on from there")]
    Offset {
        /// Where it stands.
        at: u64,
        /// Where the sender would go on.
        asked: u64,
    },
}

fn failed(path: &Path) -> impl FnOnce(std::io::Error) -> StoreError {
    let path = path.display().to_string();
    move |source| StoreError::File { path, source }
}

impl Store {
    /// Opens the folder, or makes it.
    pub async fn open(root: &Path) -> Result<Self, StoreError> {
        for folder in ["blobs", "uploads", "damaged"] {
            let path = root.join(folder);
            fs::create_dir_all(&path).await.map_err(failed(&path))?;
        }
        let (sound, reading) = (Mutex::default(), tokio::sync::Mutex::default());
        Ok(Self(Arc::new(Inner { root: root.to_owned(), sound, reading })))
    }

    /// The folder, as a rack on the same box may read it.
    pub fn root(&self) -> &Path {
        &self.0.root
    }

    /// The file of a blob, if it is here. Anything that is not a hash is not.
    pub async fn find(&self, sha256: &str) -> Option<PathBuf> {
        let is_hash =
            sha256.len() == 64 && sha256.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        let path = self.0.root.join("blobs").join(sha256);
        (is_hash && fs::try_exists(&path).await.unwrap_or(false)).then_some(path)
    }

    /// A blob that is what its name says: its file is read once after the start and again whenever it was written.
    /// A damaged one is put aside.
    pub async fn find_sound(&self, sha256: &str) -> Result<Stored, StoreError> {
        let Some(path) = self.find(sha256).await else { return Ok(Stored::Absent) };
        let stamp = FileStamp::of(&fs::metadata(&path).await.map_err(failed(&path))?);
        if self.is_known(sha256, stamp) {
            return Ok(Stored::Sound(path));
        }
        let _one = self.0.reading.lock().await;
        if self.is_known(sha256, stamp) {
            return Ok(Stored::Sound(path));
        }
        if self.find(sha256).await.is_none() {
            return Ok(Stored::Absent);
        }
        let reading = path.clone();
        let hashed = tokio::task::spawn_blocking(move || hash_file(&reading)).await;
        let actual = hashed.map_err(std::io::Error::other).and_then(|r| r).map_err(failed(&path))?;
        if actual == sha256 {
            self.learn(sha256, stamp);
            return Ok(Stored::Sound(path));
        }
        let aside = self.0.root.join("damaged").join(sha256);
        tracing::error!(sha256, actual, aside = %aside.display(), "a blob of the image store is damaged; it is put aside");
        fs::rename(&path, &aside).await.map_err(failed(&aside))?;
        Ok(Stored::Damaged)
    }

    /// Somebody got something else than this blob: its file is read again before it counts as right.
    pub fn doubt(&self, sha256: &str) {
        self.0.sound.lock().unwrap_or_else(PoisonError::into_inner).remove(sha256);
    }

    fn is_known(&self, sha256: &str, stamp: FileStamp) -> bool {
        self.0.sound.lock().unwrap_or_else(PoisonError::into_inner).get(sha256) == Some(&stamp)
    }

    fn learn(&self, sha256: &str, stamp: FileStamp) {
        self.0.sound.lock().unwrap_or_else(PoisonError::into_inner).insert(sha256.to_owned(), stamp);
    }

    /// Begins or resumes an upload. The key is hashed, so that it may be any text.
    pub async fn upload(&self, key: &str) -> Result<Upload, StoreError> {
        let path = self.0.root.join("uploads").join(hex::encode(Sha256::digest(key)));
        let file =
            fs::OpenOptions::new().create(true).append(true).open(&path).await.map_err(failed(&path))?;
        let written = file.metadata().await.map_err(failed(&path))?.len();
        Ok(Upload { store: self.clone(), path, file, written })
    }

    /// Copies a file of this box into the store.
    pub async fn add_file(&self, source: &Path) -> Result<BlobRef, StoreError> {
        let key = format!("file {} {}", source.display(), rand::random::<u64>());
        let mut upload = self.upload(&key).await?;
        let mut file = fs::File::open(source).await.map_err(failed(source))?;
        let mut buffer = vec![0; 1 << 20];
        loop {
            let n = file.read(&mut buffer).await.map_err(failed(source))?;
            if n == 0 {
                return upload.finish(None).await;
            }
            upload.append(&buffer[..n]).await?;
        }
    }

    /// Makes a blob young again: somebody was told that it is here and is about to name it.
    pub async fn touch(&self, sha256: &str) -> Result<(), StoreError> {
        let Some(path) = self.find(sha256).await else { return Ok(()) };
        let touched = tokio::task::spawn_blocking({
            let path = path.clone();
            move || std::fs::File::options().append(true).open(path)?.set_modified(SystemTime::now())
        });
        touched.await.map_err(std::io::Error::other).and_then(|r| r).map_err(failed(&path))
    }

    /// Hashes of blobs that were neither written nor touched for so long.
    pub async fn blobs_older_than(&self, age: Duration) -> Result<Vec<String>, StoreError> {
        let files = older_than(&self.0.root.join("blobs"), age).await?;
        Ok(files.iter().filter_map(|path| Some(path.file_name()?.to_str()?.to_owned())).collect())
    }

    /// Removes uploads that nobody went on with for so long, and what was put aside; says how many.
    pub async fn remove_uploads(&self, age: Duration) -> Result<usize, StoreError> {
        let mut files = older_than(&self.0.root.join("uploads"), age).await?;
        files.extend(older_than(&self.0.root.join("damaged"), age).await?);
        for path in &files {
            fs::remove_file(path).await.map_err(failed(path))?;
        }
        Ok(files.len())
    }

    /// Removes a blob that no image uses any more.
    pub async fn remove(&self, sha256: &str) -> Result<(), StoreError> {
        match self.find(sha256).await {
            Some(path) => fs::remove_file(&path).await.map_err(failed(&path)),
            None => Ok(()),
        }
    }
}

/// Content that is arriving.
#[derive(Debug)]
pub struct Upload {
    store: Store,
    path: PathBuf,
    file: fs::File,
    written: u64,
}

impl Upload {
    /// How many bytes are here already.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Makes sure that the sender goes on where this stands; at 0 it starts anew.
    pub async fn seek(&mut self, offset: u64) -> Result<(), StoreError> {
        if offset == 0 && self.written > 0 {
            self.file.set_len(0).await.map_err(failed(&self.path))?;
            self.written = 0;
        }
        if offset == self.written {
            Ok(())
        } else {
            Err(StoreError::Offset { at: self.written, asked: offset })
        }
    }

    /// Appends bytes. Refuses to take the last room of the disk, which others need more.
    pub async fn append(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        let after = self.written + bytes.len() as u64;
        if (self.written == 0 || self.written / LOOK != after / LOOK)
            && is_full(&self.store.0.root).map_err(failed(&self.path))?
        {
            let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
            return Err(failed(&self.path)(full));
        }
        self.file.write_all(bytes).await.map_err(failed(&self.path))?;
        self.written += bytes.len() as u64;
        Ok(())
    }

    /// Checks the content and puts it in place. A mismatch removes what arrived.
    pub async fn finish(mut self, expected: Option<&str>) -> Result<BlobRef, StoreError> {
        self.file.flush().await.map_err(failed(&self.path))?;
        self.file.sync_all().await.map_err(failed(&self.path))?;
        let path = self.path.clone();
        let hashed = tokio::task::spawn_blocking(move || hash_file(&path)).await;
        let actual = hashed.map_err(std::io::Error::other).and_then(|r| r).map_err(failed(&self.path))?;
        if let Some(expected) = expected.filter(|e| *e != actual) {
            fs::remove_file(&self.path).await.map_err(failed(&self.path))?;
            return Err(StoreError::Hash { expected: expected.to_owned(), actual });
        }
        let target = self.store.0.root.join("blobs").join(&actual);
        fs::rename(&self.path, &target).await.map_err(failed(&target))?;
        Ok(BlobRef { sha256: actual, size: self.written })
    }
}

/// Files of a folder whose last change is that long ago.
async fn older_than(folder: &Path, age: Duration) -> Result<Vec<PathBuf>, StoreError> {
    let mut entries = fs::read_dir(folder).await.map_err(failed(folder))?;
    let mut old = Vec::new();
    while let Some(entry) = entries.next_entry().await.map_err(failed(folder))? {
        let path = entry.path();
        let changed = entry.metadata().await.and_then(|m| m.modified()).map_err(failed(&path))?;
        // A change in the future is young.
        if changed.elapsed().is_ok_and(|since| since >= age) {
            old.push(path);
        }
    }
    Ok(old)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_upload_is_resumed_and_checked() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).await.unwrap();
        let mut upload = store.upload("x").await.unwrap();
        upload.append(b"hello ").await.unwrap();
        upload.file.flush().await.unwrap();
        drop(upload);
        let mut upload = store.upload("x").await.unwrap();
        assert!(matches!(upload.seek(3).await, Err(StoreError::Offset { at: 6, asked: 3 })));
        upload.seek(6).await.unwrap();
        upload.append(b"world").await.unwrap();
        let blob = upload.finish(None).await.unwrap();
        assert_eq!(blob.sha256, hex::encode(Sha256::digest("hello world")));
        assert_eq!(blob.size, 11);
        assert_eq!(std::fs::read(store.find(&blob.sha256).await.unwrap()).unwrap(), b"hello world");
    }

    #[tokio::test]
    async fn damaged_content_is_refused_and_gone() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).await.unwrap();
        let mut upload = store.upload("x").await.unwrap();
        upload.append(b"hello").await.unwrap();
        assert!(matches!(upload.finish(Some(&"0".repeat(64))).await, Err(StoreError::Hash { .. })));
        assert_eq!(store.upload("x").await.unwrap().written(), 0);
    }

    #[tokio::test]
    async fn what_was_damaged_on_disk_counts_as_not_here_and_may_be_sent_again() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).await.unwrap();
        let source = folder.path().join("source");
        std::fs::write(&source, b"good").unwrap();
        let blob = store.add_file(&source).await.unwrap();
        let path = store.find(&blob.sha256).await.unwrap();
        assert_eq!(store.find_sound(&blob.sha256).await.unwrap(), Stored::Sound(path.clone()));
        for damage in [&b"evil"[..], b"go"] {
            std::fs::write(&path, damage).unwrap();
            assert_eq!(store.find_sound(&blob.sha256).await.unwrap(), Stored::Damaged);
            assert_eq!(store.find_sound(&blob.sha256).await.unwrap(), Stored::Absent);
            assert_eq!(store.find(&blob.sha256).await, None);
            store.add_file(&source).await.unwrap();
            assert_eq!(store.find_sound(&blob.sha256).await.unwrap(), Stored::Sound(path.clone()));
        }
    }

    #[tokio::test]
    async fn only_hashes_name_files() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).await.unwrap();
        for name in ["../uploads", "", "..", &"A".repeat(64)] {
            assert_eq!(store.find(name).await, None);
        }
    }
}
