//! Network interfaces of machines, and the addresses they always get.

use super::DbError;
use ipnet::Ipv4Net;
use rackwright_common::inventory::Interface as Found;
use rackwright_common::{Mac, MachineId};
use serde_json::Value;
use sqlx::PgConnection;
use std::net::Ipv4Addr;

/// An interface.
#[derive(Debug, Clone)]
pub struct Interface {
    /// Row.
    pub id: i64,
    /// Hardware address.
    pub mac: Mac,
    /// Kernel name at commissioning; before that `eth` and its place.
    pub name: String,
    /// The machine boots through it.
    pub boot: bool,
    /// `auto`, `dhcp`, `link-up`.
    pub mode: String,
    /// Fixed address.
    pub address: Option<Ipv4Addr>,
    /// Its subnet.
    pub subnet: Option<i64>,
    /// That subnet's network.
    pub cidr: Option<Ipv4Net>,
    /// That subnet's gateway.
    pub gateway: Option<Ipv4Addr>,
    /// That subnet's name servers.
    pub dns_servers: Vec<Ipv4Addr>,
    /// That subnet's domain.
    pub domain: Option<String>,
    /// MTU, bytes, when it is set.
    pub mtu: Option<i32>,
    /// Who chose its address: `kept`, `person`, `deployment`.
    pub address_source: String,
}

/// The interfaces of a machine, the booted one first.
pub async fn list_of_machine(
    conn: &mut PgConnection,
    machine: &MachineId,
) -> Result<Vec<Interface>, DbError> {
    let rows = sqlx::query!(
        "SELECT i.id, i.mac, i.name, i.boot, i.mode, i.subnet_id, i.mtu, i.address_source, host(i.address) AS address, text(s.cidr) AS cidr, host(s.gateway) AS gateway,
                (SELECT array_agg(host(d)) FROM unnest(s.dns_servers) d) AS dns, s.domain AS \"domain?\"
         FROM interface i LEFT JOIN subnet s ON s.id = i.subnet_id WHERE i.machine_id = $1 ORDER BY i.boot DESC, i.id",
        machine.as_str()
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .enumerate()
        .map(|(at, r)| {
            Ok(Interface {
                id: r.id,
                mac: r.mac.parse().map_err(|_| DbError::Corrupt { what: "MAC address" })?,
                name: named(r.name, at),
                boot: r.boot,
                mode: r.mode,
                address: r.address.and_then(|a| a.parse().ok()),
                subnet: r.subnet_id,
                cidr: r.cidr.and_then(|c| c.parse().ok()),
                gateway: r.gateway.and_then(|g| g.parse().ok()),
                dns_servers: r.dns.unwrap_or_default().iter().filter_map(|d| d.parse().ok()).collect(),
                domain: r.domain,
                mtu: r.mtu,
                address_source: r.address_source,
            })
        })
        .collect()
}

/// The stored name; of an interface that no agent has named yet the one that the `at`th would have.
pub(super) fn named(stored: String, at: usize) -> String {
    if stored.is_empty() { format!("eth{at}") } else { stored }
}

/// Makes sure that the machine has an interface with this address; one that another machine claims stays there.
/// Returns the machine that has it.
pub async fn ensure(
    conn: &mut PgConnection,
    machine: &MachineId,
    mac: Mac,
    boot: bool,
) -> Result<MachineId, DbError> {
    sqlx::query!(
        "INSERT INTO interface (machine_id, mac, boot) VALUES ($1, $2, $3)
         ON CONFLICT (mac) DO UPDATE SET boot = interface.boot OR ($3 AND interface.machine_id = $1)",
        machine.as_str(),
        mac.to_string(),
        boot
    )
    .execute(&mut *conn)
    .await?;
    let owner = sqlx::query_scalar!("SELECT machine_id FROM interface WHERE mac = $1", mac.to_string())
        .fetch_one(conn)
        .await?;
    owner.parse().map_err(|_| DbError::Corrupt { what: "machine id" })
}

/// Stores what the inventory says of an interface.
pub async fn describe(conn: &mut PgConnection, machine: &MachineId, found: &Found) -> Result<(), DbError> {
    let details: Value = serde_json::to_value(found).map_err(|_| DbError::Corrupt { what: "interface" })?;
    sqlx::query!(
        "UPDATE interface SET name = $3, link = $4, details = $5 WHERE machine_id = $1 AND mac = $2",
        machine.as_str(),
        found.mac.to_string(),
        found.name,
        found.link,
        details,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Gives an interface its fixed address; `interface_address_unique` is violated when somebody else was faster.
pub async fn set_address(
    conn: &mut PgConnection,
    id: i64,
    subnet: i64,
    address: Ipv4Addr,
) -> Result<(), DbError> {
    sqlx::query!(
        "UPDATE interface SET subnet_id = $2, address = $3::text::inet WHERE id = $1",
        id,
        subnet,
        address.to_string()
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// As [`set_address`], for a deployment: the address goes when the machine is released.
pub async fn set_address_for_deployment(
    conn: &mut PgConnection,
    id: i64,
    subnet: i64,
    address: Ipv4Addr,
) -> Result<(), DbError> {
    sqlx::query!(
        "UPDATE interface SET subnet_id = $2, address = $3::text::inet, address_source = 'deployment' WHERE id = $1",
        id,
        subnet,
        address.to_string()
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Takes an address that was chosen for a deployment away from the machine.
pub async fn give_up_address(
    conn: &mut PgConnection,
    machine: &MachineId,
    address: Ipv4Addr,
) -> Result<(), DbError> {
    sqlx::query!(
        "UPDATE interface SET address = NULL WHERE machine_id = $1 AND address = $2::text::inet AND address_source = 'deployment'",
        machine.as_str(),
        address.to_string()
    )
    .execute(conn)
    .await?;
    Ok(())
}
