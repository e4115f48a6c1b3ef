//! Addresses: networks that racks bring along, and the fixed address of each machine.

pub mod vendor;
pub mod wiring;

use crate::db::lease_block::{self, grant, lock_subnet};
use crate::db::lease_state::Changes;
use crate::db::{DbError, address, interface, world};
use ipnet::Ipv4Net;
use rackwright_common::MachineId;
use rackwright_common::link::RackAddress;
use rackwright_common::snapshot::ServeMode;
use sqlx::PgConnection;
use std::collections::BTreeSet;
use std::net::Ipv4Addr;

/// Blocks of dynamic addresses that a rack holds from the start.
const FIRST_BLOCKS: usize = 2;

mod low;
pub mod plan;

pub use low::{run as watch_low, warn_of_low};

/// What happens with a network that a rack serves and nobody has modelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NewNetworks {
    /// It is entered; DHCP stays off until a person says so.
    Enter,
    /// It is entered with a dynamic range, and served.
    Serve,
}

/// Enters the networks of a rack that are not modelled yet, each as an untagged VLAN in a fabric of its own.
pub async fn adopt(
    conn: &mut PgConnection,
    addresses: &[RackAddress],
    new: NewNetworks,
) -> Result<(), DbError> {
    let known = world::subnets(conn).await?;
    for found in addresses {
        let network = found.network.trunc();
        let overlaps = |s: &world::Subnet| s.cidr.contains(&network) || network.contains(&s.cidr);
        if known.iter().any(overlaps) {
            continue;
        }
        let serve = new == NewNetworks::Serve;
        let subnet = address::enter_network(conn, network, serve).await?;
        if let (true, Some((first, last))) = (serve, dynamic_range(network, found.network.addr())) {
            address::add_dynamic_range(conn, subnet, first, last).await?;
        }
    }
    Ok(())
}

/// The upper half of a network, without its broadcast address and without the rack's own.
fn dynamic_range(network: Ipv4Net, rack: Ipv4Addr) -> Option<(Ipv4Addr, Ipv4Addr)> {
    let (low, high) = (u32::from(network.network()), u32::from(network.broadcast()));
    if high - low < 15 {
        return None;
    }
    let mut first = low + (high - low).div_ceil(2);
    let mut last = high - 1;
    let rack = u32::from(rack);
    if (first..=last).contains(&rack) {
        if rack - first > last - rack { last = rack - 1 } else { first = rack + 1 }
    }
    Some((first.into(), last.into()))
}

/// Makes sure that a rack holds blocks in every subnet that it serves.
pub async fn grant_first_blocks(
    conn: &mut PgConnection,
    rack: i64,
    addresses: &[RackAddress],
) -> Result<(), DbError> {
    let mut changes = Changes::lock(conn).await?;
    for subnet in served(conn, addresses).await? {
        let held = lease_block::of_rack(conn, rack).await?.iter().filter(|b| b.subnet == subnet.id).count();
        for _ in held..FIRST_BLOCKS {
            if !grant(conn, &mut changes, rack, subnet.id).await? {
                break;
            }
        }
    }
    changes.save(conn).await
}

/// Grants one more block in each subnet that a rack serves: its pool is empty, it says. Racks that report leases are
/// granted blocks earlier, by `racks::leases`.
pub async fn grant_more(
    conn: &mut PgConnection,
    rack: i64,
    addresses: &[RackAddress],
) -> Result<bool, DbError> {
    let mut changes = Changes::lock(conn).await?;
    let mut granted = false;
    for subnet in served(conn, addresses).await? {
        granted |= grant(conn, &mut changes, rack, subnet.id).await?;
    }
    changes.save(conn).await?;
    Ok(granted)
}

/// The subnets that a rack serves and where it gives addresses.
pub async fn served(
    conn: &mut PgConnection,
    addresses: &[RackAddress],
) -> Result<Vec<world::Subnet>, DbError> {
    let mut subnets = reached(world::subnets(conn).await?, addresses);
    subnets.retain(|s| s.dhcp && s.mode == ServeMode::Serve);
    Ok(subnets)
}

/// The subnets that a rack with these addresses serves: all of each VLAN in which it has one, and of the VLANs whose
/// relays pass requests on to those.
pub fn reached(mut subnets: Vec<world::Subnet>, addresses: &[RackAddress]) -> Vec<world::Subnet> {
    let own = |s: &world::Subnet| addresses.iter().any(|a| s.cidr.contains(&a.network.addr()));
    let vlans: BTreeSet<i64> = subnets.iter().filter(|s| own(s)).map(|s| s.vlan).collect();
    subnets.retain(|s| vlans.contains(&s.vlan) || s.relay.is_some_and(|vlan| vlans.contains(&vlan)));
    subnets
}

/// Gives the interface a machine booted through its fixed address, in the subnet through which the rack saw it.
pub async fn allocate(
    conn: &mut PgConnection,
    machine: &MachineId,
    seen_through: Ipv4Addr,
) -> Result<Option<Ipv4Addr>, DbError> {
    let interfaces = interface::list_of_machine(conn, machine).await?;
    let Some(booted) = interfaces.iter().find(|i| i.boot) else { return Ok(None) };
    if let Some(address) = booted.address {
        return Ok(Some(address));
    }
    let subnets = world::subnets(conn).await?;
    let Some(subnet) = subnets.iter().find(|s| s.cidr.contains(&seen_through)) else { return Ok(None) };
    let address = match address::reserved_for(conn, booted.mac).await?.filter(|a| subnet.cidr.contains(a)) {
        Some(address) => Some(address),
        None => pick(conn, subnet.id).await?,
    };
    if let Some(address) = address {
        interface::set_address(conn, booted.id, subnet.id, address).await?;
    }
    Ok(address)
}

