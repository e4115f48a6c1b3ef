//! What agents do for operations, item by item.

use super::DbError;
use rackwright_common::{MachineId, OperationId};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

/// An item.
#[derive(Debug, Clone)]
pub struct Item {
    /// Row.
    pub id: i64,
    /// For which operation.
    pub operation: OperationId,
    /// Which machine.
    pub machine: MachineId,
    /// `inventory`, `script`, …
    pub kind: String,
    /// As written by the operation.
    pub payload: Value,
    /// `pending`, `given`, `done`, `failed`.
    pub status: String,
    /// The boot it was given to.
    pub boot_id: Option<Uuid>,
    /// To how many boots it was given.
    pub attempt: i32,
    /// Why it failed.
    pub error: String,
    /// Present epoch of the operation.
    pub epoch: i64,
}

/// Appends an item to an operation's list; harmless when `ordinal` is there already.
pub async fn ensure(
    conn: &mut PgConnection,
    operation: OperationId,
    ordinal: i32,
    kind: &str,
    payload: &Value,
) -> Result<i64, DbError> {
    sqlx::query!(
        "INSERT INTO work_item (operation_id, ordinal, kind, payload) VALUES ($1, $2, $3, $4)
         ON CONFLICT (operation_id, ordinal) DO NOTHING",
        operation.0,
        ordinal,
        kind,
        payload,
    )
    .execute(&mut *conn)
    .await?;
    Ok(sqlx::query_scalar!(
        "SELECT id FROM work_item WHERE operation_id = $1 AND ordinal = $2",
        operation.0,
        ordinal
    )
    .fetch_one(conn)
    .await?)
}

/// The items of an operation, in order.
pub async fn list(conn: &mut PgConnection, operation: OperationId) -> Result<Vec<Item>, DbError> {
    Ok(list_with_ordinals(conn, operation).await?.into_iter().map(|(_, item)| item).collect())
}

/// The items of an operation with their places, in order.
pub async fn list_with_ordinals(
    conn: &mut PgConnection,
    operation: OperationId,
) -> Result<Vec<(i32, Item)>, DbError> {
    let rows = sqlx::query!(
        "SELECT w.ordinal, w.id, o.machine_id, w.kind, w.payload, w.status, w.boot_id, w.attempt, w.error, o.epoch
         FROM work_item w JOIN operation o ON o.id = w.operation_id WHERE w.operation_id = $1 ORDER BY w.ordinal",
        operation.0
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|r| {
            let item = Item {
                id: r.id,
                operation,
                machine: r.machine_id.parse().map_err(|_| DbError::Corrupt { what: "machine id" })?,
                kind: r.kind,
                payload: r.payload,
                status: r.status,
                boot_id: r.boot_id,
                attempt: r.attempt,
                error: r.error,
                epoch: r.epoch,
            };
            Ok((r.ordinal, item))
        })
        .collect()
}

/// Reads an item.
pub async fn get(conn: &mut PgConnection, id: i64) -> Result<Item, DbError> {
    let operation = sqlx::query_scalar!("SELECT operation_id FROM work_item WHERE id = $1", id)
        .fetch_one(&mut *conn)
        .await?;
    let items = list(conn, OperationId(operation)).await?;
    items.into_iter().find(|i| i.id == id).ok_or(DbError::NotFound)
}

/// Gives the next item to a boot: the one it has, else the first that is not ended. An item that an earlier boot
/// had is given anew and counted.
pub async fn give_next(
    conn: &mut PgConnection,
    operation: OperationId,
    boot: Uuid,
) -> Result<Option<i64>, DbError> {
    Ok(sqlx::query_scalar!(
        "UPDATE work_item SET status = 'given', attempt = attempt + CASE WHEN boot_id IS NOT DISTINCT FROM $2 THEN 0 ELSE 1 END,
                progress_seq = CASE WHEN boot_id IS NOT DISTINCT FROM $2 THEN progress_seq ELSE 0 END,
                boot_id = $2, given_at = coalesce(given_at, now())
         WHERE id = (SELECT id FROM work_item WHERE operation_id = $1 AND status IN ('pending', 'given') ORDER BY ordinal LIMIT 1)
         RETURNING id",
        operation.0,
        boot,
    )
    .fetch_optional(conn)
    .await?)
}

/// Stores progress; `false` when it is a repeat, or the item is not this boot's any more.
pub async fn progress(
    conn: &mut PgConnection,
    id: i64,
    boot: Uuid,
    seq: i64,
    percent: Option<f32>,
    message: Option<&str>,
) -> Result<bool, DbError> {
    let done = sqlx::query!(
        "UPDATE work_item SET progress_seq = $3, percent = coalesce($4, percent), message = coalesce($5, message)
         WHERE id = $1 AND boot_id = $2 AND status = 'given' AND progress_seq < $3",
        id,
        boot,
        seq,
        percent,
        message,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Most log text kept of one item, bytes.
const LOG_LIMIT: i64 = 4 << 20;

/// Appends log text, up to a limit per item.
pub async fn append_log(
    conn: &mut PgConnection,
    id: i64,
    boot: Uuid,
    seq: i64,
    text: &str,
) -> Result<(), DbError> {
    // PostgreSQL's text has no NUL.
    let text = text.replace('\0', "\u{fffd}");
    sqlx::query!(
        "INSERT INTO work_log (work_item_id, boot_id, seq, text)
         SELECT $1, $2, $3, $4 WHERE (SELECT coalesce(sum(length(text)), 0) FROM work_log WHERE work_item_id = $1) < $5
         ON CONFLICT DO NOTHING",
        id,
        boot,
        seq,
        text,
        LOG_LIMIT,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Ends an item; `false` when it had ended before, so that a repeated result changes nothing.
pub async fn finish(
    conn: &mut PgConnection,
    id: i64,
    ok: bool,
    error: &str,
    duration_ms: i64,
) -> Result<bool, DbError> {
    let done = sqlx::query!(
        "UPDATE work_item SET status = $2, error = $3, duration_ms = $4, finished_at = now(), percent = CASE WHEN $5 THEN 100 ELSE percent END
         WHERE id = $1 AND status = 'given'",
        id,
        if ok { "done" } else { "failed" },
        error.replace('\0', "\u{fffd}"),
        duration_ms,
        ok,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}
