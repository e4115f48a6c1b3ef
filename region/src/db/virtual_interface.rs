//! Interfaces that are made of others, and addresses besides the first of a physical one.

use super::DbError;
use crate::model::interface::{
    AddressMode, DefaultGateways, InterfaceAddress, NewVirtualInterface, VirtualInterface, VirtualKind,
};
use rackwright_common::MachineId;
use serde_json::Value;
use sqlx::PgConnection;
use std::net::IpAddr;

/// Which interface an address belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// A row of `interface`.
    Physical(i64),
    /// A row of `virtual_interface`.
    Virtual(i64),
}

/// An address with its row.
#[derive(Debug, Clone)]
pub struct Address {
    /// Row.
    pub id: i64,
    /// Whose.
    pub owner: Owner,
    /// What people see.
    pub view: InterfaceAddress,
}

/// All addresses of a machine that are in no row of `interface`, in the order in which they were entered.
pub async fn addresses(conn: &mut PgConnection, machine: &MachineId) -> Result<Vec<Address>, DbError> {
    let rows = sqlx::query!(
        "SELECT a.id, a.interface_id, a.virtual_id, a.mode, a.subnet_id, host(a.address) AS address FROM interface_address a
         LEFT JOIN interface i ON i.id = a.interface_id LEFT JOIN virtual_interface v ON v.id = a.virtual_id
         WHERE coalesce(i.machine_id, v.machine_id) = $1 ORDER BY a.id",
        machine.as_str()
    )
    .fetch_all(conn)
    .await?;
    let corrupt = || DbError::Corrupt { what: "address of an interface" };
    rows.into_iter()
        .map(|r| {
            let owner = match (r.interface_id, r.virtual_id) {
                (Some(id), _) => Owner::Physical(id),
                (None, Some(id)) => Owner::Virtual(id),
                (None, None) => return Err(corrupt()),
            };
            let mode = match r.mode.as_str() {
                "auto" => AddressMode::Auto,
                "static" => AddressMode::Static,
                "dhcp" => AddressMode::Dhcp,
                _ => return Err(corrupt()),
            };
            let address = r.address.and_then(|a| a.parse().ok());
            Ok(Address { id: r.id, owner, view: InterfaceAddress { mode, subnet: r.subnet_id, address } })
        })
        .collect()
}

/// The interfaces of a machine that are made of others, in the order in which they were made.
pub async fn list(conn: &mut PgConnection, machine: &MachineId) -> Result<Vec<VirtualInterface>, DbError> {
    let addresses = addresses(&mut *conn, machine).await?;
    let rows = sqlx::query!(
        "SELECT id, name, kind, parents, vlan_id, mac, mtu, settings FROM virtual_interface WHERE machine_id = $1 ORDER BY id",
        machine.as_str()
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|r| {
            let own = addresses.iter().filter(|a| a.owner == Owner::Virtual(r.id));
            Ok(VirtualInterface {
                id: r.id,
                name: r.name,
                kind: kind(&r.kind, r.vlan_id, r.settings)
                    .ok_or(DbError::Corrupt { what: "virtual interface" })?,
                parents: r.parents,
                mac: r.mac.and_then(|m| m.parse().ok()),
                mtu: r.mtu,
                addresses: own.map(|a| a.view.clone()).collect(),
            })
        })
        .collect()
}

fn kind(kind: &str, vlan: Option<i64>, settings: Value) -> Option<VirtualKind> {
    Some(match kind {
        "vlan" => VirtualKind::Vlan { vlan: vlan? },
        "bond" => VirtualKind::Bond { settings: serde_json::from_value(settings).ok()? },
        "bridge" => VirtualKind::Bridge { settings: serde_json::from_value(settings).ok()? },
        _ => return None,
    })
}

fn stored(kind: &VirtualKind) -> Result<(Option<i64>, Value), DbError> {
    let corrupt = |_| DbError::Corrupt { what: "virtual interface" };
    Ok(match kind {
        VirtualKind::Vlan { vlan } => (Some(*vlan), Value::Object(serde_json::Map::new())),
        VirtualKind::Bond { settings } => (None, serde_json::to_value(settings).map_err(corrupt)?),
        VirtualKind::Bridge { settings } => (None, serde_json::to_value(settings).map_err(corrupt)?),
    })
}

