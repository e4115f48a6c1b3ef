//! Which disk to install to, and freeing it from whatever still holds it.

use crate::command;
use crate::error::{Error, Result};
use crate::inventory::{self, names};
use crate::report::Report;
use crate::sys;
use nix::mount::{MntFlags, umount2};
use rackwright_common::inventory::Disk;
use rackwright_common::storage;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The disk for a system of `needed` bytes: the one with this serial number (or world-wide id, or name), or else the
/// smallest fixed one that is large enough and can be written.
pub fn choose(disks: &[Disk], serial: Option<&str>, needed: u64) -> Result<Disk> {
    if disks.is_empty() {
        return Err(Error::refused("this machine has no disk"));
    }
    let found = match serial {
        Some(serial) => by_serial(disks, serial)?,
        None => smallest(disks, needed)?,
    };
    if found.read_only {
        return Err(Error::refused(format!("disk {} is read-only", found.name)));
    }
    if found.size_bytes < needed {
        let (size, needed) = (human_size(found.size_bytes), human_size(needed));
        return Err(Error::refused(format!(
            "disk {} ({size}) is smaller than the image ({needed})",
            found.name
        )));
    }
    Ok(found.clone())
}

fn by_serial<'a>(disks: &'a [Disk], serial: &str) -> Result<&'a Disk> {
    storage::named_disk(disks, serial).ok_or_else(|| {
        let there: Vec<String> = disks.iter().map(label).collect();
        Error::refused(format!("no disk has the serial number {serial}; there are {}", there.join(", ")))
    })
}

fn smallest(disks: &[Disk], needed: u64) -> Result<&Disk> {
    if let Some(found) = storage::smallest_disk(disks, needed) {
        return Ok(found);
    }
    // What does not fit is refused by the caller, with its reason: the largest that can be written, if there is one.
    let fixed = disks.iter().filter(|disk| disk.is_fixed());
    fixed.max_by_key(|disk| (!disk.read_only, disk.size_bytes)).ok_or_else(|| {
        Error::refused("this machine has no fixed disk, only removable ones: name one by its serial number")
    })
}

/// Name and serial number.
pub fn label(disk: &Disk) -> String {
    match &disk.serial {
        Some(serial) => format!("{} (serial {serial})", disk.name),
        None => disk.name.clone(),
    }
}

/// Bytes for people: `4 GiB`, `1.5 TiB`.
pub fn human_size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    let rounded = (value * 10.0).round() / 10.0;
    if rounded.fract() == 0.0 {
        format!("{rounded:.0} {}", UNITS[unit])
    } else {
        format!("{rounded:.1} {}", UNITS[unit])
    }
}

/// The node of a partition: `vda1`, `nvme0n1p1`.
pub fn partition_node(device: &Path, number: u32) -> PathBuf {
    let text = device.to_string_lossy();
    let separator = if text.ends_with(|c: char| c.is_ascii_digit()) { "p" } else { "" };
    PathBuf::from(format!("{text}{separator}{number}"))
}

/// Names of the kernel's partitions of a disk.
pub fn partitions(root: &Path, disk: &str) -> Vec<String> {
    let folder = root.join("sys/block").join(disk);
    names(&folder).into_iter().filter(|name| folder.join(name).join("partition").exists()).collect()
}

/// Start and length, bytes, of the kernel's partitions of a device.
pub fn partition_extents(device: &Path) -> Vec<(u64, u64)> {
    let Some(disk) = device.file_name().and_then(OsStr::to_str) else { return Vec::new() };
    let folder = Path::new("/sys/block").join(disk);
    let sectors = |name: &str, file: &str| inventory::number::<u64>(&folder.join(name).join(file));
    partitions(Path::new("/"), disk)
        .iter()
        .filter_map(|name| Some((sectors(name, "start")? * 512, sectors(name, "size")? * 512)))
        .collect()
}

/// Unmounts what is mounted from the disk, and takes swap, LVM and RAID off it. What cannot be freed shows when the disk
/// is written.
pub fn release(root: &Path, disk: &str, report: &Report) {
    let mut devices = partitions(root, disk);
    devices.push(disk.to_owned());
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    for line in mounts.lines().rev() {
        let mut fields = line.split(' ');
        let (Some(source), Some(target)) = (fields.next(), fields.next()) else { continue };
        if source.strip_prefix("/dev/").is_some_and(|name| devices.iter().any(|device| device == name)) {
            report.log(&format!("unmounting {target}\n"));
            umount2(target, MntFlags::MNT_DETACH).ok();
        }
    }
    for device in &devices {
        command::run("swapoff", &[format!("/dev/{device}")]).ok();
    }
    let folder = root.join("sys/block").join(disk);
    let holders: Vec<String> = std::iter::once(folder.join("holders"))
        .chain(devices.iter().map(|device| folder.join(device).join("holders")))
        .flat_map(|holders| names(&holders))
        .collect();
    if holders.iter().any(|holder| holder.starts_with("dm-")) {
        report.log("deactivating LVM\n");
        command::run("vgchange", &["-an"]).ok();
    }
    for array in holders.iter().filter(|holder| holder.starts_with("md")) {
        report.log(&format!("stopping RAID {array}\n"));
        fs::write(root.join("sys/block").join(array).join("md/array_state"), "clear").ok();
    }
}

