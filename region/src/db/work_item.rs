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

/// Gives work to a boot: what it has already, and the first items that are not ended and may be under way together,
/// `at_once` in all. An item that an earlier boot had is given anew and counted. In order.
pub async fn give(
    conn: &mut PgConnection,
    operation: OperationId,
    boot: Uuid,
    at_once: u32,
) -> Result<Vec<i64>, DbError> {
    let rows = sqlx::query!(
        "WITH first AS (
             SELECT ordinal, payload ->> 'batch' AS batch FROM work_item
             WHERE operation_id = $1 AND status IN ('pending', 'given') ORDER BY ordinal LIMIT 1),
         chosen AS (
             SELECT w.id FROM work_item w, first
             WHERE w.operation_id = $1 AND w.status IN ('pending', 'given')
               AND (w.ordinal = first.ordinal OR (w.kind = 'script' AND w.payload ->> 'batch' = first.batch))
             ORDER BY w.ordinal LIMIT $3)
         UPDATE work_item w SET status = 'given',
                attempt = attempt + CASE WHEN boot_id IS NOT DISTINCT FROM $2 THEN 0 ELSE 1 END,
                progress_seq = CASE WHEN boot_id IS NOT DISTINCT FROM $2 THEN progress_seq ELSE 0 END,
                boot_id = $2, given_at = coalesce(given_at, now())
         FROM chosen WHERE w.id = chosen.id RETURNING w.id, w.ordinal",
        operation.0,
        boot,
        i64::from(at_once.max(1)),
    )
    .fetch_all(conn)
    .await?;
    let mut given: Vec<_> = rows.into_iter().map(|r| (r.ordinal, r.id)).collect();
    given.sort_unstable();
    Ok(given.into_iter().map(|(_, id)| id).collect())
}

/// A script that an earlier boot had when it ended.
#[derive(Debug, Clone)]
pub struct Interrupted {
    /// Row.
    pub id: i64,
    /// Script.
    pub name: String,
    /// It may restart the machine.
    pub may_reboot: bool,
    /// To how many boots it was given.
    pub attempt: i32,
    /// What it wrote, as far as it was heard: the last mebibyte of characters.
    pub log: String,
}

/// The scripts that this boot would be given and an earlier one already had.
pub async fn interrupted(
    conn: &mut PgConnection,
    operation: OperationId,
    boot: Uuid,
) -> Result<Vec<Interrupted>, DbError> {
    Ok(sqlx::query_as!(
        Interrupted,
        r#"SELECT w.id, r.name, coalesce((w.payload ->> 'may_reboot')::boolean, FALSE) AS "may_reboot!", w.attempt,
                  coalesce((SELECT right(string_agg(l.text, '' ORDER BY l.at, l.seq), 1048576)
                            FROM work_log l WHERE l.work_item_id = w.id), '') AS "log!"
           FROM work_item w JOIN script_run r ON r.work_item_id = w.id
           WHERE w.operation_id = $1 AND w.kind = 'script' AND w.status = 'given' AND w.boot_id IS DISTINCT FROM $2
           ORDER BY w.ordinal"#,
        operation.0,
        boot,
    )
    .fetch_all(conn)
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
