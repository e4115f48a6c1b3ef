//! Debian as an image to install: a root file system (for layouts that the agent partitions itself) and a whole disk, made
//! from packages by mmdebstrap. Unmodified packages, cloud-init and openssh in it, and both boot loaders.
//!
//! What holds: no machine's identity is in it (machine-id, host keys, host name), the data source of cloud-init is left
//! open for the deployment to name, and the first serial port is a console. Left out: other architectures, encryption.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::apt::{Apt, versions};
use crate::bootstrap::{Bootstrap, WITHOUT_DOCUMENTATION};
use crate::command::{self, Tool};
use crate::error::{Error, Result, io};
use crate::manifest::{self, FileEntry, Manifest};
use crate::pack::{self, Packed};
use crate::progress::{Progress, ProgressFn};
use crate::{Kernel, disk, sources};

const CUSTOMIZE: &str = include_str!("debian/customize.sh");

/// What every image holds beside the essential packages and a kernel.
const PACKAGES: &[&str] = &[
    "ca-certificates",
    "cloud-guest-utils",
    "cloud-init",
    "dbus",
    "dosfstools",
    "e2fsprogs",
    "fdisk",
    "grub-efi-amd64-bin",
    "grub-efi-amd64-signed",
    "grub-pc-bin",
    "grub2-common",
    "initramfs-tools",
    "iproute2",
    "iputils-ping",
    "less",
    "locales",
    "lvm2",
    "nano",
    "netplan.io",
    "openssh-server",
    "procps",
    "shim-signed",
    "sudo",
    "systemd-resolved",
    "systemd-sysv",
    "systemd-timesyncd",
    "udev",
    "usr-is-merged",
    "zstd",
];

/// Boot loaders that only installation media and the network need.
const WITHOUT_OTHER_LOADERS: &[&str] = &[
    "path-exclude=/usr/lib/grub/x86_64-efi/monolithic/*",
    "path-exclude=/usr/lib/grub/x86_64-efi-signed/gcd*",
    "path-exclude=/usr/lib/grub/x86_64-efi-signed/grubnet*",
];

/// What to build.
#[derive(Debug, Clone)]
pub struct OsRecipe {
    /// Code name or number: "bookworm", "12", "debian-12".
    pub release: String,
    /// Kernel flavour of the installed system.
    pub kernel: Kernel,
    /// Folder for `root.tar.zst`, `disk.raw.zst` and `manifest.json`; made when missing.
    pub out: PathBuf,
    /// Folder for downloaded packages and work files (about 3 GB while building), kept between builds.
    pub cache: PathBuf,
    /// Archive to use instead of the box's apt sources: an address, or whole `deb …` lines.
    pub mirror: Option<String>,
    /// Packages to add.
    pub extra_packages: Vec<String>,
}

impl OsRecipe {
    /// A recipe with the usual choices: the kernel for hardware is an option, the box's own sources are used.
    #[must_use]
    pub fn new(release: &str, out: PathBuf, cache: PathBuf) -> Self {
        let release = release.to_owned();
        Self { release, kernel: Kernel::Cloud, out, cache, mirror: None, extra_packages: Vec::new() }
    }
}

/// Kind of an image file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ImageKind {
    /// A tar of the root file system, zstd.
    RootTar,
    /// A whole disk, zstd.
    Disk,
}

/// One image file, as the image store wants to know it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageFile {
    /// Whole disk or root file system.
    pub kind: ImageKind,
    /// File name in the folder of the manifest.
    pub name: String,
    /// Bytes of the file.
    pub size: u64,
    /// SHA-256 of the file, hexadecimal.
    pub sha256: String,
    /// Bytes after decompression; for a disk the least size of a target.
    pub uncompressed_size: u64,
}

impl ImageFile {
    pub(crate) fn new(kind: ImageKind, name: &str, packed: Packed) -> Self {
        let Packed { sha256, size, uncompressed_size } = packed;
        Self { kind, name: name.to_owned(), size, sha256, uncompressed_size }
    }
}

