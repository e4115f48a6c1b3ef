//! Replies kept under the `Idempotency-Key` of their request.

use super::DbError;
use sqlx::PgConnection;

/// What is known of a key.
#[derive(Debug, Clone, PartialEq)]
pub enum Known {
    /// Nothing: the request is ours to answer.
    New,
    /// The first request is still being answered.
    Underway,
    /// It was answered like this; `response` is sealed.
    Answered {
        /// HTTP status.
        status: u16,
        /// As [`finish`] stored it.
        response: serde_json::Value,
    },
    /// The key was used for another request.
    Other,
}

/// Takes a key, or says what became of its first use. Keys are kept for a day; an answer that never came (the
/// region died) gives the key free after a minute.
pub async fn begin(conn: &mut PgConnection, user: i64, key: &str, hash: &[u8]) -> Result<Known, DbError> {
    sqlx::query!(
        "DELETE FROM idempotency_key WHERE created_at < now() - interval '1 day'
            OR (user_id = $1 AND key = $2 AND status IS NULL AND created_at < now() - interval '1 minute')",
        user,
        key
    )
    .execute(&mut *conn)
    .await?;
    let inserted = sqlx::query!(
        "INSERT INTO idempotency_key (user_id, key, request_hash) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        user,
        key,
        hash
    )
    .execute(&mut *conn)
    .await?;
    if inserted.rows_affected() == 1 {
        return Ok(Known::New);
    }
    let row = sqlx::query!(
        "SELECT request_hash, status, response FROM idempotency_key WHERE user_id = $1 AND key = $2",
        user,
        key
    )
    .fetch_optional(conn)
    .await?;
    Ok(match row {
        Some(row) if row.request_hash != hash => Known::Other,
        Some(row) => match row.status.and_then(|s| u16::try_from(s).ok()) {
            Some(status) => Known::Answered { status, response: row.response.unwrap_or_default() },
            None => Known::Underway,
        },
        None => Known::Underway,
    })
}

/// Keeps an answer.
pub async fn finish(
    conn: &mut PgConnection,
    user: i64,
    key: &str,
    status: u16,
    response: &serde_json::Value,
) -> Result<(), DbError> {
    sqlx::query!(
        "UPDATE idempotency_key SET status = $3, response = $4 WHERE user_id = $1 AND key = $2",
        user,
        key,
        i32::from(status),
        response
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Forgets a key whose request failed on our side, so that it can be tried again.
pub async fn forget(conn: &mut PgConnection, user: i64, key: &str) -> Result<(), DbError> {
    sqlx::query!("DELETE FROM idempotency_key WHERE user_id = $1 AND key = $2", user, key)
        .execute(conn)
        .await?;
    Ok(())
}
