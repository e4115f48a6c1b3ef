//! Runs of scripts on machines, with their results; history is kept.

use super::DbError;
use rackwright_common::{MachineId, OperationId};
use serde_json::Value;
use sqlx::PgConnection;

/// A script that may run.
#[derive(Debug, Clone)]
pub struct Script {
    /// Row.
    pub id: i64,
    /// Name.
    pub name: String,
    /// Text.
    pub body: String,
    /// `rackwright_common::script::ScriptMetadata`.
    pub metadata: Value,
}

/// A script by its row.
pub async fn script(conn: &mut PgConnection, id: i64) -> Result<Script, DbError> {
    Ok(sqlx::query_as!(Script, "SELECT id, name, body, metadata FROM script WHERE id = $1", id)
        .fetch_one(conn)
        .await?)
}

/// A run to be made.
#[derive(Debug)]
pub struct NewRun<'a> {
    /// Machine.
    pub machine: &'a MachineId,
    /// Operation.
    pub operation: OperationId,
    /// The agent's item.
    pub item: i64,
    /// Script.
    pub script: &'a Script,
    /// `testing`, …
    pub script_type: &'a str,
    /// `storage`, …
    pub hardware_type: &'a str,
    /// Disk serial or MAC; empty for the whole machine.
    pub target: &'a str,
}

/// Writes a pending run, once per item.
pub async fn ensure(conn: &mut PgConnection, run: &NewRun<'_>) -> Result<(), DbError> {
    sqlx::query!(
        "INSERT INTO script_run (machine_id, operation_id, work_item_id, script_id, name, script_type, hardware_type, target)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (work_item_id) DO NOTHING",
        run.machine.as_str(),
        run.operation.0,
        run.item,
        run.script.id,
        run.script.name,
        run.script_type,
        run.hardware_type,
        run.target,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The run has begun.
pub async fn started(conn: &mut PgConnection, item: i64) -> Result<(), DbError> {
    sqlx::query!(
        "UPDATE script_run SET status = 'running', started_at = coalesce(started_at, now()) WHERE work_item_id = $1 AND status IN ('pending', 'running')",
        item
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// How a run ended.
#[derive(Debug)]
pub struct Ended<'a> {
    /// `passed`, `failed`, `degraded`, `skipped`, `timed-out`.
    pub status: &'a str,
    /// Exit code.
    pub exit_code: Option<i32>,
    /// Standard output.
    pub stdout: &'a str,
    /// Standard error.
    pub stderr: &'a str,
    /// Values by name.
    pub results: &'a Value,
}

/// Stores the end of a run.
pub async fn ended(conn: &mut PgConnection, item: i64, end: &Ended<'_>) -> Result<(), DbError> {
    sqlx::query!(
        "UPDATE script_run SET status = $2, exit_code = $3, stdout = $4, stderr = $5, results = $6, ended_at = now() WHERE work_item_id = $1",
        item,
        end.status,
        end.exit_code,
        end.stdout.replace('\0', "\u{fffd}"),
        end.stderr.replace('\0', "\u{fffd}"),
        end.results,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The scripts of a type that did not pass under an operation, with their targets.
pub async fn failures(
    conn: &mut PgConnection,
    operation: OperationId,
    script_type: &str,
) -> Result<Vec<(String, String)>, DbError> {
    let rows = sqlx::query!(
        "SELECT name, target FROM script_run
         WHERE operation_id = $1 AND script_type = $2 AND status IN ('failed', 'timed-out') AND NOT suppressed ORDER BY id",
        operation.0,
        script_type
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|r| (r.name, r.target)).collect())
}

/// Runs of an ended operation that never ended themselves.
pub async fn abort_open(conn: &mut PgConnection, operation: OperationId) -> Result<(), DbError> {
    sqlx::query!(
        "UPDATE script_run SET status = 'aborted', ended_at = now() WHERE operation_id = $1 AND status IN ('pending', 'running')",
        operation.0
    )
    .execute(conn)
    .await?;
    Ok(())
}