/// Makes one without addresses; its number.
pub async fn insert(
    conn: &mut PgConnection,
    machine: &MachineId,
    new: &NewVirtualInterface,
) -> Result<i64, DbError> {
    let (vlan, settings) = stored(&new.kind)?;
    Ok(sqlx::query_scalar!(
        "INSERT INTO virtual_interface (machine_id, name, kind, parents, vlan_id, mac, mtu, settings)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING id",
        machine.as_str(),
        new.name,
        new.kind.as_str(),
        &new.parents,
        vlan,
        new.mac.map(|m| m.to_string()),
        new.mtu,
        settings
    )
    .fetch_one(conn)
    .await?)
}

/// Changes one, but for its addresses; false when the machine has no such one.
pub async fn update(
    conn: &mut PgConnection,
    machine: &MachineId,
    id: i64,
    new: &NewVirtualInterface,
) -> Result<bool, DbError> {
    let (vlan, settings) = stored(&new.kind)?;
    let done = sqlx::query!(
        "UPDATE virtual_interface SET name = $3, kind = $4, parents = $5, vlan_id = $6, mac = $7, mtu = $8, settings = $9
         WHERE machine_id = $1 AND id = $2",
        machine.as_str(),
        id,
        new.name,
        new.kind.as_str(),
        &new.parents,
        vlan,
        new.mac.map(|m| m.to_string()),
        new.mtu,
        settings
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Removes one with its addresses.
pub async fn delete(conn: &mut PgConnection, machine: &MachineId, id: i64) -> Result<bool, DbError> {
    let done =
        sqlx::query!("DELETE FROM virtual_interface WHERE machine_id = $1 AND id = $2", machine.as_str(), id)
            .execute(conn)
            .await?;
    Ok(done.rows_affected() == 1)
}

/// Removes all addresses of an interface but the first of a physical one.
pub async fn clear_addresses(conn: &mut PgConnection, owner: Owner) -> Result<(), DbError> {
    let (physical, virtual_) = split(owner);
    sqlx::query!(
        "DELETE FROM interface_address WHERE interface_id = $1 OR virtual_id = $2",
        physical,
        virtual_
    )
    .execute(conn)
    .await?;
    Ok(())
}

fn split(owner: Owner) -> (Option<i64>, Option<i64>) {
    match owner {
        Owner::Physical(id) => (Some(id), None),
        Owner::Virtual(id) => (None, Some(id)),
    }
}

/// Adds an address to an interface.
pub async fn add_address(
    conn: &mut PgConnection,
    owner: Owner,
    new: &InterfaceAddress,
) -> Result<(), DbError> {
    let (physical, virtual_) = split(owner);
    sqlx::query!(
        "INSERT INTO interface_address (interface_id, virtual_id, mode, subnet_id, address) VALUES ($1, $2, $3, $4, $5::text::inet)",
        physical,
        virtual_,
        new.mode.as_str(),
        new.subnet,
        new.address.map(|a| a.to_string())
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Gives an address to one of mode `auto`, or takes it away.
pub async fn set_address(conn: &mut PgConnection, id: i64, address: Option<IpAddr>) -> Result<(), DbError> {
    sqlx::query!(
        "UPDATE interface_address SET address = $2::text::inet WHERE id = $1 AND mode = 'auto'",
        id,
        address.map(|a| a.to_string())
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Lets go of the addresses that were chosen for a deployment.
pub async fn release(conn: &mut PgConnection, machine: &MachineId) -> Result<(), DbError> {
    sqlx::query!(
        "UPDATE interface_address SET address = NULL WHERE mode = 'auto' AND address IS NOT NULL AND (
             interface_id IN (SELECT id FROM interface WHERE machine_id = $1)
             OR virtual_id IN (SELECT id FROM virtual_interface WHERE machine_id = $1))",
        machine.as_str()
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "UPDATE interface SET address = NULL WHERE machine_id = $1 AND address_source = 'deployment'",
        machine.as_str()
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The machine's chosen default routes.
pub async fn gateways(conn: &mut PgConnection, machine: &MachineId) -> Result<DefaultGateways, DbError> {
    let r = sqlx::query!(
        "SELECT gateway4_subnet_id, gateway6_subnet_id FROM machine WHERE id = $1",
        machine.as_str()
    )
    .fetch_one(conn)
    .await?;
    Ok(DefaultGateways { ipv4: r.gateway4_subnet_id, ipv6: r.gateway6_subnet_id })
}

/// Chooses them.
pub async fn set_gateways(
    conn: &mut PgConnection,
    machine: &MachineId,
    chosen: DefaultGateways,
) -> Result<(), DbError> {
    sqlx::query!(
        "UPDATE machine SET gateway4_subnet_id = $2, gateway6_subnet_id = $3 WHERE id = $1",
        machine.as_str(),
        chosen.ipv4,
        chosen.ipv6
    )
    .execute(conn)
    .await?;
    Ok(())
}
