//! One action on many machines: its machines are claimed one by one.

use super::DbError;
use crate::model::Role;
use crate::model::bulk::{Bulk, BulkRefusal};
use sqlx::PgConnection;

/// A machine that is to be looked at.
#[derive(Debug, Clone)]
pub struct Claimed {
    /// Which action.
    pub bulk: i64,
    /// Which of its machines.
    pub ordinal: i32,
    /// The machine.
    pub machine: String,
    /// As stored.
    pub verb: String,
    /// As stored.
    pub parameters: serde_json::Value,
    /// Who asked.
    pub user_id: i64,
    /// The most that the token let them do with which they asked.
    pub role: Option<String>,
    /// From where they asked.
    pub source: Option<String>,
    /// The token with which they asked is there no more.
    pub token_gone: bool,
    /// Who has stopped it.
    pub stopped_by: Option<String>,
}

/// What is stored of an action.
#[derive(Debug, Clone)]
pub struct NewBulk<'a> {
    /// Who asks.
    pub user_id: i64,
    /// The most that their token lets them do; none: as much as they may.
    pub role: Option<Role>,
    /// That token.
    pub token: Option<i64>,
    /// What for.
    pub verb: &'a str,
    /// How.
    pub parameters: serde_json::Value,
    /// From where.
    pub source: Option<String>,
    /// Machines.
    pub machines: &'a [String],
    /// Pools whose machines they see; none: all of them.
    pub sight: Option<&'a [String]>,
}

/// Stores an action; its number, and how many of the machines there are for the one who asks.
pub async fn insert(conn: &mut PgConnection, new: &NewBulk<'_>) -> Result<(i64, u64), DbError> {
    let id = sqlx::query_scalar!(
        "INSERT INTO bulk (user_id, verb, parameters, source, role, token_id) VALUES ($1, $2, $3, $4, $5, $6) RETURNING id",
        new.user_id,
        new.verb,
        new.parameters,
        new.source,
        new.role.map(Role::as_str),
        new.token
    )
    .fetch_one(&mut *conn)
    .await?;
    let items = sqlx::query!(
        r#"INSERT INTO bulk_item (bulk_id, ordinal, machine_id, hostname)
           SELECT $1, row_number() OVER (ORDER BY hostname COLLATE "C"), id, hostname FROM machine
           WHERE id = ANY($2) AND ($3::text[] IS NULL OR pool = ANY($3))"#,
        id,
        new.machines,
        new.sight
    )
    .execute(conn)
    .await?;
    Ok((id, items.rows_affected()))
}

/// Takes the next machine of the oldest action, for a minute.
pub async fn claim(conn: &mut PgConnection) -> Result<Option<Claimed>, DbError> {
    Ok(sqlx::query_as!(
        Claimed,
        r#"WITH next AS (
               SELECT bulk_id, ordinal FROM bulk_item
               WHERE status = 'pending' AND (claimed_until IS NULL OR claimed_until < now())
               ORDER BY bulk_id, ordinal LIMIT 1 FOR UPDATE SKIP LOCKED)
           UPDATE bulk_item i SET claimed_until = now() + interval '1 minute' FROM next, bulk b
           WHERE i.bulk_id = next.bulk_id AND i.ordinal = next.ordinal AND b.id = i.bulk_id
           RETURNING i.bulk_id AS bulk, i.ordinal, i.machine_id AS machine, b.verb, b.parameters, b.user_id, b.role, b.source, b.stopped_by,
               (b.token_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM token t
                   WHERE t.id = b.token_id AND (t.expires_at IS NULL OR t.expires_at > now()))) AS "token_gone!""#
    )
    .fetch_optional(conn)
    .await?)
}

/// Says what became of a machine; `refusal` is why not. The last one ends the action.
pub async fn finish(conn: &mut PgConnection, of: &Claimed, refusal: Option<&str>) -> Result<(), DbError> {
    sqlx::query!(
        "UPDATE bulk_item SET status = CASE WHEN $3::text IS NULL THEN 'done' ELSE 'refused' END, message = coalesce($3, ''), claimed_until = NULL
         WHERE bulk_id = $1 AND ordinal = $2 AND status = 'pending'",
        of.bulk,
        of.ordinal,
        refusal
    )
    .execute(&mut *conn)
    .await?;
    end(conn, of.bulk).await
}

/// An action that has no machine left has ended.
async fn end(conn: &mut PgConnection, id: i64) -> Result<(), DbError> {
    sqlx::query!(
        "UPDATE bulk SET finished_at = now() WHERE id = $1 AND finished_at IS NULL
           AND NOT EXISTS (SELECT 1 FROM bulk_item WHERE bulk_id = $1 AND status = 'pending')",
        id
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Ends an action before its next machine, unless it has ended. A machine that a region is at is finished; the others are told `why`.
pub async fn stop(conn: &mut PgConnection, id: i64, by: &str, why: &str) -> Result<(), DbError> {
    sqlx::query!(
        "UPDATE bulk SET stopped_by = $2 WHERE id = $1 AND finished_at IS NULL AND stopped_by IS NULL",
        id,
        by
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "UPDATE bulk_item SET status = 'refused', message = $2
         WHERE bulk_id = $1 AND status = 'pending' AND (claimed_until IS NULL OR claimed_until < now())",
        id,
        why
    )
    .execute(&mut *conn)
    .await?;
    end(conn, id).await
}

/// An action as users see it, and whose it is.
pub async fn get(conn: &mut PgConnection, id: i64) -> Result<(Bulk, i64), DbError> {
    let row = sqlx::query!(
        r#"SELECT b.id, b.verb, b.user_id, u.name, b.created_at, b.finished_at, b.stopped_by,
                  count(*) AS "total!", count(*) FILTER (WHERE i.status = 'done') AS "done!",
                  count(*) FILTER (WHERE i.status = 'refused') AS "refused!"
           FROM bulk b JOIN "user" u ON u.id = b.user_id JOIN bulk_item i ON i.bulk_id = b.id
           WHERE b.id = $1 GROUP BY b.id, u.name"#,
        id
    )
    .fetch_optional(&mut *conn)
    .await?
    .ok_or(DbError::NotFound)?;
    let refusals = sqlx::query!(
        "SELECT machine_id, hostname, message FROM bulk_item WHERE bulk_id = $1 AND status = 'refused' ORDER BY ordinal LIMIT 500",
        id
    )
    .fetch_all(conn)
    .await?;
    let mut told = Vec::with_capacity(refusals.len());
    for r in refusals {
        let machine = r.machine_id.parse().map_err(|_| DbError::Corrupt { what: "machine id" })?;
        told.push(BulkRefusal { machine, hostname: r.hostname, message: r.message });
    }
    let verb = serde_json::from_value(row.verb.into()).map_err(|_| DbError::Corrupt { what: "verb" })?;
    let bulk = Bulk {
        id: row.id,
        verb,
        requested_by: row.name,
        created_at: row.created_at.into(),
        finished_at: row.finished_at.map(Into::into),
        stopped_by: row.stopped_by,
        total: row.total,
        done: row.done,
        refused: row.refused,
        refusals: told,
    };
    Ok((bulk, row.user_id))
}

/// Identifiers of the machines with which it was done, the first `limit` of them.
pub async fn done(conn: &mut PgConnection, id: i64, limit: i64) -> Result<Vec<String>, DbError> {
    Ok(sqlx::query_scalar!(
        "SELECT machine_id FROM bulk_item WHERE bulk_id = $1 AND status = 'done' ORDER BY ordinal LIMIT $2",
        id,
        limit
    )
    .fetch_all(conn)
    .await?)
}
