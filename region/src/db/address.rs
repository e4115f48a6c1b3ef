//! Which addresses are taken, and networks entered without a person.

use super::DbError;
use ipnet::Ipv4Net;
use rackwright_common::Mac;
use sqlx::PgConnection;
use std::net::Ipv4Addr;

/// Addresses of a subnet that must not be given to a machine.
#[derive(Debug, Default)]
pub struct Taken {
    /// Single ones: of interfaces, reservations, live leases, controllers.
    pub addresses: Vec<Ipv4Addr>,
    /// Dynamic and reserved ranges.
    pub ranges: Vec<(Ipv4Addr, Ipv4Addr)>,
    /// The reserved ones: where a subnet is not managed, all that may be given.
    pub reserved: Vec<(Ipv4Addr, Ipv4Addr)>,
}

/// What is taken in a subnet.
pub async fn taken(conn: &mut PgConnection, subnet: i64) -> Result<Taken, DbError> {
    let singles = sqlx::query_scalar!(
        "SELECT host(a.address) AS \"address!\" FROM (
            SELECT address FROM interface WHERE subnet_id = $1 AND address IS NOT NULL
            UNION SELECT address FROM interface_address WHERE subnet_id = $1 AND address IS NOT NULL
            UNION SELECT address FROM reservation WHERE subnet_id = $1
            UNION SELECT gateway FROM static_route WHERE subnet_id = $1
            UNION SELECT seen.address FROM address_seen seen JOIN subnet s ON seen.address << s.cidr
                   WHERE s.id = $1 AND seen.seen_at > now() - make_interval(days => 7)
            UNION SELECT l.address FROM lease l JOIN subnet s ON l.address << s.cidr WHERE s.id = $1 AND l.expires_at > now()
            UNION SELECT address FROM lease_state WHERE subnet_id = $1
            UNION SELECT (r.a->>'network')::inet FROM (SELECT jsonb_array_elements(addresses) AS a FROM rack) r
         ) a(address)",
        subnet
    )
    .fetch_all(&mut *conn)
    .await?;
    let ranges = sqlx::query!(
        "SELECT host(first) AS \"first!\", host(last) AS \"last!\", kind FROM ip_range WHERE subnet_id = $1 ORDER BY ip_range.first",
        subnet
    )
    .fetch_all(conn)
    .await?;
    Ok(Taken {
        addresses: singles.iter().filter_map(|a| a.parse().ok()).collect(),
        ranges: ranges.iter().filter_map(|r| Some((r.first.parse().ok()?, r.last.parse().ok()?))).collect(),
        reserved: ranges
            .iter()
            .filter(|r| r.kind == "reserved")
            .filter_map(|r| Some((r.first.parse().ok()?, r.last.parse().ok()?)))
            .collect(),
    })
}

/// The address that is reserved for a MAC.
pub async fn reserved_for(conn: &mut PgConnection, mac: Mac) -> Result<Option<Ipv4Addr>, DbError> {
    let address = sqlx::query_scalar!(
        "SELECT host(address) AS \"address!\" FROM reservation WHERE mac = $1",
        mac.to_string()
    )
    .fetch_optional(conn)
    .await?;
    Ok(address.and_then(|a| a.parse().ok()))
}

/// Enters a network as an untagged VLAN in a fabric of its own; returns the subnet.
pub async fn enter_network(conn: &mut PgConnection, network: Ipv4Net, dhcp: bool) -> Result<i64, DbError> {
    let fabric = sqlx::query_scalar!(
        "INSERT INTO fabric (name) SELECT 'fabric-' || (count(*)) FROM fabric RETURNING id"
    )
    .fetch_one(&mut *conn)
    .await?;
    let vlan = sqlx::query_scalar!(
        "INSERT INTO vlan (fabric_id, vid, name, dhcp) VALUES ($1, 0, 'untagged', $2) RETURNING id",
        fabric,
        dhcp
    )
    .fetch_one(&mut *conn)
    .await?;
    Ok(sqlx::query_scalar!(
        "INSERT INTO subnet (vlan_id, name, cidr) VALUES ($1, $2, $2::text::cidr) RETURNING id",
        vlan,
        network.to_string()
    )
    .fetch_one(conn)
    .await?)
}

/// Adds a dynamic range.
pub async fn add_dynamic_range(
    conn: &mut PgConnection,
    subnet: i64,
    first: Ipv4Addr,
    last: Ipv4Addr,
) -> Result<(), DbError> {
    sqlx::query!(
        "INSERT INTO ip_range (subnet_id, kind, first, last) VALUES ($1, 'dynamic', $2::text::inet, $3::text::inet)",
        subnet,
        first.to_string(),
        last.to_string()
    )
    .execute(conn)
    .await?;
    Ok(())
}