/// The manifest of an operating-system image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OsManifest {
    /// "debian-12".
    pub name: String,
    /// "debian".
    pub os: String,
    /// Code name.
    pub release: String,
    /// Debian architecture.
    pub architecture: String,
    /// Kernel flavour.
    pub kernel: Kernel,
    /// The files; both hold the same system.
    pub images: Vec<ImageFile>,
    /// Firmware that the whole disk starts under: "bios", "uefi", "uefi-secure-boot".
    pub boot_loaders: Vec<String>,
    /// The user that cloud-init makes.
    pub default_user: String,
    /// Is cloud-init in it?
    pub cloud_init: bool,
    /// Versions of the packages in it.
    pub packages: BTreeMap<String, String>,
    /// Hash over all inputs.
    pub inputs: String,
}

impl Manifest for OsManifest {
    fn inputs(&self) -> &str {
        &self.inputs
    }
    fn files(&self) -> Vec<FileEntry> {
        let entry =
            |i: &ImageFile| FileEntry { name: i.name.clone(), size: i.size, sha256: i.sha256.clone() };
        self.images.iter().map(entry).collect()
    }
}

/// A built image.
#[derive(Debug, Clone)]
pub struct OsImageBuild {
    /// The root file system.
    pub root: PathBuf,
    /// The whole disk.
    pub disk: PathBuf,
    /// What they are.
    pub manifest: OsManifest,
    /// True when the folder held this very build already and nothing was done.
    pub unchanged: bool,
}

/// Builds the image, or finds that it is built.
pub fn build(recipe: &OsRecipe, progress: &mut ProgressFn<'_>) -> Result<OsImageBuild> {
    command::need(&["mmdebstrap", "apt-get", "tar", "sfdisk", "mke2fs", "mformat", "mcopy", "grub-mkimage"])?;
    let (release, number) = release(&recipe.release)?;
    let sources = sources::choose(recipe.mirror.as_deref(), release)?;
    let apt = Apt::open(&recipe.cache, &sources)?;
    apt.update(progress)?;
    let names = package_names(recipe);
    let packages = versions(&apt.resolve(&names.iter().map(String::as_str).collect::<Vec<_>>())?);
    let inputs = inputs_of(recipe, &packages);
    let paths = (recipe.out.join("root.tar.zst"), recipe.out.join("disk.raw.zst"));
    if let Some(manifest) = manifest::find_unchanged(&recipe.out, &inputs) {
        return Ok(OsImageBuild { root: paths.0, disk: paths.1, manifest, unchanged: true });
    }
    let work = recipe.cache.join(format!("work-debian-{release}"));
    if work.exists() {
        fs::remove_dir_all(&work).map_err(io("remove", &work))?;
    }
    fs::create_dir_all(&work).map_err(io("create", &work))?;
    fs::create_dir_all(&recipe.out).map_err(io("create", &recipe.out))?;
    manifest::forget(&recipe.out)?;

    let epoch = apt.epoch();
    let tar = work.join("root.tar");
    let kept = recipe.cache.join("mmdebstrap-archives");
    let dpkg = [WITHOUT_DOCUMENTATION, WITHOUT_OTHER_LOADERS];
    let (tar_path, names, kept) = (tar.as_path(), names.as_slice(), kept.as_path());
    Bootstrap {
        release,
        sources: &sources,
        names,
        tar: tar_path,
        kept,
        epoch,
        dpkg: &dpkg,
        customize: &customize(recipe.kernel),
    }
    .run(progress)?;
    progress(Progress::Step("compressing the root file system"));
    let root_packed = compress_file(&tar, &paths.0, progress)?;

    progress(Progress::Step("making the disk"));
    let raw = make_disk(&work, &tar, &inputs, epoch)?;
    progress(Progress::Step("compressing the disk"));
    let disk_packed = compress_file(&raw, &paths.1, progress)?;
    let manifest = OsManifest {
        name: format!("debian-{number}"),
        os: "debian".to_owned(),
        release: release.to_owned(),
        architecture: "amd64".to_owned(),
        kernel: recipe.kernel,
        images: vec![
            ImageFile::new(ImageKind::RootTar, "root.tar.zst", root_packed),
            ImageFile::new(ImageKind::Disk, "disk.raw.zst", disk_packed),
        ],
        boot_loaders: ["bios", "uefi", "uefi-secure-boot"].map(str::to_owned).to_vec(),
        default_user: "debian".to_owned(),
        cloud_init: true,
        packages,
        inputs,
    };
    manifest::write(&recipe.out, &manifest)?;
    fs::remove_dir_all(&work).map_err(io("remove", &work))?;
    Ok(OsImageBuild { root: paths.0, disk: paths.1, manifest, unchanged: false })
}

