//! Whether a file is what its name says. Each is read once after the start and again whenever it was written or
//! somebody doubts it; meanwhile it is served, except for its last byte. A damaged file of the rack's own is removed;
//! one in the region's store is passed over, and the region is asked for a good one.

use super::download::Progress;
use super::{Cache, CacheError};
use rackwright_common::snapshot::BlobRef;
use rackwright_link::{FileStamp, hash_file};
use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// A file is read again for a doubt no more often than this: reading it is work, and anybody may doubt.
const DOUBT_EVERY: Duration = Duration::from_secs(10);

/// A blob's file.
pub(super) struct Found {
    pub(super) file: File,
    pub(super) path: PathBuf,
    /// In the rack's own folder.
    pub(super) own: bool,
}

/// What is known of a file.
enum State {
    Sound,
    Damaged,
    /// It is being read.
    Checking(watch::Receiver<Progress>),
}

struct Known {
    stamp: FileStamp,
    state: State,
    since: Instant,
}

/// What is known of all files.
#[derive(Default)]
pub(super) struct Checks(Mutex<HashMap<PathBuf, Known>>);

impl Checks {
    fn lock(&self) -> MutexGuard<'_, HashMap<PathBuf, Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn learn(&self, path: &Path, stamp: FileStamp, state: State) {
        self.lock().insert(path.to_owned(), Known { stamp, state, since: Instant::now() });
    }

    /// Whether this state of the file is known to be damaged.
    pub(super) fn is_damaged(&self, path: &Path, file: &File) -> io::Result<bool> {
        let stamp = FileStamp::of(&file.metadata()?);
        let known = self.lock();
        Ok(known.get(path).is_some_and(|k| k.stamp == stamp && matches!(k.state, State::Damaged)))
    }

    /// A file that was hashed while it was written.
    pub(super) fn learn_sound(&self, path: &Path) -> io::Result<()> {
        let stamp = FileStamp::of(&path.metadata()?);
        self.learn(path, stamp, State::Sound);
        Ok(())
    }
}

impl Cache {
    /// Nothing when the file is known to be right; else the check that decides, begun now or before.
    pub(super) fn check(
        &self,
        blob: &BlobRef,
        found: &Found,
    ) -> io::Result<Option<watch::Receiver<Progress>>> {
        let stamp = FileStamp::of(&found.file.metadata()?);
        let mut known = self.inner.checks.lock();
        match known.get(&found.path).filter(|k| k.stamp == stamp).map(|k| &k.state) {
            Some(State::Sound) => return Ok(None),
            // Without its sender the check has died.
            Some(State::Checking(running)) if running.has_changed().is_ok() => {
                return Ok(Some(running.clone()));
            }
            Some(State::Checking(_) | State::Damaged) | None => {}
        }
        let (sender, receiver) = watch::channel(Progress { bytes: blob.size, ..Progress::default() });
        let state = State::Checking(receiver.clone());
        known.insert(found.path.clone(), Known { stamp, state, since: Instant::now() });
        drop(known);
        let (cache, blob, path, own) = (self.clone(), blob.clone(), found.path.clone(), found.own);
        tokio::task::spawn_blocking(move || {
            let end = cache.read_and_judge(&blob, &path, stamp, own);
            sender.send_modify(|p| p.end = Some(end));
        });
        Ok(Some(receiver))
    }

    fn read_and_judge(
        &self,
        blob: &BlobRef,
        path: &Path,
        stamp: FileStamp,
        own: bool,
    ) -> Result<(), CacheError> {
        let hash = match hash_file(path) {
            Ok(hash) => hash,
            Err(error) => {
                self.inner.checks.lock().remove(path);
                return Err(error.into());
            }
        };
        if hash == blob.sha256 {
            self.inner.checks.learn(path, stamp, State::Sound);
            return Ok(());
        }
        tracing::error!(path = %path.display(), sha256 = hash, "a stored blob is damaged; another copy is fetched");
        self.inner.checks.learn(path, stamp, State::Damaged);
        if own {
            fs::remove_file(path)?;
        }
        Err(CacheError::Damaged(blob.sha256.clone()))
    }

    /// Somebody got something else than this blob: what is here is read again before it counts as right.
    pub fn doubt(&self, blob: &BlobRef) {
        self.doubt_older(blob, DOUBT_EVERY);
    }

    /// The same for what was found out so long ago.
    pub(super) fn doubt_older(&self, blob: &BlobRef, age: Duration) {
        let places = self.places(&blob.sha256);
        self.inner.checks.lock().retain(|path, known| {
            let doubted = matches!(known.state, State::Sound)
                && known.since.elapsed() >= age
                && places.iter().any(|(place, _)| place == path);
            !doubted
        });
    }
}
