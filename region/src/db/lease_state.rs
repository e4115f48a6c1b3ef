//! How far each rack is with what the regions tell it of dynamic addresses, and the order of the changes (decision 0007).
//! All times are whole seconds since the Unix epoch, by the database's clock.

use super::DbError;
use super::restored::AHEAD;
use ipnet::Ipv4Net;
use sqlx::PgConnection;
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
            AND (EXISTS (SELECT 1 FROM jsonb_array_elements(r.addresses) a JOIN subnet own ON host((a->>'network')::inet)::inet << own.cidr
                         JOIN vlan v ON v.id = s.vlan_id WHERE own.vlan_id IN (v.id, v.relay_vlan_id))
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
