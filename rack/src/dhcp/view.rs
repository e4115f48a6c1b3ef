//! The core's configuration, made from the snapshot and the box's own addresses.

use std::net::Ipv4Addr;

use rackwright_common::snapshot::{HostView, OptionView, ServeMode, Snapshot, SubnetView};
use rackwright_dhcp::{Boot, BootFile, Config, Details, Host, HostBoot, Limits, MacAddr, Mode, Subnet};

use super::interface::Interface;
use crate::boot::loaders::{LOADERS, Loader, as_ipxe_says};

/// Numbers of segments that are not on an interface of this box begin here.
const RELAYED: u64 = 1 << 32;
/// and those of VLANs here.
const VLANS: u64 = 1 << 48;

/// Makes the configuration, without pools: the blocks come by another way. Subnets that one interface has addresses in
/// are one link.
pub(super) fn config(snapshot: &Snapshot, interfaces: &[Interface], http_port: u16) -> Config {
    let served = snapshot.subnets.iter().filter(|s| s.dhcp || s.mode != ServeMode::Serve);
    let names = |view: &SubnetView| name_servers(view, &snapshot.names.servers, interfaces);
    let subnets = served.map(|view| subnet(view, segment(view, snapshot, interfaces), names(view))).collect();
    Config::new(subnets, hosts(snapshot), boot(snapshot, http_port), Limits::default())
}

/// The link of a subnet: the interface with an address in it, or in another subnet of its VLAN; else its VLAN, which a
/// relay is on.
fn segment(view: &SubnetView, snapshot: &Snapshot, interfaces: &[Interface]) -> u64 {
    let siblings: Vec<_> = match view.vlan {
        Some(vlan) => snapshot.subnets.iter().filter(|s| s.vlan == Some(vlan)).map(|s| s.cidr).collect(),
        None => vec![view.cidr],
    };
    let has = |interface: &Interface, cidr: &ipnet::Ipv4Net| {
        interface.addresses.iter().any(|net| cidr.contains(&net.addr()))
    };
    let place = interfaces.iter().position(|i| has(i, &view.cidr));
    let place = place.or_else(|| interfaces.iter().position(|i| siblings.iter().any(|c| has(i, c))));
    let relayed =
        view.vlan.map_or(RELAYED.wrapping_add(view.id as u64), |vlan| VLANS.wrapping_add(vlan as u64));
    place.map_or(relayed, |number| number as u64)
}

fn options(views: &[OptionView]) -> Vec<(u8, Vec<u8>)> {
    views.iter().map(|o| (o.code, o.value.clone())).collect()
}

fn subnet(view: &SubnetView, segment: u64, dns_servers: Vec<Ipv4Addr>) -> Subnet {
    Subnet {
        network: view.cidr.trunc(),
        segment,
        routers: view.gateway.into_iter().collect(),
        dns_servers,
        ntp_servers: view.ntp_servers.clone(),
        domain: view.domain.clone(),
        mtu: view.mtu,
        pools: Vec::new(),
        lease_seconds: view.lease_seconds.max(60),
        authoritative: true,
        more: Details {
            mode: match view.mode {
                ServeMode::Serve => Mode::Serve,
                ServeMode::Proxy => Mode::Proxy,
                ServeMode::Shadow | ServeMode::Unknown => Mode::Shadow,
            },
            boot_archs: view.boot_architectures.clone(),
            ipxe_archs: view.boot_architectures.as_deref().map(as_ipxe_says),
            options: options(&view.options),
            routes: view.routes.iter().map(|r| (r.destination, r.gateway)).collect(),
        },
    }
}

/// Those that the subnet has; else the racks in it that answer names, this one first; else any such rack, which a
/// router leads to.
fn name_servers(view: &SubnetView, racks: &[Ipv4Addr], interfaces: &[Interface]) -> Vec<Ipv4Addr> {
    if !view.dns_servers.is_empty() {
        return view.dns_servers.clone();
    }
    let near: Vec<Ipv4Addr> = racks.iter().copied().filter(|rack| view.cidr.contains(rack)).collect();
    let mut servers = if near.is_empty() { racks.to_vec() } else { near };
    servers.sort_by_key(|rack| !interfaces.iter().any(|interface| interface.has(*rack)));
    servers
}

/// Reservations first: a machine with the same MAC comes later and wins.
fn hosts(snapshot: &Snapshot) -> Vec<Host> {
    let stranger = stranger(snapshot);
    let reserved = snapshot.reservations.iter().map(|r| Host {
        mac: MacAddr(r.mac.0),
        uuid: None,
        addresses: vec![r.address],
        hostname: r.hostname.as_ref().map(ToString::to_string),
        boot: stranger,
        options: options(&r.options),
    });
    let machines = snapshot.hosts.iter().flat_map(|host| {
        host.interfaces.iter().map(|interface| Host {
            mac: MacAddr(interface.mac.0),
            uuid: host.uuid.map(uuid::Uuid::into_bytes),
            addresses: interface.address.into_iter().collect(),
            hostname: Some(host.hostname.to_string()),
            boot: known(host),
            options: Vec::new(),
        })
    });
    reserved.chain(machines).collect()
}

fn stranger(snapshot: &Snapshot) -> HostBoot {
    if snapshot.enlist.is_some() { HostBoot::Either } else { HostBoot::Never }
}

fn known(host: &HostView) -> HostBoot {
    match host.secure_boot {
        None => HostBoot::Either,
        Some(false) => HostBoot::Network,
        Some(true) => HostBoot::Secure,
    }
}

/// A known machine always gets a loader: what it then boots is the script's decision.
fn boot(snapshot: &Snapshot, http_port: u16) -> Boot {
    let url = |file: &str| format!("http://{{server}}:{http_port}/boot/{file}");
    let loader = |l: &Loader| BootFile {
        arch: l.architecture,
        file: if l.http { url(l.file) } else { l.file.to_owned() },
        secure: l.signed.map(str::to_owned),
    };
    Boot {
        loaders: LOADERS.iter().map(loader).collect(),
        ipxe_script: Some(format!("http://{{server}}:{http_port}/boot/ipxe?mac={{mac}}&uuid={{uuid}}")),
        unknown: stranger(snapshot),
    }
}

/// The address of ours that a client on this interface knows us by: the one the kernel would answer with, when a
/// served subnet has it, else the first that one has.
pub(super) fn server_address(config: &Config, interface: &Interface, local: Ipv4Addr) -> Ipv4Addr {
    let serves = |address: &Ipv4Addr| config.subnet_of(*address).is_some();
    let own = interface.addresses.iter().map(|net| net.addr());
    Some(local)
        .filter(|a| interface.has(*a) && serves(a))
        .or_else(|| own.into_iter().find(serves))
        .unwrap_or(local)
}

#[cfg(test)]
mod tests;
