//! What a file holds, by its first bytes: a compression, and under it a disk or a tar. Sources: RFC 8878 (zstd), RFC 1952
//! (gzip), the xz file format, docs/interop/qcow2 of QEMU, POSIX ustar, UEFI 2.10 §5.3 (GPT).

use std::fs::File;
use std::io::{self as stdio, BufReader, Read};
use std::path::Path;

use crate::error::{Error, Result, io};

/// Bytes looked at. A file system's mark lies up to 34 KiB into a disk.
const HEAD: usize = 40 << 10;
const SECTOR: usize = 512;

/// How the file is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// zstd frames.
    Zstd,
    /// gzip members.
    Gzip,
    /// An xz stream.
    Xz,
}

/// What is under the compression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// A whole disk, byte for byte; `gpt` tells its partition table from an MBR.
    RawDisk {
        /// GUID partition table.
        gpt: bool,
    },
    /// A whole disk in QEMU's format.
    Qcow2 {
        /// Size of the disk in bytes.
        virtual_size: u64,
    },
    /// A tar, taken for a root file system.
    Tar,
}

/// The result of [`inspect`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Detected {
    /// The outer layer.
    pub compression: Compression,
    /// The inner one.
    pub content: Content,
}

/// Finds out what the file is, or why it cannot be used.
pub fn inspect(path: &Path) -> Result<Detected> {
    let refused = |reason: String| Error::Refused { path: path.to_owned(), reason };
    let mut file = File::open(path).map_err(io("open", path))?;
    let head = read_head(&mut file).map_err(io("read", path))?;
    if head.is_empty() {
        return Err(refused("the file is empty".to_owned()));
    }
    let compression = compression(&head);
    let inner = match compression {
        Compression::None => head,
        _ => {
            let file = File::open(path).map_err(io("open", path))?;
            let mut reader = decompress(compression, file).map_err(io("read", path))?;
            read_head(&mut reader).map_err(|e| {
                refused(format!("it begins as {} but cannot be unpacked: {e}", named(compression)))
            })?
        }
    };
    if self::compression(&inner) != Compression::None && compression != Compression::None {
        return Err(refused("it is compressed twice; unpack it once".to_owned()));
    }
    content(&inner).map(|content| Detected { compression, content }).map_err(refused)
}

/// Opens the inner stream.
pub(super) fn decompress(compression: Compression, file: File) -> stdio::Result<Box<dyn Read>> {
    let file = BufReader::with_capacity(1 << 20, file);
    Ok(match compression {
        Compression::None => Box::new(file),
        Compression::Zstd => Box::new(zstd::Decoder::with_buffer(file)?),
        Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(file)),
        Compression::Xz => Box::new(xz2::bufread::XzDecoder::new_multi_decoder(file)),
    })
}

fn read_head(reader: &mut dyn Read) -> stdio::Result<Vec<u8>> {
    let mut head = Vec::with_capacity(HEAD);
    reader.take(HEAD as u64).read_to_end(&mut head)?;
    Ok(head)
}

fn compression(head: &[u8]) -> Compression {
    match head {
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Compression::Zstd,
        [0x1f, 0x8b, 8, ..] => Compression::Gzip,
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Compression::Xz,
        _ => Compression::None,
    }
}

fn named(compression: Compression) -> &'static str {
    match compression {
        Compression::None => "plain bytes",
        Compression::Zstd => "zstd",
        Compression::Gzip => "gzip",
        Compression::Xz => "xz",
    }
}

fn content(head: &[u8]) -> std::result::Result<Content, String> {
    let at = |offset: usize, mark: &[u8]| head.get(offset..offset + mark.len()) == Some(mark);
    if at(0, b"QFI\xfb") {
        return qcow2(head);
    }
    if at(257, b"ustar") {
        return Ok(Content::Tar);
    }
    if at(32769, b"CD001") {
        return Err("it is a CD image (ISO 9660), not the image of an installed system".to_owned());
    }
    if at(SECTOR, b"EFI PART") || at(4096, b"EFI PART") {
        return Ok(Content::RawDisk { gpt: true });
    }
    if let Some(kind) = other_format(head) {
        return Err(format!("it is {kind}; convert it to raw or qcow2 (qemu-img convert)"));
    }
    if at(1080, &[0x53, 0xef]) && !has_partition(head) {
        return Err(
            "it is a single ext2/3/4 file system without a partition table; import a whole disk or a tar"
                .into(),
        );
    }
    if at(510, &[0x55, 0xaa]) && has_partition(head) {
        return Ok(Content::RawDisk { gpt: false });
    }
    Err("it is neither a disk with a partition table, nor qcow2, nor a tar".to_owned())
}

fn other_format(head: &[u8]) -> Option<&'static str> {
    [
        (&b"KDMV"[..], "a VMware disk (VMDK)"),
        (b"# Disk DescriptorFile", "a VMware disk description (VMDK)"),
        (b"conectix", "a Virtual PC disk (VHD)"),
        (b"vhdxfile", "a Hyper-V disk (VHDX)"),
        (b"<<< Oracle VM VirtualBox", "a VirtualBox disk (VDI)"),
        (b"hsqs", "a squashfs; unpack it and import a tar"),
        (b"PK\x03\x04", "a zip archive"),
        (b"BZh", "compressed with bzip2"),
        (b"\x7fELF", "a program"),
    ]
    .into_iter()
    .find(|(mark, _)| head.starts_with(mark))
    .map(|(_, kind)| kind)
}

