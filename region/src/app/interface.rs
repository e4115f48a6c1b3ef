//! Interfaces of machines: what the installed system will make of them. Changed while no system is installed.

use super::{App, Change, Describe, Error, Result, access, audit, json, subnet};
use crate::auth::Actor;
use crate::db;
use crate::db::machine_edit::Locked;
use crate::db::virtual_interface::{self as virtual_, Owner};
use crate::model::Role;
use crate::model::interface::{
    AddressMode, DefaultGateways, InterfaceAddress, NewInterfaceAddress, NewVirtualInterface,
    VirtualInterface, VirtualKind,
};
use crate::model::machine::{InterfacePatch, Machine};
use rackwright_common::network::BridgeType;
use rackwright_common::{MachineId, Status};
use sqlx::PgConnection;
use std::net::IpAddr;

/// Begins a change of a machine's interfaces, if they may be changed now. The machine stays locked until its end.
async fn edit(app: &App, actor: &Actor, id: &MachineId) -> Result<(db::Transaction, Locked)> {
    let (mut tx, found) = access::operate(app, actor, id, Role::Operator).await?;
    let status = db::machine::get(&mut tx, id).await?.status;
    let free = matches!(
        status,
        Status::New
            | Status::Ready
            | Status::Allocated
            | Status::Broken
            | Status::FailedCommissioning
            | Status::FailedTesting
            | Status::FailedDeployment
    );
    if free {
        return Ok((tx, found));
    }
    Err(Error::Conflict {
        field: Some("status"),
        message: format!(
            "interfaces are changed while no system is on the machine, and it is {status}; release it first"
        ),
    })
}

async fn done(
    mut tx: db::Transaction,
    actor: &Actor,
    id: &MachineId,
    message: String,
    after: serde_json::Value,
) -> Result<Machine> {
    db::machine_edit::touch(&mut tx, id).await?;
    let change = Change { kind: "machine.interface", message, machine: Some(id), after, ..Change::default() };
    audit(&mut tx, actor, change).await?;
    let machine = db::machine_query::get(&mut tx, id).await?;
    tx.commit().await?;
    Ok(machine)
}

/// Changes a physical interface.
pub async fn update(
    app: &App,
    actor: &Actor,
    id: &MachineId,
    interface: i64,
    patch: &InterfacePatch,
) -> Result<Machine> {
    actor.require_somewhere(Role::Operator)?;
    if let Some(name) = &patch.name {
        check_name(name)?;
    }
    let (mut tx, found) = edit(app, actor, id).await?;
    let present = db::interface::list_of_machine(&mut tx, id).await?;
    let present = present.into_iter().find(|i| i.id == interface);
    let present = present.ok_or_else(|| Error::not_found("interface", interface))?;
    let mut row = db::machine_edit::InterfaceRow {
        name: patch.name.clone().unwrap_or(present.name),
        mode: present.mode,
        subnet: present.subnet,
        address: present.address.map(IpAddr::V4),
        source: present.address_source,
        mtu: match patch.mtu {
            Some(0) => None,
            other => other.or(present.mtu),
        },
    };
    match patch.mode.as_deref() {
        None => {}
        Some("static") if patch.address.is_none() && row.address.is_none() => {
            return Err(Error::invalid("address", "a static interface needs an address"));
        }
        Some("static") => {
            row.mode = "auto".into();
            row.source = "person".into();
        }
        Some("auto") => {
            if row.source == "person" && patch.address.is_none() {
                row.address = None;
                row.source = "deployment".into();
            }
            row.mode = "auto".into();
        }
        Some(mode @ ("dhcp" | "link-up")) => row.mode = mode.into(),
        Some(other) => {
            return Err(Error::invalid(
                "mode",
                format!("`{other}` is none of auto, static, dhcp and link-up"),
            ));
        }
    }
    if let Some(wanted) = patch.subnet {
        let subnet = db::subnet::get(&mut tx, wanted).await.or_not_found("subnet", wanted)?;
        if !subnet.cidr.addr().is_ipv4() {
            return Err(Error::invalid(
                "subnet",
                "the first address is an IPv4 one; give IPv6 addresses in `more`",
            ));
        }
        if row.subnet != Some(wanted) {
            (row.subnet, row.address) = (Some(wanted), None);
            row.source = "deployment".into();
        }
    }
    if let Some(address) = patch.address
        && row.address != Some(address)
    {
        let IpAddr::V4(_) = address else {
            return Err(Error::invalid(
                "address",
                "the first address is an IPv4 one; give IPv6 addresses in `more`",
            ));
        };
        let subnet = subnet::free_fixed(&mut tx, address).await?;
        (row.subnet, row.address) = (Some(subnet.id), Some(address));
        row.source = "person".into();
    }
    db::machine_edit::set_interface(&mut tx, id, interface, &row).await?;
    if let Some(more) = &patch.more {
        set_addresses(&mut tx, Owner::Physical(interface), more).await?;
    }
    let message = format!("An interface of {} was changed", found.hostname);
    done(tx, actor, id, message, json(patch)).await
}

