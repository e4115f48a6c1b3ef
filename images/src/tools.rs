//! The programs of the ephemeral environment: which packages they come from, and their way into the initramfs with the
//! shared libraries they need. Applets of busybox fill in for everything else, under their usual names.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::cpio::Tree;
use crate::elf;
use crate::error::{Error, Result, io};
use crate::kernel::Kernel;

const PACKAGES: &[&str] = &[
    "busybox-static",
    "dosfstools",
    "dropbear-bin",
    "e2fsprogs",
    "efibootmgr",
    "fdisk",
    "libgcc-s1",
    "lvm2",
    "tar",
    "usr-is-merged",
    "util-linux",
    "zstd",
];
const HARDWARE_PACKAGES: &[&str] = &["hdparm", "nvme-cli"];

/// Path of the program, and further names under which it is called.
const PROGRAMS: &[(&str, &[&str])] = &[
    ("usr/sbin/sfdisk", &[]),
    ("usr/sbin/blockdev", &[]),
    ("usr/sbin/blkdiscard", &[]),
    ("usr/sbin/blkid", &[]),
    ("usr/sbin/wipefs", &[]),
    ("usr/bin/partx", &[]),
    ("usr/bin/lsblk", &[]),
    ("usr/sbin/mkswap", &[]),
    ("usr/sbin/mke2fs", &["mkfs.ext4", "mkfs.ext3", "mkfs.ext2"]),
    ("usr/sbin/e2fsck", &["fsck.ext4"]),
    ("usr/sbin/resize2fs", &[]),
    ("usr/sbin/tune2fs", &["e2label"]),
    ("usr/sbin/badblocks", &[]),
    ("usr/sbin/mkfs.fat", &["mkfs.vfat"]),
    ("usr/sbin/fsck.fat", &["fsck.vfat"]),
    (
        "usr/sbin/lvm",
        &[
            "pvcreate", "pvremove", "pvresize", "pvs", "pvscan", "vgchange", "vgcreate", "vgextend",
            "vgremove", "vgs", "vgscan", "lvchange", "lvcreate", "lvextend", "lvremove", "lvresize", "lvs",
        ],
    ),
    ("usr/sbin/dmsetup", &[]),
    ("usr/bin/zstd", &["unzstd", "zstdcat"]),
    ("usr/bin/tar", &[]),
    ("usr/bin/efibootmgr", &[]),
    ("usr/sbin/dropbear", &[]),
    ("usr/bin/dropbearkey", &[]),
];
const HARDWARE_PROGRAMS: &[(&str, &[&str])] = &[("usr/sbin/hdparm", &[]), ("usr/sbin/nvme", &[])];

/// Opened by name at run time, so not found among what a program says it needs: the C library asks for it when a
/// thread is cancelled.
const ALSO: &[&str] = &["usr/lib/x86_64-linux-gnu/libgcc_s.so.1"];

/// Files that programs read.
const DATA: &[&str] = &["etc/mke2fs.conf"];

/// Applets that would hide one of our scripts or lead astray in an environment without an installed system.
const UNWANTED_APPLETS: &[&str] =
    &["init", "linuxrc", "busybox", "dpkg", "dpkg-deb", "rpm", "rpm2cpio", "run-init"];

/// The packages for this flavour.
pub(crate) fn packages(flavour: Kernel) -> Vec<&'static str> {
    match flavour {
        Kernel::Cloud => PACKAGES.to_vec(),
        Kernel::Generic => [PACKAGES, HARDWARE_PACKAGES].concat(),
    }
}

fn programs(flavour: Kernel) -> Vec<(&'static str, &'static [&'static str])> {
    match flavour {
        Kernel::Cloud => PROGRAMS.to_vec(),
        Kernel::Generic => [PROGRAMS, HARDWARE_PROGRAMS].concat(),
    }
}

/// Everything that these lists decide, for the hash over a build's inputs.
pub(crate) fn content(flavour: Kernel) -> impl std::fmt::Debug {
    let modules: Vec<_> = crate::modules::wanted(flavour).collect();
    (programs(flavour), ALSO, DATA, UNWANTED_APPLETS, modules)
}

/// Puts the programs, their libraries and busybox into the tree. `root` holds the unpacked packages.
pub(crate) fn add(tree: &mut Tree, root: &Path, flavour: Kernel) -> Result<()> {
    let mut files = Vec::new();
    for (path, names) in programs(flavour) {
        let file = elf::locate(root, path)?;
        tree.copy(path, 0o755, &file);
        let (_, own) = path.rsplit_once('/').unwrap_or(("", path));
        for name in names {
            tree.link(&format!("usr/sbin/{name}"), &format!("/{path}"));
        }
        debug_assert!(!names.contains(&own), "a program is not a link to itself");
        files.push(file);
    }
    for path in ALSO {
        let file = elf::locate(root, path)?;
        tree.copy(path, 0o644, &file);
        files.push(file);
    }
    for (path, file) in elf::closure(root, &files)? {
        let mode = fs::metadata(&file).map_err(io("read", &file))?.permissions().mode() & 0o755;
        tree.copy(&path, mode, file);
    }
    for path in DATA {
        tree.copy(path, 0o644, elf::locate(root, path)?);
    }
    add_busybox(tree, root)
}

/// Busybox, and a link for each of its applets whose name is free. Programs started by the agent are found by PATH;
/// in scripts of busybox's own shell the applet wins, and the full path is needed.
fn add_busybox(tree: &mut Tree, root: &Path) -> Result<()> {
    let file = elf::locate(root, "usr/bin/busybox")?;
    tree.copy("usr/bin/busybox", 0o755, &file);
    for applet in applets(&file)? {
        let free = |folder: &str| !tree.contains(&format!("usr/{folder}/{applet}"));
        if free("bin") && free("sbin") && !UNWANTED_APPLETS.contains(&applet.as_str()) {
            let path = if applet == "modprobe" {
                "usr/sbin/modprobe".to_owned()
            } else {
                format!("usr/bin/{applet}")
            };
            tree.link(&path, "/usr/bin/busybox");
        }
    }
    Ok(())
}

/// The names of busybox's applets. It is a static program of the same architecture and runs on the box.
fn applets(busybox: &Path) -> Result<Vec<String>> {
    let output = std::process::Command::new(busybox).arg("--list").output().map_err(io("run", busybox))?;
    let names: Vec<String> = String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect();
    if names.is_empty() {
        return Err(Error::MissingPart { what: "the list of applets", name: "busybox --list".to_owned() });
    }
    Ok(names)
}
