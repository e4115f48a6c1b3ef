//! Who made a network card, by the first three bytes of its MAC.
//!
//! The registry of the IEEE is read from where distributions put it (packages `ieee-data`, `hwdata`). Without it there is
//! a short list of what stands in most racks.

use rackwright_common::Mac;
use std::collections::HashMap;
use std::sync::OnceLock;

const FILES: [&str; 3] =
    ["/usr/share/ieee-data/oui.txt", "/var/lib/ieee-data/oui.txt", "/usr/share/hwdata/oui.txt"];

type Prefix = [u8; 3];

const COMMON: &[(Prefix, &str)] = &[
    ([0x52, 0x54, 0x00], "QEMU virtual machine"),
    ([0x00, 0x50, 0x56], "VMware"),
    ([0x00, 0x0c, 0x29], "VMware"),
    ([0x00, 0x16, 0x3e], "Xen virtual machine"),
    ([0x08, 0x00, 0x27], "VirtualBox virtual machine"),
    ([0x00, 0x15, 0x5d], "Microsoft"),
    ([0xb8, 0x27, 0xeb], "Raspberry Pi"),
    ([0xdc, 0xa6, 0x32], "Raspberry Pi"),
    ([0x00, 0x25, 0x90], "Super Micro Computer"),
    ([0x0c, 0xc4, 0x7a], "Super Micro Computer"),
    ([0xac, 0x1f, 0x6b], "Super Micro Computer"),
    ([0x3c, 0xec, 0xef], "Super Micro Computer"),
    ([0x00, 0x1b, 0x21], "Intel"),
    ([0x00, 0x15, 0x17], "Intel"),
    ([0xa0, 0x36, 0x9f], "Intel"),
    ([0x90, 0xe2, 0xba], "Intel"),
    ([0x00, 0x02, 0xc9], "Mellanox"),
    ([0xe4, 0x1d, 0x2d], "Mellanox"),
    ([0x24, 0x8a, 0x07], "Mellanox"),
    ([0xb8, 0x59, 0x9f], "Mellanox"),
    ([0x00, 0x14, 0x22], "Dell"),
    ([0x18, 0x66, 0xda], "Dell"),
    ([0xd4, 0xbe, 0xd9], "Dell"),
    ([0x3c, 0xd9, 0x2b], "Hewlett Packard"),
    ([0x94, 0x57, 0xa5], "Hewlett Packard"),
    ([0x00, 0x1c, 0x73], "Arista Networks"),
    ([0x44, 0x4c, 0xa8], "Arista Networks"),
    ([0x00, 0x00, 0x0c], "Cisco"),
    ([0x00, 0x05, 0x85], "Juniper Networks"),
    ([0x00, 0x04, 0x96], "Extreme Networks"),
    ([0x24, 0xa4, 0x3c], "Ubiquiti"),
    ([0x00, 0x0c, 0x42], "MikroTik"),
    ([0x00, 0xc0, 0xb7], "American Power Conversion"),
    ([0x00, 0x11, 0x32], "Synology"),
    ([0x00, 0xe0, 0x4c], "Realtek"),
];

/// The maker's name; for an address that somebody made up, that it was.
pub fn of(mac: Mac) -> Option<String> {
    static REGISTRY: OnceLock<HashMap<Prefix, String>> = OnceLock::new();
    let registry = REGISTRY.get_or_init(|| {
        let text = FILES.iter().find_map(|file| std::fs::read_to_string(file).ok());
        text.map(|t| registry(&t)).unwrap_or_default()
    });
    let prefix = [mac.0[0], mac.0[1], mac.0[2]];
    let common = || COMMON.iter().find(|(p, _)| *p == prefix).map(|(_, name)| (*name).to_owned());
    let random = || (mac.0[0] & 2 == 2).then(|| "made-up address".to_owned());
    registry.get(&prefix).cloned().or_else(common).or_else(random)
}

/// Lines such as `28-6F-B9   (hex)`, two tabs, `Nokia Shanghai Bell Co., Ltd.`
fn registry(text: &str) -> HashMap<Prefix, String> {
    let entry = |line: &str| {
        let (prefix, name) = line.split_once("(hex)")?;
        let mut bytes = prefix.trim().split('-').map(|b| u8::from_str_radix(b, 16));
        let prefix = [bytes.next()?.ok()?, bytes.next()?.ok()?, bytes.next()?.ok()?];
        Some((prefix, name.trim().to_owned()))
    };
    text.lines().filter_map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_registry_is_read_as_the_ieee_writes_it() {
        let text = "OUI/MA-L                                                    Organization\r\n\
                    28-6F-B9   (hex)\t\tNokia Shanghai Bell Co., Ltd.\r\n286FB9     (base 16)\t\tNokia\r\n\t\t\t\tShanghai\r\n";
        let read = registry(text);
        assert_eq!(read.len(), 1);
        assert_eq!(read[&[0x28, 0x6f, 0xb9]], "Nokia Shanghai Bell Co., Ltd.");
    }

    #[test]
    fn virtual_and_made_up_addresses_are_told_apart() {
        assert_eq!(of("52:54:00:00:00:01".parse().unwrap()).unwrap(), "QEMU virtual machine");
        assert_eq!(of("da:12:34:00:00:01".parse().unwrap()).unwrap(), "made-up address");
    }
}
