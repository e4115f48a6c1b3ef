//! Who may have which dynamic address, and how far each rack is: the rows of decision 0007. What is decided of them is
//! `racks::leases`'. All times are whole seconds since the Unix epoch, by the database's clock.

use super::DbError;
use super::restored::AHEAD;
use ipnet::Ipv4Net;
use rackwright_dhcp::ClientKey;
use rackwright_dhcp::racks::{Row, RowState};
use sqlx::PgConnection;
use std::net::Ipv4Addr;
use uuid::Uuid;

/// The changes' number, locked for the rest of the transaction: who holds it alone changes rows, blocks and racks. Take
/// it before any rack's row.
#[derive(Debug)]
pub struct Changes {
    number: i64,
    saved: i64,
    restored: i64,
}

impl Changes {
    /// Waits for the lock.
    pub async fn lock(conn: &mut PgConnection) -> Result<Self, DbError> {
        let row =
            sqlx::query!("SELECT number, restored FROM lease_change FOR UPDATE").fetch_one(conn).await?;
        Ok(Self { number: row.number, saved: row.number, restored: row.restored })
    }

    /// The change at which the database was restored, while it does not know again who has which addresses.
    pub fn restored(&self) -> Option<i64> {
        Some(self.restored).filter(|change| *change > 0)
    }

    /// The database was restored, and knows numbers up to `seen` from racks; or all of them have spoken since (`None`).
    pub async fn set_restored(&mut self, conn: &mut PgConnection, seen: Option<i64>) -> Result<(), DbError> {
        self.restored = 0;
        if let Some(seen) = seen {
            self.number = self.number.max(seen) + AHEAD;
            self.restored = self.number;
        }
        sqlx::query!("UPDATE lease_change SET number = $1, restored = $2", self.number, self.restored)
            .execute(conn)
            .await?;
        self.saved = self.number;
        Ok(())
    }

    /// The last change's number.
    pub fn last(&self) -> i64 {
        self.number
    }

    /// The number of a new change.
    pub fn take(&mut self) -> i64 {
        self.number += 1;
        self.number
    }

    /// Makes the numbers that were taken count.
    pub async fn save(&mut self, conn: &mut PgConnection) -> Result<(), DbError> {
        if self.saved != self.number {
            sqlx::query!("UPDATE lease_change SET number = $1", self.number).execute(conn).await?;
            self.saved = self.number;
        }
        Ok(())
    }
}

