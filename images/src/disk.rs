//! A whole bootable disk as a file, made without loop devices and mounts: GPT with a BIOS boot partition, an EFI system
//! partition and an ext4 root that is last, so that it can grow. Starts by BIOS (GRUB in the BIOS boot partition), by
//! UEFI and by UEFI Secure Boot (signed shim and GRUB at the removable-media path, which every firmware tries).
//!
//! The boot sector and GRUB's core image are placed by hand where `grub-install` would put them; the offsets are those of
//! GRUB's own headers (include/grub/i386/pc/boot.h, kernel.h).

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::command::Tool;
use crate::error::{Error, Result, io};

const SECTOR: u64 = 512;
/// First sectors and lengths of the first two partitions; the root follows up to the end.
const BIOS_BOOT: (u64, u64) = (2048, 2048);
const ESP: (u64, u64) = (4096, 64 * 2048);
const ROOT_START: u64 = ESP.0 + ESP.1;

const TYPE_BIOS_BOOT: &str = "21686148-6449-6E6F-744E-656564454649";
const TYPE_ESP: &str = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B";
/// "Linux root (x86-64)" of the discoverable partitions specification.
const TYPE_ROOT: &str = "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709";

/// Both loaders begin here and go on with the configuration in the root file system.
const STUB: &str = "search --no-floppy --label rootfs --set=root\nset prefix=($root)/boot/grub\n\
                    configfile $prefix/grub.cfg\n";
const FSTAB: &str = "LABEL=rootfs / ext4 defaults,errors=remount-ro 0 1\n\
                     LABEL=ESP /boot/efi vfat umask=0077,nofail 0 2\n";
const GRUB_MODULES: &[&str] = &[
    "biosdisk",
    "part_gpt",
    "ext2",
    "search",
    "search_label",
    "configfile",
    "normal",
    "linux",
    "serial",
    "echo",
    "test",
];

/// What decides a disk's bytes beside its root, for the hash over a build's inputs.
pub(crate) const CONTENT: &[&str] = &[STUB, FSTAB, include_str!("disk.rs")];

/// Makes the disk `out` from the unpacked system `root`. `fakeroot` keeps the owners when the caller is not root;
/// `id` (32 hexadecimal digits or more) makes the identifiers of disk and file systems reproducible; `epoch` is the time
/// stamp of file systems.
pub(crate) fn build(root: &Path, out: &Path, fakeroot: &Path, id: &str, epoch: u64) -> Result<()> {
    let mount_point = root.join("boot/efi");
    fs::create_dir_all(&mount_point).map_err(io("create", &mount_point))?;
    let fstab = root.join("etc/fstab");
    fs::write(&fstab, FSTAB).map_err(io("write", &fstab))?;

    let root_sectors = root_size(root)? / SECTOR;
    // The backup partition table takes the last 33 sectors; a whole MiB keeps the end aligned.
    let sectors = ROOT_START + root_sectors + 2048;
    let disk = OpenOptions::new().write(true).read(true).create(true).truncate(true).open(out);
    let disk = disk.map_err(io("create", out))?;
    disk.set_len(sectors * SECTOR).map_err(io("grow", out))?;
    partition(out, root_sectors, id)?;

    let stamp = epoch.to_string();
    Tool::as_root("mke2fs", fakeroot)?
        .env("E2FSPROGS_FAKE_TIME", &stamp)
        .args(["-q", "-F", "-t", "ext4", "-L", "rootfs", "-U", &uuid(id, 0)])
        .arg("-E")
        .arg(format!("offset={},lazy_itable_init=1,hash_seed={}", ROOT_START * SECTOR, uuid(id, 1)))
        .args(["-d".as_ref(), root.as_os_str(), out.as_os_str()])
        .arg(format!("{}k", root_sectors / 2))
        .output()?;
    let esp = make_esp(root, out, id, epoch)?;
    disk.write_all_at(&esp, ESP.0 * SECTOR).map_err(io("write", out))?;
    install_bios_loader(root, out, &disk)
}

/// Room for the files, a fifth more, and space for the first boot to write in, in whole MiB.
fn root_size(root: &Path) -> Result<u64> {
    let used = used_bytes(root)?;
    let wanted = used + used / 5 + (128 << 20);
    Ok(wanted.div_ceil(1 << 20) << 20)
}

/// Bytes that the tree takes in blocks of 4 KiB.
fn used_bytes(folder: &Path) -> Result<u64> {
    let mut sum = 4096;
    for entry in fs::read_dir(folder).map_err(io("read", folder))? {
        let entry = entry.map_err(io("read", folder))?;
        let meta = entry.metadata().map_err(io("read", folder))?;
        sum += if meta.is_dir() { used_bytes(&entry.path())? } else { meta.len().div_ceil(4096) * 4096 };
    }
    Ok(sum)
}

fn partition(out: &Path, root_sectors: u64, id: &str) -> Result<()> {
    let table = format!(
        "label: gpt\nlabel-id: {}\n\
         start={}, size={}, type={TYPE_BIOS_BOOT}, uuid={}, name=bios\n\
         start={}, size={}, type={TYPE_ESP}, uuid={}, name=esp\n\
         start={ROOT_START}, size={root_sectors}, type={TYPE_ROOT}, uuid={}, name=rootfs\n",
        uuid(id, 2),
        BIOS_BOOT.0,
        BIOS_BOOT.1,
        uuid(id, 3),
        ESP.0,
        ESP.1,
        uuid(id, 4),
        uuid(id, 5),
    );
    Tool::new("sfdisk")?.arg("-q").arg(out).input(table).output().map(drop)
}

