//! The boot loaders that firmware fetches over the network, collected from the distribution's packages under the names
//! that are served: iPXE for BIOS and UEFI, and the signed chain (shim, GRUB, MOK manager) for UEFI Secure Boot.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::apt::{Apt, versions};
use crate::error::{Result, io};
use crate::manifest::{self, FileEntry, Manifest};
use crate::progress::ProgressFn;
use crate::{deb, elf, sources};

const PACKAGES: &[&str] = &["grub-efi-amd64-signed", "ipxe", "shim-helpers-amd64-signed", "shim-signed"];

/// File in a package, and the name that is served. `shimx64.efi` asks for `grubx64.efi` beside itself, by that name.
const FILES: &[(&str, &str)] = &[
    ("usr/lib/ipxe/undionly.kpxe", "undionly.kpxe"),
    ("usr/lib/ipxe/snponly.efi", "snponly.efi"),
    ("boot/ipxe.efi", "ipxe.efi"),
    ("usr/lib/shim/shimx64.efi.signed", "shimx64.efi"),
    ("usr/lib/shim/mmx64.efi.signed", "mmx64.efi"),
    ("usr/lib/grub/x86_64-efi-signed/grubnetx64.efi.signed", "grubx64.efi"),
];

/// What to collect.
#[derive(Debug, Clone)]
pub struct BootLoaderRecipe {
    /// Folder for the files and `manifest.json`; made when missing.
    pub out: PathBuf,
    /// Folder for downloaded packages, kept between builds.
    pub cache: PathBuf,
    /// Archive to use instead of the box's apt sources: an address, or whole `deb …` lines.
    pub mirror: Option<String>,
    /// Code name of the release.
    pub release: String,
}

/// The manifest of the collected files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BootLoaderManifest {
    /// Always "boot-loaders".
    pub kind: String,
    /// The files, by the names that are served.
    pub files: Vec<FileEntry>,
    /// Versions of the packages they are from.
    pub packages: BTreeMap<String, String>,
    /// Hash over all inputs.
    pub inputs: String,
}

impl Manifest for BootLoaderManifest {
    fn inputs(&self) -> &str {
        &self.inputs
    }
    fn files(&self) -> Vec<FileEntry> {
        self.files.clone()
    }
}

/// Collects the boot loaders, or finds that they are there.
pub fn collect(recipe: &BootLoaderRecipe, progress: &mut ProgressFn<'_>) -> Result<BootLoaderManifest> {
    let apt = Apt::open(&recipe.cache, &sources::choose(recipe.mirror.as_deref(), &recipe.release)?)?;
    apt.update(progress)?;
    let found = apt.resolve_alone(PACKAGES)?;
    let packages = versions(&found);
    let mut inputs = packages.clone();
    inputs.insert("files".to_owned(), format!("{FILES:?}"));
    let inputs = manifest::hash_inputs(&inputs);
    if let Some(manifest) = manifest::find_unchanged(&recipe.out, &inputs) {
        return Ok(manifest);
    }
    let work = recipe.cache.join("work-bootloaders");
    deb::unpack(&apt.download(&found, progress)?, &work, progress)?;
    fs::create_dir_all(&recipe.out).map_err(io("create", &recipe.out))?;
    manifest::forget(&recipe.out)?;
    let files = FILES.iter().map(|file| place(&work, &recipe.out, *file)).collect::<Result<_>>()?;
    let manifest = BootLoaderManifest { kind: "boot-loaders".to_owned(), files, packages, inputs };
    manifest::write(&recipe.out, &manifest)?;
    fs::remove_dir_all(&work).map_err(io("remove", &work))?;
    Ok(manifest)
}

fn place(root: &Path, out: &Path, (from, name): (&str, &str)) -> Result<FileEntry> {
    let from = elf::locate(root, from)?;
    let to = out.join(name);
    manifest::replace(&to, |partial| fs::copy(&from, partial).map(drop).map_err(io("copy", &from)))?;
    FileEntry::of(&to)
}
