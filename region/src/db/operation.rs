//! Operations: claimed for ten seconds at a time, each claim under a higher epoch.

use super::DbError;
use rackwright_common::id::Fence;
use rackwright_common::{MachineId, OperationId};
use serde_json::Value;
use sqlx::PgConnection;
use time::OffsetDateTime;

/// How long a claim holds without renewal, seconds, by the database's clock.
pub const CLAIM_SECONDS: f64 = 10.0;

/// An operation as its worker sees it.
#[derive(Debug, Clone)]
pub struct Operation {
    /// Number.
    pub id: OperationId,
    /// `commission`, `deploy`, …
    pub kind: String,
    /// On which machine.
    pub machine: MachineId,
    /// Where it is.
    pub step: String,
    /// What the step remembers.
    pub state: Value,
    /// What was asked.
    pub params: Value,
    /// Tries of this step.
    pub attempt: i32,
    /// Since when it is in this step.
    pub step_since: OffsetDateTime,
    /// Of this claim.
    pub epoch: i64,
    /// Who wants it to end.
    pub abort_requested_by: Option<String>,
    /// Who asked for it.
    pub requested_by: String,
    /// The database's time at the claim; all comparisons use it.
    pub now: OffsetDateTime,
    /// When it fails for having taken too long.
    pub deadline: OffsetDateTime,
}

impl Operation {
    /// The fence that its commands carry.
    pub fn fence(&self) -> Fence {
        Fence { operation: self.id, epoch: self.epoch }
    }
}

/// A new operation's row.
#[derive(Debug)]
pub struct NewOperation<'a> {
    /// Kind.
    pub kind: &'a str,
    /// Machine.
    pub machine: &'a MachineId,
    /// First step.
    pub step: &'a str,
    /// What was asked.
    pub params: &'a Value,
    /// Seconds until it fails for having taken too long.
    pub deadline_seconds: f64,
    /// Who asks.
    pub requested_by: &'a str,
}

/// Writes a new operation; `operation_one_running_per_machine` is violated when one is running.
pub async fn create(conn: &mut PgConnection, new: &NewOperation<'_>) -> Result<OperationId, DbError> {
    let id = sqlx::query_scalar!(
        "INSERT INTO operation (kind, machine_id, step, params, deadline, requested_by)
         VALUES ($1, $2, $3, $4, now() + make_interval(secs => $5), $6) RETURNING id",
        new.kind,
        new.machine.as_str(),
        new.step,
        new.params,
        new.deadline_seconds,
        new.requested_by,
    )
    .fetch_one(conn)
    .await?;
    Ok(OperationId(id))
}

/// The event of a claim that expired and became another's. Its data: `from`, `to`, and `seconds` since the first owner was
/// heard last.
pub const TAKEN_OVER: &str = "operation.taken-over";