/// The time now, also within a transaction that began long ago.
pub async fn now(conn: &mut PgConnection) -> Result<i64, DbError> {
    Ok(sqlx::query_scalar!(r#"SELECT floor(extract(epoch FROM clock_timestamp()))::bigint AS "now!""#)
        .fetch_one(conn)
        .await?)
}

/// A rack among the racks of its subnets.
#[derive(Debug, Clone)]
pub struct RackState {
    /// Row.
    pub id: i64,
    /// Name.
    pub name: String,
    /// Its lease file, once it has reported.
    pub memory: Option<Uuid>,
    /// The start on it that spoke last.
    pub life: i64,
    /// Its facts are stored up to this number.
    pub stored: i64,
    /// The change up to which it has promised; 0 while it may have forgotten something.
    pub caught_up: i64,
    /// Its last report.
    pub heard: Option<i64>,
    /// Its last message of any kind.
    pub seen: Option<i64>,
    /// With less learned it gets all that there is.
    pub floor: i64,
    /// The regions go on without it.
    pub muted: bool,
    /// A person says that its box is off.
    pub fenced: Option<i64>,
    /// The longest lease that it may have given since it was last heard, seconds.
    pub longest_lease: i64,
}

/// All racks, by row. A lease time counts until a day after the rack was heard under it: its picture of the world may be older.
pub async fn racks(conn: &mut PgConnection, now: i64) -> Result<Vec<RackState>, DbError> {
    Ok(sqlx::query_as!(
        RackState,
        r#"SELECT id, name, lease_memory AS memory, lease_life AS life, stored, floor, muted,
                  CASE WHEN blind_until > to_timestamp($1::bigint) THEN 0 ELSE caught_up END AS "caught_up!",
                  floor(extract(epoch FROM heard_at))::bigint AS heard,
                  floor(extract(epoch FROM last_seen_at))::bigint AS seen,
                  floor(extract(epoch FROM fenced_at))::bigint AS fenced,
                  greatest(60, (SELECT max(lease_seconds) FROM subnet),
                           (SELECT max(p.seconds) FROM lease_length_past p
                             WHERE p.until > coalesce(heard_at, last_seen_at, created_at) - interval '1 day'))::bigint
                    AS "longest_lease!"
           FROM rack ORDER BY id"#,
        now
    )
    .fetch_all(conn)
    .await?)
}

/// The regions go on without the rack; what it learned before `floor` does not count.
pub async fn mute(conn: &mut PgConnection, rack: i64, floor: i64) -> Result<(), DbError> {
    sqlx::query!("UPDATE rack SET muted = TRUE, floor = $2 WHERE id = $1", rack, floor)
        .execute(&mut *conn)
        .await?;
    sqlx::query!("DELETE FROM lease_member WHERE rack_id = $1", rack).execute(conn).await?;
    Ok(())
}

/// It is heard: the fence, if any, is lifted.
pub async fn heard(conn: &mut PgConnection, rack: i64, life: i64, now: i64) -> Result<(), DbError> {
    sqlx::query!(
        "UPDATE rack SET lease_life = $2, heard_at = to_timestamp($3::bigint), fenced_at = NULL WHERE id = $1",
        rack,
        life,
        now
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Notes that a rack was heard which has learned every change, provided that it is one that counts and nothing about it
/// has to be decided; else none. Up to which fact its reports are stored, and the time. Needs no lock: the rack's own row
/// is changed by those who hold it.
pub async fn heard_nothing_new(
    conn: &mut PgConnection,
    rack: i64,
    memory: Uuid,
    life: i64,
    learned: i64,
) -> Result<Option<(i64, i64)>, DbError> {
    let row = sqlx::query!(
        r#"UPDATE rack SET heard_at = date_trunc('second', clock_timestamp())
           WHERE id = $1 AND lease_memory = $2 AND lease_life = $3 AND NOT muted AND fenced_at IS NULL AND floor <= $4
             AND $4 = (SELECT number FROM lease_change) AND heard_at > clock_timestamp() - interval '1 minute'
           RETURNING stored, floor(extract(epoch FROM heard_at))::bigint AS "now!""#,
        rack,
        memory,
        life,
        learned
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|r| (r.stored, r.now)))
}

/// It begins with this memory, of which the facts up to `stored` do not come any more. Until `blind_until` it may have
/// given what is in no memory.
pub async fn begin_memory(
    conn: &mut PgConnection,
    rack: i64,
    memory: Uuid,
    stored: i64,
    floor: i64,
    blind_until: Option<i64>,
) -> Result<(), DbError> {
    sqlx::query!(
        "UPDATE rack SET lease_memory = $2, stored = $3, floor = $4, caught_up = 0,
                blind_until = greatest(blind_until, to_timestamp($5::bigint)) WHERE id = $1",
        rack,
        memory,
        stored,
        floor,
        blind_until
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The database was restored at this change: it may lack what the rack reported since the backup. The rack begins anew,
/// counts as heard now, and until `blind_until` may have given what is in no table.
pub async fn begin_anew(
    conn: &mut PgConnection,
    rack: i64,
    change: i64,
    (now, blind_until): (i64, i64),
) -> Result<(), DbError> {
    sqlx::query!(
        "UPDATE rack SET lease_memory = NULL, lease_life = 0, stored = 0, caught_up = 0, floor = $2, muted = FALSE,
                fenced_at = NULL, heard_at = to_timestamp($3::bigint), blind_until = to_timestamp($4::bigint) WHERE id = $1",
        rack,
        change,
        now,
        blind_until
    )
    .execute(&mut *conn)
    .await?;
    join_subnets(conn, rack).await?;
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

/// What it reported is taken.
pub async fn reported(
    conn: &mut PgConnection,
    rack: i64,
    stored: i64,
    caught_up: i64,
) -> Result<(), DbError> {
    sqlx::query!(
        "UPDATE rack SET stored = $2, caught_up = greatest(caught_up, $3) WHERE id = $1",
        rack,
        stored,
        caught_up
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// It counts again; with less than `floor` learned it gets all that there is.
pub async fn unmute(conn: &mut PgConnection, rack: i64, floor: i64) -> Result<(), DbError> {
    sqlx::query!("UPDATE rack SET muted = FALSE, floor = $2 WHERE id = $1", rack, floor)
        .execute(conn)
        .await?;
    Ok(())
}

/// A person says that its box is off.
pub async fn fence(conn: &mut PgConnection, rack: i64, now: i64) -> Result<(), DbError> {
    sqlx::query!("UPDATE rack SET fenced_at = to_timestamp($2::bigint) WHERE id = $1", rack, now)
        .execute(conn)
        .await?;
    Ok(())
}

/// Makes a rack a member of every subnet that it serves or has blocks in; how many are new.
pub async fn join_subnets(conn: &mut PgConnection, rack: i64) -> Result<u64, DbError> {
    Ok(sqlx::query!(
        "INSERT INTO lease_member (rack_id, subnet_id)
         SELECT r.id, s.id FROM rack r, subnet s WHERE r.id = $1
            AND (EXISTS (SELECT 1 FROM jsonb_array_elements(r.addresses) a WHERE host((a->>'network')::inet)::inet << s.cidr)
                 OR EXISTS (SELECT 1 FROM lease_block b WHERE b.rack_id = r.id AND b.subnet_id = s.id))
         ON CONFLICT DO NOTHING",
        rack
    )
    .execute(conn)
    .await?
    .rows_affected())
}

/// The racks of each subnet of this rack that reported since `since`.
pub async fn live(
    conn: &mut PgConnection,
    rack: i64,
    since: i64,
) -> Result<Vec<(Ipv4Net, Vec<i64>)>, DbError> {
    let rows = sqlx::query!(
        r#"SELECT text(s.cidr) AS "cidr!", array_agg(r.id ORDER BY r.id) AS "racks!"
           FROM lease_member own JOIN subnet s ON s.id = own.subnet_id JOIN lease_member m ON m.subnet_id = s.id
                JOIN rack r ON r.id = m.rack_id
           WHERE own.rack_id = $1 AND r.heard_at > to_timestamp($2::bigint) GROUP BY s.cidr ORDER BY s.cidr"#,
        rack,
        since
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().filter_map(|r| Some((r.cidr.parse().ok()?, r.racks))).collect())
}

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
