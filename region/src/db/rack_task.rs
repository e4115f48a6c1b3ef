//! Tasks that only a rack can carry out. Written by operations, claimed by racks through their regions.

use super::DbError;
use rackwright_common::bmc::{BmcAction, BmcError, BmcOutcome};
use rackwright_common::id::Fence;
use rackwright_common::link::TASK_CLAIM_SECONDS;
use rackwright_common::{MachineId, OperationId};
use sqlx::PgConnection;

/// How long a rack's claim holds without a heartbeat that names the task, seconds.
const CLAIM_SECONDS: f64 = TASK_CLAIM_SECONDS as f64;

/// A claimed task.
#[derive(Debug, Clone)]
pub struct ClaimedTask {
    /// Row.
    pub id: i64,
    /// Number of this claim.
    pub claim: i64,
    /// Machine.
    pub machine: MachineId,
    /// The fence that the command carries.
    pub fence: Option<Fence>,
    /// Command.
    pub action: BmcAction,
}

/// How far a task is.
#[derive(Debug, Clone, PartialEq)]
pub enum TaskState {
    /// Not written yet.
    Absent,
    /// Waiting for a rack, or running on one.
    Open,
    /// Ended.
    Done(Result<BmcOutcome, BmcError>),
}

/// A task to be written.
#[derive(Debug)]
pub struct NewTask<'a> {
    /// Machine.
    pub machine: &'a MachineId,
    /// On whose behalf.
    pub fence: Fence,
    /// Makes writing it twice harmless.
    pub key: &'a str,
    /// Command.
    pub action: BmcAction,
    /// Seconds after which no rack starts it any more.
    pub expires_in: f64,
}

/// Writes a task unless it is there already.
pub async fn ensure(conn: &mut PgConnection, task: &NewTask<'_>) -> Result<(), DbError> {
    let action = serde_json::to_value(task.action).map_err(|_| DbError::Corrupt { what: "BMC action" })?;
    sqlx::query!(
        "INSERT INTO rack_task (machine_id, operation_id, epoch, key, action, expires_at)
         VALUES ($1, $2, $3, $4, $5, now() + make_interval(secs => $6)) ON CONFLICT (machine_id, key) DO NOTHING",
        task.machine.as_str(),
        task.fence.operation.0,
        task.fence.epoch,
        task.key,
        action,
        task.expires_in,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Writes a question of a person's: it belongs to no operation, carries no fence, and so may only read. Earlier
/// questions about the machine that nobody waits for any more are swept away.
pub async fn question(
    conn: &mut PgConnection,
    machine: &MachineId,
    key: &str,
    action: BmcAction,
    expires_in: f64,
) -> Result<(), DbError> {
    let action = serde_json::to_value(action).map_err(|_| DbError::Corrupt { what: "BMC action" })?;
    sqlx::query!(
        "DELETE FROM rack_task WHERE machine_id = $1 AND operation_id IS NULL AND created_at < now() - interval '10 minutes'",
        machine.as_str()
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "INSERT INTO rack_task (machine_id, key, action, expires_at) VALUES ($1, $2, $3, now() + make_interval(secs => $4))",
        machine.as_str(),
        key,
        action,
        expires_in,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// How far a task is. One that no rack took before it expired counts as unreachable.
pub async fn state(conn: &mut PgConnection, machine: &MachineId, key: &str) -> Result<TaskState, DbError> {
    let row = sqlx::query!(
        "SELECT status, result, expires_at < now() AND (claimed_until IS NULL OR claimed_until < now()) AS \"expired!\"
         FROM rack_task WHERE machine_id = $1 AND key = $2",
        machine.as_str(),
        key
    )
    .fetch_optional(conn)
    .await?;
    Ok(match row {
        None => TaskState::Absent,
        Some(r) if r.status == "done" => {
            let result = r.result.and_then(|v| serde_json::from_value(v).ok());
            TaskState::Done(result.ok_or(DbError::Corrupt { what: "task result" })?)
        }
        Some(r) if r.expired => TaskState::Done(Err(BmcError::Unreachable(
            "no rack took the command in time; is a rack connected?".into(),
        ))),
        Some(_) => TaskState::Open,
    })
}

/// Claims up to `limit` open tasks for a rack.
pub async fn claim(conn: &mut PgConnection, rack: i64, limit: i64) -> Result<Vec<ClaimedTask>, DbError> {
    let rows = sqlx::query!(
        "UPDATE rack_task t SET status = 'running', rack_id = $1, claim = claim + 1, claimed_until = now() + make_interval(secs => $3)
         WHERE t.id IN (SELECT id FROM rack_task
                        WHERE (status = 'pending' OR (status = 'running' AND claimed_until < now())) AND expires_at > now()
                        ORDER BY id LIMIT $2 FOR UPDATE SKIP LOCKED)
         RETURNING id, claim, machine_id, operation_id, epoch, action",
        rack,
        limit,
        CLAIM_SECONDS,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|r| {
            Ok(ClaimedTask {
                id: r.id,
                claim: r.claim,
                machine: r.machine_id.parse().map_err(|_| DbError::Corrupt { what: "machine id" })?,
                fence: r.operation_id.map(|o| Fence { operation: OperationId(o), epoch: r.epoch }),
                action: serde_json::from_value(r.action)
                    .map_err(|_| DbError::Corrupt { what: "BMC action" })?,
            })
        })
        .collect()
}

/// Renews the claims that a rack's heartbeat names, and says which still were its own.
pub async fn renew(conn: &mut PgConnection, rack: i64, ids: &[i64]) -> Result<Vec<i64>, DbError> {
    Ok(sqlx::query_scalar!(
        "UPDATE rack_task SET claimed_until = now() + make_interval(secs => $3)
         WHERE rack_id = $1 AND id = ANY($2) AND status = 'running' RETURNING id",
        rack,
        ids,
        CLAIM_SECONDS,
    )
    .fetch_all(conn)
    .await?)
}

/// Stores a result, if the claim still holds. Returns the machine and the operation that waits for it.
pub async fn finish(
    conn: &mut PgConnection,
    id: i64,
    claim: i64,
    outcome: &Result<BmcOutcome, BmcError>,
) -> Result<Option<(MachineId, Option<OperationId>)>, DbError> {
    let result = serde_json::to_value(outcome).map_err(|_| DbError::Corrupt { what: "task result" })?;
    let row = sqlx::query!(
        "UPDATE rack_task SET status = 'done', result = $3, finished_at = now(), claimed_until = NULL
         WHERE id = $1 AND claim = $2 AND status = 'running' RETURNING machine_id, operation_id",
        id,
        claim,
        result,
    )
    .fetch_optional(conn)
    .await?;
    row.map(|r| {
        let machine = r.machine_id.parse().map_err(|_| DbError::Corrupt { what: "machine id" })?;
        Ok((machine, r.operation_id.map(OperationId)))
    })
    .transpose()
}

/// Gives up the commands of an operation that no rack has begun.
pub async fn cancel_pending(conn: &mut PgConnection, operation: OperationId) -> Result<(), DbError> {
    sqlx::query!(
        "UPDATE rack_task SET expires_at = now() WHERE operation_id = $1 AND status = 'pending'",
        operation.0
    )
    .execute(conn)
    .await?;
    Ok(())
}
