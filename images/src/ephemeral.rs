//! The ephemeral environment: the kernel and the initramfs that a machine boots from the network to be enlisted,
//! commissioned, tested, installed, erased or rescued. A distribution kernel, busybox, the agent, drivers and disk tools;
//! nothing is compiled here and no script of a package runs. The large userland of tests is the [`crate::toolbox`].
//!
//! What holds: the same packages and the same agent give the same bytes; `/init` never ends, so a machine cannot panic
//! because its agent died. Left out: firmware files of non-free packages, architectures other than amd64.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::apt::{Apt, named_epoch, versions};
use crate::cpio::Tree;
use crate::error::{Error, Result, io};
use crate::kernel::{Kernel, Unpacked};
use crate::manifest::{self, FileEntry, Manifest};
use crate::progress::{Progress, ProgressFn};
use crate::{command, deb, elf, sources, tools};

const INIT: &str = include_str!("ephemeral/init.sh");
const UDHCPC: &str = include_str!("ephemeral/udhcpc.sh");
const COLDPLUG: &str = include_str!("ephemeral/coldplug.sh");
/// No udev runs in the environment, so LVM must not wait for it and makes its device nodes itself.
const LVM_CONF: &str = "activation {\n\tudev_sync = 0\n\tudev_rules = 0\n\tmonitoring = 0\n}\n\
                        devices {\n\tobtain_device_list_from_udev = 0\n\texternal_device_info_source = \"none\"\n\
                        \tuse_devicesfile = 0\n}\n\
                        backup {\n\tbackup = 0\n\tarchive = 0\n}\nglobal {\n\tevent_activation = 0\n}\n";

/// How the initramfs is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// zstd at this level (1 to 19). Both kernel flavours unpack it quickly at every level.
    Zstd(i32),
    /// gzip at this level (1 to 9), for kernels without zstd.
    Gzip(u32),
}

/// What to build.
#[derive(Debug, Clone)]
pub struct EphemeralRecipe {
    /// Kernel flavour.
    pub kernel: Kernel,
    /// The agent: an executable that needs no shared library (a static one, or a script).
    pub agent: PathBuf,
    /// Folder for `vmlinuz`, `initrd` and `manifest.json`; made when missing.
    pub out: PathBuf,
    /// Folder for downloaded packages and work files, kept between builds.
    pub cache: PathBuf,
    /// Archive to use instead of the box's apt sources: an address, or whole `deb …` lines.
    pub mirror: Option<String>,
    /// Code name of the release that kernel and tools come from.
    pub release: String,
    /// Packing of the initramfs.
    pub compression: Compression,
}

impl EphemeralRecipe {
    /// A recipe with the usual choices: Debian 12, the box's own sources, zstd.
    #[must_use]
    pub fn new(kernel: Kernel, agent: PathBuf, out: PathBuf, cache: PathBuf) -> Self {
        let release = "bookworm".to_owned();
        Self { kernel, agent, out, cache, mirror: None, release, compression: Compression::Zstd(15) }
    }
}

/// The manifest of a built environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EphemeralManifest {
    /// Always "ephemeral".
    pub kind: String,
    /// Kernel flavour.
    pub flavour: Kernel,
    /// Debian architecture.
    pub architecture: String,
    /// Kernel version as in `uname -r`.
    pub kernel_version: String,
    /// `vmlinuz` and `initrd`.
    pub files: Vec<FileEntry>,
    /// Versions of the packages that went in.
    pub packages: BTreeMap<String, String>,
    /// SHA-256 of the agent that went in.
    pub agent_sha256: String,
    /// Hash over all inputs.
    pub inputs: String,
}

impl Manifest for EphemeralManifest {
    fn inputs(&self) -> &str {
        &self.inputs
    }
    fn files(&self) -> Vec<FileEntry> {
        self.files.clone()
    }
}

/// A built environment.
#[derive(Debug, Clone)]
pub struct EphemeralBuild {
    /// The kernel image.
    pub vmlinuz: PathBuf,
    /// The initramfs.
    pub initrd: PathBuf,
    /// What is in it.
    pub manifest: EphemeralManifest,
    /// True when the folder held this very build already and nothing was done.
    pub unchanged: bool,
}

