//! An inspected file into the form that is stored.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use super::detect::{Compression, Content, Detected, decompress, inspect};
use crate::command::Tool;
use crate::debian::{ImageFile, ImageKind};
use crate::error::{Error, Result, io};
use crate::manifest;
use crate::pack;
use crate::progress::{Progress, ProgressFn};

/// An image taken in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// The file in the output folder: `disk.raw.zst` or `root.tar.zst`.
    pub path: PathBuf,
    /// Its kind, hash and sizes.
    pub file: ImageFile,
    /// What the source was found to be.
    pub detected: Detected,
}

/// Turns `source` into `disk.raw.zst` or `root.tar.zst` in `out` (made when missing). `expected` is the SHA-256 of the
/// source, hexadecimal, when the one who offers it knows it; a source with another one is refused and nothing is left.
pub fn convert(
    source: &Path,
    out: &Path,
    expected: Option<&str>,
    progress: &mut ProgressFn<'_>,
) -> Result<Imported> {
    let detected = inspect(source)?;
    fs::create_dir_all(out).map_err(io("create", out))?;
    if let Some(expected) = expected {
        check(source, expected, progress)?;
    }
    let (kind, name) = match detected.content {
        Content::Tar => (ImageKind::RootTar, "root.tar.zst"),
        Content::RawDisk { .. } | Content::Qcow2 { .. } => (ImageKind::Disk, "disk.raw.zst"),
    };
    let path = out.join(name);
    let mut packed = None;
    manifest::replace(&path, |partial| {
        let made = match detected.content {
            Content::Qcow2 { .. } => pack_qcow2(source, detected.compression, out, partial, progress),
            Content::RawDisk { .. } | Content::Tar => {
                pack_stream(source, detected.compression, partial, progress)
            }
        };
        packed = Some(made.inspect_err(|_| drop(fs::remove_file(partial)))?);
        Ok(())
    })?;
    let packed = packed.ok_or_else(|| Error::Recipe("nothing was written".to_owned()))?;
    Ok(Imported { path, file: ImageFile::new(kind, name, packed), detected })
}

fn check(source: &Path, expected: &str, progress: &mut ProgressFn<'_>) -> Result<()> {
    progress(Progress::Step("checking the checksum"));
    let (found, _) = manifest::hash_file(source)?;
    if found.eq_ignore_ascii_case(expected.trim()) {
        return Ok(());
    }
    let reason = format!("its SHA-256 is {found}, not {} as announced", expected.trim());
    Err(Error::Refused { path: source.to_owned(), reason })
}

fn pack_stream(
    source: &Path,
    compression: Compression,
    to: &Path,
    progress: &mut ProgressFn<'_>,
) -> Result<pack::Packed> {
    progress(Progress::Step("compressing"));
    let file = File::open(source).map_err(io("open", source))?;
    let total = match compression {
        Compression::None => file.metadata().ok().map(|m| m.len()),
        _ => None,
    };
    let mut stream = decompress(compression, file).map_err(io("read", source))?;
    pack::compress(&mut stream, to, total, progress).map_err(|e| broken_stream(source, e))
}

/// A stream that breaks off is a fault of the source, not of the place that is written to.
fn broken_stream(source: &Path, error: Error) -> Error {
    use std::io::ErrorKind::{InvalidData, InvalidInput, Other, UnexpectedEof};
    match error {
        Error::Io { source: cause, .. }
            if matches!(cause.kind(), InvalidData | InvalidInput | UnexpectedEof | Other) =>
        {
            Error::Refused {
                path: source.to_owned(),
                reason: format!("it cannot be read to its end: {cause}"),
            }
        }
        other => other,
    }
}

/// qemu-img reads at random, so a compressed source is unpacked first, and the raw disk lies as a sparse file for a
/// while. The format is named to it: it must not guess another one from the bytes.
fn pack_qcow2(
    source: &Path,
    compression: Compression,
    out: &Path,
    to: &Path,
    progress: &mut ProgressFn<'_>,
) -> Result<pack::Packed> {
    let (plain, raw) = (out.join(".import.qcow2"), out.join(".import.raw"));
    let made = (|| {
        let input = if compression == Compression::None { source } else { &plain };
        if compression != Compression::None {
            progress(Progress::Step("unpacking"));
            unpack(source, compression, &plain)?;
        }
        progress(Progress::Step("converting qcow2 to raw"));
        let tool = Tool::new("qemu-img")?.args(["convert", "-f", "qcow2", "-O", "raw"]).arg(input).arg(&raw);
        tool.output().map_err(|e| match e {
            Error::CommandFailed { tail, .. } => {
                Error::Refused { path: source.to_owned(), reason: format!("qemu-img cannot read it: {tail}") }
            }
            other => other,
        })?;
        pack_stream(&raw, Compression::None, to, progress)
    })();
    for path in [&plain, &raw] {
        fs::remove_file(path).ok();
    }
    made
}

fn unpack(source: &Path, compression: Compression, to: &Path) -> Result<()> {
    let file = File::open(source).map_err(io("open", source))?;
    let mut stream = decompress(compression, file).map_err(io("read", source))?;
    let mut out = File::create(to).map_err(io("create", to))?;
    std::io::copy(&mut stream, &mut out)
        .map(drop)
        .map_err(|source| Error::Io { action: "write", path: to.to_owned(), source })
        .map_err(|e| broken_stream(source, e))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk() -> Vec<u8> {
        let mut disk = vec![0; 3 << 20];
        disk[512..520].copy_from_slice(b"EFI PART");
        disk[2 << 20] = 42;
        disk
    }

    fn quiet(_: Progress<'_>) {}

    #[test]
    fn a_compressed_disk_is_stored_as_zstd_with_its_sizes() {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("named.qcow2");
        fs::write(&source, zstd::encode_all(disk().as_slice(), 1).unwrap()).unwrap();
        let out = folder.path().join("out");
        let imported = convert(&source, &out, None, &mut quiet).unwrap();
        assert_eq!((imported.file.kind, imported.file.name.as_str()), (ImageKind::Disk, "disk.raw.zst"));
        assert_eq!(imported.file.uncompressed_size, 3 << 20);
        assert_eq!(manifest::hash_file(&imported.path).unwrap(), (imported.file.sha256, imported.file.size));
        assert_eq!(zstd::decode_all(File::open(&imported.path).unwrap()).unwrap(), disk());
    }

    #[test]
    fn a_wrong_checksum_and_a_cut_stream_leave_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("x");
        let noisy: Vec<u8> = disk()
            .iter()
            .enumerate()
            .map(|(i, b)| b ^ if i < 600 { 0 } else { ((i * i) >> 7) as u8 })
            .collect();
        let packed = zstd::encode_all(noisy.as_slice(), 1).unwrap();
        fs::write(&source, &packed).unwrap();
        let out = folder.path().join("out");
        let error = convert(&source, &out, Some("00"), &mut quiet).unwrap_err().to_string();
        assert!(error.contains("not 00 as announced"), "{error}");
        fs::write(&source, &packed[..packed.len() - 100]).unwrap();
        let error = convert(&source, &out, None, &mut quiet).unwrap_err().to_string();
        assert!(error.contains("cannot be read to its end"), "{error}");
        assert_eq!(fs::read_dir(&out).unwrap().count(), 0);
    }
}
