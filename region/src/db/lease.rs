//! Leases as the racks' journals tell them, for people. Who may have which address is `lease_state`'s.

use super::DbError;
use rackwright_common::{Hostname, Mac};
use sqlx::PgConnection;
use std::net::{Ipv4Addr, Ipv6Addr};
use time::OffsetDateTime;

/// A lease as reported.
#[derive(Debug)]
pub struct Lease<'a> {
    /// Reported by.
    pub rack: i64,
    /// In its journal entry.
    pub seq: i64,
    /// To whom.
    pub mac: Mac,
    /// Which.
    pub address: Ipv4Addr,
    /// Until when.
    pub expires: OffsetDateTime,
    /// The client's own name for itself.
    pub hostname: Option<&'a str>,
}

/// Stores a lease.
pub async fn put(conn: &mut PgConnection, lease: &Lease<'_>) -> Result<(), DbError> {
    sqlx::query!(
        "INSERT INTO lease (address, mac, hostname, rack_id, seq, expires_at, named_at)
         VALUES ($1::text::inet, $2, $3, $4, $5, $6, now())
         ON CONFLICT (address) DO UPDATE
         SET mac = $2, hostname = $3, rack_id = $4, seq = $5, expires_at = $6,
             named_at = CASE WHEN lease.mac = $2 AND lower(lease.hostname) = lower($3) AND lease.expires_at > now()
                             THEN lease.named_at ELSE now() END
         WHERE lease.rack_id <> $4 OR lease.seq < $5",
        lease.address.to_string(),
        lease.mac.to_string(),
        lease.hostname.map(|h| h.replace('\0', "")),
        lease.rack,
        lease.seq,
        lease.expires,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Ends a lease.
pub async fn end(conn: &mut PgConnection, mac: Mac, address: Ipv4Addr) -> Result<(), DbError> {
    sqlx::query!(
        "DELETE FROM lease WHERE address = $1::text::inet AND mac = $2",
        address.to_string(),
        mac.to_string()
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// A dynamic IPv6 address as reported.
#[derive(Debug)]
pub struct Lease6<'a> {
    /// Reported by.
    pub rack: i64,
    /// Which.
    pub address: Ipv6Addr,
    /// The client's identifier, hexadecimal.
    pub duid: &'a str,
    /// Its hardware address, where it is known.
    pub mac: Option<Mac>,
    /// Until when.
    pub expires: OffsetDateTime,
}

/// Stores it, and forgets those that have been over for a day.
pub async fn put6(conn: &mut PgConnection, lease: &Lease6<'_>) -> Result<(), DbError> {
    sqlx::query!("DELETE FROM lease6 WHERE expires_at < now() - interval '1 day'")
        .execute(&mut *conn)
        .await?;
    sqlx::query!(
        "INSERT INTO lease6 (address, duid, mac, rack_id, expires_at) VALUES ($1::text::inet, $2, $3, $4, $5)
         ON CONFLICT (address) DO UPDATE SET duid = $2, mac = $3, rack_id = $4, expires_at = $5",
        lease.address.to_string(),
        lease.duid,
        lease.mac.map(|m| m.to_string()),
        lease.rack,
        lease.expires,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// A name by which a client calls itself, fit for the DNS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientName {
    /// One label.
    pub hostname: Hostname,
    /// The client's address.
    pub address: Ipv4Addr,
}

/// Names of clients with live leases that may go into the DNS: host names, none that a machine, a device, a reservation or a
/// controller has, and each once: of several clients of one name the one that had its lease first this time.
pub async fn client_names(conn: &mut PgConnection) -> Result<Vec<ClientName>, DbError> {
    let rows = sqlx::query!(
        r#"SELECT DISTINCT ON (lower(l.hostname)) lower(l.hostname) AS "hostname!", host(l.address) AS "address!"
           FROM (SELECT address, mac, split_part(hostname, '.', 1) AS hostname, expires_at, named_at FROM lease) l
                JOIN subnet s ON l.address << s.cidr
           WHERE l.expires_at > now() AND l.hostname ~ '^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$'
             AND NOT EXISTS (SELECT 1 FROM interface i WHERE i.mac = l.mac)
             AND lower(l.hostname) NOT IN ('localhost', 'region', 'rack', 'wpad', 'isatap')
             AND NOT EXISTS (SELECT 1 FROM machine m WHERE m.hostname = lower(l.hostname))
             AND NOT EXISTS (SELECT 1 FROM device d WHERE d.hostname = lower(l.hostname))
             AND NOT EXISTS (SELECT 1 FROM reservation r WHERE lower(r.hostname) = lower(l.hostname))
             AND NOT EXISTS (SELECT 1 FROM rack WHERE lower(rack.name) = lower(l.hostname))
             AND NOT EXISTS (SELECT 1 FROM region WHERE lower(region.name) = lower(l.hostname))
           ORDER BY lower(l.hostname), l.named_at NULLS FIRST, l.address"#
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .filter_map(|r| {
            Some(ClientName { hostname: r.hostname.parse().ok()?, address: r.address.parse().ok()? })
        })
        .collect())
}