/// Removes every signature from the partitions and the disk, so that nothing old is found again.
pub fn wipe_signatures(device: &Path, report: &Report) {
    let Some(disk) = device.file_name().and_then(OsStr::to_str) else { return };
    let nodes = partitions(Path::new("/"), disk).into_iter().map(|name| device.with_file_name(name));
    for node in nodes.chain(std::iter::once(device.to_owned())) {
        let arguments = [OsStr::new("-a"), OsStr::new("-f"), OsStr::new("-q"), node.as_os_str()];
        if let Err(error) = command::run("wipefs", &arguments) {
            report.log(&format!("{}\n", error.sentence()));
        }
    }
    if let Ok(file) = File::open(device) {
        sys::reread_partitions(&file).ok();
    }
}

/// Has the kernel read the partition table again and waits for these nodes.
pub fn reread(device: &Path, nodes: &[PathBuf]) -> Result<()> {
    let started = Instant::now();
    let mut told = false;
    let mut why = String::new();
    loop {
        let read = if started.elapsed() < Duration::from_secs(2) {
            let read = File::open(device).and_then(|file| sys::reread_partitions(&file));
            Some(read.map_err(|error| error.to_string()))
        } else if !told {
            // Partition by partition works where the kernel cannot read this kind of table, or finds the disk busy.
            told = true;
            let arguments = [OsStr::new("-u"), device.as_os_str()];
            Some(command::run("partx", &arguments).map(drop).map_err(|error| error.sentence()))
        } else {
            None
        };
        if let Some(read) = read {
            why = read.err().map_or_else(String::new, |error| format!(" ({error})"));
        }
        // A file system that was just unmounted may hold the device a moment longer.
        let missing: Vec<String> =
            nodes.iter().filter(|node| !node.exists()).map(|node| node.display().to_string()).collect();
        if missing.is_empty() && why.is_empty() {
            return Ok(());
        }
        if started.elapsed() > Duration::from_secs(10) {
            let missing = missing.join(", ");
            return Err(Error::refused(format!(
                "the kernel does not show the new partitions{why}; missing: {missing}"
            )));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    fn disk(name: &str, gib: u64) -> Disk {
        Disk {
            name: name.into(),
            size_bytes: gib * GIB,
            serial: Some(format!("S-{name}")),
            ..Disk::default()
        }
    }

    #[test]
    fn the_smallest_that_fits_is_taken() {
        let stick = Disk { removable: true, ..disk("sda", 8) };
        let usb = Disk { transport: Some("usb".into()), ..disk("sdb", 8) };
        let locked = Disk { read_only: true, ..disk("sdc", 8) };
        let disks = [stick, usb, locked, disk("vdb", 100), disk("vdc", 10), disk("vdd", 2)];
        assert_eq!(choose(&disks, None, 4 * GIB).unwrap().name, "vdc");
        assert_eq!(choose(&disks, Some("S-vdb"), 4 * GIB).unwrap().name, "vdb");
        assert_eq!(
            choose(&disks, Some("S-sda"), 4 * GIB).unwrap().name,
            "sda",
            "a named disk may be removable"
        );
    }

    #[test]
    fn refusals_say_what_is_wrong_with_which_disk() {
        let refused =
            |disks: &[Disk], serial: Option<&str>| choose(disks, serial, 4 * GIB).unwrap_err().to_string();
        assert_eq!(refused(&[], None), "this machine has no disk");
        assert_eq!(
            refused(&[disk("vda", 2), disk("vdb", 1)], None),
            "disk vda (2 GiB) is smaller than the image (4 GiB)"
        );
        assert_eq!(refused(&[Disk { read_only: true, ..disk("vda", 9) }], None), "disk vda is read-only");
        assert!(refused(&[Disk { removable: true, ..disk("sda", 9) }], None).contains("only removable ones"));
        assert_eq!(
            refused(&[disk("vda", 9)], Some("X")),
            "no disk has the serial number X; there are vda (serial S-vda)"
        );
    }

    #[test]
    fn names_and_sizes() {
        assert_eq!(partition_node(Path::new("/dev/vda"), 3), Path::new("/dev/vda3"));
        assert_eq!(partition_node(Path::new("/dev/nvme0n1"), 3), Path::new("/dev/nvme0n1p3"));
        assert_eq!(human_size(1536 * GIB), "1.5 TiB");
        assert_eq!(human_size(700), "700 B");
    }
}
