//! Physical network interfaces from `/sys/class/net`.

use super::{link_name, names, number, text};
use crate::sys;
use rackwright_common::Mac;
use rackwright_common::inventory::Interface;
use std::path::Path;

/// Names of physical Ethernet interfaces: there is a device behind them, and it is not a virtual function of another.
pub fn physical(root: &Path) -> Vec<String> {
    let folder = root.join("sys/class/net");
    let mut names = names(&folder);
    names.retain(|name| {
        let path = folder.join(name);
        let ethernet = text(&path.join("type")).as_deref() == Some("1");
        ethernet && path.join("device").exists() && !path.join("device/physfn").exists()
    });
    names
}

/// All physical interfaces, by name; LLDP is added later.
pub fn read(root: &Path, boot_mac: Option<Mac>) -> Vec<Interface> {
    let folder = root.join("sys/class/net");
    physical(root)
        .into_iter()
        .filter_map(|name| read_one(root, &folder.join(&name), name, boot_mac))
        .collect()
}

fn read_one(root: &Path, path: &Path, name: String, boot_mac: Option<Mac>) -> Option<Interface> {
    let current: Mac = text(&path.join("address"))?.parse().ok()?;
    let permanent = if root == Path::new("/") { sys::permanent_mac(&name).map(Mac) } else { None };
    let device = path.join("device");
    // Reading the speed of an interface that is down is an error, and virtio says -1.
    let speed: Option<i64> = number(&path.join("speed"));
    Some(Interface {
        mac: permanent.unwrap_or(current),
        driver: link_name(&device.join("driver")),
        product: product(&device),
        speed_mbps: speed.filter(|mbps| *mbps > 0).and_then(|mbps| u32::try_from(mbps).ok()),
        link: text(&path.join("carrier")).as_deref() == Some("1"),
        boot: boot_mac.is_some_and(|mac| mac == current || Some(mac) == permanent),
        lldp: None,
        name,
    })
}

/// `vendor:device` in hexadecimal.
fn product(device: &Path) -> Option<String> {
    let hex = |file: &str| Some(text(&device.join(file))?.trim_start_matches("0x").to_lowercase());
    if let (Some(vendor), Some(product)) = (hex("idVendor"), hex("idProduct")) {
        return Some(format!("{vendor}:{product}"));
    }
    Some(format!("{}:{}", hex("vendor")?, hex("device")?))
}

#[cfg(test)]
mod tests {
    use super::super::tests::machine;
    use super::*;

    #[test]
    fn only_interfaces_with_a_device_count() {
        let root = machine(&[
            ("sys/class/net/lo/type", b"772\n"),
            ("sys/class/net/br0/type", b"1\n"),
            ("sys/class/net/eth0/type", b"1\n"),
            ("sys/class/net/eth0/address", b"52:54:00:00:00:01\n"),
            ("sys/class/net/eth0/carrier", b"1\n"),
            ("sys/class/net/eth0/speed", b"10000\n"),
            ("sys/class/net/eth0/device/vendor", b"0x8086\n"),
            ("sys/class/net/eth0/device/device", b"0x1572\n"),
            ("sys/class/net/eth1/type", b"1\n"),
            ("sys/class/net/eth1/address", b"52:54:00:00:00:02\n"),
            ("sys/class/net/eth1/speed", b"-1\n"),
            ("sys/class/net/eth1/device/vendor", b"0x1af4\n"),
            ("sys/class/net/vf0/type", b"1\n"),
            ("sys/class/net/vf0/address", b"52:54:00:00:00:03\n"),
            ("sys/class/net/vf0/device/physfn/vendor", b"0x8086\n"),
        ]);
        let boot = "52:54:00:00:00:02".parse().ok();
        let interfaces = read(root.path(), boot);
        assert_eq!(interfaces.len(), 2);
        assert_eq!(interfaces[0].speed_mbps, Some(10000));
        assert_eq!(interfaces[0].product.as_deref(), Some("8086:1572"));
        assert!(interfaces[0].link && !interfaces[0].boot);
        assert!(interfaces[1].boot && !interfaces[1].link);
        assert_eq!(interfaces[1].speed_mbps, None);
    }
}
