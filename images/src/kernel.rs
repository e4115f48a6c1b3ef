//! The distribution's kernel: which package, which of its modules go into the ephemeral environment, and with what.
//! `depmod` resolves dependencies and writes the tables that `modprobe` reads in the machine; only the chosen modules
//! are in them, so looking up a device's alias is quick.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::command::Tool;
use crate::cpio::Tree;
use crate::error::{Error, Result, io};
use crate::modules;

/// Flavour of the distribution's kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kernel {
    /// For virtual machines: small, quick to start, virtio and NVMe; no drivers of real network cards, AHCI or IPMI.
    Cloud,
    /// For hardware (and everything else).
    Generic,
}

impl Kernel {
    /// The Debian metapackage.
    #[must_use]
    pub fn metapackage(self) -> &'static str {
        match self {
            Self::Cloud => "linux-image-cloud-amd64",
            Self::Generic => "linux-image-amd64",
        }
    }

    /// The name in manifests and on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Cloud => "cloud",
            Self::Generic => "generic",
        }
    }
}

/// An unpacked kernel package.
pub(crate) struct Unpacked {
    root: PathBuf,
    /// Version as in `uname -r`.
    pub(crate) version: String,
}

impl Unpacked {
    /// Finds the version in an unpacked tree and runs `depmod` over all its modules.
    pub(crate) fn open(root: &Path) -> Result<Self> {
        let boot = root.join("boot");
        let version = fs::read_dir(&boot)
            .map_err(io("read", &boot))?
            .filter_map(std::result::Result::ok)
            .find_map(|e| e.file_name().to_str()?.strip_prefix("vmlinuz-").map(str::to_owned))
            .ok_or_else(|| Error::MissingPart { what: "the kernel", name: "boot/vmlinuz-*".to_owned() })?;
        depmod(root, &version)?;
        Ok(Self { root: root.to_owned(), version })
    }

    /// The kernel image.
    pub(crate) fn image(&self) -> PathBuf {
        self.root.join("boot").join(format!("vmlinuz-{}", self.version))
    }

    /// When the kernel was packaged, in seconds since 1970: the time stamp of its image in the package. It depends on
    /// nothing but the package, so it is the one for all files of the initramfs.
    pub(crate) fn packaged_at(&self) -> Result<u64> {
        let image = self.image();
        let modified = fs::metadata(&image).and_then(|m| m.modified()).map_err(io("read", &image))?;
        Ok(modified.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.as_secs()))
    }

    fn folder(&self) -> PathBuf {
        self.root.join("usr/lib/modules").join(&self.version)
    }

    /// Puts the flavour's modules, what they depend on, and the tables for them into the tree. `scratch` is a folder
    /// of the build for the reduced set. Gives back the number of modules.
    pub(crate) fn add_modules(&self, tree: &mut Tree, flavour: Kernel, scratch: &Path) -> Result<usize> {
        let chosen = self.choose(flavour)?;
        let base = format!("usr/lib/modules/{}", self.version);
        let reduced = scratch.join(&base);
        for path in &chosen {
            let (from, to) = (self.folder().join(path), reduced.join(path));
            let parent = to.parent().unwrap_or(&reduced);
            fs::create_dir_all(parent).map_err(io("create", parent))?;
            fs::hard_link(&from, &to).or_else(|_| fs::copy(&from, &to).map(drop)).map_err(io("copy", &to))?;
            tree.copy(&format!("{base}/{path}"), 0o644, to);
        }
        for table in ["modules.order", "modules.builtin", "modules.builtin.modinfo"] {
            let (from, to) = (self.folder().join(table), reduced.join(table));
            if from.exists() {
                fs::copy(&from, &to).map_err(io("copy", &to))?;
            }
        }
        std::os::unix::fs::symlink("usr/lib", scratch.join("lib")).map_err(io("link", scratch))?;
        depmod(scratch, &self.version)?;
        for table in ["modules.dep", "modules.alias", "modules.symbols", "modules.softdep", "modules.builtin"]
        {
            let file = reduced.join(table);
            let text = fs::read(&file).map_err(io("read", &file))?;
            tree.file(&format!("{base}/{table}"), 0o644, text);
        }
        Ok(chosen.len())
    }

    /// The wanted modules that this kernel has, with everything they need: paths below the module folder.
    fn choose(&self, flavour: Kernel) -> Result<BTreeSet<String>> {
        let file = self.folder().join("modules.dep");
        let text = fs::read_to_string(&file).map_err(io("read", &file))?;
        let wanted: BTreeSet<&str> = modules::wanted(flavour).collect();
        let chosen = with_dependencies(&parse_dep(&text), &wanted);
        match modules::required(flavour).find(|name| !self.has(name, &chosen)) {
            Some(name) => Err(Error::MissingPart { what: "the kernel module", name: name.to_owned() }),
            None => Ok(chosen),
        }
    }

    fn has(&self, name: &str, chosen: &BTreeSet<String>) -> bool {
        let built_in = fs::read_to_string(self.folder().join("modules.builtin")).unwrap_or_default();
        chosen.iter().map(String::as_str).chain(built_in.lines()).any(|path| module_name(path) == name)
    }
}

fn depmod(root: &Path, version: &str) -> Result<()> {
    Tool::new("depmod")?.arg("-b").arg(root).arg(version).output().map(drop)
}

/// `modules.dep`: path → all paths it needs (depmod writes the whole closure).
fn parse_dep(text: &str) -> BTreeMap<&str, Vec<&str>> {
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(path, needs)| (path, needs.split_whitespace().collect()))
        .collect()
}

fn with_dependencies(dep: &BTreeMap<&str, Vec<&str>>, wanted: &BTreeSet<&str>) -> BTreeSet<String> {
    dep.iter()
        .filter(|(path, _)| wanted.contains(module_name(path).as_str()))
        .flat_map(|(path, needs)| std::iter::once(path).chain(needs))
        .map(|path| (*path).to_owned())
        .collect()
}

/// `kernel/fs/nls/nls_cp437.ko.xz` → `nls_cp437`; dashes are underscores, as the kernel has it.
fn module_name(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    file.split(".ko").next().unwrap_or(file).replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_come_with_what_they_need() {
        let dep = parse_dep(
            "kernel/drivers/net/virtio_net.ko: kernel/net/core/failover.ko kernel/drivers/net/net_failover.ko\n\
             kernel/net/core/failover.ko:\nkernel/drivers/md/dm-mod.ko:\nkernel/drivers/net/other.ko:\n",
        );
        let chosen = with_dependencies(&dep, &BTreeSet::from(["virtio_net", "dm_mod"]));
        assert_eq!(
            chosen.into_iter().collect::<Vec<_>>(),
            [
                "kernel/drivers/md/dm-mod.ko",
                "kernel/drivers/net/net_failover.ko",
                "kernel/drivers/net/virtio_net.ko",
                "kernel/net/core/failover.ko"
            ]
        );
    }

    #[test]
    fn names_are_as_the_kernel_has_them() {
        assert_eq!(module_name("kernel/drivers/md/dm-mod.ko.xz"), "dm_mod");
        assert_eq!(module_name("virtio.ko"), "virtio");
    }
}
