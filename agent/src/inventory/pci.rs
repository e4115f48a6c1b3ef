//! PCI devices from sysfs. Names are the reader's matter: here are only numbers.

use super::{link_name, names, text};
use rackwright_common::inventory::PciDevice;
use std::path::Path;

/// All devices, by address.
pub fn read(root: &Path) -> Vec<PciDevice> {
    let folder = root.join("sys/bus/pci/devices");
    names(&folder)
        .into_iter()
        .map(|address| {
            let path = folder.join(&address);
            let hex = |file: &str| {
                let value = text(&path.join(file)).unwrap_or_default();
                value.strip_prefix("0x").unwrap_or(&value).to_lowercase()
            };
            PciDevice {
                vendor: hex("vendor"),
                device: hex("device"),
                class: hex("class"),
                driver: link_name(&path.join("driver")),
                address,
            }
        })
        .collect()
}

/// Display controllers (class 03) and processing accelerators (class 1200).
pub fn is_gpu(device: &PciDevice) -> bool {
    device.class.starts_with("03") || device.class.starts_with("1200")
}

#[cfg(test)]
mod tests {
    use super::super::tests::machine;
    use super::*;

    #[test]
    fn a_device_and_whether_it_computes() {
        let root = machine(&[
            ("sys/bus/pci/devices/0000:01:00.0/vendor", b"0x10DE\n"),
            ("sys/bus/pci/devices/0000:01:00.0/device", b"0x20b5\n"),
            ("sys/bus/pci/devices/0000:01:00.0/class", b"0x030200\n"),
            ("sys/bus/pci/devices/0000:00:00.0/class", b"0x060000\n"),
        ]);
        let devices = read(root.path());
        assert_eq!(devices[1].vendor, "10de");
        assert_eq!(devices.iter().filter(|d| is_gpu(d)).count(), 1);
    }
}
