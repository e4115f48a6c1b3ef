//! Writing an operating system: choose the disk, write the image, grow it, tell the system its name and network and how
//! to reach Rackwright, check what was written. The beginning of the disk is written last, so a machine that loses power
//! half-way never boots a half-written system; the item is then given again and everything starts over.

pub mod boot;
pub mod disk;
pub mod grow;
pub mod loader;
pub mod mounts;
pub mod nics;
pub mod rootfs;
pub mod seed;
pub mod stream;

use crate::config::Config;
use crate::error::{Error, Result, io};
use crate::inventory::{self, disks};
use crate::report::Report;
use mounts::Mount;
use rackwright_common::agent::{ImageKind, InstallWork};
use rackwright_common::inventory::Disk;
use rackwright_common::storage::LayoutKind;
use std::path::{Path, PathBuf};

/// How often an image may arrive damaged before it is given up.
const TRIES: u32 = 3;

/// What the parts of an installation need to know.
pub struct Target<'a> {
    /// What is asked for.
    pub work: &'a InstallWork,
    /// The disk.
    pub disk: Disk,
    /// Its device node.
    pub device: PathBuf,
    /// An empty folder for mounting the new system.
    pub mount: PathBuf,
    /// This machine booted by UEFI.
    pub efi: bool,
    /// Where it is reported.
    pub report: &'a Report,
}

/// Installs, from choosing the disk to the last check.
pub fn run(work: &InstallWork, config: &Config, report: &Report) -> Result<()> {
    if work.image_kind == ImageKind::Disk && work.layout.kind == LayoutKind::Lvm {
        return Err(Error::refused(
            "a whole-disk image brings its own partitions; the layout lvm needs a root file system image",
        ));
    }
    let needed = match work.image_kind {
        ImageKind::Disk => work.uncompressed_size,
        ImageKind::Rootfs => rootfs::needed(work),
    };
    let disk = disk::choose(&disks::read(&config.root), work.layout.disk_serial.as_deref(), needed)?;
    nics::check(&config.root, &work.network)?;
    report.step(format!("installing to {} ({})", disk::label(&disk), disk::human_size(disk.size_bytes)));
    disk::release(&config.root, &disk.name, report);
    let device = config.root.join("dev").join(&disk.name);
    let mount = config.work.join("target");
    let target = Target { work, disk, device, mount, efi: inventory::is_efi(&config.root), report };
    to(&target)
}

/// Installs to a disk that was chosen.
pub fn to(target: &Target<'_>) -> Result<()> {
    until_undamaged(target.report, || once(target))
}

/// What was damaged on its way, or on a rack, is fetched and written anew from the beginning, a few times.
pub fn until_undamaged(report: &Report, mut install: impl FnMut() -> Result<()>) -> Result<()> {
    let mut tries = 1;
    loop {
        match install() {
            Err(error @ Error::Damaged { .. }) if tries < TRIES => {
                report.log(&format!("{error}; starting over\n"));
                tries += 1;
            }
            ended => return ended,
        }
    }
}

fn once(target: &Target<'_>) -> Result<()> {
    match target.work.image_kind {
        ImageKind::Disk => install_disk(target),
        ImageKind::Rootfs => rootfs::install(target),
    }
}

fn install_disk(target: &Target<'_>) -> Result<()> {
    let report = target.report;
    if target.work.layout.kind == LayoutKind::Flat {
        report.log("a whole-disk image brings its own partitions; the layout flat changes nothing\n");
    }
    disk::wipe_signatures(&target.device, report);
    stream::write_image(&target.device, &target.work.image, target.work.uncompressed_size, report)?;
    report.step("growing the last partition");
    let partitions = grow::grow(target)?;
    let root = find_root(target, &partitions)?;
    report.step("configuring the system");
    seed::write(&target.mount, target.work, report)?;
    boot::add_arguments(&target.mount, &target.work.kernel_arguments, report)?;
    root.unmount()?;
    report.step("checking what was written");
    check(target, &partitions)
}

/// Mounts the partition that holds an operating system.
fn find_root(target: &Target<'_>, partitions: &[grow::Partition]) -> Result<Mount> {
    let mut by_size: Vec<&grow::Partition> = partitions.iter().collect();
    by_size.sort_by_key(|partition| std::cmp::Reverse(partition.sectors));
    for partition in by_size {
        let Some(kind) = mounts::kind(&partition.node) else { continue };
        if kind == "vfat" {
            continue;
        }
        let mounted = Mount::new(&partition.node, &target.mount, kind, false);
        match mounted {
            Ok(mount) if is_root(&target.mount) => return Ok(mount),
            Ok(mount) => mount.unmount()?,
            Err(error) => target.report.log(&format!("{}\n", error.sentence())),
        }
    }
    Err(Error::refused(
        "the image has no Linux root file system that can be mounted, so it cannot be configured",
    ))
}

fn is_root(path: &Path) -> bool {
    path.join("etc").is_dir()
        && ["etc/os-release", "usr/lib/os-release", "etc/passwd"].iter().any(|f| path.join(f).exists())
}

/// Reads back, past all caches, that the system is there and can be started.
fn check(target: &Target<'_>, partitions: &[grow::Partition]) -> Result<()> {
    crate::command::run("blockdev", &[std::ffi::OsStr::new("--flushbufs"), target.device.as_os_str()]).ok();
    let root = find_root(target, partitions)?;
    let expected = seed::cloud_config(&target.work.metadata, target.report.link().addresses());
    let path = target.mount.join(seed::CLOUD_CONFIG);
    let found = std::fs::read_to_string(&path).map_err(io("read back", &path))?;
    root.unmount()?;
    if found != expected {
        return Err(Error::refused(format!(
            "disk {} does not give back what was written to it",
            target.disk.name
        )));
    }
    boot::check(target, partitions)
}