/// Claims one operation that is due, if there is one. That a claim of somebody else had expired is told with it.
pub async fn claim_due(conn: &mut PgConnection, owner: &str) -> Result<Option<Operation>, DbError> {
    let row = sqlx::query!(
        r#"WITH due AS (
             SELECT id, owner AS was, extract(epoch FROM now() - claimed_until)::float8 + $2::float8 AS silent FROM operation
             WHERE status = 'running' AND (next_attempt_at <= now() OR abort_requested_by IS NOT NULL OR deadline <= now())
               AND (claimed_until IS NULL OR claimed_until < now())
             ORDER BY next_attempt_at LIMIT 1 FOR UPDATE SKIP LOCKED),
         told AS (
             INSERT INTO event (kind, level, machine_id, operation_id, actor, message, data)
             SELECT $3::text, 'warning', o.machine_id, o.id, 'rackwright',
                    due.was || ' did not go on with it; ' || $1::text || ' took it over ' || round(due.silent::numeric, 1) || ' s after that was heard last',
                    jsonb_build_object('from', due.was, 'to', $1::text, 'seconds', due.silent)
             FROM due JOIN operation o ON o.id = due.id WHERE due.silent IS NOT NULL)
         UPDATE operation o SET owner = $1::text, epoch = epoch + 1, claimed_until = now() + make_interval(secs => $2::float8)
         FROM due WHERE o.id = due.id
         RETURNING o.id, o.kind, o.machine_id, o.step, o.state, o.params, o.attempt, o.step_since, o.epoch,
                   o.abort_requested_by, o.requested_by, o.deadline, now() AS "now!""#,
        owner,
        CLAIM_SECONDS,
        TAKEN_OVER,
    )
    .fetch_optional(conn)
    .await?;
    row.map(|r| {
        Ok(Operation {
            id: OperationId(r.id),
            kind: r.kind,
            machine: r.machine_id.parse().map_err(|_| DbError::Corrupt { what: "machine id" })?,
            step: r.step,
            state: r.state,
            params: r.params,
            attempt: r.attempt,
            step_since: r.step_since,
            epoch: r.epoch,
            abort_requested_by: r.abort_requested_by,
            requested_by: r.requested_by,
            now: r.now,
            deadline: r.deadline,
        })
    })
    .transpose()
}

/// Seconds until the next operation is due; `None` when none is running.
pub async fn seconds_until_due(conn: &mut PgConnection) -> Result<Option<f64>, DbError> {
    Ok(sqlx::query_scalar!(
        "SELECT extract(epoch FROM min(greatest(next_attempt_at, claimed_until)) - now())::float8
         FROM operation WHERE status = 'running'"
    )
    .fetch_one(conn)
    .await?)
}

/// The compare-and-set that every worker's write begins with: locks the row and fails with [`DbError::Stale`]
/// when the claim is no longer ours, or has expired by the database's clock, taken over or not: an owner that is late
/// stops before another may begin. Everything else in the transaction is rolled back by the caller then.
pub async fn hold(conn: &mut PgConnection, operation: &Operation) -> Result<(), DbError> {
    let ours = sqlx::query_scalar!(
        "SELECT epoch = $2 AND status = 'running' AND coalesce(claimed_until > clock_timestamp(), FALSE) AS \"ours!\"
         FROM operation WHERE id = $1 FOR UPDATE",
        operation.id.0,
        operation.epoch,
    )
    .fetch_optional(conn)
    .await?;
    if ours == Some(true) { Ok(()) } else { Err(DbError::Stale) }
}

/// Where an operation goes next.
#[derive(Debug)]
pub struct NextStep<'a> {
    /// The step; the present one to stay.
    pub step: &'a str,
    /// Merged into what it remembers; what others told it meanwhile stays.
    pub state: &'a Value,
    /// Tries of that step.
    pub attempt: i32,
    /// Seconds until it is looked at again.
    pub again_in: f64,
    /// What it waits for.
    pub message: &'a str,
}

