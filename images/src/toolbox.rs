//! The toolbox: a squashfs with a full userland and the programs that tests call, fetched by the agent only when a script
//! needs it (loop device, overlay on memory, chroot). The ephemeral environment stays small without it.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::apt::{Apt, versions};
use crate::bootstrap::{Bootstrap, WITHOUT_DOCUMENTATION};
use crate::command::{self, Tool};
use crate::error::{Error, Result, io};
use crate::manifest::{self, FileEntry, Manifest};
use crate::progress::{Progress, ProgressFn};
use crate::sources;

/// Name of the file in the output folder.
const FILE: &str = "toolbox.squashfs";

const PACKAGES: &[&str] = &[
    "bash",
    "ca-certificates",
    "chrony",
    "curl",
    "dmidecode",
    "e2fsprogs",
    "ethtool",
    "fio",
    "hdparm",
    "iproute2",
    "iputils-ping",
    "jq",
    "lshw",
    "lsscsi",
    "memtester",
    "nvme-cli",
    "pciutils",
    "procps",
    "python3-minimal",
    "smartmontools",
    "stress-ng",
    "usbutils",
    "usr-is-merged",
    "util-linux",
];

/// Large blocks: the programs in it are read whole, and the file travels over the network.
const SQUASHFS: &[&str] =
    &["-tar", "-comp", "zstd", "-Xcompression-level", "19", "-b", "1M", "-no-progress", "-quiet"];

/// Made in the chroot of the agent, or of no use there.
const CUSTOMIZE: &str = include_str!("toolbox/customize.sh");

/// What to build.
#[derive(Debug, Clone)]
pub struct ToolboxRecipe {
    /// Folder for `toolbox.squashfs` and `manifest.json`; made when missing.
    pub out: PathBuf,
    /// Folder for downloaded packages and work files, kept between builds.
    pub cache: PathBuf,
    /// Archive to use instead of the box's apt sources: an address, or whole `deb …` lines.
    pub mirror: Option<String>,
    /// Code name of the release.
    pub release: String,
    /// Packages to add.
    pub extra_packages: Vec<String>,
}

/// The manifest of a built toolbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolboxManifest {
    /// Always "toolbox".
    pub kind: String,
    /// Debian architecture.
    pub architecture: String,
    /// The squashfs.
    pub files: Vec<FileEntry>,
    /// Versions of the packages in it.
    pub packages: BTreeMap<String, String>,
    /// Hash over all inputs.
    pub inputs: String,
}

impl Manifest for ToolboxManifest {
    fn inputs(&self) -> &str {
        &self.inputs
    }
    fn files(&self) -> Vec<FileEntry> {
        self.files.clone()
    }
}

/// A built toolbox.
#[derive(Debug, Clone)]
pub struct ToolboxBuild {
    /// The squashfs.
    pub squashfs: PathBuf,
    /// What is in it.
    pub manifest: ToolboxManifest,
    /// True when the folder held this very build already and nothing was done.
    pub unchanged: bool,
}

/// Builds the toolbox, or finds that it is built.
pub fn build(recipe: &ToolboxRecipe, progress: &mut ProgressFn<'_>) -> Result<ToolboxBuild> {
    command::need(&["mmdebstrap", "apt-get", "mksquashfs"])?;
    let sources = sources::choose(recipe.mirror.as_deref(), &recipe.release)?;
    let apt = Apt::open(&recipe.cache, &sources)?;
    apt.update(progress)?;
    let mut names: Vec<String> = PACKAGES.iter().map(|n| (*n).to_owned()).collect();
    names.extend(recipe.extra_packages.iter().cloned());
    let packages = versions(&apt.resolve(&names.iter().map(String::as_str).collect::<Vec<_>>())?);
    let mut inputs = packages.clone();
    inputs.insert("names".to_owned(), names.join(" "));
    inputs
        .insert("customize".to_owned(), [CUSTOMIZE, &SQUASHFS.join(" "), env!("CARGO_PKG_VERSION")].concat());
    let inputs = manifest::hash_inputs(&inputs);
    let squashfs = recipe.out.join(FILE);
    if let Some(manifest) = manifest::find_unchanged(&recipe.out, &inputs) {
        return Ok(ToolboxBuild { squashfs, manifest, unchanged: true });
    }
    let work = recipe.cache.join("work-toolbox");
    if work.exists() {
        fs::remove_dir_all(&work).map_err(io("remove", &work))?;
    }
    fs::create_dir_all(&work).map_err(io("create", &work))?;
    fs::create_dir_all(&recipe.out).map_err(io("create", &recipe.out))?;
    manifest::forget(&recipe.out)?;
    let tar = work.join("toolbox.tar");
    Bootstrap {
        release: &recipe.release,
        sources: &sources,
        names: &names,
        tar: &tar,
        kept: &recipe.cache.join("mmdebstrap-archives"),
        epoch: apt.epoch(),
        dpkg: &[WITHOUT_DOCUMENTATION],
        customize: CUSTOMIZE,
    }
    .run(progress)?;
    progress(Progress::Step("packing the toolbox"));
    manifest::replace(&squashfs, |partial| squash(&tar, partial, apt.epoch()))?;
    let manifest = ToolboxManifest {
        kind: "toolbox".to_owned(),
        architecture: "amd64".to_owned(),
        files: vec![FileEntry::of(&squashfs)?],
        packages,
        inputs,
    };
    manifest::write(&recipe.out, &manifest)?;
    fs::remove_dir_all(&work).map_err(io("remove", &work))?;
    Ok(ToolboxBuild { squashfs, manifest, unchanged: false })
}

/// mksquashfs reads the tar itself, so owners and device nodes need no root here.
fn squash(tar: &std::path::Path, to: &std::path::Path, epoch: u64) -> Result<()> {
    if to.exists() {
        fs::remove_file(to).map_err(io("remove", to))?;
    }
    let input = fs::File::open(tar).map_err(io("open", tar))?;
    Tool::new("mksquashfs")?
        .env("SOURCE_DATE_EPOCH", epoch.to_string())
        .arg("-")
        .arg(to)
        .args(SQUASHFS)
        .input_file(input)
        .output()
        .map(drop)
        .map_err(|e| match e {
            Error::CommandFailed { command, status, tail } if tail.contains("-tar") => Error::CommandFailed {
                command,
                status,
                tail: format!("{tail}\n(squashfs-tools 4.5 or newer is needed)"),
            },
            other => other,
        })
}
