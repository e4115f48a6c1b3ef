//! Leases as the racks report them, and the blocks of addresses granted to them.

use super::DbError;
use rackwright_common::Mac;
use sqlx::PgConnection;
use std::net::Ipv4Addr;
use time::OffsetDateTime;

/// Most addresses in one block.
const BLOCK_ADDRESSES: u32 = 32;

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

/// A block granted to a rack.
#[derive(Debug, Clone)]
pub struct Block {
    /// In which subnet.
    pub subnet: i64,
    /// First address.
    pub first: Ipv4Addr,
    /// Last address.
    pub last: Ipv4Addr,
    /// Of the grant.
    pub epoch: i64,
}

/// The blocks that a rack holds.
pub async fn blocks(conn: &mut PgConnection, rack: i64) -> Result<Vec<Block>, DbError> {
    let rows = sqlx::query!(
        "SELECT subnet_id, host(first) AS \"first!\", host(last) AS \"last!\", epoch FROM lease_block WHERE rack_id = $1 ORDER BY first",
        rack
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|r| {
            let address = |text: &str| text.parse().map_err(|_| DbError::Corrupt { what: "lease block" });
            Ok(Block {
                subnet: r.subnet_id,
                first: address(&r.first)?,
                last: address(&r.last)?,
                epoch: r.epoch,
            })
        })
        .collect()
}

/// Grants a rack one more block of a subnet's dynamic ranges, if there is one that nobody holds. Call under the
/// subnet's lock ([`lock_subnet`]); the exclusion constraint guards all the same.
pub async fn grant(conn: &mut PgConnection, rack: i64, subnet: i64) -> Result<bool, DbError> {
    let ranges = sqlx::query!(
        "SELECT host(first) AS \"first!\", host(last) AS \"last!\" FROM ip_range WHERE subnet_id = $1 AND kind = 'dynamic' ORDER BY first",
        subnet
    )
    .fetch_all(&mut *conn)
    .await?;
    let taken = sqlx::query!(
        "SELECT host(first) AS \"first!\", host(last) AS \"last!\" FROM lease_block WHERE subnet_id = $1 ORDER BY first",
        subnet
    )
    .fetch_all(&mut *conn)
    .await?;
    let number =
        |text: &str| text.parse::<Ipv4Addr>().map(u32::from).map_err(|_| DbError::Corrupt { what: "range" });
    let taken = taken
        .iter()
        .map(|t| Ok((number(&t.first)?, number(&t.last)?)))
        .collect::<Result<Vec<_>, DbError>>()?;
    for range in ranges {
        let (mut first, end) = (number(&range.first)?, number(&range.last)?);
        while first <= end {
            match taken.iter().find(|(f, l)| (*f..=*l).contains(&first)) {
                Some((_, last)) => first = last.saturating_add(1),
                None => {
                    let before_next = taken
                        .iter()
                        .map(|(f, _)| *f)
                        .filter(|f| *f > first)
                        .min()
                        .map_or(end, |f| end.min(f - 1));
                    let last = before_next.min(first.saturating_add(BLOCK_ADDRESSES - 1));
                    insert_block(conn, rack, subnet, first, last).await?;
                    return Ok(true);
                }
            }
        }
    }
    Ok(false)
}

async fn insert_block(
    conn: &mut PgConnection,
    rack: i64,
    subnet: i64,
    first: u32,
    last: u32,
) -> Result<(), DbError> {
    sqlx::query!(
        "INSERT INTO lease_block (subnet_id, rack_id, first, last) VALUES ($1, $2, $3::text::inet, $4::text::inet)",
        subnet,
        rack,
        Ipv4Addr::from(first).to_string(),
        Ipv4Addr::from(last).to_string(),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Serialises grants and allocations in one subnet for the rest of the transaction.
pub async fn lock_subnet(conn: &mut PgConnection, subnet: i64) -> Result<(), DbError> {
    sqlx::query_scalar!("SELECT id FROM subnet WHERE id = $1 FOR UPDATE", subnet).fetch_one(conn).await?;
    Ok(())
}
