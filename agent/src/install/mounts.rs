//! Mounting file systems of the new system, and getting them off again.

use crate::error::{Error, Result, io};
use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A mounted file system; it is detached when dropped.
pub struct Mount {
    target: PathBuf,
    mounted: bool,
}

impl Mount {
    /// Mounts a device on a folder, which is made when missing.
    pub fn new(device: &Path, target: &Path, kind: &str, read_only: bool) -> Result<Self> {
        fs::create_dir_all(target).map_err(io("create", target))?;
        let flags = if read_only { MsFlags::MS_RDONLY } else { MsFlags::empty() };
        mount(Some(device), target, Some(kind), flags, None::<&str>)
            .map_err(|e| io(&format!("mount {} on", device.display()), target)(e.into()))?;
        Ok(Self { target: target.to_owned(), mounted: true })
    }

    /// Shows a folder of the running system inside the new one.
    pub fn bind(source: &Path, target: &Path) -> Result<Self> {
        fs::create_dir_all(target).map_err(io("create", target))?;
        mount(Some(source), target, None::<&str>, MsFlags::MS_BIND | MsFlags::MS_REC, None::<&str>)
            .map_err(|e| io("bind", target)(e.into()))?;
        Ok(Self { target: target.to_owned(), mounted: true })
    }

    /// Unmounts; when this is `Ok`, everything is on its way to the disk and the device is free.
    pub fn unmount(mut self) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            match umount2(&self.target, MntFlags::empty()) {
                Ok(()) => break,
                // A program that was just ended may still be on its way out.
                Err(Errno::EBUSY) if Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(100))
                }
                Err(error) => return Err(io("unmount", &self.target)(error.into())),
            }
        }
        self.mounted = false;
        Ok(())
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        if self.mounted
            && let Err(error) = umount2(&self.target, MntFlags::MNT_DETACH)
        {
            eprintln!("rackwright-agent: cannot unmount {}: {error}", self.target.display());
        }
    }
}

/// The kind of file system on a device, by its signature; none when it is none that is known here.
pub fn kind(device: &Path) -> Option<&'static str> {
    let file = File::open(device).ok()?;
    let holds = |at: u64, signature: &[u8]| {
        let mut bytes = [0; 8];
        let part = &mut bytes[..signature.len()];
        file.read_exact_at(part, at).is_ok() && part == signature
    };
    if holds(0x438, &[0x53, 0xef]) {
        Some("ext4")
    } else if holds(0, b"XFSB") {
        Some("xfs")
    } else if holds(0x1_0040, b"_BHRfS_M") {
        Some("btrfs")
    } else if holds(0x52, b"FAT32") || holds(0x36, b"FAT1") {
        Some("vfat")
    } else {
        None
    }
}

/// As [`kind`], for a device that must have one.
pub fn kind_of(device: &Path) -> Result<&'static str> {
    kind(device).ok_or_else(|| Error::refused(format!("{} holds no file system", device.display())))
}
