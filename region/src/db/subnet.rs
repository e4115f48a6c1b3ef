//! Subnets and how their addresses are used.

use super::DbError;
use crate::model::network::{NewSubnet, Subnet, Utilisation};
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
        })
    }
}

/// All subnets, by network; one when `id` is given.
pub async fn list(conn: &mut PgConnection, id: Option<i64>) -> Result<Vec<Subnet>, DbError> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT id, vlan_id AS vlan, name, text(cidr) AS "cidr!", host(gateway) AS gateway,
                  ARRAY(SELECT host(d) FROM unnest(dns_servers) d) AS "dns_servers!", domain, lease_seconds
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

/// Makes a subnet; its number.
pub async fn insert(conn: &mut PgConnection, new: &NewSubnet) -> Result<i64, DbError> {
    let dns: Vec<String> = new.dns_servers.iter().map(IpAddr::to_string).collect();
    Ok(sqlx::query_scalar!(
        "INSERT INTO subnet (vlan_id, name, cidr, gateway, dns_servers, domain, lease_seconds)
         VALUES ($1, $2, $3::text::cidr, $4::text::inet, $5::text[]::inet[], $6, $7) RETURNING id",
        new.vlan,
        new.name,
        new.cidr.to_string(),
        new.gateway.map(|g| g.to_string()),
        &dns,
        new.domain,
        new.lease_seconds
    )
    .fetch_one(conn)
    .await?)
}

/// Changes a subnet.
pub async fn update(conn: &mut PgConnection, id: i64, new: &NewSubnet) -> Result<(), DbError> {
    let dns: Vec<String> = new.dns_servers.iter().map(IpAddr::to_string).collect();
    sqlx::query_scalar!(
        "UPDATE subnet SET vlan_id = $2, name = $3, cidr = $4::text::cidr, gateway = $5::text::inet,
                dns_servers = $6::text[]::inet[], domain = $7, lease_seconds = $8 WHERE id = $1 RETURNING id",
        id,
        new.vlan,
        new.name,
        new.cidr.to_string(),
        new.gateway.map(|g| g.to_string()),
        &dns,
        new.domain,
        new.lease_seconds
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
               UNION SELECT address FROM interface WHERE subnet_id = $1 AND address IS NOT NULL) used
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

/// How the addresses of a subnet are used.
pub async fn utilisation(conn: &mut PgConnection, subnet: &Subnet) -> Result<Utilisation, DbError> {
    let r = sqlx::query!(
        r#"SELECT coalesce((SELECT sum(last - first + 1) FROM ip_range WHERE subnet_id = $1 AND kind = 'dynamic'), 0)::float8 AS "dynamic!",
                  coalesce((SELECT sum(last - first + 1) FROM ip_range WHERE subnet_id = $1 AND kind = 'reserved'), 0)::float8 AS "reserved!",
                  (SELECT count(*) FROM interface WHERE subnet_id = $1 AND address IS NOT NULL) AS "machines!",
                  (SELECT count(*) FROM reservation WHERE subnet_id = $1) AS "reservations!",
                  (SELECT count(*) FROM lease WHERE address << $2::text::inet AND expires_at > now()
                     AND EXISTS (SELECT 1 FROM ip_range r WHERE r.subnet_id = $1 AND r.kind = 'dynamic'
                                  AND address BETWEEN r.first AND r.last)) AS "leased!",
                  (SELECT count(*) FROM (SELECT address FROM interface WHERE subnet_id = $1 AND address IS NOT NULL
                                         UNION SELECT address FROM reservation WHERE subnet_id = $1
                                         UNION SELECT gateway FROM subnet WHERE id = $1 AND gateway IS NOT NULL) a
                   WHERE NOT EXISTS (SELECT 1 FROM ip_range r WHERE r.subnet_id = $1
                                      AND a.address BETWEEN r.first AND r.last)) AS "outside_ranges!""#,
        subnet.id,
        subnet.cidr.to_string()
    )
    .fetch_one(conn)
    .await?;
    let whole = |count: f64| count as u64;
    let number = |count: i64| u64::try_from(count).unwrap_or(0);
    let addresses = host_addresses(subnet.cidr);
    let (dynamic, reserved) = (whole(r.dynamic), whole(r.reserved));
    let used = dynamic.saturating_add(reserved).saturating_add(number(r.outside_ranges));
    Ok(Utilisation {
        addresses,
        dynamic,
        reserved,
        machines: number(r.machines),
        reservations: number(r.reservations),
        leased: number(r.leased),
        free: addresses.saturating_sub(used),
    })
}

/// Addresses that hosts can have: without network and broadcast address, where IPv4 has them.
fn host_addresses(net: IpNet) -> u64 {
    match net {
        IpNet::V4(v4) if v4.prefix_len() < 31 => (1u64 << (32 - v4.prefix_len())) - 2,
        IpNet::V4(v4) => 1 << (32 - v4.prefix_len()),
        IpNet::V6(v6) => 1u64.checked_shl(u32::from(128 - v6.prefix_len())).unwrap_or(u64::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_of_an_ipv4_network_are_no_hosts() {
        let count = |net: &str| host_addresses(net.parse().unwrap());
        assert_eq!(count("10.0.0.0/24"), 254);
        assert_eq!(count("10.0.0.0/31"), 2);
        assert_eq!(count("10.0.0.1/32"), 1);
        assert_eq!(count("fd00::/120"), 256);
        assert_eq!(count("fd00::/48"), u64::MAX);
    }
}
