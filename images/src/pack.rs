//! A stream into a zstd file, measured on the way: both sides' sizes and the hash of what is stored.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::error::{Result, io as io_error};
use crate::progress::{Progress, ProgressFn};

/// What [`compress`] measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Packed {
    /// SHA-256 of the compressed file, hexadecimal.
    pub(crate) sha256: String,
    /// Bytes of the compressed file.
    pub(crate) size: u64,
    /// Bytes before compression.
    pub(crate) uncompressed_size: u64,
}

/// Level of zstd for images: a third of level 3's time per saved megabyte ends about here.
pub(crate) const LEVEL: i32 = 9;

/// Compresses everything `from` gives into the file `to`, in memory of a few megabytes. `total` is for the progress.
pub(crate) fn compress(
    from: &mut dyn Read,
    to: &Path,
    total: Option<u64>,
    progress: &mut ProgressFn<'_>,
) -> Result<Packed> {
    let file = File::create(to).map_err(io_error("create", to))?;
    let mut done = 0;
    let written = zstd::Encoder::new(Hashed::new(BufWriter::new(file)), LEVEL).and_then(|mut encoder| {
        encoder.include_checksum(true)?;
        let mut buffer = vec![0; 1 << 20];
        loop {
            let n = match from.read(&mut buffer) {
                Ok(0) => break,
                Ok(n) => n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(e),
            };
            encoder.write_all(&buffer[..n])?;
            done += n as u64;
            progress(Progress::Bytes { done, total });
        }
        let mut hashed = encoder.finish()?;
        hashed.inner.flush()?;
        hashed.inner.get_ref().sync_all()?;
        Ok(hashed)
    });
    let hashed = written.map_err(io_error("write", to))?;
    Ok(Packed { sha256: hex::encode(hashed.hasher.finalize()), size: hashed.size, uncompressed_size: done })
}

/// Counts and hashes what passes.
pub(crate) struct Hashed<T> {
    pub(crate) inner: T,
    pub(crate) hasher: Sha256,
    pub(crate) size: u64,
}

impl<T> Hashed<T> {
    pub(crate) fn new(inner: T) -> Self {
        Self { inner, hasher: Sha256::new(), size: 0 }
    }
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..n]);
        self.size += n as u64;
        Ok(n)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..n]);
        self.size += n as u64;
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::hash_file;

    #[test]
    fn sizes_and_hash_are_those_of_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.zst");
        let data = vec![7; 3 << 20];
        let mut seen = 0;
        let mut progress = |p: Progress<'_>| {
            if let Progress::Bytes { done, .. } = p {
                seen = done;
            }
        };
        let packed = compress(&mut data.as_slice(), &file, None, &mut progress).unwrap();
        assert_eq!(packed.uncompressed_size, 3 << 20);
        assert_eq!(seen, 3 << 20);
        assert_eq!(hash_file(&file).unwrap(), (packed.sha256, packed.size));
        assert_eq!(zstd::decode_all(File::open(&file).unwrap()).unwrap(), data);
    }
}