/// The lowest address of a subnet that nobody has; the subnet stays locked until the end of the transaction, so that no
/// other region takes it meanwhile. None when the subnet is full, or is not IPv4.
pub async fn pick(conn: &mut PgConnection, id: i64) -> Result<Option<Ipv4Addr>, DbError> {
    lock_subnet(conn, id).await?;
    let subnets = world::subnets(conn).await?;
    let Some(subnet) = subnets.iter().find(|s| s.id == id) else { return Ok(None) };
    Ok(lowest_free(subnet, &address::taken(conn, id).await?))
}

fn lowest_free(subnet: &world::Subnet, taken: &address::Taken) -> Option<Ipv4Addr> {
    let singles: BTreeSet<Ipv4Addr> = taken
        .addresses
        .iter()
        .copied()
        .chain(subnet.gateway)
        .chain(subnet.dns_servers.iter().copied())
        .collect();
    if !subnet.managed {
        let mut offered =
            taken.reserved.iter().flat_map(|(first, last)| u32::from(*first)..=u32::from(*last));
        return offered.find(|a| !singles.contains(&Ipv4Addr::from(*a))).map(Ipv4Addr::from);
    }
    let mut candidate = u32::from(subnet.cidr.network()) + 1;
    let end = u32::from(subnet.cidr.broadcast());
    while candidate < end {
        let address = Ipv4Addr::from(candidate);
        match taken.ranges.iter().find(|(first, last)| (*first..=*last).contains(&address)) {
            Some((_, last)) => candidate = u32::from(*last).saturating_add(1),
            None if singles.contains(&address) => candidate += 1,
            None => return Some(address),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subnet() -> world::Subnet {
        world::Subnet {
            id: 1,
            cidr: "10.77.0.0/24".parse().unwrap(),
            gateway: Some([10, 77, 0, 1].into()),
            dns_servers: vec![],
            domain: None,
            dhcp: true,
            mtu: 1500,
            lease_seconds: 600,
            vlan: 1,
            relay: None,
            mode: ServeMode::Serve,
            managed: true,
            boot_architectures: None,
            options: vec![],
            routes: vec![],
        }
    }

    #[test]
    fn the_upper_half_is_dynamic_and_leaves_the_rack_out() {
        let range = |network: &str, rack: [u8; 4]| dynamic_range(network.parse().unwrap(), rack.into());
        assert_eq!(
            range("10.77.0.0/24", [10, 77, 0, 1]),
            Some(([10, 77, 0, 128].into(), [10, 77, 0, 254].into()))
        );
        assert_eq!(
            range("10.77.0.0/24", [10, 77, 0, 254]),
            Some(([10, 77, 0, 128].into(), [10, 77, 0, 253].into()))
        );
        assert_eq!(
            range("10.77.0.0/24", [10, 77, 0, 129]),
            Some(([10, 77, 0, 130].into(), [10, 77, 0, 254].into()))
        );
        assert_eq!(range("10.77.0.0/30", [10, 77, 0, 1]), None);
    }

    #[test]
    fn a_rack_serves_all_of_a_vlan_and_what_is_relayed_to_it() {
        let other = |id: i64, cidr: &str, vlan: i64, relay: Option<i64>| world::Subnet {
            id,
            cidr: cidr.parse().unwrap(),
            vlan,
            relay,
            ..subnet()
        };
        let subnets = vec![
            subnet(),
            other(2, "10.78.0.0/24", 1, None),
            other(3, "10.79.0.0/24", 2, Some(1)),
            other(4, "10.80.0.0/24", 3, Some(4)),
            other(5, "10.81.0.0/24", 4, None),
        ];
        let address = RackAddress {
            interface: "eth0".into(),
            network: "10.77.0.5/24".parse().unwrap(),
            http_port: 5248,
            dns: false,
        };
        let found: Vec<i64> = reached(subnets.clone(), &[address]).iter().map(|s| s.id).collect();
        assert_eq!(found, [1, 2, 3]);
        assert!(reached(subnets, &[]).is_empty());
    }

    #[test]
    fn the_lowest_address_that_nobody_has_is_given() {
        let mut taken = address::Taken {
            addresses: vec![[10, 77, 0, 2].into()],
            ranges: vec![([10, 77, 0, 3].into(), [10, 77, 0, 9].into())],
            reserved: vec![([10, 77, 0, 3].into(), [10, 77, 0, 9].into())],
        };
        let unmanaged = world::Subnet { managed: false, ..subnet() };
        assert_eq!(lowest_free(&unmanaged, &taken), Some([10, 77, 0, 3].into()));
        assert_eq!(lowest_free(&subnet(), &taken), Some([10, 77, 0, 10].into()));
        taken.ranges.push(([10, 77, 0, 10].into(), [10, 77, 0, 254].into()));
        assert_eq!(lowest_free(&subnet(), &taken), None);
    }
}
