//! Reading events. Writing them is in `event`.

use super::DbError;
use crate::model::event::{Event, EventQuery, Level};
use crate::model::page::MAX_LIMIT;
use rackwright_common::OperationId;
use sqlx::PgConnection;

struct Row {
    id: i64,
    at: time::OffsetDateTime,
    kind: String,
    level: String,
    machine_id: Option<String>,
    operation_id: Option<i64>,
    actor: String,
    message: String,
    data: serde_json::Value,
}

impl From<Row> for Event {
    fn from(r: Row) -> Self {
        Self {
            id: r.id,
            at: r.at.into(),
            kind: r.kind,
            level: Level::parse(&r.level),
            machine: r.machine_id.and_then(|id| id.parse().ok()),
            operation: r.operation_id.map(OperationId),
            actor: r.actor,
            message: r.message,
            data: r.data,
        }
    }
}

/// Names of `least` and the levels above it; `None` when all are wanted.
fn levels(least: Option<Level>) -> Option<Vec<String>> {
    let all = [Level::Debug, Level::Info, Level::Warning, Level::Error];
    least.map(|least| all.into_iter().filter(|l| *l >= least).map(|l| l.as_str().to_owned()).collect())
}

/// Events between `after` and `before`: with `after` the oldest first, otherwise the newest first. With `pools` those of the
/// machines in them only. A transaction that is not over yet may have taken a number below one that is shown; who may not miss
/// any goes by [`numbers`].
pub async fn list(
    conn: &mut PgConnection,
    query: &EventQuery,
    pools: Option<&[String]>,
) -> Result<Vec<Event>, DbError> {
    let limit = query.limit.unwrap_or(100).clamp(1, MAX_LIMIT);
    let machine = query.machine.as_ref().map(|m| m.as_str());
    let levels = levels(query.level);
    let rows = match query.after {
        Some(after) => {
            sqlx::query_as!(
                Row,
                "SELECT id, at, kind, level, machine_id, operation_id, actor, message, data FROM event
                 WHERE id > $1 AND ($2::text IS NULL OR machine_id = $2) AND ($3::bigint IS NULL OR operation_id = $3)
                   AND ($4::text[] IS NULL OR level = ANY($4)) AND ($6::text IS NULL OR actor = $6) AND id < $7
                   AND ($8::text[] IS NULL OR EXISTS (SELECT 1 FROM machine m WHERE m.id = machine_id AND m.pool = ANY($8)))
                 ORDER BY id LIMIT $5",
                after,
                machine,
                query.operation,
                levels.as_deref(),
                limit,
                query.actor,
                query.before.unwrap_or(i64::MAX),
                pools
            )
            .fetch_all(conn)
            .await?
        }
        None => {
            sqlx::query_as!(
                Row,
                // One plan serves all (see `connector`), so each way to the rows is written out; those not taken cost nothing.
                r#"SELECT id AS "id!", at AS "at!", kind AS "kind!", level AS "level!", machine_id, operation_id, actor AS "actor!",
                          message AS "message!", data AS "data!"
                   FROM (
                     (SELECT * FROM event
                      WHERE $2::text IS NOT NULL AND machine_id = $2 AND id < $1 AND ($3::bigint IS NULL OR operation_id = $3)
                        AND ($4::text[] IS NULL OR level = ANY($4)) AND ($6::text IS NULL OR actor = $6)
                        AND ($7::text[] IS NULL OR EXISTS (SELECT 1 FROM machine m WHERE m.id = machine_id AND m.pool = ANY($7)))
                      ORDER BY id DESC LIMIT $5)
                     UNION ALL
                     (SELECT * FROM event
                      WHERE $2::text IS NULL AND $3::bigint IS NOT NULL AND operation_id = $3 AND id < $1
                        AND ($4::text[] IS NULL OR level = ANY($4)) AND ($6::text IS NULL OR actor = $6)
                        AND ($7::text[] IS NULL OR EXISTS (SELECT 1 FROM machine m WHERE m.id = machine_id AND m.pool = ANY($7)))
                      ORDER BY id DESC LIMIT $5)
                     UNION ALL
                     (SELECT * FROM event
                      WHERE $2::text IS NULL AND $3::bigint IS NULL AND id < $1
                        AND ($4::text[] IS NULL OR level = ANY($4)) AND ($6::text IS NULL OR actor = $6)
                        AND ($7::text[] IS NULL OR EXISTS (SELECT 1 FROM machine m WHERE m.id = machine_id AND m.pool = ANY($7)))
                      ORDER BY id DESC LIMIT $5)) e
                   ORDER BY id DESC LIMIT $5"#,
                query.before.unwrap_or(i64::MAX),
                machine,
                query.operation,
                levels.as_deref(),
                limit,
                query.actor,
                pools
            )
            .fetch_all(conn)
            .await?
        }
    };
    Ok(rows.into_iter().map(Event::from).collect())
}

/// The numbers of the events after this one, in order, as far as they can be seen; and the time.
pub async fn numbers(
    conn: &mut PgConnection,
    after: i64,
    limit: i64,
) -> Result<(Vec<i64>, time::OffsetDateTime), DbError> {
    let row = sqlx::query!(
        r#"SELECT coalesce(array_agg(e.id ORDER BY e.id), '{}') AS "ids!", clock_timestamp() AS "now!"
           FROM (SELECT id FROM event WHERE id > $1 ORDER BY id LIMIT $2) e"#,
        after,
        limit
    )
    .fetch_one(conn)
    .await?;
    Ok((row.ids, row.now))
}

/// Whether a transaction that began before `seen` may still commit an event. A standby does not know and says so until it
/// is one no more.
pub async fn has_older_writers(conn: &mut PgConnection, seen: time::OffsetDateTime) -> Result<bool, DbError> {
    // Whoever appends has this lock from before it takes a number until its transaction is over.
    Ok(sqlx::query_scalar!(
        r#"SELECT pg_is_in_recovery() OR EXISTS (
               SELECT 1 FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid
               WHERE l.locktype = 'relation' AND l.relation = 'event'::regclass AND l.mode = 'RowExclusiveLock' AND l.granted
                 AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
                 AND coalesce(a.xact_start <= $1, TRUE)) AS "older!""#,
        seen
    )
    .fetch_one(conn)
    .await?)
}

/// Numbers that are looked at where somebody begins to follow: what is further back is over.
const BEGINNING: i64 = 1000;

/// Where somebody who wants all from now on begins.
#[derive(Debug, Clone)]
pub struct Beginning {
    /// The newest number that is there; 0 when there is none.
    pub last: i64,
    /// The numbers below it that are missing: whoever took them may still commit, or is gone.
    pub missing: Vec<i64>,
    /// When it was looked at.
    pub seen: time::OffsetDateTime,
}

/// As it is now.
pub async fn beginning(conn: &mut PgConnection) -> Result<Beginning, DbError> {
    let row = sqlx::query!(
        r#"SELECT l.last AS "last!", clock_timestamp() AS "seen!",
                  ARRAY(SELECT n FROM generate_series(greatest(l.last - $1, 0) + 1, l.last) n
                        WHERE NOT EXISTS (SELECT 1 FROM event e WHERE e.id = n) ORDER BY n) AS "missing!"
           FROM (SELECT coalesce(max(id), 0) AS last FROM event) l"#,
        BEGINNING
    )
    .fetch_one(conn)
    .await?;
    Ok(Beginning { last: row.last, missing: row.missing, seen: row.seen })
}