/// Takes an interface away from a machine, unless another one is made of it.
pub async fn delete(app: &App, actor: &Actor, id: &MachineId, interface: i64) -> Result<()> {
    let (mut tx, found) = access::operate(app, actor, id, Role::Operator).await?;
    refuse_parent(&virtual_::list(&mut tx, id).await?, interface)?;
    if !db::machine_edit::delete_interface(&mut tx, id, interface).await? {
        return Err(Error::not_found("interface", interface));
    }
    let message = format!("An interface of {} was removed", found.hostname);
    done(tx, actor, id, message, serde_json::Value::Null).await.map(drop)
}

fn refuse_parent(made: &[VirtualInterface], interface: i64) -> Result<()> {
    match made.iter().find(|v| v.parents.contains(&interface)) {
        Some(user) => Err(Error::conflict(format!(
            "{} is made of this interface; change or remove it first",
            user.name
        ))),
        None => Ok(()),
    }
}

/// Makes an interface of others.
pub async fn create_virtual(
    app: &App,
    actor: &Actor,
    id: &MachineId,
    new: &NewVirtualInterface,
) -> Result<Machine> {
    let (mut tx, found) = edit(app, actor, id).await?;
    check(&mut tx, id, None, new).await?;
    let made = virtual_::insert(&mut tx, id, new).await?;
    set_addresses(&mut tx, Owner::Virtual(made), &new.addresses).await?;
    let message = format!("{} of {} was made", new.name, found.hostname);
    done(tx, actor, id, message, json(new)).await
}

/// Changes one.
pub async fn update_virtual(
    app: &App,
    actor: &Actor,
    id: &MachineId,
    interface: i64,
    new: &NewVirtualInterface,
) -> Result<Machine> {
    let (mut tx, found) = edit(app, actor, id).await?;
    check(&mut tx, id, Some(interface), new).await?;
    if !virtual_::update(&mut tx, id, interface, new).await? {
        return Err(Error::not_found("interface", interface));
    }
    set_addresses(&mut tx, Owner::Virtual(interface), &new.addresses).await?;
    let message = format!("{} of {} was changed", new.name, found.hostname);
    done(tx, actor, id, message, json(new)).await
}

/// Removes one that no other is made of.
pub async fn delete_virtual(app: &App, actor: &Actor, id: &MachineId, interface: i64) -> Result<()> {
    let (mut tx, found) = edit(app, actor, id).await?;
    refuse_parent(&virtual_::list(&mut tx, id).await?, interface)?;
    if !virtual_::delete(&mut tx, id, interface).await? {
        return Err(Error::not_found("interface", interface));
    }
    let message = format!("An interface of {} was removed", found.hostname);
    done(tx, actor, id, message, serde_json::Value::Null).await.map(drop)
}

/// Chooses the subnets whose gateways are the default routes.
pub async fn set_gateways(
    app: &App,
    actor: &Actor,
    id: &MachineId,
    chosen: DefaultGateways,
) -> Result<Machine> {
    let (mut tx, found) = edit(app, actor, id).await?;
    for (field, wanted, ipv4) in [("ipv4", chosen.ipv4, true), ("ipv6", chosen.ipv6, false)] {
        let Some(wanted) = wanted else { continue };
        let subnet = db::subnet::get(&mut tx, wanted).await.or_not_found("subnet", wanted)?;
        if subnet.gateway.is_none_or(|g| g.is_ipv4() != ipv4) {
            return Err(Error::invalid(field, format!("{} has no such gateway", subnet.cidr)));
        }
    }
    virtual_::set_gateways(&mut tx, id, chosen).await?;
    let message = format!("The default routes of {} were chosen", found.hostname);
    done(tx, actor, id, message, json(&chosen)).await
}

fn check_name(name: &str) -> Result<()> {
    if super::machine::is_interface_name(name) {
        return Ok(());
    }
    Err(Error::invalid(
        "name",
        format!("`{name}` is not an interface name: 1 to 15 letters, digits, dots, hyphens or underscores"),
    ))
}

