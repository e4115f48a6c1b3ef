//! How a system is laid out on disk.

use serde::{Deserialize, Serialize};

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
