//! Who has which dynamic address, and how far it is on the way to the next: the rows of decision 0007. What is decided of
//! them is `racks::leases`'. All times are whole seconds since the Unix epoch, by the database's clock.

use super::DbError;
use rackwright_dhcp::ClientKey;
use rackwright_dhcp::racks::{Row, RowState};
use sqlx::PgConnection;
use std::net::Ipv4Addr;

/// A row with where it is.
#[derive(Debug)]
pub struct AddressRow {
    /// Which.
    pub address: Ipv4Addr,
    /// Its subnet.
    pub subnet: i64,
    /// The row.
    pub row: Row,
}

struct Raw {
    address: String,
    subnet: i64,
    client: Vec<u8>,
    expires: i64,
    state: String,
    change: i64,
}

impl TryFrom<Raw> for AddressRow {
    type Error = DbError;

    fn try_from(raw: Raw) -> Result<Self, DbError> {
        let corrupt = DbError::Corrupt { what: "lease" };
        let state = match raw.state.as_str() {
            "held" => RowState::Held,
            "ending" => RowState::Ending,
            "freed" => RowState::Freed,
            _ => return Err(corrupt),
        };
        Ok(Self {
            address: raw.address.parse().map_err(|_| DbError::Corrupt { what: "lease" })?,
            subnet: raw.subnet,
            row: Row {
                client: ClientKey::from_bytes(&raw.client).ok_or(corrupt)?,
                expires: u64::try_from(raw.expires).unwrap_or(0),
                state,
                change: u64::try_from(raw.change).unwrap_or(0),
            },
        })
    }
}

/// The row of an address.
pub async fn find(conn: &mut PgConnection, address: Ipv4Addr) -> Result<Option<AddressRow>, DbError> {
    let raw = sqlx::query_as!(
        Raw,
        r#"SELECT host(address) AS "address!", subnet_id AS subnet, client, state, change,
                  floor(extract(epoch FROM expires_at))::bigint AS "expires!"
           FROM lease_state WHERE address = $1::text::inet"#,
        address.to_string()
    )
    .fetch_optional(conn)
    .await?;
    raw.map(AddressRow::try_from).transpose()
}

