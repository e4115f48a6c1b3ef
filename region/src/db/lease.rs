//! Leases as the racks' journals tell them, for people. Who may have which address is `lease_state`'s.

use super::DbError;
use rackwright_common::{Hostname, Mac};
use sqlx::PgConnection;
use std::net::{Ipv4Addr, Ipv6Addr};
use time::OffsetDateTime;

/// A lease as reported.
#[derive(Debug)]
pub struct Lease<'a> {
    /// In the journal of the rack that reports it.
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

/// Stores leases of one rack, in the order in which it told of them; of several of one address the last counts.
pub async fn put(conn: &mut PgConnection, rack: i64, leases: &[Lease<'_>]) -> Result<(), DbError> {
    let addresses: Vec<String> = leases.iter().map(|l| l.address.to_string()).collect();
    let macs: Vec<String> = leases.iter().map(|l| l.mac.to_string()).collect();
    let names: Vec<Option<String>> = leases.iter().map(|l| l.hostname.map(|h| h.replace('\0', ""))).collect();
    let seqs: Vec<i64> = leases.iter().map(|l| l.seq).collect();
    let expires: Vec<OffsetDateTime> = leases.iter().map(|l| l.expires).collect();
    sqlx::query!(
        "INSERT INTO lease (address, mac, hostname, rack_id, seq, expires_at, named_at)
         SELECT DISTINCT ON (new.address) new.address::inet, new.mac, new.hostname, $1, new.seq, new.expires_at, now()
         FROM unnest($2::text[], $3::text[], $4::text[], $5::bigint[], $6::timestamptz[])
              AS new (address, mac, hostname, seq, expires_at)
         ORDER BY new.address, new.seq DESC
         ON CONFLICT (address) DO UPDATE
         SET mac = excluded.mac, hostname = excluded.hostname, rack_id = excluded.rack_id, seq = excluded.seq,
             expires_at = excluded.expires_at,
             named_at = CASE WHEN lease.mac = excluded.mac AND lower(lease.hostname) = lower(excluded.hostname)
                                  AND lease.expires_at > now()
                             THEN lease.named_at ELSE now() END
         WHERE lease.rack_id <> excluded.rack_id OR lease.seq < excluded.seq",
        rack,
        &addresses,
        &macs,
        &names as &[Option<String>],
        &seqs,
        &expires
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
