//! How a system is laid out on disk.

use crate::inventory::Disk;
use serde::{Deserialize, Serialize};

/// Size of the BIOS boot partition of `flat` and `lvm`, MiB.
pub const BIOS_BOOT_MIB: u64 = 1;

/// Size of the EFI system partition that `flat` and `lvm` make on a disk of so many bytes, MiB.
pub fn esp_mib(disk_bytes: u64) -> u64 {
    if disk_bytes < 8 << 30 { 64 } else { 512 }
}

/// The disk with this serial number, or else world-wide identifier or kernel name.
pub fn named_disk<'a>(disks: &'a [Disk], name: &str) -> Option<&'a Disk> {
    let is = |field: &Option<String>| field.as_deref() == Some(name);
    let found = disks.iter().find(|disk| is(&disk.serial));
    found.or_else(|| disks.iter().find(|disk| is(&disk.wwid) || disk.name == name))
}

/// The disk that a system of `needed` bytes goes to when none is named: the smallest fixed one that can be written.
pub fn smallest_disk(disks: &[Disk], needed: u64) -> Option<&Disk> {
    let fits = |disk: &&Disk| disk.is_fixed() && !disk.read_only && disk.size_bytes >= needed;
    disks.iter().filter(fits).min_by_key(|disk| disk.size_bytes)
}

/// How the agent writes a system.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum LayoutKind {
    /// The image brings its own partitions; the last one is grown to fit the disk.
    #[default]
    Image,
    /// One root partition, plus an EFI system partition and a BIOS boot partition.
    Flat,
    /// As flat, the root on a logical volume `vgroot/lvroot`.
    Lvm,
}

impl LayoutKind {
    /// As stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Flat => "flat",
            Self::Lvm => "lvm",
        }
    }
}

/// A layout with its choices.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StorageLayout {
    /// Which.
    pub kind: LayoutKind,
    /// Serial number of the disk to install to; the smallest suitable one when absent.
    pub disk_serial: Option<String>,
    /// Size of the root file system, MiB; all there is when absent.
    pub root_mib: Option<u64>,
}

/// How disks are erased.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum EraseMode {
    /// Nothing is erased.
    #[default]
    None,
    /// Signatures, partition tables, the first and last MiBs.
    Quick,
    /// Every sector: discard or the drive's own secure erase where it has one, zeroes otherwise.
    Full,
}