/// Has the MBR an entry with a type and a length?
fn has_partition(head: &[u8]) -> bool {
    head.get(446..510)
        .is_some_and(|table| table.chunks(16).any(|entry| entry[4] != 0 && entry[12..16] != [0; 4]))
}

/// The header of qcow2 version 2 or 3, big endian.
fn qcow2(head: &[u8]) -> std::result::Result<Content, String> {
    let number =
        |offset: usize| head.get(offset..offset + 8).and_then(|b| b.try_into().ok()).map(u64::from_be_bytes);
    let word =
        |offset: usize| head.get(offset..offset + 4).and_then(|b| b.try_into().ok()).map(u32::from_be_bytes);
    let (Some(version), Some(backing), Some(virtual_size), Some(crypt)) =
        (word(4), number(8), number(24), word(32))
    else {
        return Err("it is a qcow2 header that was cut off".to_owned());
    };
    if !(2..=3).contains(&version) {
        return Err(format!("it is qcow2 version {version}; versions 2 and 3 are known"));
    }
    if backing != 0 {
        return Err("it is a qcow2 with a backing file, so only part of a disk; flatten it first".to_owned());
    }
    if crypt != 0 {
        return Err("it is an encrypted qcow2".to_owned());
    }
    // Incompatible features, bit 2: the data lies in another file.
    if version == 3 && number(72).unwrap_or(0) & 4 != 0 {
        return Err("it is a qcow2 whose data lies in another file; flatten it first".to_owned());
    }
    Ok(Content::Qcow2 { virtual_size })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn refusal(head: &[u8]) -> String {
        content(head).unwrap_err()
    }

    fn mbr() -> Vec<u8> {
        let mut disk = vec![0; HEAD];
        disk[450] = 0x83;
        disk[458] = 1;
        disk[510..512].copy_from_slice(&[0x55, 0xaa]);
        disk
    }

    fn qcow2_head(version: u32, backing: u64, crypt: u32, features: u64) -> Vec<u8> {
        let mut head = b"QFI\xfb".to_vec();
        head.extend(version.to_be_bytes());
        head.extend(backing.to_be_bytes());
        head.extend([0; 8]);
        head.extend((1u64 << 30).to_be_bytes());
        head.extend(crypt.to_be_bytes());
        head.resize(72, 0);
        head.extend(features.to_be_bytes());
        head
    }

    #[test]
    fn disks_are_known_by_their_partition_table() {
        assert_eq!(content(&mbr()), Ok(Content::RawDisk { gpt: false }));
        let mut gpt = vec![0; 1024];
        gpt[512..520].copy_from_slice(b"EFI PART");
        assert_eq!(content(&gpt), Ok(Content::RawDisk { gpt: true }));
    }

    #[test]
    fn what_cannot_be_deployed_is_refused_with_the_reason() {
        let mut iso = mbr();
        iso[32769..32774].copy_from_slice(b"CD001");
        assert!(refusal(&iso).contains("CD image"));
        let mut ext4 = vec![0; 2048];
        ext4[1080..1082].copy_from_slice(&[0x53, 0xef]);
        assert!(refusal(&ext4).contains("without a partition table"));
        assert!(refusal(b"KDMV....").contains("VMDK"));
        assert!(refusal(&[0; 4096]).contains("neither"));
    }

    #[test]
    fn qcow2_that_reads_other_files_is_refused() {
        assert_eq!(content(&qcow2_head(3, 0, 0, 0)), Ok(Content::Qcow2 { virtual_size: 1 << 30 }));
        assert!(refusal(&qcow2_head(3, 104, 0, 0)).contains("backing file"));
        assert!(refusal(&qcow2_head(3, 0, 0, 4)).contains("another file"));
        assert!(refusal(&qcow2_head(3, 0, 2, 0)).contains("encrypted"));
        assert!(refusal(&qcow2_head(9, 0, 0, 0)).contains("version 9"));
        assert!(refusal(b"QFI\xfb\0\0").contains("cut off"));
    }

    #[test]
    fn compressions_are_seen_through_and_liars_caught() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("image.iso");
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gz.write_all(&mbr()).unwrap();
        std::fs::write(&path, gz.finish().unwrap()).unwrap();
        let disk = Content::RawDisk { gpt: false };
        assert_eq!(inspect(&path).unwrap(), Detected { compression: Compression::Gzip, content: disk });
        std::fs::write(&path, zstd::encode_all(mbr().as_slice(), 1).unwrap()).unwrap();
        assert_eq!(inspect(&path).unwrap(), Detected { compression: Compression::Zstd, content: disk });
        let mut xz = xz2::write::XzEncoder::new(Vec::new(), 0);
        xz.write_all(&mbr()).unwrap();
        let xz = xz.finish().unwrap();
        std::fs::write(&path, &xz).unwrap();
        assert_eq!(inspect(&path).unwrap(), Detected { compression: Compression::Xz, content: disk });
        std::fs::write(&path, &xz[..xz.len() / 2]).unwrap();
        assert!(inspect(&path).unwrap_err().to_string().contains("begins as xz"));
        std::fs::write(&path, b"").unwrap();
        assert!(inspect(&path).unwrap_err().to_string().contains("empty"));
    }
}
