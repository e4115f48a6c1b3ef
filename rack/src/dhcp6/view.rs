//! The core's configuration, made from the snapshot and the box's own addresses.

use crate::addresses;
use crate::boot::loaders::{LOADERS, Loader, as_ipxe_says};
use rackwright_common::snapshot::{Snapshot, Subnet6View};
use rackwright_dhcp6::{Boot, Config, Host, Link, Subnet};
use std::net::Ipv6Addr;

/// The IPv6 subnets of the VLAN that an interface is in.
pub fn subnets_at<'a>(interface: &str, snapshot: &'a Snapshot) -> Vec<&'a Subnet6View> {
    if snapshot.subnets6.is_empty() {
        return Vec::new();
    }
    let Some(vlan) = vlan_of(interface, snapshot) else { return Vec::new() };
    snapshot.subnets6.iter().filter(|s| s.vlan == vlan).collect()
}

/// By the addresses of either family that it has.
fn vlan_of(interface: &str, snapshot: &Snapshot) -> Option<i64> {
    let name = [interface.to_owned()];
    let v4 = addresses::read(&name, 0).unwrap_or_default();
    let v6 = addresses::read6(&name).unwrap_or_default();
    let near = snapshot.subnets.iter().find(|s| v4.iter().any(|a| s.cidr.contains(&a.network.addr())));
    let by_v6 = || snapshot.subnets6.iter().find(|s| v6.iter().any(|(_, net)| s.cidr.contains(&net.addr())));
    near.and_then(|s| s.vlan).or_else(|| by_v6().map(|s| s.vlan))
}

/// Configuration, and the link that the interface is on.
pub(super) fn config(snapshot: &Snapshot, interface: &str, http_port: u16) -> (Config, Option<u64>) {
    let here = vlan_of(interface, snapshot);
    let own: Vec<Ipv6Addr> = addresses::read6(&[interface.to_owned()])
        .unwrap_or_default()
        .into_iter()
        .map(|(_, net)| net.addr())
        .collect();
    let mut links: Vec<Link> = Vec::new();
    for view in &snapshot.subnets6 {
        let id = number(view.vlan);
        let near = own.iter().copied().find(|a| view.cidr.contains(a));
        match links.iter_mut().find(|l| l.id == id) {
            Some(link) => {
                link.own = near.or(link.own);
                link.subnets.push(subnet(view));
            }
            // Clients behind a relay reach this rack by any address that it has.
            None => links.push(Link {
                id,
                own: near.or_else(|| own.first().copied()),
                subnets: vec![subnet(view)],
            }),
        }
    }
    let hosts = snapshot.hosts.iter().flat_map(|h| h.interfaces.iter().map(move |i| (i.mac.0, h)));
    let host = |secure: Option<bool>| Host { signed: secure.unwrap_or(true), http: secure != Some(true) };
    let uuids = snapshot.hosts.iter().filter_map(|h| Some((h.uuid?, h.interfaces.first()?.mac.0)));
    let config = Config {
        links,
        hosts: hosts.map(|(mac, h)| (mac, host(h.secure_boot))).collect(),
        // UEFI writes the UUID as SMBIOS holds it: the first three fields little-endian.
        uuids: uuids.flat_map(|(uuid, mac)| [(uuid.to_bytes_le(), mac), (uuid.into_bytes(), mac)]).collect(),
        boot: boot(snapshot, http_port),
    };
    (config, here.map(number))
}

fn number(vlan: i64) -> u64 {
    u64::try_from(vlan).unwrap_or_default()
}

fn subnet(view: &Subnet6View) -> Subnet {
    Subnet {
        network: view.cidr.trunc(),
        ranges: view.ranges.clone(),
        fixed: view.fixed.iter().map(|f| (f.mac.0, f.address)).collect(),
        dns_servers: view.dns_servers.clone(),
        ntp_servers: Vec::new(),
        domain: view.domain.clone(),
        valid: view.valid_seconds.max(60),
        boot_archs: view.boot_architectures.clone(),
        ipxe_archs: view.boot_architectures.as_deref().map(as_ipxe_says),
    }
}

/// Firmware of which nothing is known gets the signed loader: every one takes it.
fn boot(snapshot: &Snapshot, http_port: u16) -> Boot {
    let loader = |l: &Loader| (l.architecture, (l.file.to_owned(), l.signed.map(str::to_owned)));
    Boot {
        loaders: LOADERS.iter().map(loader).collect(),
        script: "/boot/ipxe?mac={mac}".to_owned(),
        http_port,
        strangers: snapshot.enlist.is_some(),
    }
}

#[cfg(test)]
mod tests;
