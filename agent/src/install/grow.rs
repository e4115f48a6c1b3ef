//! Fitting a whole-disk image to its disk: the backup partition table goes to the end, the last partition and the file
//! system in it are grown.

use super::{Target, disk, mounts};
use crate::command;
use crate::error::{Error, Result, doing};
use serde::Deserialize;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// A partition as sfdisk tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// Number in the table.
    pub number: u32,
    /// Device node.
    pub node: PathBuf,
    /// First sector.
    pub start: u64,
    /// Sectors.
    pub sectors: u64,
    /// GUID of the type, or the hexadecimal type of an MBR.
    pub kind: String,
}

#[derive(Deserialize)]
struct Dump {
    partitiontable: Table,
}

#[derive(Deserialize)]
struct Table {
    label: String,
    #[serde(default)]
    partitions: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    node: String,
    start: u64,
    size: u64,
    #[serde(rename = "type")]
    kind: String,
}

/// Reads the partition table.
pub fn read_table(device: &Path) -> Result<(String, Vec<Partition>)> {
    let dump = command::run("sfdisk", &[OsStr::new("-J"), device.as_os_str()])?;
    parse_table(device, &dump)
}

fn parse_table(device: &Path, dump: &str) -> Result<(String, Vec<Partition>)> {
    let dump: Dump = serde_json::from_str(dump).map_err(|e| doing("read sfdisk's answer")(e.into()))?;
    let base = device.to_string_lossy().into_owned();
    let partitions = dump
        .partitiontable
        .partitions
        .into_iter()
        .filter_map(|entry| {
            let number = entry.node.strip_prefix(&base)?.trim_start_matches('p').parse().ok()?;
            let node = PathBuf::from(entry.node);
            Some(Partition {
                number,
                node,
                start: entry.start,
                sectors: entry.size,
                kind: entry.kind.to_uppercase(),
            })
        })
        .collect();
    Ok((dump.partitiontable.label, partitions))
}

/// Grows the partition that lies last on the disk, and its file system where that can be done now. Gives back all
/// partitions, for which there are nodes.
pub fn grow(target: &Target<'_>) -> Result<Vec<Partition>> {
    let device = target.device.as_path();
    let (label, partitions) = match read_table(device) {
        Err(_) if target.disk.sector_bytes > 512 => return Err(no_partitions(target)),
        other => other?,
    };
    let last = partitions.iter().max_by_key(|partition| partition.start).cloned();
    let last = last.ok_or_else(|| no_partitions(target))?;
    if label == "gpt" {
        let arguments =
            ["--no-reread", "--no-tell-kernel", "-q", "--relocate", "gpt-bak-std"].map(OsStr::new);
        command::run("sfdisk", &[&arguments[..], &[device.as_os_str()]].concat())?;
    }
    let number = last.number.to_string();
    // Nothing before the comma: the start stays; plus: up to the end of the free space behind it.
    let size = wanted_size(target, &last).map_or_else(|| "+".to_owned(), |sectors| sectors.to_string());
    let arguments = ["--no-reread", "--no-tell-kernel", "-q", "-N", &number].map(OsStr::new);
    let grown = command::output(
        "sfdisk",
        &[&arguments[..], &[device.as_os_str()]].concat(),
        format!(", {size}\n").as_bytes(),
    )?;
    // A partition that fills its disk already cannot be grown, which is no harm.
    if !grown.status.success() {
        target.report.log(&format!("{}\n", command::failure("sfdisk", &grown).sentence()));
    }
    let (_, partitions) = read_table(device)?;
    let nodes: Vec<PathBuf> = partitions.iter().map(|partition| partition.node.clone()).collect();
    disk::reread(device, &nodes)?;
    grow_file_system(target, &last.node)?;
    Ok(partitions)
}

fn no_partitions(target: &Target<'_>) -> Error {
    match target.disk.sector_bytes {
        0 | 512 => Error::refused("the image has no partitions"),
        other => Error::refused(format!(
            "disk {} has sectors of {other} bytes, for which the image is not made: use a root file system image",
            target.disk.name
        )),
    }
}

/// The layout's size for the root, in sectors, when it is larger than what the image has.
fn wanted_size(target: &Target<'_>, last: &Partition) -> Option<u64> {
    let sectors =
        target.work.layout.root_mib?.checked_mul(1 << 20)? / u64::from(target.disk.sector_bytes.max(512));
    Some(sectors.max(last.sectors))
}

/// ext4 is grown here; the others can only be grown while mounted, which cloud-init does at the first boot.
fn grow_file_system(target: &Target<'_>, node: &Path) -> Result<()> {
    if mounts::kind(node) != Some("ext4") {
        target
            .report
            .log(&format!("the file system of {} is left to grow at its first start\n", node.display()));
        return Ok(());
    }
    let checked = command::output("e2fsck", &[OsStr::new("-f"), OsStr::new("-y"), node.as_os_str()], b"")?;
    // 1: errors were corrected, 2: and a restart is asked for, which is for mounted file systems.
    if !matches!(checked.status.code(), Some(0..=2)) {
        return Err(command::failure("e2fsck", &checked));
    }
    command::run("resize2fs", &[node.as_os_str()]).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_of_an_nvme_disk_is_read() {
        let dump = r#"{"partitiontable":{"label":"gpt","id":"X","device":"/dev/nvme0n1","unit":"sectors","sectorsize":512,
            "partitions":[{"node":"/dev/nvme0n1p1","start":262144,"size":100,"type":"0fc63daf-8483-4772-8e79-3d69d8477de4"},
                          {"node":"/dev/nvme0n1p14","start":2048,"size":6144,"type":"21686148-6449-6E6F-744E-656564454649"}]}}"#;
        let (label, partitions) = parse_table(Path::new("/dev/nvme0n1"), dump).unwrap();
        assert_eq!(label, "gpt");
        assert_eq!(partitions.iter().map(|p| p.number).collect::<Vec<_>>(), [1, 14]);
        assert_eq!(partitions[0].kind, "0FC63DAF-8483-4772-8E79-3D69D8477DE4");
    }
}
