//! Boot loaders of a system that came as files: GRUB for BIOS in the BIOS boot partition, shim and signed GRUB (or an
//! unsigned one where the image has no other) on the removable path of the EFI system partition, so that nothing has to
//! be registered with the firmware.

use super::mounts::Mount;
use super::{Target, seed};
use crate::command;
use crate::error::{Error, Result, io};
use std::fs;
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// What a boot loader has to know of the layout.
pub struct Facts<'a> {
    /// Node of the EFI system partition.
    pub esp: &'a Path,
    /// Node of the root file system.
    pub root: &'a Path,
    /// Its UUID.
    pub root_uuid: Uuid,
    /// It is on a logical volume.
    pub lvm: bool,
}

/// Installs both, and GRUB's configuration. The new system is mounted on `target.mount`.
pub fn install(target: &Target<'_>, facts: &Facts<'_>) -> Result<()> {
    let root = target.mount.as_path();
    if newest_kernel(root).is_none() {
        return Err(Error::refused("the image has no kernel (/boot/vmlinuz-*)"));
    }
    if facts.lvm && !["sbin/lvm", "usr/sbin/lvm"].iter().any(|path| root.join(path).exists()) {
        return Err(Error::refused(
            "the image has no lvm2, so it could not start from a logical volume: choose the flat layout",
        ));
    }
    // grub-mkconfig writes the UUID only where udev has made this link; no udev runs here.
    let links = Path::new("/dev/disk/by-uuid");
    fs::create_dir_all(links).map_err(io("create", links))?;
    let link = links.join(facts.root_uuid.to_string());
    fs::remove_file(&link).ok();
    std::os::unix::fs::symlink(facts.root, &link).map_err(io("create", &link))?;

    let mut bound = Vec::new();
    for name in ["dev", "proc", "sys"] {
        bound.push(Mount::bind(&Path::new("/").join(name), &root.join(name))?);
    }
    let esp = Mount::new(facts.esp, &root.join("boot/efi"), "vfat", false)?;
    let efi = install_efi(root, facts);
    let lent = lend_lvm_settings(root, facts)?;
    let installed = install_bios(target).and_then(|()| configure(target, facts));
    if let Some(lent) = lent {
        lent.take_back()?;
    }
    esp.unmount()?;
    for mount in bound.into_iter().rev() {
        // Bound trees hold mounts of their own; detaching is enough.
        drop(mount);
    }
    fs::remove_file(&link).ok();
    installed?;
    match efi {
        Err(error) if target.efi => Err(error),
        Err(error) => {
            target.report.log(&format!("{}; this disk will not start by UEFI\n", error.sentence()));
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}

/// The image's LVM settings, put aside.
struct Lent {
    path: PathBuf,
    own: Vec<u8>,
}

impl Lent {
    fn take_back(self) -> Result<()> {
        fs::write(&self.path, self.own).map_err(io("restore", &self.path))
    }
}

/// GRUB asks LVM for the disk, and LVM as an installed system has it waits for udev, which does not run here. While
/// GRUB is installed, the image has the settings of this environment.
fn lend_lvm_settings(root: &Path, facts: &Facts<'_>) -> Result<Option<Lent>> {
    let (here, path) = (Path::new("/etc/lvm/lvm.conf"), root.join("etc/lvm/lvm.conf"));
    if !facts.lvm || !here.is_file() || !path.is_file() {
        return Ok(None);
    }
    let own = fs::read(&path).map_err(io("read", &path))?;
    let ours = fs::read(here).map_err(io("read", here))?;
    fs::write(&path, ours).map_err(io("write", &path))?;
    Ok(Some(Lent { path, own }))
}

fn install_bios(target: &Target<'_>) -> Result<()> {
    let root = target.mount.as_path();
    if !root.join("usr/lib/grub/i386-pc").is_dir() {
        let text = "the image has no GRUB for BIOS (grub-pc-bin)";
        if target.efi {
            target.report.log(&format!("{text}; this disk will not start by BIOS\n"));
            return Ok(());
        }
        return Err(Error::refused(text));
    }
    let device = target.device.to_string_lossy();
    command::run_in(
        root,
        "/usr/sbin/grub-install",
        &["--target=i386-pc", "--no-floppy", "--recheck", &device],
    )
    .map(drop)
}

fn install_efi(root: &Path, facts: &Facts<'_>) -> Result<()> {
    let shim = ["usr/lib/shim/shimx64.efi.signed", "usr/lib/shim/shimx64.efi.signed.latest"];
    let shim = shim.iter().map(|path| root.join(path)).find(|path| path.is_file());
    let grub = root.join("usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed");
    let Some(shim) = shim.filter(|_| grub.is_file()) else {
        return install_unsigned_efi(root);
    };
    let esp = root.join("boot/efi");
    let boot = esp.join("EFI/BOOT");
    fs::create_dir_all(&boot).map_err(io("create", &boot))?;
    fs::copy(&shim, boot.join("BOOTX64.EFI")).map_err(io("copy", &shim))?;
    fs::copy(&grub, boot.join("grubx64.efi")).map_err(io("copy", &grub))?;
    // Signed GRUB looks for its configuration in its distribution's folder.
    let uuid = facts.root_uuid;
    let stub =
        format!("search.fs_uuid {uuid} root\nset prefix=($root)/boot/grub\nconfigfile $prefix/grub.cfg\n");
    for folder in ["BOOT".to_owned(), distribution(root)] {
        seed::put(&esp.join("EFI").join(folder).join("grub.cfg"), &stub, 0o644)?;
    }
    Ok(())
}

fn install_unsigned_efi(root: &Path) -> Result<()> {
    if !root.join("usr/lib/grub/x86_64-efi").is_dir() {
        return Err(Error::refused(
            "the image has no GRUB for UEFI (grub-efi-amd64-bin or grub-efi-amd64-signed)",
        ));
    }
    let arguments = ["--target=x86_64-efi", "--efi-directory=/boot/efi", "--removable", "--no-nvram"];
    command::run_in(root, "/usr/sbin/grub-install", &arguments).map(drop)
}

/// The folder name that a distribution's signed GRUB has built in.
fn distribution(root: &Path) -> String {
    let release = fs::read_to_string(root.join("etc/os-release")).unwrap_or_default();
    let id = release.lines().find_map(|line| line.strip_prefix("ID="));
    id.map_or_else(|| "debian".to_owned(), |id| id.trim_matches('"').to_owned())
}

/// GRUB's configuration by the system's own program, or a plain one where that is missing or fails.
fn configure(target: &Target<'_>, facts: &Facts<'_>) -> Result<()> {
    let root = target.mount.as_path();
    super::boot::add_arguments(root, &target.work.kernel_arguments, target.report)?;
    let made = command::run_in(root, "/usr/sbin/grub-mkconfig", &["-o", "/boot/grub/grub.cfg"]);
    let path = root.join("boot/grub/grub.cfg");
    let usable = fs::read_to_string(&path).is_ok_and(|text| text.contains("\tlinux"));
    if made.is_ok() && usable {
        return Ok(());
    }
    if let Err(error) = made {
        target.report.log(&format!("{}; writing a plain grub.cfg\n", error.sentence()));
    }
    let kernel =
        newest_kernel(root).ok_or_else(|| Error::refused("the image has no kernel (/boot/vmlinuz-*)"))?;
    seed::put(&path, &plain_config(&kernel, facts, &target.work.kernel_arguments), 0o644)
}

/// The newest `vmlinuz-*` in `/boot`, as its version.
pub fn newest_kernel(root: &Path) -> Option<String> {
    let mut versions: Vec<String> = crate::inventory::names(&root.join("boot"))
        .into_iter()
        .filter_map(|name| name.strip_prefix("vmlinuz-").map(str::to_owned))
        .collect();
    versions.sort_by_key(|version| numbers(version));
    versions.pop()
}

fn numbers(version: &str) -> Vec<u64> {
    version.split(|c: char| !c.is_ascii_digit()).filter_map(|part| part.parse().ok()).collect()
}

fn plain_config(kernel: &str, facts: &Facts<'_>, arguments: &str) -> String {
    let uuid = facts.root_uuid;
    let source = if facts.lvm { "/dev/mapper/vgroot-lvroot".to_owned() } else { format!("UUID={uuid}") };
    let modules = if facts.lvm { "insmod lvm\n" } else { "" };
    format!(
        "set timeout=2\n{modules}search --no-floppy --fs-uuid --set=root {uuid}\nmenuentry \"Linux {kernel}\" {{\n\
         \tlinux /boot/vmlinuz-{kernel} root={source} ro {arguments}\n\tinitrd /boot/initrd.img-{kernel}\n}}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_kernel_is_by_number_not_by_letter() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("boot")).unwrap();
        for name in ["vmlinuz-6.1.0-9-amd64", "vmlinuz-6.1.0-49-amd64", "initrd.img-6.1.0-49-amd64"] {
            fs::write(root.path().join("boot").join(name), "").unwrap();
        }
        assert_eq!(newest_kernel(root.path()).as_deref(), Some("6.1.0-49-amd64"));
    }
}
