//! Tasks at switches. Claimed by racks through their regions, as [`super::rack_task`]s are; those for one switch are done
//! one after the other.

use super::DbError;
use rackwright_common::link::TASK_CLAIM_SECONDS;
use rackwright_common::switch::{SwitchAction, SwitchError};
use sqlx::PgConnection;

/// How long a rack's claim holds without a heartbeat that names the task, seconds.
const CLAIM_SECONDS: f64 = TASK_CLAIM_SECONDS as f64;
/// A rack that could not do it the last time leaves it to others for so long, seconds.
const OTHERS_FIRST: f64 = 3.0;
/// A reading that nobody has begun within this time is not begun any more, seconds.
const READ_WITHIN: f64 = 60.0;

/// Under whose name switches are read.
pub const NOBODY: &str = "rackwright";

/// A claimed task.
#[derive(Debug, Clone, Copy)]
pub struct Claimed {
    /// Row.
    pub id: i64,
    /// Number of this claim.
    pub claim: i64,
    /// The switch.
    pub switch: i64,
    /// What to do there.
    pub action: SwitchAction,
}

/// A task that has ended.
#[derive(Debug, Clone)]
pub struct Ended {
    /// The switch.
    pub switch: i64,
    /// What was done there.
    pub action: SwitchAction,
    /// Who asked for it.
    pub actor: String,
    /// The rack that did it.
    pub rack: Option<i64>,
}

fn corrupt<E>(_: E) -> DbError {
    DbError::Corrupt { what: "task at a switch" }
}

/// Writes a task; its number.
pub async fn write(
    conn: &mut PgConnection,
    switch: i64,
    action: SwitchAction,
    actor: &str,
    expires_in: f64,
) -> Result<i64, DbError> {
    Ok(sqlx::query_scalar!(
        "INSERT INTO switch_task (switch_id, action, actor, expires_at)
         VALUES ($1, $2, $3, now() + make_interval(secs => $4)) RETURNING id",
        switch,
        serde_json::to_value(action).map_err(corrupt)?,
        actor,
        expires_in,
    )
    .fetch_one(conn)
    .await?)
}

/// Writes the readings that are due, and sweeps away what nobody waits for any more.
pub async fn write_due(conn: &mut PgConnection) -> Result<(), DbError> {
    sqlx::query!("DELETE FROM switch_task WHERE created_at < now() - interval '10 minutes'")
        .execute(&mut *conn)
        .await?;
    sqlx::query!(
        "WITH due AS (
             SELECT id FROM switch s WHERE next_poll_at <= now()
             AND NOT EXISTS (SELECT 1 FROM switch_task t WHERE t.switch_id = s.id AND t.status <> 'done' AND t.expires_at > now())
             FOR UPDATE SKIP LOCKED),
         moved AS (
             UPDATE switch s SET next_poll_at = now() + make_interval(secs => s.poll_seconds) FROM due WHERE s.id = due.id
             RETURNING s.id, CASE WHEN s.error IS NOT NULL THEN s.rack_id END AS avoid)
         INSERT INTO switch_task (switch_id, action, actor, avoid_rack_id, expires_at)
         SELECT id, $1, $2, avoid, now() + make_interval(secs => $3) FROM moved",
        serde_json::to_value(SwitchAction::Read).map_err(corrupt)?,
        NOBODY,
        READ_WITHIN,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Claims up to `limit` open tasks for a rack: of each switch only the oldest.
pub async fn claim(conn: &mut PgConnection, rack: i64, limit: i64) -> Result<Vec<Claimed>, DbError> {
    let rows = sqlx::query!(
        "UPDATE switch_task t SET status = 'running', rack_id = $1, claim = claim + 1, claimed_until = now() + make_interval(secs => $3)
         WHERE t.id IN (SELECT o.id FROM switch_task o
                        WHERE (status = 'pending' OR (status = 'running' AND claimed_until < now())) AND expires_at > now()
                          AND (avoid_rack_id IS DISTINCT FROM $1 OR created_at < now() - make_interval(secs => $4))
                          AND NOT EXISTS (SELECT 1 FROM switch_task b WHERE b.switch_id = o.switch_id AND b.id < o.id
                                          AND b.status <> 'done' AND (b.expires_at > now() OR b.claimed_until > now()))
                        ORDER BY o.id LIMIT $2 FOR UPDATE SKIP LOCKED)
         RETURNING id, claim, switch_id, action",
        rack,
        limit,
        CLAIM_SECONDS,
        OTHERS_FIRST,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|r| {
            let action = serde_json::from_value(r.action).map_err(corrupt)?;
            Ok(Claimed { id: r.id, claim: r.claim, switch: r.switch_id, action })
        })
        .collect()
}

/// Renews the claims that a rack's heartbeat names, and says which still were its own.
pub async fn renew(conn: &mut PgConnection, rack: i64, ids: &[i64]) -> Result<Vec<i64>, DbError> {
    Ok(sqlx::query_scalar!(
        "UPDATE switch_task SET claimed_until = now() + make_interval(secs => $3)
         WHERE rack_id = $1 AND id = ANY($2) AND status = 'running' RETURNING id",
        rack,
        ids,
        CLAIM_SECONDS,
    )
    .fetch_all(conn)
    .await?)
}

/// Ends a task, if the claim still holds.
pub async fn finish(
    conn: &mut PgConnection,
    id: i64,
    claim: i64,
    error: Option<&SwitchError>,
) -> Result<Option<Ended>, DbError> {
    let row = sqlx::query!(
        "UPDATE switch_task SET status = 'done', error = $3, claimed_until = NULL
         WHERE id = $1 AND claim = $2 AND status = 'running' RETURNING switch_id, action, actor, rack_id",
        id,
        claim,
        error.map(serde_json::to_value).transpose().map_err(corrupt)?,
    )
    .fetch_optional(conn)
    .await?;
    row.map(|r| {
        let action = serde_json::from_value(r.action).map_err(corrupt)?;
        Ok(Ended { switch: r.switch_id, action, actor: r.actor, rack: r.rack_id })
    })
    .transpose()
}

/// Gives a task back that a rack is too old for: others go first.
pub async fn give_back(conn: &mut PgConnection, id: i64, claim: i64) -> Result<(), DbError> {
    sqlx::query!(
        "UPDATE switch_task SET status = 'pending', avoid_rack_id = rack_id, claimed_until = NULL
         WHERE id = $1 AND claim = $2 AND status = 'running'",
        id,
        claim
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// How a task ended; none while it is open. One that no rack took before it expired counts as unreachable.
pub async fn outcome(conn: &mut PgConnection, id: i64) -> Result<Option<Result<(), SwitchError>>, DbError> {
    let row = sqlx::query!(
        r#"SELECT status, error, expires_at < now() AND (claimed_until IS NULL OR claimed_until < now()) AS "expired!"
           FROM switch_task WHERE id = $1"#,
        id
    )
    .fetch_one(conn)
    .await?;
    Ok(match (row.status.as_str(), row.error) {
        ("done", None) => Some(Ok(())),
        ("done", Some(error)) => Some(Err(serde_json::from_value(error).map_err(corrupt)?)),
        _ if row.expired => Some(Err(SwitchError::Unreachable(
            "no rack took the task in time: none of this version is connected, or the switch is still being read; try again"
                .into(),
        ))),
        _ => None,
    })
}
