//! The snapshot in force.

use super::write_atomically;
use arc_swap::ArcSwap;
use rackwright_common::snapshot::Snapshot;
use rackwright_link::sha256_hex;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;

const FILE: &str = "snapshot.json";

/// The rack's data folder cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot use {path}: is the data folder there, with space left, and this user's?")]
pub struct StateError {
    /// What.
    pub path: PathBuf,
    /// The cause.
    #[source]
    pub source: io::Error,
}

impl StateError {
    pub(crate) fn at(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self { path, source }
    }
}

/// Why a snapshot was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Its bytes do not have the hash it came with.
    #[error("it arrived damaged")]
    Damaged,
    /// There is a newer one.
    #[error("generation {offered} is older than {current}, which is in force")]
    Older {
        /// Generation offered.
        offered: u64,
        /// Generation in force.
        current: u64,
    },
}

/// The snapshot as stored, with the hash of its bytes.
#[derive(Deserialize, Serialize)]
struct Stored<'a> {
    sha256: String,
    #[serde(borrow)]
    snapshot: &'a RawValue,
}

/// Holds the current snapshot, on disk and in memory.
#[derive(Debug)]
pub struct World {
    path: PathBuf,
    current: ArcSwap<Snapshot>,
    changed: watch::Sender<u64>,
    /// One change at a time.
    changing: Mutex<()>,
}

impl World {
    /// Loads the last snapshot from the data folder, which is made when missing. A damaged file is set aside.
    pub fn open(data: &Path) -> Result<Self, StateError> {
        fs::create_dir_all(data).map_err(StateError::at(data))?;
        let path = data.join(FILE);
        let snapshot = match fs::read(&path) {
            Ok(bytes) => read(&bytes).or_else(|why| set_aside(&path, &why))?,
            Err(e) if e.kind() == io::ErrorKind::NotFound => Snapshot::default(),
            Err(e) => return Err(StateError::at(&path)(e)),
        };
        tracing::info!(generation = snapshot.generation, "the world as last seen");
        let (changed, _) = watch::channel(snapshot.generation);
        Ok(Self { path, current: ArcSwap::from_pointee(snapshot), changed, changing: Mutex::new(()) })
    }

    /// The snapshot in force. A new one is a new `Arc`.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// Generation of the snapshot in force; 0 for none.
    pub fn generation(&self) -> u64 {
        self.current.load().generation
    }

    /// Told the generation of each snapshot that comes into force.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Takes a snapshot: stores it, then swaps it in. The one in force already is accepted and changes nothing.
    ///
    /// With the disk full the snapshot is in force all the same, because machines need it now; it is lost with
    /// the process. Blocks for the time of a write to disk.
    pub fn apply(&self, snapshot: Snapshot, intact: bool) -> Result<(), Refused> {
        if !intact {
            return Err(Refused::Damaged);
        }
        let _alone = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let current = self.generation();
        if snapshot.generation < current {
            return Err(Refused::Older { offered: snapshot.generation, current });
        }
        if snapshot.generation == current && *self.current.load_full() == snapshot {
            return Ok(());
        }
        if let Err(error) = store(&self.path, &snapshot) {
            tracing::error!(path = %self.path.display(), %error, "the snapshot is in force but cannot be stored: free space on this disk");
        }
        let generation = snapshot.generation;
        self.current.store(Arc::new(snapshot));
        self.changed.send_replace(generation);
        tracing::info!(generation, "a new snapshot is in force");
        Ok(())
    }
}

fn read(bytes: &[u8]) -> Result<Snapshot, String> {
    let stored: Stored<'_> = serde_json::from_slice(bytes).map_err(|e| e.to_string())?;
    if sha256_hex(stored.snapshot.get().as_bytes()) != stored.sha256 {
        return Err("its hash does not match".to_owned());
    }
    serde_json::from_str(stored.snapshot.get()).map_err(|e| e.to_string())
}

fn set_aside(path: &Path, why: &str) -> Result<Snapshot, StateError> {
    let aside = path.with_extension("damaged");
    tracing::error!(path = %path.display(), why, "the stored snapshot is damaged and set aside: starting without one");
    fs::rename(path, aside).map_err(StateError::at(path))?;
    Ok(Snapshot::default())
}

fn store(path: &Path, snapshot: &Snapshot) -> io::Result<()> {
    let raw = serde_json::value::to_raw_value(snapshot)?;
    let stored = Stored { sha256: sha256_hex(raw.get().as_bytes()), snapshot: &raw };
    write_atomically(path, &serde_json::to_vec(&stored)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generation(generation: u64) -> Snapshot {
        Snapshot { generation, racks: vec![format!("10.0.0.{generation}:5248")], ..Snapshot::default() }
    }

    #[test]
    fn a_snapshot_survives_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let world = World::open(dir.path()).unwrap();
        assert_eq!(world.generation(), 0);
        let mut changes = world.subscribe();
        world.apply(generation(5), true).unwrap();
        assert!(changes.has_changed().unwrap());
        assert_eq!(*changes.borrow_and_update(), 5);
        assert_eq!(*World::open(dir.path()).unwrap().snapshot(), generation(5));
    }

    #[test]
    fn older_and_damaged_ones_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let world = World::open(dir.path()).unwrap();
        world.apply(generation(5), true).unwrap();
        assert_eq!(world.apply(generation(4), true), Err(Refused::Older { offered: 4, current: 5 }));
        assert_eq!(world.apply(generation(6), false), Err(Refused::Damaged));
        assert_eq!(*world.snapshot(), generation(5));
        assert_eq!(world.apply(generation(5), true), Ok(()));
    }

    #[test]
    fn a_damaged_file_is_set_aside_and_the_rack_starts() {
        let dir = tempfile::tempdir().unwrap();
        World::open(dir.path()).unwrap().apply(generation(5), true).unwrap();
        let path = dir.path().join(FILE);
        let text = fs::read_to_string(&path).unwrap().replace("10.0.0.5", "10.0.0.6");
        fs::write(&path, text).unwrap();
        assert_eq!(World::open(dir.path()).unwrap().generation(), 0);
        assert!(dir.path().join("snapshot.damaged").exists());
    }

    #[test]
    fn the_file_is_its_owners_alone_because_it_holds_tokens() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        World::open(dir.path()).unwrap().apply(generation(1), true).unwrap();
        let mode = fs::metadata(dir.path().join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