/// What is wrong with an interface by itself and beside the others.
async fn check(
    conn: &mut PgConnection,
    id: &MachineId,
    own: Option<i64>,
    new: &NewVirtualInterface,
) -> Result<()> {
    check_name(&new.name)?;
    let physical = db::interface::list_of_machine(conn, id).await?;
    let made: Vec<_> = virtual_::list(conn, id).await?.into_iter().filter(|v| Some(v.id) != own).collect();
    if physical.iter().any(|i| i.name == new.name) || made.iter().any(|v| v.name == new.name) {
        let message = format!("the machine already has an interface called {}", new.name);
        return Err(Error::Conflict { field: Some("name"), message });
    }
    let parents = |why: String| Err(Error::invalid("parents", why));
    for (at, parent) in new.parents.iter().enumerate() {
        let known = physical.iter().any(|i| i.id == *parent) || made.iter().any(|v| v.id == *parent);
        if !known {
            return parents(format!("the machine has no interface {parent}"));
        }
        if new.parents[..at].contains(parent) {
            return parents(format!("interface {parent} is there twice"));
        }
    }
    let takes = |v: &&VirtualInterface| {
        !matches!(v.kind, VirtualKind::Vlan { .. }) && v.parents.iter().any(|p| new.parents.contains(p))
    };
    match &new.kind {
        VirtualKind::Vlan { vlan } => {
            if new.parents.len() != 1 {
                return parents("a VLAN is on one interface".into());
            }
            let found = db::vlan::list(conn, Some(*vlan)).await?.pop();
            let found = found.ok_or_else(|| Error::invalid("vlan", format!("there is no VLAN {vlan}")))?;
            if found.vid == 0 {
                return Err(Error::invalid(
                    "vlan",
                    format!("VLAN {} is untagged: give the interface below an address instead", found.name),
                ));
            }
        }
        VirtualKind::Bond { settings } => {
            if new.parents.is_empty() {
                return parents("a bond needs members".into());
            }
            if let Some(other) = new.parents.iter().find(|p| !physical.iter().any(|i| i.id == **p)) {
                return parents(format!("interface {other} is not a physical one; only those are bonded"));
            }
            if let Some(primary) = &settings.primary
                && !physical.iter().any(|i| i.name == *primary && new.parents.contains(&i.id))
            {
                return Err(Error::invalid("settings", format!("{primary} is not a member of the bond")));
            }
        }
        VirtualKind::Bridge { settings } => {
            if settings.r#type == BridgeType::Ovs && settings.forward_delay.is_some() {
                return Err(Error::invalid("settings", "Open vSwitch has no forward delay"));
            }
        }
    }
    if !matches!(new.kind, VirtualKind::Vlan { .. })
        && let Some(other) = made.iter().find(takes)
    {
        return parents(format!("{} is already made of one of these interfaces", other.name));
    }
    let mut below = new.parents.clone();
    while let Some(next) = below.pop() {
        if Some(next) == own {
            return parents("an interface cannot be made of itself".into());
        }
        below.extend(made.iter().filter(|v| v.id == next).flat_map(|v| v.parents.clone()));
    }
    Ok(())
}

/// Puts these addresses in place of those of an interface. What a failed deployment had chosen is chosen anew.
async fn set_addresses(conn: &mut PgConnection, owner: Owner, wanted: &[NewInterfaceAddress]) -> Result<()> {
    virtual_::clear_addresses(conn, owner).await?;
    for new in wanted {
        let invalid = |why: &str| Err(Error::invalid("addresses", why));
        let address = match (new.mode, new.subnet, new.address) {
            (AddressMode::Dhcp, None, None) => {
                InterfaceAddress { mode: new.mode, subnet: None, address: None }
            }
            (AddressMode::Dhcp, ..) => return invalid("with `dhcp` neither subnet nor address is named"),
            (AddressMode::Auto, Some(id), None) => {
                let subnet = db::subnet::get(conn, id).await.or_not_found("subnet", id)?;
                if !subnet.cidr.addr().is_ipv4() {
                    return invalid(
                        "addresses are chosen in IPv4 subnets only; name an IPv6 address with `static`",
                    );
                }
                InterfaceAddress { mode: new.mode, subnet: Some(id), address: None }
            }
            (AddressMode::Auto, ..) => return invalid("with `auto` the subnet is named, and nothing else"),
            (AddressMode::Static, _, Some(address)) => {
                let subnet = subnet::free_fixed(conn, address).await?;
                if new.subnet.is_some_and(|id| id != subnet.id) {
                    return invalid("the address lies in another subnet than the one that is named");
                }
                InterfaceAddress { mode: new.mode, subnet: Some(subnet.id), address: Some(address) }
            }
            (AddressMode::Static, _, None) => return invalid("with `static` the address is named"),
        };
        virtual_::add_address(conn, owner, &address).await?;
    }
    Ok(())
}