/// The EFI system partition: shim at the removable-media path, the signed GRUB beside it under the name that shim
/// asks for, and its configuration where the signed GRUB looks (`/EFI/debian`).
fn make_esp(root: &Path, out: &Path, id: &str, epoch: u64) -> Result<Vec<u8>> {
    let mut image = out.as_os_str().to_owned();
    image.push(".esp");
    let image = PathBuf::from(image);
    let file = fs::File::create(&image).map_err(io("create", &image))?;
    file.set_len(ESP.1 * SECTOR).map_err(io("grow", &image))?;
    let stub = image.with_extension("cfg");
    fs::write(&stub, STUB).map_err(io("write", &stub))?;
    let tool = |name: &str| Ok::<_, Error>(Tool::new(name)?.env("SOURCE_DATE_EPOCH", epoch.to_string()));
    let serial = id.get(..8).unwrap_or("00000000");
    tool("mformat")?.arg("-i").arg(&image).args(["-F", "-N", serial, "-v", "ESP", "::"]).output()?;
    for folder in ["::EFI", "::EFI/BOOT", "::EFI/debian"] {
        tool("mmd")?.arg("-i").arg(&image).arg(folder).output()?;
    }
    let files = [
        (root.join("usr/lib/shim/shimx64.efi.signed"), "::EFI/BOOT/BOOTX64.EFI"),
        (root.join("usr/lib/shim/mmx64.efi.signed"), "::EFI/BOOT/mmx64.efi"),
        (root.join("usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed"), "::EFI/BOOT/grubx64.efi"),
        (stub.clone(), "::EFI/debian/grub.cfg"),
    ];
    for (from, to) in files {
        if !from.exists() {
            return Err(Error::MissingPart { what: "the boot loader", name: from.display().to_string() });
        }
        tool("mcopy")?.arg("-i").arg(&image).arg(&from).arg(to).output()?;
    }
    let bytes = fs::read(&image).map_err(io("read", &image))?;
    for path in [&image, &stub] {
        fs::remove_file(path).map_err(io("remove", path))?;
    }
    Ok(bytes)
}

/// GRUB's boot sector in sector 0, beside the partition table, and its core image in the BIOS boot partition.
fn install_bios_loader(root: &Path, out: &Path, disk: &fs::File) -> Result<()> {
    let modules = root.join("usr/lib/grub/i386-pc");
    let scratch = out.with_extension("core");
    let stub = out.with_extension("stub");
    fs::write(&stub, STUB).map_err(io("write", &stub))?;
    Tool::new("grub-mkimage")?
        .arg("-d")
        .arg(&modules)
        .args(["-O", "i386-pc", "-p", "/boot/grub", "-c"])
        .arg(&stub)
        .arg("-o")
        .arg(&scratch)
        .args(GRUB_MODULES)
        .output()?;
    let boot_path = modules.join("boot.img");
    let mut boot = fs::read(&boot_path).map_err(io("read", &boot_path))?;
    let mut core = fs::read(&scratch).map_err(io("read", &scratch))?;
    for path in [&scratch, &stub] {
        fs::remove_file(path).map_err(io("remove", path))?;
    }
    patch_loader(&mut boot, &mut core).map_err(Error::Recipe)?;
    disk.write_all_at(&boot[..440], 0).map_err(io("write", out))?;
    disk.write_all_at(&core, BIOS_BOOT.0 * SECTOR).map_err(io("write", out))
}

/// Writes into the boot sector where the core image begins (and turns its jump for floppies into nothing), and into the
/// core image's first sector where the rest of it lies.
fn patch_loader(boot: &mut [u8], core: &mut [u8]) -> std::result::Result<(), String> {
    let sectors = core.len().div_ceil(SECTOR as usize);
    if boot.len() != SECTOR as usize || sectors < 2 || sectors as u64 > BIOS_BOOT.1 {
        return Err(format!(
            "GRUB's images have an unexpected size ({} bytes, {sectors} sectors)",
            boot.len()
        ));
    }
    boot[0x5c..0x64].copy_from_slice(&BIOS_BOOT.0.to_le_bytes());
    boot[0x66..0x68].copy_from_slice(&[0x90, 0x90]);
    core[0x1f4..0x1fc].copy_from_slice(&(BIOS_BOOT.0 + 1).to_le_bytes());
    core[0x1fc..0x1fe].copy_from_slice(&(sectors as u16 - 1).to_le_bytes());
    core[0x1fe..0x200].copy_from_slice(&0x820u16.to_le_bytes());
    Ok(())
}

/// The n-th identifier made from a hash, in the form of a random (version 4) UUID.
fn uuid(id: &str, n: u8) -> String {
    use sha2::{Digest, Sha256};
    let hash = hex::encode(Sha256::new().chain_update(id).chain_update([n]).finalize());
    format!("{}-{}-4{}-8{}-{}", &hash[..8], &hash[8..12], &hash[13..16], &hash[17..20], &hash[20..32])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_uuids_and_repeat() {
        assert_eq!(uuid("abc", 1), uuid("abc", 1));
        assert_ne!(uuid("abc", 1), uuid("abc", 2));
        let text = uuid("abc", 1);
        assert_eq!((text.len(), &text[14..15], &text[19..20]), (36, "4", "8"));
    }

    #[test]
    fn the_loader_knows_where_it_lies() {
        let (mut boot, mut core) = (vec![0xff; 512], vec![0xff; 3 * 512 - 7]);
        patch_loader(&mut boot, &mut core).unwrap();
        assert_eq!(&boot[0x5c..0x68], [0, 8, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0x90, 0x90]);
        assert_eq!(&core[0x1f4..0x200], [1, 8, 0, 0, 0, 0, 0, 0, 2, 0, 0x20, 8]);
        assert!(patch_loader(&mut boot, &mut [0; 100]).is_err());
    }
}