/// Makes or changes a row.
pub async fn put(conn: &mut PgConnection, new: &AddressRow) -> Result<(), DbError> {
    sqlx::query!(
        "INSERT INTO lease_state (address, subnet_id, client, expires_at, state, change)
         VALUES ($1::text::inet, $2, $3, to_timestamp($4::bigint), $5, $6)
         ON CONFLICT (address) DO UPDATE SET subnet_id = $2, client = $3, expires_at = to_timestamp($4::bigint), state = $5, change = $6",
        new.address.to_string(),
        new.subnet,
        new.row.client.as_bytes(),
        i64::try_from(new.row.expires).unwrap_or(i64::MAX),
        state_name(new.row.state),
        i64::try_from(new.row.change).unwrap_or(i64::MAX),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Forgets a row.
pub async fn remove(conn: &mut PgConnection, address: Ipv4Addr) -> Result<(), DbError> {
    sqlx::query!("DELETE FROM lease_state WHERE address = $1::text::inet", address.to_string())
        .execute(conn)
        .await?;
    Ok(())
}

/// All rows between two addresses begin anew: their next owner, or none, is told of them under this change.
pub async fn hold_between(
    conn: &mut PgConnection,
    subnet: i64,
    (first, last): (Ipv4Addr, Ipv4Addr),
    change: i64,
) -> Result<(), DbError> {
    sqlx::query!(
        "UPDATE lease_state SET state = 'held', change = $4
         WHERE subnet_id = $1 AND address BETWEEN $2::text::inet AND $3::text::inet",
        subnet,
        first.to_string(),
        last.to_string(),
        change
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// All rows begin anew, and hold until `until` at least: their leases may have been extended since the backup.
pub async fn hold_all(conn: &mut PgConnection, change: i64, until: i64) -> Result<(), DbError> {
    sqlx::query!(
        "UPDATE lease_state SET state = 'held', change = $1, expires_at = greatest(expires_at, to_timestamp($2::bigint))",
        change,
        until
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// A row that may move on, and the changes that its block's owner, and the least advanced of the other racks that
/// count, have caught up with.
#[derive(Debug)]
pub struct Due {
    /// The row.
    pub at: AddressRow,
    /// None without an owner.
    pub owner: Option<u64>,
    /// None without others.
    pub others: Option<u64>,
}

/// Rows that are on their way to the next client, or whose lease ended before `ended_before`; by address.
pub async fn due(conn: &mut PgConnection, now: i64, ended_before: i64) -> Result<Vec<Due>, DbError> {
    let rows = sqlx::query!(
        r#"WITH due AS (
               SELECT l.*, b.rack_id AS owner FROM lease_state l
               LEFT JOIN lease_block b ON b.subnet_id = l.subnet_id AND l.address BETWEEN b.first AND b.last
               WHERE l.state <> 'held' OR (l.state = 'held' AND l.expires_at < to_timestamp($2::bigint)))
           SELECT host(d.address) AS "address!", d.subnet_id AS "subnet!", d.client AS "client!", d.state AS "state!",
                  d.change AS "change!", floor(extract(epoch FROM d.expires_at))::bigint AS "expires!",
                  (SELECT CASE WHEN r.blind_until > to_timestamp($1::bigint) THEN 0 ELSE r.caught_up END
                     FROM rack r WHERE r.id = d.owner) AS owner,
                  (SELECT min(CASE WHEN r.blind_until > to_timestamp($1::bigint) THEN 0 ELSE r.caught_up END)
                     FROM lease_member m JOIN rack r ON r.id = m.rack_id
                    WHERE m.subnet_id = d.subnet_id AND r.id IS DISTINCT FROM d.owner
                      AND r.heard_at IS NOT NULL AND NOT r.muted) AS others
           FROM due d ORDER BY d.address"#,
        now,
        ended_before
    )
    .fetch_all(conn)
    .await?;
    let number = |n: i64| u64::try_from(n).unwrap_or(0);
    rows.into_iter()
        .map(|r| {
            let raw = Raw {
                address: r.address,
                subnet: r.subnet,
                client: r.client,
                expires: r.expires,
                state: r.state,
                change: r.change,
            };
            Ok(Due { at: raw.try_into()?, owner: r.owner.map(number), others: r.others.map(number) })
        })
        .collect()
}

/// The rows of a rack's subnets that changed after `after`, all of them when `whole`; with whether the address is in a
/// block of the rack's. By address.
pub async fn changed(
    conn: &mut PgConnection,
    rack: i64,
    after: i64,
    whole: bool,
) -> Result<Vec<(AddressRow, bool)>, DbError> {
    let rows = sqlx::query!(
        r#"SELECT host(l.address) AS "address!", l.subnet_id AS subnet, l.client, l.state, l.change,
                  floor(extract(epoch FROM l.expires_at))::bigint AS "expires!",
                  EXISTS (SELECT 1 FROM lease_block b WHERE b.rack_id = $1 AND b.subnet_id = l.subnet_id
                            AND l.address BETWEEN b.first AND b.last) AS "own!"
           FROM lease_state l JOIN lease_member m ON m.subnet_id = l.subnet_id AND m.rack_id = $1
           WHERE $3 OR l.change > $2 ORDER BY l.address"#,
        rack,
        after,
        whole
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|r| {
            let raw = Raw {
                address: r.address,
                subnet: r.subnet,
                client: r.client,
                expires: r.expires,
                state: r.state,
                change: r.change,
            };
            Ok((raw.try_into()?, r.own))
        })
        .collect()
}

fn state_name(state: RowState) -> &'static str {
    match state {
        RowState::Held => "held",
        RowState::Ending => "ending",
        RowState::Freed => "freed",
    }
}