/// Gives the claim back and says when to look again. Call after [`hold`] in one transaction.
pub async fn put_back(
    conn: &mut PgConnection,
    operation: &Operation,
    next: &NextStep<'_>,
) -> Result<(), DbError> {
    sqlx::query!(
        "UPDATE operation SET step = $2, state = state || $3, attempt = $4, message = $6, claimed_until = NULL,
                next_attempt_at = now() + make_interval(secs => $5),
                step_since = CASE WHEN step = $2 AND attempt = $4 THEN step_since ELSE now() END
         WHERE id = $1",
        operation.id.0,
        next.step,
        next.state,
        next.attempt,
        next.again_in,
        next.message,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Ends it: `done`, `failed` or `aborted`. Call after [`hold`] in one transaction.
pub async fn finish(
    conn: &mut PgConnection,
    id: OperationId,
    status: &str,
    error: Option<&str>,
) -> Result<(), DbError> {
    sqlx::query!(
        "UPDATE operation SET status = $2, error = $3, message = '', claimed_until = NULL, finished_at = now() WHERE id = $1",
        id.0,
        status,
        error,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Keeps the last lines of the machine's console with a failed operation.
pub async fn keep_console_tail(conn: &mut PgConnection, id: OperationId, lines: &str) -> Result<(), DbError> {
    sqlx::query!("UPDATE operation SET console_tail = $2 WHERE id = $1", id.0, lines).execute(conn).await?;
    Ok(())
}

/// Something that a running operation may wait for has happened: look at once. A claim held at this moment is
/// not disturbed; its owner puts the operation back with a time of its own, so the mark is kept in `state`.
pub async fn poke(conn: &mut PgConnection, id: OperationId) -> Result<(), DbError> {
    sqlx::query!("UPDATE operation SET next_attempt_at = now() WHERE id = $1 AND status = 'running'", id.0)
        .execute(conn)
        .await?;
    Ok(())
}

/// Moves the deadline so that work of this many seconds fits, with an hour for the rest; it never moves nearer.
pub async fn allow(conn: &mut PgConnection, id: OperationId, seconds: u64) -> Result<(), DbError> {
    const LONGEST: u64 = 60 * 24 * 3600;
    let seconds = (seconds.min(LONGEST) + 3600) as f64;
    sqlx::query!(
        "UPDATE operation SET deadline = greatest(deadline, now() + make_interval(secs => $2)) WHERE id = $1",
        id.0,
        seconds,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Merges `patch` into the state of a running operation and wakes its worker.
pub async fn tell(conn: &mut PgConnection, id: OperationId, patch: &Value) -> Result<bool, DbError> {
    let done = sqlx::query!(
        "UPDATE operation SET state = state || $2, next_attempt_at = now() WHERE id = $1 AND status = 'running'",
        id.0,
        patch,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// What is under way on a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Running {
    /// Number.
    pub id: OperationId,
    /// Kind, as a word.
    pub kind: String,
    /// Who asked for it.
    pub requested_by: String,
}

/// The running operation of a machine.
pub async fn find_running(conn: &mut PgConnection, machine: &MachineId) -> Result<Option<Running>, DbError> {
    let row = sqlx::query!(
        "SELECT id, kind, requested_by FROM operation WHERE machine_id = $1 AND status = 'running'",
        machine.as_str()
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|r| Running { id: OperationId(r.id), kind: r.kind, requested_by: r.requested_by }))
}

/// Asks the running operation of a machine to end; its number, or `None` when nothing runs.
pub async fn request_abort(
    conn: &mut PgConnection,
    machine: &MachineId,
    by: &str,
) -> Result<Option<OperationId>, DbError> {
    let id = sqlx::query_scalar!(
        "UPDATE operation SET abort_requested_by = coalesce(abort_requested_by, $2)
         WHERE machine_id = $1 AND status = 'running' RETURNING id",
        machine.as_str(),
        by,
    )
    .fetch_optional(conn)
    .await?;
    Ok(id.map(OperationId))
}

/// The boot that an operation's agent tokens are bound to.
#[derive(Debug, Clone)]
pub struct Boot {
    /// The machine.
    pub machine: MachineId,
    /// The operation has not ended.
    pub running: bool,
    /// Its epoch when the boot was decided.
    pub epoch: Option<i64>,
}

/// Which boot an operation's tokens are good for.
pub async fn boot_of(conn: &mut PgConnection, id: OperationId) -> Result<Option<Boot>, DbError> {
    let row = sqlx::query!(
        "SELECT machine_id, status = 'running' AS \"running!\", (state->>'boot_epoch')::bigint AS epoch FROM operation WHERE id = $1",
        id.0
    )
    .fetch_optional(conn)
    .await?;
    row.map(|r| {
        let machine = r.machine_id.parse().map_err(|_| DbError::Corrupt { what: "machine id" })?;
        Ok(Boot { machine, running: r.running, epoch: r.epoch })
    })
    .transpose()
}
