//! Erasing the disks: quick (signatures, tables, both ends of every disk and partition) or full (every sector). What was
//! erased is read back, here and there, before it is called erased.

use crate::error::{Error, Result, io};
use crate::install::disk;
use crate::inventory::disks;
use crate::report::Report;
use crate::sys::{self, RangeCall};
use rackwright_common::inventory::Disk;
use rackwright_common::storage::EraseMode;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Instant;

const MIB: u64 = 1 << 20;
const END: u64 = 8 * MIB;
/// Zeroed at a time in full mode, so that progress is seen and a withdrawn token is noticed.
const STRIDE: u64 = 64 * MIB;
const SAMPLES: u64 = 64;

/// Erases every fixed disk.
pub fn run(root: &Path, mode: EraseMode, report: &Report) -> Result<()> {
    if mode == EraseMode::None {
        return Ok(());
    }
    let disks: Vec<Disk> = disks::read(root).into_iter().filter(|disk| !disk.removable).collect();
    // Found before anything is erased: half an erasure helps nobody.
    if let Some(disk) = disks.iter().find(|disk| disk.read_only) {
        return Err(Error::refused(format!("disk {} is read-only and cannot be erased", disk::label(disk))));
    }
    if disks.is_empty() {
        report.log("there is no fixed disk to erase\n");
    }
    for disk in &disks {
        disk::release(root, &disk.name, report);
        erase(&root.join("dev").join(&disk.name), disk, mode, report)?;
    }
    Ok(())
}

fn erase(device: &Path, disk: &Disk, mode: EraseMode, report: &Report) -> Result<()> {
    report.step(format!("erasing {} ({})", disk.name, disk::human_size(disk.size_bytes)));
    disk::wipe_signatures(device, report);
    let file = OpenOptions::new().read(true).write(true).open(device).map_err(io("open", device))?;
    let size = disk.size_bytes;
    match mode {
        EraseMode::None => {}
        EraseMode::Quick => zero_ends(&file, device, size)?,
        EraseMode::Full => erase_all(&file, device, disk, report)?,
    }
    file.sync_all().map_err(io("flush", device))?;
    sys::reread_partitions(&file).ok();
    let checked = if mode == EraseMode::Full { samples(size) } else { vec![0, size.saturating_sub(MIB)] };
    verify(&file, device, size, &checked)?;
    report.log(&format!("{} is erased\n", disk.name));
    Ok(())
}

/// The first and the last 8 MiB of the disk and of each of its partitions.
fn zero_ends(file: &File, device: &Path, size: u64) -> Result<()> {
    let partitions = disk::partition_extents(device);
    for (start, length) in std::iter::once((0, size)).chain(partitions) {
        let end = (start + length).min(size);
        let head = END.min(end - start.min(end));
        zero(file, start, head).map_err(io("erase", device))?;
        let tail = end.saturating_sub(END).max(start);
        zero(file, tail, end - tail.min(end)).map_err(io("erase", device))?;
    }
    Ok(())
}

fn erase_all(file: &File, device: &Path, disk: &Disk, report: &Report) -> Result<()> {
    let size = disk.size_bytes;
    // The drive's own erasure is quick and reaches spare sectors; zeroes over it make reading back a proof.
    for call in [RangeCall::SecureDiscard, RangeCall::Discard] {
        if sys::block_range(file, call, 0, size).is_ok() {
            report.log(&format!("{}: {call:?} of the whole disk\n", disk.name));
            break;
        }
    }
    let started = Instant::now();
    let mut offset = 0;
    while offset < size {
        report.check()?;
        let length = STRIDE.min(size - offset);
        zero(file, offset, length).map_err(io("erase", device))?;
        offset += length;
        let speed = (offset / MIB) as f64 / started.elapsed().as_secs_f64().max(0.001);
        let percent = offset as f32 / size as f32 * 100.0;
        report.progress(Some(percent), format!("erasing {}: {percent:.0} %, {speed:.0} MiB/s", disk.name));
    }
    Ok(())
}

/// Zeroes a range: by the device where it can, by writing otherwise.
pub(crate) fn zero(file: &File, start: u64, length: u64) -> std::io::Result<()> {
    if length == 0 || sys::block_range(file, RangeCall::Zero, start, length).is_ok() {
        return Ok(());
    }
    let zeroes = vec![0; MIB as usize];
    let mut offset = start;
    while offset < start + length {
        let part = MIB.min(start + length - offset) as usize;
        file.write_all_at(&zeroes[..part], offset)?;
        offset += part as u64;
    }
    Ok(())
}

/// Places spread over the disk, both ends among them.
fn samples(size: u64) -> Vec<u64> {
    let last = size.saturating_sub(MIB);
    (0..=SAMPLES)
        .map(|step| (u128::from(last) * u128::from(step) / u128::from(SAMPLES)) as u64 & !0xfff)
        .collect()
}

fn verify(file: &File, device: &Path, size: u64, places: &[u64]) -> Result<()> {
    let mut buffer = vec![0; MIB as usize];
    for place in places {
        let length = MIB.min(size - place) as usize;
        file.read_exact_at(&mut buffer[..length], *place).map_err(io("read back", device))?;
        if buffer[..length].iter().any(|byte| *byte != 0) {
            let name = device.display();
            return Err(Error::refused(format!(
                "{name} still holds data at byte {place} after it was erased"
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_reach_from_end_to_end() {
        let all = samples(1 << 30);
        assert_eq!((all[0], *all.last().unwrap()), (0, (1 << 30) - MIB));
        assert_eq!(samples(4096), vec![0; SAMPLES as usize + 1]);
    }

    #[test]
    fn zeroing_a_file_leaves_what_is_outside_and_verifying_finds_the_rest() {
        let path = tempfile::NamedTempFile::new().unwrap();
        let file = OpenOptions::new().read(true).write(true).open(path.path()).unwrap();
        file.write_all_at(&vec![7; 3 * MIB as usize], 0).unwrap();
        zero(&file, 0, 2 * MIB).unwrap();
        verify(&file, path.path(), 3 * MIB, &[0, MIB]).unwrap();
        let error = verify(&file, path.path(), 3 * MIB, &[0, 2 * MIB]).unwrap_err();
        assert!(error.to_string().contains("at byte 2097152"), "{error}");
    }
}
