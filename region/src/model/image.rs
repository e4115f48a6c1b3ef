//! Images: what is deployed, and what Rackwright itself boots.

use super::Timestamp;
use rackwright_common::{MachineId, Status};
use serde::{Deserialize, Serialize};
use std::fmt;

/// What an image is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ImagePurpose {
    /// An operating system to deploy; its file is `disk` or `rootfs`.
    Os,
    /// The environment that machines boot from the network; `vmlinuz` and `initrd`.
    Ephemeral,
    /// Test tools for it.
    Toolbox,
    /// Boot loaders by file name.
    Bootloaders,
}

impl ImagePurpose {
    /// As stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Os => "os",
            Self::Ephemeral => "ephemeral",
            Self::Toolbox => "toolbox",
            Self::Bootloaders => "bootloaders",
        }
    }

    /// Of a stored name.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Os, Self::Ephemeral, Self::Toolbox, Self::Bootloaders].into_iter().find(|p| p.as_str() == text)
    }
}

impl fmt::Display for ImagePurpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One version of an image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Image {
    /// Number of this version's row.
    pub id: i64,
    /// Name, such as `debian-12`.
    pub name: String,
    /// Counts up under one name; the highest is the current one.
    pub version: i32,
    /// What for.
    pub kind: ImagePurpose,
    /// For people.
    pub title: String,
    /// `x86_64`, `aarch64`.
    pub architecture: String,
    /// How it was made: recipe, packages, hashes.
    #[schema(value_type = Object)]
    pub manifest: serde_json::Value,
    /// Its files.
    pub files: Vec<ImageFile>,
    /// When it was registered.
    pub created_at: Timestamp,
    /// Names of files whose content the region that was asked does not have: on their way from another region, or
    /// damaged and put aside, or lost. Where no region has them, load the image again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
    /// Names of the regions that lack files of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lacking_in: Vec<String>,
    /// Names of the racks that have all of it at hand. The others fetch it when a machine asks for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub on_racks: Vec<String>,
}

impl Image {
    /// Bytes in the store.
    pub fn size(&self) -> i64 {
        self.files.iter().map(|f| f.size).sum()
    }
}

/// One file of an image; its content is in the store under its hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ImageFile {
    /// `disk`, `rootfs`, `vmlinuz`, `initrd`, or a boot loader's file name.
    pub name: String,
    /// SHA-256, lower-case hexadecimal.
    pub sha256: String,
    /// Bytes.
    pub size: i64,
    /// Bytes after decompression; the same as `size` when it is not compressed.
    pub uncompressed_size: i64,
}

/// A version to register. Its files have been uploaded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewImage {
    /// Name: lower-case letters, digits, dot, hyphen and underscore.
    pub name: String,
    /// What for.
    pub kind: ImagePurpose,
    /// For people.
    #[serde(default)]
    pub title: String,
    /// `x86_64` when absent.
    #[serde(default = "x86_64")]
    pub architecture: String,
    /// How it was made.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub manifest: serde_json::Map<String, serde_json::Value>,
    /// Its files.
    pub files: Vec<ImageFile>,
}

fn x86_64() -> String {
    "x86_64".into()
}

/// A machine that runs an image, or is being installed with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ImageUse {
    /// Which.
    pub machine: MachineId,
    /// Its name.
    pub hostname: String,
    /// Where it is in its life.
    #[schema(value_type = String)]
    pub status: Status,
}

/// How much of a file has arrived.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Upload {
    /// Hash of the whole file.
    pub sha256: String,
    /// Bytes received so far; go on from here.
    pub received: u64,
    /// The file is whole and its hash is right.
    pub complete: bool,
}
