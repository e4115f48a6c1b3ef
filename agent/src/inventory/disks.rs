//! Disks from `/sys/block`. A serial number stands in a different place for each kind of disk; the first place that has
//! one is taken, because it is how operators and storage layouts name a disk.

use super::{names, number, text};
use rackwright_common::inventory::Disk;
use std::fs;
use std::path::Path;

const SKIPPED: [&str; 10] = ["loop", "ram", "sr", "zram", "dm-", "md", "fd", "nbd", "mtdblock", "drbd"];

/// All disks that have a size, by name.
pub fn read(root: &Path) -> Vec<Disk> {
    let folder = root.join("sys/block");
    names(&folder)
        .into_iter()
        .filter(|name| !SKIPPED.iter().any(|prefix| name.starts_with(prefix)))
        // Areas of an eMMC chip that are no disks of their own, and paths hidden behind a multipath NVMe disk.
        .filter(|name| !(name.starts_with("mmcblk") && (name.contains("boot") || name.contains("rpmb"))))
        .filter(|name| text(&folder.join(name).join("hidden")).as_deref() != Some("1"))
        .filter_map(|name| read_one(&folder.join(&name), name))
        .collect()
}

fn read_one(path: &Path, name: String) -> Option<Disk> {
    let device = path.join("device");
    // Always in units of 512 bytes, whatever the sector.
    let sectors: u64 = number(&path.join("size"))?;
    if sectors == 0 {
        return None;
    }
    let flag = |file: &str| text(&path.join(file)).as_deref() == Some("1");
    Some(Disk {
        model: model(&device),
        serial: serial(path, &device),
        wwid: text(&path.join("wwid")).or_else(|| text(&device.join("wwid"))).map(|id| squeeze(&id)),
        size_bytes: sectors.saturating_mul(512),
        sector_bytes: number(&path.join("queue/logical_block_size")).unwrap_or(512),
        rotational: flag("queue/rotational"),
        transport: transport(path, &name),
        read_only: flag("ro"),
        removable: flag("removable"),
        firmware: text(&device.join("firmware_rev")).or_else(|| text(&device.join("rev"))),
        name,
    })
}

fn model(device: &Path) -> Option<String> {
    let model = text(&device.join("model")).or_else(|| text(&device.join("name")))?;
    // ATA disks behind the SCSI layer all say "ATA"; others name who made them.
    match text(&device.join("vendor")).filter(|vendor| vendor != "ATA" && !vendor.starts_with("0x")) {
        Some(vendor) if !model.starts_with(&vendor) => Some(format!("{vendor} {}", squeeze(&model))),
        _ => Some(squeeze(&model)),
    }
}

