//! What the rack knows and what it has seen: one picture of the world, one log of what happened. Both are on
//! disk, so that a rack which starts while every region is down goes on where it stopped.

mod journal;
mod journal_file;
mod world;

pub use journal::{Journal, JournalError};
pub use world::{Refused, StateError, World};

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Replaces a file so that a reader, or a crash at any moment, sees the old content or the new, never a part.
pub(crate) fn write_atomically(path: &Path, content: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("tmp");
    let mut file = File::options().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    sync_folder(path)
}

/// Makes a rename or a new file in `path`'s folder last.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}
