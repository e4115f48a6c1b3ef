//! Where the relays' sockets are: a folder that nobody else may enter, in the folder for temporary files, because a socket's
//! path is short and data folders' paths may be long. Removed with its value; one that a killed process left is removed by
//! the next that starts.

use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How the folders' names begin.
const PREFIX: &str = "rackwright-sockets-";
/// What listens in each.
pub(super) const SOCKET: &str = ".s.PGSQL.5432";
/// A younger folder may belong to somebody who is about to listen.
const GRACE: Duration = Duration::from_secs(60);

/// One process's folder.
pub(super) struct Sockets(PathBuf);

impl Sockets {
    /// Makes a new one, and removes those of the dead.
    pub fn make() -> std::io::Result<Self> {
        let parent = std::env::temp_dir();
        sweep(&parent);
        let folder = parent.join(format!("{PREFIX}{:016x}", rand::random::<u64>()));
        private_folder(&folder)?;
        Ok(Self(folder))
    }

    /// A folder in it.
    pub fn folder(&self, name: &str) -> std::io::Result<PathBuf> {
        let folder = self.0.join(name);
        private_folder(&folder)?;
        Ok(folder)
    }
}

impl Drop for Sockets {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::debug!(%error, "the folder of sockets is left");
        }
    }
}

fn private_folder(folder: &Path) -> std::io::Result<()> {
    std::fs::DirBuilder::new().mode(0o700).create(folder)
}

/// Removes the folders in which nobody listens any more. Those of other users cannot be entered, and stay.
fn sweep(parent: &Path) {
    for entry in std::fs::read_dir(parent).into_iter().flatten().flatten() {
        let ours = entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX));
        let modified = entry.metadata().and_then(|about| about.modified());
        let old = modified.is_ok_and(|at| at.elapsed().is_ok_and(|age| age > GRACE));
        if ours && old && is_dead(&entry.path()) {
            match std::fs::remove_dir_all(entry.path()) {
                Ok(()) => {
                    tracing::debug!(folder = %entry.path().display(), "a dead process's sockets are removed")
                }
                Err(error) => tracing::debug!(%error, "a dead process's sockets are left"),
            }
        }
    }
}

/// Each folder in it holds a socket, and nobody takes a connection at any.
fn is_dead(folder: &Path) -> bool {
    let Ok(inner) = std::fs::read_dir(folder) else { return false };
    let refused = |socket: PathBuf| {
        let answer = UnixStream::connect(socket).map_err(|error| error.kind());
        answer.is_err_and(|kind| matches!(kind, ErrorKind::ConnectionRefused | ErrorKind::NotFound))
    };
    inner.flatten().all(|entry| refused(entry.path().join(SOCKET)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;
    use std::time::SystemTime;

    /// A folder as a process makes it, an hour old, with somebody who listens or not.
    fn folder(parent: &Path, name: &str) -> (PathBuf, UnixListener) {
        let folder = parent.join(name);
        private_folder(&folder).unwrap();
        private_folder(&folder.join("primary")).unwrap();
        let listener = UnixListener::bind(folder.join("primary").join(SOCKET)).unwrap();
        (folder, listener)
    }

    fn make_old(folder: &Path) {
        let hour_ago = SystemTime::now() - Duration::from_secs(3600);
        std::fs::File::open(folder).unwrap().set_modified(hour_ago).unwrap();
    }

    #[test]
    fn what_a_killed_process_left_is_removed_and_nothing_else() {
        let parent = tempfile::tempdir().unwrap();
        let (dead, listener) = folder(parent.path(), "rackwright-sockets-1");
        drop(listener);
        let (young, listener) = folder(parent.path(), "rackwright-sockets-2");
        drop(listener);
        let (living, _listener) = folder(parent.path(), "rackwright-sockets-3");
        let (other, listener) = folder(parent.path(), "somebody-elses");
        drop(listener);
        for old in [&dead, &living, &other] {
            make_old(old);
        }
        sweep(parent.path());
        assert!(!dead.exists());
        assert!(young.exists() && living.exists() && other.exists());
    }
}