fn squeeze(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn serial(path: &Path, device: &Path) -> Option<String> {
    text(&path.join("serial"))
        .or_else(|| text(&device.join("serial")))
        .or_else(|| unit_serial(&fs::read(device.join("vpd_pg80")).ok()?))
        .map(|serial| squeeze(&serial))
        .filter(|serial| !serial.is_empty())
}

/// SCSI VPD page 0x80, unit serial number: four bytes of header with the length, then text (SPC-4 §7.8.18).
fn unit_serial(page: &[u8]) -> Option<String> {
    let length = usize::from(u16::from_be_bytes(page.get(2..4)?.try_into().ok()?));
    let bytes = page.get(4..)?;
    let bytes = bytes.get(..length).unwrap_or(bytes);
    let serial: String =
        bytes.iter().filter(|b| b.is_ascii_graphic() || **b == b' ').map(|b| char::from(*b)).collect();
    let serial = serial.trim();
    (!serial.is_empty()).then(|| serial.to_owned())
}

/// By where the device hangs in the tree of devices.
fn transport(path: &Path, name: &str) -> Option<String> {
    let place = fs::canonicalize(path).map(|p| p.to_string_lossy().into_owned()).unwrap_or_default();
    let by_place = [
        ("/usb", "usb"),
        ("/nvme", "nvme"),
        ("/mmc_host", "mmc"),
        ("/end_device-", "sas"),
        ("/ata", "sata"),
        ("/virtio", "virtio"),
    ];
    let by_name = [("nvme", "nvme"), ("mmcblk", "mmc"), ("vd", "virtio"), ("xvd", "xen")];
    let found = by_place.iter().find(|(part, _)| place.contains(part));
    found
        .or_else(|| by_name.iter().find(|(prefix, _)| name.starts_with(prefix)))
        .map(|(_, kind)| (*kind).to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::tests::machine;
    use super::*;

    #[test]
    fn a_virtio_disk_has_its_serial_beside_it() {
        let root = machine(&[
            ("sys/block/vda/size", b"8388608\n"),
            ("sys/block/vda/serial", b"disk-one\n"),
            ("sys/block/vda/ro", b"0\n"),
            ("sys/block/vda/queue/rotational", b"1\n"),
            ("sys/block/vda/queue/logical_block_size", b"4096\n"),
            ("sys/block/loop0/size", b"100\n"),
            ("sys/block/sr0/size", b"100\n"),
            ("sys/block/sdz/size", b"0\n"),
        ]);
        let disks = read(root.path());
        assert_eq!(disks.len(), 1, "{disks:?}");
        assert_eq!(disks[0].size_bytes, 4 << 30);
        assert_eq!(disks[0].serial.as_deref(), Some("disk-one"));
        assert_eq!(disks[0].transport.as_deref(), Some("virtio"));
        assert_eq!((disks[0].sector_bytes, disks[0].rotational, disks[0].read_only), (4096, true, false));
    }

    #[test]
    fn a_sata_disk_has_it_in_a_page_of_its_own() {
        let root = machine(&[
            ("sys/devices/pci0000:00/0000:00:1f.2/ata1/host0/block/sda/size", b"2048\n"),
            ("sys/devices/pci0000:00/0000:00:1f.2/ata1/host0/block/sda/ro", b"1\n"),
            ("sys/devices/pci0000:00/0000:00:1f.2/ata1/host0/block/sda/device/vendor", b"ATA     \n"),
            ("sys/devices/pci0000:00/0000:00:1f.2/ata1/host0/block/sda/device/model", b"QEMU HARDDISK   \n"),
            ("sys/devices/pci0000:00/0000:00:1f.2/ata1/host0/block/sda/device/rev", b"2.5+\n"),
            (
                "sys/devices/pci0000:00/0000:00:1f.2/ata1/host0/block/sda/device/vpd_pg80",
                b"\0\x80\0\x07QM00001",
            ),
            (
                "sys/devices/pci0000:00/0000:00:1f.2/ata1/host0/block/sda/device/wwid",
                b"t10.ATA     QEMU   1\n",
            ),
            ("sys/block/.keep", b""),
        ]);
        std::os::unix::fs::symlink(
            "../devices/pci0000:00/0000:00:1f.2/ata1/host0/block/sda",
            root.path().join("sys/block/sda"),
        )
        .unwrap();
        let disks = read(root.path());
        assert_eq!(disks[0].serial.as_deref(), Some("QM00001"));
        assert_eq!(disks[0].model.as_deref(), Some("QEMU HARDDISK"));
        assert_eq!(disks[0].transport.as_deref(), Some("sata"));
        assert_eq!(disks[0].wwid.as_deref(), Some("t10.ATA QEMU 1"));
        assert!(disks[0].read_only);
    }

    #[test]
    fn a_broken_serial_page_gives_what_it_has() {
        for page in [&b""[..], b"\0", b"\0\x80\0", b"\0\x80\xff\xff", b"\0\x80\0\x02  "] {
            assert_eq!(unit_serial(page), None);
        }
        assert_eq!(unit_serial(b"\0\x80\xff\xffAB").as_deref(), Some("AB"));
    }
}
