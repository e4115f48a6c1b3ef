//! What a deployment makes of a machine's disks, as a picture: disks, partitions, logical volumes, file systems and where
//! they are mounted. The rules are those of the agent (`rackwright_common::storage`).

use super::picture::{Picture, Place};
use crate::format;
use rackwright_common::inventory::Disk;
use rackwright_common::storage::{
    BIOS_BOOT_MIB, LayoutKind, StorageLayout, esp_mib, named_disk, smallest_disk,
};

/// Alignment and the second partition table, MiB.
const TABLES_MIB: u64 = 2;

/// The picture, and what is to be said beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Storage {
    /// Disks on the left, mounts on the right.
    pub picture: Picture,
    /// How the system's disk is chosen; or why there is none.
    pub says: String,
}

impl Storage {
    /// None before the disks are known.
    pub fn new(disks: &[Disk], layout: &StorageLayout) -> Option<Self> {
        if disks.is_empty() {
            return None;
        }
        let (target, says) = match &layout.disk_serial {
            Some(name) => (named_disk(disks, name), format!("The system goes to the disk {name}.")),
            None => (
                smallest_disk(disks, 0),
                "The system goes to the smallest fixed disk that is large enough for its image.".to_owned(),
            ),
        };
        let says = if target.is_some() { says } else { format!("{says} There is no such disk.") };
        let label =
            "Disks on the left, then their partitions and logical volumes, then where they are mounted";
        let mut picture = Picture::new(label);
        for disk in disks {
            let own = target.is_some_and(|target| std::ptr::eq(target, disk));
            let class = if own { "fabric" } else { "subnet" };
            let left = if own { "" } else { " · left alone" };
            let place =
                picture.add(0, class, disk.name.clone(), format!("{}{left}", format::bytes(disk.size_bytes)));
            if own {
                parts(&mut picture, place, disk, layout);
            }
        }
        Some(Self { picture, says })
    }
}

fn parts(picture: &mut Picture, on: Place, disk: &Disk, layout: &StorageLayout) {
    if layout.kind == LayoutKind::Image {
        let own = picture.add(1, "vlan", "as in the image".into(), "its own partitions".into());
        let last = picture.add(1, "vlan", "the last one".into(), "is grown to fit".into());
        picture.link(on, own);
        picture.link(on, last);
        return;
    }
    let esp = esp_mib(disk.size_bytes);
    let rest = (disk.size_bytes >> 20).saturating_sub(BIOS_BOOT_MIB + esp + TABLES_MIB);
    let root = layout.root_mib.unwrap_or(rest);
    let mut part = |title: &str, detail: String| {
        let place = picture.add(1, "vlan", title.to_owned(), detail);
        picture.link(on, place);
        place
    };
    part("1 BIOS boot", format::mib(BIOS_BOOT_MIB));
    let efi = part("2 EFI system", format!("{} · vfat", format::mib(esp)));
    let (mut system, column) = match layout.kind {
        LayoutKind::Lvm => (part("3 LVM", format!("{} · vgroot", format::mib(rest))), 3),
        LayoutKind::Flat | LayoutKind::Image => (part("3 root", format!("{} · ext4", format::mib(root))), 2),
    };
    if layout.kind == LayoutKind::Lvm {
        let volume = picture.add(2, "rack", "vgroot/lvroot".into(), format!("{} · ext4", format::mib(root)));
        picture.link(system, volume);
        system = volume;
    }
    for (mounted, at) in [(system, "/"), (efi, "/boot/efi")] {
        let place = picture.add(column, "subnet", at.into(), String::new());
        picture.link(mounted, place);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::sample;

    fn shown(disks: &[Disk], layout: &StorageLayout) -> (Vec<String>, String) {
        let storage = Storage::new(disks, layout).unwrap();
        let nodes = storage.picture.nodes.iter();
        (nodes.map(|n| format!("{} {}", n.title, n.detail).trim().to_owned()).collect(), storage.says)
    }

    #[test]
    fn a_layout_is_drawn_from_the_disk_to_its_mounts_and_other_disks_are_left_alone() {
        let large = sample::machine().inventory.unwrap().disks.remove(0);
        let small =
            Disk { name: "sda".into(), serial: Some("SMALL".into()), size_bytes: 64 << 30, ..large.clone() };
        let disks = [large, small];
        let mut layout = StorageLayout { kind: LayoutKind::Lvm, disk_serial: None, root_mib: Some(20 << 10) };
        let (nodes, says) = shown(&disks, &layout);
        assert_eq!(
            nodes,
            [
                "nvme0n1 1.9 TB · left alone",
                "sda 69 GB",
                "1 BIOS boot 1 MiB",
                "2 EFI system 512 MiB · vfat",
                "3 LVM 63 GiB · vgroot",
                "vgroot/lvroot 20 GiB · ext4",
                "/",
                "/boot/efi"
            ]
        );
        assert!(says.contains("smallest"), "{says}");
        layout =
            StorageLayout { kind: LayoutKind::Flat, disk_serial: Some("S64GNE0R".into()), root_mib: None };
        assert!(shown(&disks, &layout).0.contains(&"sda 69 GB · left alone".to_owned()));
        layout.disk_serial = Some("gone".into());
        let (nodes, says) = shown(&disks, &layout);
        assert_eq!((nodes.len(), says.ends_with("There is no such disk.")), (2, true));
        assert_eq!(Storage::new(&[], &layout), None);
    }
}
