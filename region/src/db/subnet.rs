//! Subnets and how their addresses are used.

use super::DbError;
use crate::model::network::{BootArchitecture, NewSubnet, ReverseDns, Subnet};
use ipnet::IpNet;
use sqlx::PgConnection;
use std::net::IpAddr;

struct Row {
    id: i64,
    vlan: i64,
    name: String,
    cidr: String,
    gateway: Option<String>,
    dns_servers: Vec<String>,
    domain: Option<String>,
    lease_seconds: i32,
    managed: bool,
    reverse_dns: String,
    boot_architectures: Option<Vec<String>>,
    dhcp_options: serde_json::Value,
}

impl TryFrom<Row> for Subnet {
    type Error = DbError;

    fn try_from(r: Row) -> Result<Self, DbError> {
        let corrupt = DbError::Corrupt { what: "subnet" };
        Ok(Self {
            id: r.id,
            vlan: r.vlan,
            name: r.name,
            cidr: r.cidr.parse().map_err(|_| corrupt)?,
            gateway: r.gateway.and_then(|g| g.parse().ok()),
            dns_servers: r.dns_servers.iter().filter_map(|d| d.parse().ok()).collect(),
            domain: r.domain,
            lease_seconds: r.lease_seconds,
            managed: r.managed,
            reverse_dns: ReverseDns::of(&r.reverse_dns),
            boot_architectures: r
                .boot_architectures
                .map(|names| names.iter().filter_map(|name| name.parse().ok()).collect()),
            dhcp_options: serde_json::from_value(r.dhcp_options)
                .map_err(|_| DbError::Corrupt { what: "DHCP option" })?,
        })
    }
}

/// All subnets, by network; one when `id` is given.
pub async fn list(conn: &mut PgConnection, id: Option<i64>) -> Result<Vec<Subnet>, DbError> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT id, vlan_id AS vlan, name, text(cidr) AS "cidr!", host(gateway) AS gateway,
                  ARRAY(SELECT host(d) FROM unnest(dns_servers) d) AS "dns_servers!", domain, lease_seconds,
                  managed, reverse_dns, boot_architectures, dhcp_options
           FROM subnet WHERE $1::bigint IS NULL OR id = $1 ORDER BY cidr"#,
        id
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(Subnet::try_from).collect()
}

/// One subnet.
pub async fn get(conn: &mut PgConnection, id: i64) -> Result<Subnet, DbError> {
    list(conn, Some(id)).await?.pop().ok_or(DbError::NotFound)
}

/// The subnet that an address lies in.
pub async fn find_containing(conn: &mut PgConnection, address: IpAddr) -> Result<Option<Subnet>, DbError> {
    let id = sqlx::query_scalar!("SELECT id FROM subnet WHERE $1::text::inet << cidr", address.to_string())
        .fetch_optional(&mut *conn)
        .await?;
    match id {
        Some(id) => Ok(Some(get(conn, id).await?)),
        None => Ok(None),
    }
}

fn architectures(new: &NewSubnet) -> Option<Vec<String>> {
    let names = |a: &Vec<BootArchitecture>| a.iter().map(|a| a.as_str().to_owned()).collect();
    new.boot_architectures.as_ref().map(names)
}

fn options(new: &NewSubnet) -> Result<serde_json::Value, DbError> {
    serde_json::to_value(&new.dhcp_options).map_err(|_| DbError::Corrupt { what: "DHCP option" })
}

/// Makes a subnet; its number.
pub async fn insert(conn: &mut PgConnection, new: &NewSubnet) -> Result<i64, DbError> {
    let dns: Vec<String> = new.dns_servers.iter().map(IpAddr::to_string).collect();
    let architectures = architectures(new);
    Ok(sqlx::query_scalar!(
        "INSERT INTO subnet (vlan_id, name, cidr, gateway, dns_servers, domain, lease_seconds, managed, reverse_dns,
                             boot_architectures, dhcp_options)
         VALUES ($1, $2, $3::text::cidr, $4::text::inet, $5::text[]::inet[], $6, $7, $8, $9, $10, $11) RETURNING id",
        new.vlan,
        new.name,
        new.cidr.to_string(),
        new.gateway.map(|g| g.to_string()),
        &dns,
        new.domain,
        new.lease_seconds,
        new.managed,
        new.reverse_dns.as_str(),
        architectures.as_deref(),
        options(new)?
    )
    .fetch_one(conn)
    .await?)
}

/// Changes a subnet.
pub async fn update(conn: &mut PgConnection, id: i64, new: &NewSubnet) -> Result<(), DbError> {
    let dns: Vec<String> = new.dns_servers.iter().map(IpAddr::to_string).collect();
    let architectures = architectures(new);
    sqlx::query_scalar!(
        "UPDATE subnet SET vlan_id = $2, name = $3, cidr = $4::text::cidr, gateway = $5::text::inet,
                dns_servers = $6::text[]::inet[], domain = $7, lease_seconds = $8, managed = $9, reverse_dns = $10,
                boot_architectures = $11, dhcp_options = $12 WHERE id = $1 RETURNING id",
        id,
        new.vlan,
        new.name,
        new.cidr.to_string(),
        new.gateway.map(|g| g.to_string()),
        &dns,
        new.domain,
        new.lease_seconds,
        new.managed,
        new.reverse_dns.as_str(),
        architectures.as_deref(),
        options(new)?
    )
    .fetch_one(conn)
    .await?;
    Ok(())
}

/// Addresses, fixed or in ranges, of subnet `id` that `cidr` does not hold; the first few.
pub async fn outside(conn: &mut PgConnection, id: i64, cidr: IpNet) -> Result<Vec<String>, DbError> {
    Ok(sqlx::query_scalar!(
        r#"SELECT host(a) AS "a!" FROM (
               SELECT first AS a FROM ip_range WHERE subnet_id = $1 UNION SELECT last FROM ip_range WHERE subnet_id = $1
               UNION SELECT address FROM reservation WHERE subnet_id = $1
               UNION SELECT address FROM interface WHERE subnet_id = $1 AND address IS NOT NULL
               UNION SELECT address FROM interface_address WHERE subnet_id = $1 AND address IS NOT NULL
               UNION SELECT gateway FROM static_route WHERE subnet_id = $1) used
           WHERE NOT a << $2::text::inet ORDER BY a LIMIT 3"#,
        id,
        cidr.to_string()
    )
    .fetch_all(conn)
    .await?)
}

/// Removes a subnet with its ranges and reservations; refused while machines have addresses in it.
pub async fn delete(conn: &mut PgConnection, id: i64) -> Result<bool, DbError> {
    Ok(sqlx::query!("DELETE FROM subnet WHERE id = $1", id).execute(conn).await?.rows_affected() == 1)
}
