//! Whether the disk can be started, and the kernel arguments of the installed system.

use super::grow::Partition;
use super::mounts::{self, Mount};
use super::{Target, seed};
use crate::error::{Error, Result, io};
use crate::report::Report;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;

/// EFI system partition, as GPT and as MBR type.
const ESP: [&str; 2] = ["C12A7328-F81F-11D2-BA4B-00A0C93EC93B", "EF"];
const GRUB_CONFIGS: [&str; 2] = ["boot/grub/grub.cfg", "boot/grub2/grub.cfg"];

/// Appends to the kernel command line: at once in GRUB's configuration, and for every later one in its defaults.
pub fn add_arguments(root: &Path, arguments: &str, report: &Report) -> Result<()> {
    let arguments = arguments.trim();
    if arguments.is_empty() {
        return Ok(());
    }
    if arguments.contains(['\n', '"', '\'', '`', '\\', '$']) {
        return Err(Error::refused("kernel arguments cannot hold quotes, $, backslashes or line ends"));
    }
    let defaults = format!("GRUB_CMDLINE_LINUX=\"$GRUB_CMDLINE_LINUX {arguments}\"\n");
    seed::put(&root.join("etc/default/grub.d/90_rackwright.cfg"), &defaults, 0o644)?;
    let mut changed = false;
    for path in GRUB_CONFIGS.iter().map(|path| root.join(path)).filter(|path| path.is_file()) {
        let text = fs::read_to_string(&path).map_err(io("read", &path))?;
        fs::write(&path, with_arguments(&text, arguments)).map_err(io("write", &path))?;
        changed = true;
    }
    if !changed {
        report.log("no grub.cfg was found; the kernel arguments hold from the next update-grub on\n");
    }
    Ok(())
}

/// GRUB's configuration with arguments at the end of every line that starts a kernel.
fn with_arguments(config: &str, arguments: &str) -> String {
    config
        .lines()
        .map(|line| match line.split_ascii_whitespace().next() {
            Some("linux" | "linux16" | "linuxefi") => format!("{} {arguments}\n", line.trim_end()),
            _ => format!("{line}\n"),
        })
        .collect()
}

/// Checks that the firmware that this machine booted with finds something to start on the disk.
pub fn check(target: &Target<'_>, partitions: &[Partition]) -> Result<()> {
    let name = &target.disk.name;
    if target.efi {
        let esp = partitions.iter().find(|partition| ESP.contains(&partition.kind.as_str()));
        let esp = esp.ok_or_else(|| {
            Error::refused("the image has no EFI system partition, but this machine boots by UEFI")
        })?;
        let kind = mounts::kind_of(&esp.node)?;
        let mount = Mount::new(&esp.node, &target.mount, kind, true)?;
        let loader = target.mount.join("EFI/BOOT/BOOTX64.EFI");
        let there = fs::metadata(&loader).is_ok_and(|file| file.len() > 0);
        mount.unmount()?;
        if !there {
            return Err(Error::refused(format!(
                "disk {name} has no EFI/BOOT/BOOTX64.EFI, but this machine boots by UEFI"
            )));
        }
    } else if !has_boot_sector(&target.device)? {
        return Err(Error::refused(format!(
            "disk {name} has no boot sector, but this machine boots by BIOS"
        )));
    }
    Ok(())
}

/// Code in the first sector, and the signature that BIOS looks for.
fn has_boot_sector(device: &Path) -> Result<bool> {
    let mut sector = [0; 512];
    File::open(device).and_then(|file| file.read_exact_at(&mut sector, 0)).map_err(io("read", device))?;
    Ok(sector[..440].iter().any(|byte| *byte != 0) && sector[510..] == [0x55, 0xaa])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_go_to_every_kernel_line() {
        let config = "set timeout=0\nmenuentry go {\n linux /boot/vmlinuz root=LABEL=x ro\n\tlinuxefi /v\n initrd /i\n}\n";
        assert_eq!(
            with_arguments(config, "console=ttyS0"),
            "set timeout=0\nmenuentry go {\n linux /boot/vmlinuz root=LABEL=x ro console=ttyS0\n\tlinuxefi /v console=ttyS0\n initrd /i\n}\n"
        );
    }

    #[test]
    fn a_boot_sector_has_code_and_a_signature() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut sector = [0; 512];
        sector[510..].copy_from_slice(&[0x55, 0xaa]);
        fs::write(file.path(), sector).unwrap();
        assert!(!has_boot_sector(file.path()).unwrap(), "a protective MBR alone starts nothing");
        sector[0] = 0xeb;
        fs::write(file.path(), sector).unwrap();
        assert!(has_boot_sector(file.path()).unwrap());
    }
}