/// Builds the environment, or finds that it is built.
pub fn build(recipe: &EphemeralRecipe, progress: &mut ProgressFn<'_>) -> Result<EphemeralBuild> {
    command::need(&["apt-get", "apt-cache", "apt-config", "dpkg-deb", "depmod"])?;
    check_agent(&recipe.agent)?;
    let apt = Apt::open(&recipe.cache, &sources::choose(recipe.mirror.as_deref(), &recipe.release)?)?;
    apt.update(progress)?;
    let kernel_package = apt.behind(recipe.kernel.metapackage())?;
    let kernel = apt.resolve_alone(&[&kernel_package])?;
    let needed = apt.resolve(&tools::packages(recipe.kernel))?;
    let (agent_sha256, _) = manifest::hash_file(&recipe.agent)?;
    let mut packages = versions(&needed);
    packages.extend(versions(&kernel));
    let inputs = inputs_of(recipe, &packages, &agent_sha256);
    let paths = (recipe.out.join("vmlinuz"), recipe.out.join("initrd"));
    if let Some(manifest) = manifest::find_unchanged(&recipe.out, &inputs) {
        return Ok(EphemeralBuild { vmlinuz: paths.0, initrd: paths.1, manifest, unchanged: true });
    }
    let kernel_files = apt.download(&kernel, progress)?;
    let tool_files = apt.download(&needed, progress)?;
    let work = recipe.cache.join(format!("work-ephemeral-{}", recipe.kernel.name()));
    deb::unpack(&kernel_files, &work.join("kernel"), progress)?;
    deb::unpack(&tool_files, &work.join("tools"), progress)?;

    progress(Progress::Step("choosing kernel modules"));
    let unpacked = Unpacked::open(&work.join("kernel"))?;
    let mut tree = Tree::new();
    unpacked.add_modules(&mut tree, recipe.kernel, &work.join("kernel/reduced"))?;
    add_base(&mut tree);
    tools::add(&mut tree, &work.join("tools"), recipe.kernel)?;
    tree.copy("usr/bin/rackwright-agent", 0o755, &recipe.agent);

    progress(Progress::Step("packing the initramfs"));
    let epoch = named_epoch().map_or_else(|| unpacked.packaged_at(), Ok)?;
    fs::create_dir_all(&recipe.out).map_err(io("create", &recipe.out))?;
    manifest::forget(&recipe.out)?;
    let image = unpacked.image();
    manifest::replace(&paths.0, |to| fs::copy(&image, to).map(drop).map_err(io("copy", &image)))?;
    manifest::replace(&paths.1, |to| {
        pack(&tree, to, recipe.compression, u32::try_from(epoch).unwrap_or(u32::MAX))
    })?;
    let manifest = EphemeralManifest {
        kind: "ephemeral".to_owned(),
        flavour: recipe.kernel,
        architecture: "amd64".to_owned(),
        kernel_version: unpacked.version,
        files: vec![FileEntry::of(&paths.0)?, FileEntry::of(&paths.1)?],
        packages,
        agent_sha256,
        inputs,
    };
    manifest::write(&recipe.out, &manifest)?;
    fs::remove_dir_all(&work).map_err(io("remove", &work))?;
    Ok(EphemeralBuild { vmlinuz: paths.0, initrd: paths.1, manifest, unchanged: false })
}

/// The agent must run without libraries: the environment's C library may be older than the box's.
fn check_agent(agent: &Path) -> Result<()> {
    let (interpreter, libraries) = elf::needs(agent)?;
    if interpreter.is_some() || !libraries.is_empty() {
        return Err(Error::Recipe(format!(
            "the agent {} is linked to shared libraries ({}); build it statically",
            agent.display(),
            libraries.join(", ")
        )));
    }
    Ok(())
}

fn inputs_of(recipe: &EphemeralRecipe, packages: &BTreeMap<String, String>, agent: &str) -> String {
    let mut inputs: BTreeMap<String, String> =
        packages.iter().map(|(name, version)| (format!("package {name}"), version.clone())).collect();
    inputs.insert("kernel".to_owned(), recipe.kernel.name().to_owned());
    inputs.insert("agent".to_owned(), agent.to_owned());
    inputs.insert("compression".to_owned(), format!("{:?}", recipe.compression));
    inputs.insert("scripts".to_owned(), [INIT, UDHCPC, COLDPLUG, LVM_CONF].concat());
    inputs.insert("lists".to_owned(), format!("{:?}", tools::content(recipe.kernel)));
    inputs.insert("version".to_owned(), env!("CARGO_PKG_VERSION").to_owned());
    manifest::hash_inputs(&inputs)
}

/// Folders, device nodes, scripts and the few files of `/etc` that programs ask for.
fn add_base(tree: &mut Tree) {
    for name in deb::MERGED {
        tree.folder(&format!("usr/{name}"), 0o755);
        tree.link(name, &format!("usr/{name}"));
    }
    for folder in ["dev", "proc", "sys", "run", "mnt", "var/log", "var/tmp", "etc/dropbear"] {
        tree.folder(folder, 0o755);
    }
    tree.folder("tmp", 0o1777);
    tree.folder("root", 0o700);
    tree.link("var/run", "../run");
    tree.link("var/lock", "../run/lock");
    tree.link("etc/mtab", "../proc/self/mounts");
    // The kernel opens the console before /init has mounted anything.
    tree.character("dev/console", 0o600, 5, 1);
    tree.character("dev/null", 0o666, 1, 3);
    tree.file("init", 0o755, INIT);
    tree.file("etc/udhcpc.sh", 0o755, UDHCPC);
    tree.file("usr/sbin/coldplug", 0o755, COLDPLUG);
    tree.file("etc/lvm/lvm.conf", 0o644, LVM_CONF);
    tree.file("etc/passwd", 0o644, "root:x:0:0:root:/root:/bin/sh\n");
    tree.file("etc/shadow", 0o600, "root:*:19000:0:99999:7:::\n");
    tree.file("etc/group", 0o644, "root:x:0:\ntty:x:5:\ndisk:x:6:\n");
    tree.file("etc/shells", 0o644, "/bin/sh\n");
    tree.file("etc/hosts", 0o644, "127.0.0.1 localhost\n::1 localhost\n");
    tree.file("etc/hostname", 0o644, "rackwright\n");
    tree.file("etc/profile", 0o644, "export PATH=/usr/sbin:/usr/bin:/sbin:/bin\nPS1='\\h:\\w# '\n");
    tree.file("etc/os-release", 0o644, "ID=rackwright\nNAME=\"Rackwright ephemeral environment\"\n");
}

fn pack(tree: &Tree, to: &Path, compression: Compression, epoch: u32) -> Result<()> {
    let file = BufWriter::new(File::create(to).map_err(io("create", to))?);
    let written = match compression {
        Compression::Zstd(level) => zstd::Encoder::new(file, level).and_then(|mut encoder| {
            tree.write(&mut encoder, epoch)?;
            encoder.finish()
        }),
        Compression::Gzip(level) => {
            let mut encoder = flate2::write::GzEncoder::new(file, flate2::Compression::new(level));
            tree.write(&mut encoder, epoch).and_then(|()| encoder.finish())
        }
    };
    written.and_then(|mut file| file.flush()).map_err(io("write", to))
}
