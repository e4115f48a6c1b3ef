//! The blocks of dynamic addresses that are granted to racks. What is in no block is nobody's, and may be granted.

use super::lease_state::Changes;
use super::{DbError, lease_address};
use sqlx::PgConnection;
use std::net::Ipv4Addr;

/// Most addresses in one block.
const BLOCK_ADDRESSES: u32 = 32;

/// A block granted to a rack.
#[derive(Debug, Clone)]
pub struct Block {
    /// Row.
    pub id: i64,
    /// In which subnet.
    pub subnet: i64,
    /// Whose.
    pub rack: i64,
    /// First address.
    pub first: Ipv4Addr,
    /// Last address.
    pub last: Ipv4Addr,
    /// Of the grant.
    pub epoch: i64,
    /// Nothing is given from it before its rack has taken the changes up to this one.
    pub since: i64,
    /// Its rack is to give it back, and is told of it no more from this change on.
    pub recalled: Option<i64>,
}

struct Raw {
    id: i64,
    subnet: i64,
    rack: i64,
    first: String,
    last: String,
    epoch: i64,
    since: i64,
    recalled: Option<i64>,
}

impl TryFrom<Raw> for Block {
    type Error = DbError;

    fn try_from(raw: Raw) -> Result<Self, DbError> {
        let address = |text: &str| text.parse().map_err(|_| DbError::Corrupt { what: "lease block" });
        Ok(Self {
            id: raw.id,
            subnet: raw.subnet,
            rack: raw.rack,
            first: address(&raw.first)?,
            last: address(&raw.last)?,
            epoch: raw.epoch,
            since: raw.since,
            recalled: raw.recalled,
        })
    }
}

