//! Files that are what their hash says: how that is found out, and how it is remembered. And the room that they leave
//! to others on the same disk.

use nix::sys::statvfs::statvfs;
use sha2::{Digest, Sha256};
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// One state of a file's content, told without reading it. It does not change when the file is only read, and
/// changes whenever it is written; damage below the file system goes unseen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileStamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

impl FileStamp {
    /// Of a file as it is now.
    pub fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }
}

/// Bytes that large files leave free for what must never fail on the same disk: leases, journals, the database.
pub const RESERVE: u64 = 64 << 20;

/// Whether the disk of a folder has no more room than [`RESERVE`].
pub fn is_full(folder: &Path) -> io::Result<bool> {
    let found = statvfs(folder)?;
    Ok(found.blocks_available().saturating_mul(found.fragment_size()) <= RESERVE)
}

/// SHA-256 of a whole file, lower-case hexadecimal. Reads all of it: not for an async task's own thread.
pub fn hash_file(path: &Path) -> io::Result<String> {
    let mut hasher = Sha256::new();
    io::copy(&mut File::open(path)?, &mut hasher)?;
    Ok(hex::encode(hasher.finalize()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_tells_written_from_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, b"abc").unwrap();
        let file = File::options().read(true).write(true).open(&path).unwrap();
        file.set_modified(std::time::UNIX_EPOCH).unwrap();
        let before = FileStamp::of(&path.metadata().unwrap());
        assert_eq!(hash_file(&path).unwrap(), crate::sha256_hex(b"abc"));
        assert_eq!(FileStamp::of(&path.metadata().unwrap()), before);
        std::fs::write(&path, b"abd").unwrap();
        assert_ne!(FileStamp::of(&path.metadata().unwrap()), before);
    }
}