/// The script that makes the root an image. A virtual machine on a busy host may miss the ticks by which the kernel checks
/// its timer at boot, and would panic; it is told not to check.
fn customize(kernel: Kernel) -> String {
    let arguments = match kernel {
        Kernel::Cloud => " no_timer_check",
        Kernel::Generic => "",
    };
    CUSTOMIZE.replace("@ARGUMENTS@", arguments)
}

/// Code name and number of the release.
fn release(wanted: &str) -> Result<(&'static str, &'static str)> {
    match wanted.strip_prefix("debian-").unwrap_or(wanted) {
        "12" | "bookworm" => Ok(("bookworm", "12")),
        _ => Err(Error::Recipe(format!("there is no recipe for `{wanted}`; there is one for `debian-12`"))),
    }
}

fn package_names(recipe: &OsRecipe) -> Vec<String> {
    let mut names: Vec<String> = PACKAGES.iter().map(|n| (*n).to_owned()).collect();
    names.push(recipe.kernel.metapackage().to_owned());
    names.extend(recipe.extra_packages.iter().cloned());
    names.sort();
    names.dedup();
    names
}

fn inputs_of(recipe: &OsRecipe, packages: &BTreeMap<String, String>) -> String {
    let mut inputs: BTreeMap<String, String> =
        packages.iter().map(|(name, version)| (format!("package {name}"), version.clone())).collect();
    inputs.insert("names".to_owned(), package_names(recipe).join(" "));
    inputs.insert("customize".to_owned(), customize(recipe.kernel));
    inputs.insert("options".to_owned(), [WITHOUT_DOCUMENTATION, WITHOUT_OTHER_LOADERS].concat().concat());
    inputs.insert("disk".to_owned(), disk::CONTENT.concat());
    inputs.insert("level".to_owned(), pack::LEVEL.to_string());
    inputs.insert("mirror".to_owned(), recipe.mirror.clone().unwrap_or_default());
    inputs.insert("version".to_owned(), env!("CARGO_PKG_VERSION").to_owned());
    manifest::hash_inputs(&inputs)
}

/// Unpacks the tar and makes the raw disk of it.
fn make_disk(work: &Path, tar: &Path, id: &str, epoch: u64) -> Result<PathBuf> {
    let (root, raw, state) = (work.join("root"), work.join("disk.raw"), work.join("fakeroot.state"));
    fs::create_dir_all(&root).map_err(io("create", &root))?;
    Tool::as_root("tar", &state)?
        .args(["--numeric-owner", "--xattrs", "--xattrs-include=*", "-x", "-f"])
        .arg(tar)
        .arg("-C")
        .arg(&root)
        .output()?;
    disk::build(&root, &raw, &state, id, epoch)?;
    Ok(raw)
}

fn compress_file(from: &Path, to: &Path, progress: &mut ProgressFn<'_>) -> Result<Packed> {
    let mut file = File::open(from).map_err(io("open", from))?;
    let total = file.metadata().map_err(io("read", from))?.len();
    let mut packed = None;
    manifest::replace(to, |partial| {
        packed = Some(pack::compress(&mut file, partial, Some(total), progress)?);
        Ok(())
    })?;
    packed.ok_or_else(|| Error::Recipe("nothing was written".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_go_by_name_and_number() {
        assert_eq!(release("debian-12").unwrap(), ("bookworm", "12"));
        assert_eq!(release("bookworm").unwrap(), ("bookworm", "12"));
        assert!(release("debian-99").unwrap_err().to_string().contains("debian-12"));
    }

    #[test]
    fn inputs_change_with_each_package_version() {
        let recipe = OsRecipe::new("debian-12", "out".into(), "cache".into());
        let one = BTreeMap::from([("a".to_owned(), "1".to_owned())]);
        let two = BTreeMap::from([("a".to_owned(), "2".to_owned())]);
        assert_ne!(inputs_of(&recipe, &one), inputs_of(&recipe, &two));
        assert_eq!(inputs_of(&recipe, &one), inputs_of(&recipe, &one));
    }
}
