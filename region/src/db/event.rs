//! Events: what happened, appended in the same transaction as the change itself.

use super::DbError;
use rackwright_common::{MachineId, OperationId};
use serde_json::Value;
use sqlx::PgConnection;

/// A new event.
#[derive(Debug, Clone)]
pub struct NewEvent<'a> {
    /// Stable name, such as `machine.status`.
    pub kind: &'a str,
    /// `debug`, `info`, `warning`, `error`.
    pub level: &'a str,
    /// About which machine.
    pub machine: Option<&'a MachineId>,
    /// During which operation.
    pub operation: Option<OperationId>,
    /// User name, `rackwright`, or `rack:NAME`.
    pub actor: &'a str,
    /// One sentence.
    pub message: &'a str,
    /// For programs.
    pub data: Value,
}

/// Whether a running or ended operation has an event of this kind with this data.
pub async fn is_told(
    conn: &mut PgConnection,
    operation: OperationId,
    kind: &str,
    data: &Value,
) -> Result<bool, DbError> {
    Ok(sqlx::query_scalar!(
        "SELECT EXISTS (SELECT 1 FROM event WHERE operation_id = $1 AND kind = $2 AND data = $3) AS \"told!\"",
        operation.0,
        kind,
        data,
    )
    .fetch_one(conn)
    .await?)
}

/// Whether an event of this kind with this data was appended within the last ten minutes, and not thousands ago.
pub async fn is_told_lately(conn: &mut PgConnection, kind: &str, data: &Value) -> Result<bool, DbError> {
    Ok(sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT 1 FROM event WHERE id > (SELECT coalesce(max(id), 0) - 5000 FROM event)
                  AND kind = $1 AND data = $2 AND at > now() - interval '10 minutes') AS "told!""#,
        kind,
        data,
    )
    .fetch_one(conn)
    .await?)
}

/// Appends an event.
pub async fn append(conn: &mut PgConnection, event: &NewEvent<'_>) -> Result<(), DbError> {
    sqlx::query!(
        "INSERT INTO event (kind, level, machine_id, operation_id, actor, message, data) VALUES ($1, $2, $3, $4, $5, $6, $7)",
        event.kind,
        event.level,
        event.machine.map(MachineId::as_str),
        event.operation.map(|o| o.0),
        event.actor,
        event.message.replace('\0', "\u{fffd}"),
        event.data,
    )
    .execute(conn)
    .await?;
    Ok(())
}