/// The blocks that a rack may give from, by address.
pub async fn of_rack(conn: &mut PgConnection, rack: i64) -> Result<Vec<Block>, DbError> {
    let rows = sqlx::query_as!(
        Raw,
        r#"SELECT id, subnet_id AS subnet, rack_id AS rack, host(first) AS "first!", host(last) AS "last!", epoch, since, recalled
           FROM lease_block WHERE rack_id = $1 AND recalled IS NULL ORDER BY lease_block.first"#,
        rack
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(Block::try_from).collect()
}

/// Blocks that are being called back, and those of the named racks; by address.
pub async fn leaving(conn: &mut PgConnection, racks: &[i64]) -> Result<Vec<Block>, DbError> {
    let rows = sqlx::query_as!(
        Raw,
        r#"SELECT id, subnet_id AS subnet, rack_id AS rack, host(first) AS "first!", host(last) AS "last!", epoch, since, recalled
           FROM lease_block WHERE recalled IS NOT NULL OR rack_id = ANY($1) ORDER BY lease_block.first"#,
        racks
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(Block::try_from).collect()
}

/// The racks that have blocks of a subnet, called back or not.
pub async fn holders(conn: &mut PgConnection, subnet: i64) -> Result<Vec<i64>, DbError> {
    Ok(sqlx::query_scalar!("SELECT DISTINCT rack_id FROM lease_block WHERE subnet_id = $1", subnet)
        .fetch_all(conn)
        .await?)
}

/// The block that an address lies in.
pub async fn find(conn: &mut PgConnection, address: Ipv4Addr) -> Result<Option<Block>, DbError> {
    let row = sqlx::query_as!(
        Raw,
        r#"SELECT id, subnet_id AS subnet, rack_id AS rack, host(first) AS "first!", host(last) AS "last!", epoch, since, recalled
           FROM lease_block WHERE $1::text::inet BETWEEN first AND last LIMIT 1"#,
        address.to_string()
    )
    .fetch_optional(conn)
    .await?;
    row.map(Block::try_from).transpose()
}

/// The block is nobody's: its rack cannot act any more, or has given it back. Whoever was told of a row as the owner is
/// told of it again as one of the others.
pub async fn free(conn: &mut PgConnection, changes: &mut Changes, block: &Block) -> Result<(), DbError> {
    let change = changes.take();
    sqlx::query!("DELETE FROM lease_block WHERE id = $1", block.id).execute(&mut *conn).await?;
    lease_address::hold_between(conn, block.subnet, (block.first, block.last), change).await
}

/// Grants a rack one more block of a subnet's dynamic ranges, if there is one that nobody holds. A database that was
/// restored does not know that.
pub async fn grant(
    conn: &mut PgConnection,
    changes: &mut Changes,
    rack: i64,
    subnet: i64,
) -> Result<bool, DbError> {
    if changes.restored().is_some() {
        return Ok(false);
    }
    lock_subnet(conn, subnet).await?;
    let ranges = sqlx::query!(
        r#"SELECT host(first) AS "first!", host(last) AS "last!" FROM ip_range
           WHERE subnet_id = $1 AND kind = 'dynamic' ORDER BY ip_range.first"#,
        subnet
    )
    .fetch_all(&mut *conn)
    .await?;
    // A rack that has never reported leases may be of the version before, and would give away what it is not told of.
    let taken = sqlx::query!(
        r#"SELECT host(first) AS "first!", host(last) AS "last!" FROM lease_block WHERE subnet_id = $1
           UNION SELECT host(address), host(address) FROM lease_state
            WHERE subnet_id = $1 AND EXISTS (SELECT 1 FROM rack WHERE id = $2 AND heard_at IS NULL)"#,
        subnet,
        rack
    )
    .fetch_all(&mut *conn)
    .await?;
    let run = |first: &str, last: &str| Some((number(first)?, number(last)?));
    let corrupt = DbError::Corrupt { what: "range" };
    let ranges: Option<Vec<_>> = ranges.iter().map(|r| run(&r.first, &r.last)).collect();
    let taken: Option<Vec<_>> = taken.iter().map(|t| run(&t.first, &t.last)).collect();
    let (Some(ranges), Some(taken)) = (ranges, taken) else { return Err(corrupt) };
    let Some((first, last)) = ranges.into_iter().find_map(|range| first_free(range, &taken)) else {
        return Ok(false);
    };
    insert(conn, changes, rack, subnet, (first.into(), last.into())).await?;
    Ok(true)
}

fn number(address: &str) -> Option<u32> {
    address.parse::<Ipv4Addr>().ok().map(u32::from)
}

/// The first run in a range that is not taken, of one block's length at most.
fn first_free((mut first, end): (u32, u32), taken: &[(u32, u32)]) -> Option<(u32, u32)> {
    while first <= end {
        let Some((_, last)) = taken.iter().find(|(f, l)| (*f..=*l).contains(&first)) else {
            let next = taken.iter().map(|(f, _)| *f).filter(|f| *f > first).min();
            let before_next = next.map_or(end, |f| end.min(f - 1));
            return Some((first, before_next.min(first.saturating_add(BLOCK_ADDRESSES - 1))));
        };
        first = last.checked_add(1)?;
    }
    None
}

/// Its epoch is the number of its change: higher than that of any block that had one of its addresses.
async fn insert(
    conn: &mut PgConnection,
    changes: &mut Changes,
    rack: i64,
    subnet: i64,
    (first, last): (Ipv4Addr, Ipv4Addr),
) -> Result<(), DbError> {
    let change = changes.take();
    sqlx::query!(
        "INSERT INTO lease_block (subnet_id, rack_id, first, last, epoch, since)
         VALUES ($1, $2, $3::text::inet, $4::text::inet, $5, $5)",
        subnet,
        rack,
        first.to_string(),
        last.to_string(),
        change
    )
    .execute(&mut *conn)
    .await?;
    lease_address::hold_between(conn, subnet, (first, last), change).await
}

/// Calls back the emptiest block of another rack that was heard after `heard_after` and keeps `spare` free addresses
/// without it. One at a time in a subnet.
pub async fn recall_for(
    conn: &mut PgConnection,
    changes: &mut Changes,
    (rack, subnet): (i64, i64),
    heard_after: i64,
    spare: i64,
) -> Result<(), DbError> {
    let block = sqlx::query_scalar!(
        r#"WITH block AS (
               SELECT b.id, b.rack_id, b.first, b.recalled,
                      b.last - b.first + 1 - (SELECT count(*) FROM lease_state l
                         WHERE l.subnet_id = b.subnet_id AND l.address BETWEEN b.first AND b.last) AS free
               FROM lease_block b WHERE b.subnet_id = $1)
           SELECT b.id FROM block b JOIN rack r ON r.id = b.rack_id
           WHERE b.rack_id <> $2 AND b.free > 0 AND r.heard_at > to_timestamp($3::bigint)
             AND NOT EXISTS (SELECT 1 FROM block WHERE recalled IS NOT NULL)
             AND (SELECT sum(o.free) FROM block o WHERE o.rack_id = b.rack_id AND o.id <> b.id) >= $4::bigint
           ORDER BY b.free DESC, b.first LIMIT 1"#,
        subnet,
        rack,
        heard_after,
        spare
    )
    .fetch_optional(&mut *conn)
    .await?;
    if let Some(block) = block {
        sqlx::query!("UPDATE lease_block SET recalled = $2 WHERE id = $1", block, changes.take())
            .execute(conn)
            .await?;
    }
    Ok(())
}

/// Calls back all blocks of a rack.
pub async fn recall_all(conn: &mut PgConnection, changes: &mut Changes, rack: i64) -> Result<(), DbError> {
    sqlx::query!(
        "UPDATE lease_block SET recalled = $2 WHERE rack_id = $1 AND recalled IS NULL",
        rack,
        changes.take()
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Calls back the blocks in a range that goes. Racks of the version before are told by their snapshot alone.
pub async fn recall_range(conn: &mut PgConnection, changes: &mut Changes, range: i64) -> Result<(), DbError> {
    sqlx::query!(
        "DELETE FROM lease_block b USING ip_range r, rack k WHERE r.id = $1 AND b.subnet_id = r.subnet_id
         AND inetrange(b.first, b.last, '[]') && inetrange(r.first, r.last, '[]')
         AND k.id = b.rack_id AND k.heard_at IS NULL",
        range
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "UPDATE lease_block b SET recalled = $2 FROM ip_range r WHERE r.id = $1 AND b.subnet_id = r.subnet_id
         AND inetrange(b.first, b.last, '[]') && inetrange(r.first, r.last, '[]') AND b.recalled IS NULL",
        range,
        changes.take()
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
