//! Leases as the racks' journals tell them, for people. Who may have which address is `lease_state`'s.

use super::DbError;
use rackwright_common::Mac;
use sqlx::PgConnection;
use std::net::Ipv4Addr;
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
        "INSERT INTO lease (address, mac, hostname, rack_id, seq, expires_at) VALUES ($1::text::inet, $2, $3, $4, $5, $6)
         ON CONFLICT (address) DO UPDATE SET mac = $2, hostname = $3, rack_id = $4, seq = $5, expires_at = $6
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
