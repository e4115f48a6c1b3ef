//! Boots of the ephemeral environment: evidence that a machine came up, and that it is still there.

use super::DbError;
use rackwright_common::agent::Hello;
use rackwright_common::{MachineId, OperationId};
use sqlx::PgConnection;
use uuid::Uuid;

/// The latest boot of an operation.
#[derive(Debug, Clone)]
pub struct AgentBoot {
    /// Which.
    pub boot_id: Uuid,
    /// Seconds since its hello.
    pub age_seconds: f64,
    /// Seconds since its last request.
    pub silent_seconds: f64,
}

/// Records a hello; a repeat changes nothing.
pub async fn hello(
    conn: &mut PgConnection,
    machine: &MachineId,
    operation: OperationId,
    hello: &Hello,
) -> Result<bool, DbError> {
    let done = sqlx::query!(
        "INSERT INTO agent_boot (boot_id, machine_id, operation_id, version, uptime_ms) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (boot_id) DO UPDATE SET last_seen_at = now(), operation_id = $3
         RETURNING (xmax = 0) AS \"new!\"",
        hello.boot_id,
        machine.as_str(),
        operation.0,
        hello.version,
        i64::try_from(hello.uptime_ms).unwrap_or(i64::MAX),
    )
    .fetch_one(conn)
    .await?;
    Ok(done.new)
}

/// It asked for something.
pub async fn seen(conn: &mut PgConnection, boot: Uuid) -> Result<(), DbError> {
    sqlx::query!("UPDATE agent_boot SET last_seen_at = now() WHERE boot_id = $1", boot).execute(conn).await?;
    Ok(())
}

/// The newest boot of an operation.
pub async fn latest(conn: &mut PgConnection, operation: OperationId) -> Result<Option<AgentBoot>, DbError> {
    let row = sqlx::query!(
        "SELECT boot_id, extract(epoch FROM now() - hello_at)::float8 AS \"age!\", extract(epoch FROM now() - last_seen_at)::float8 AS \"silent!\"
         FROM agent_boot WHERE operation_id = $1 ORDER BY hello_at DESC LIMIT 1",
        operation.0
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|r| AgentBoot { boot_id: r.boot_id, age_seconds: r.age, silent_seconds: r.silent }))
}
