//! `Idempotency-Key`s: who may carry a request out, whether that has happened, and what was answered.

use super::DbError;
use sqlx::PgConnection;

/// The right to carry out a request, until somebody else takes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Whose key.
    pub user: i64,
    /// The key.
    pub key: String,
    /// Counts the claims on it.
    pub epoch: i64,
}

/// What is known of a key.
#[derive(Debug, Clone, PartialEq)]
pub enum Known {
    /// The request is ours to carry out.
    New(Claim),
    /// It is carried out and about to be answered.
    Underway,
    /// It was carried out, and whoever did it has died before the answer was kept.
    Lost,
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

/// Takes a key, or says what became of its first use. Keys are kept for a day. A claim passes to whoever asks next until
/// its transaction is committed; one that is being committed is waited for. A region that has committed has ten seconds
/// to keep its answer.
pub async fn begin(conn: &mut PgConnection, user: i64, key: &str, hash: &[u8]) -> Result<Known, DbError> {
    sqlx::query!("DELETE FROM idempotency_key WHERE created_at < now() - interval '1 day'")
        .execute(&mut *conn)
        .await?;
    let claimed = sqlx::query_scalar!(
        "INSERT INTO idempotency_key AS known (user_id, key, request_hash) VALUES ($1, $2, $3)
         ON CONFLICT (user_id, key) DO UPDATE SET epoch = known.epoch + 1, created_at = now()
            WHERE known.request_hash = $3 AND known.status IS NULL AND NOT known.carried_out
         RETURNING epoch",
        user,
        key,
        hash
    )
    .fetch_optional(&mut *conn)
    .await?;
    if let Some(epoch) = claimed {
        return Ok(Known::New(Claim { user, key: key.to_owned(), epoch }));
    }
    let row = sqlx::query!(
        r#"SELECT request_hash, status, response,
                  carried_out AND created_at < now() - interval '10 seconds' AS "lost!"
           FROM idempotency_key WHERE user_id = $1 AND key = $2"#,
        user,
        key
    )
    .fetch_optional(conn)
    .await?;
    Ok(match row {
        Some(row) if row.request_hash != hash => Known::Other,
        Some(row) => match row.status.and_then(|s| u16::try_from(s).ok()) {
            Some(status) => Known::Answered { status, response: row.response.unwrap_or_default() },
            None if row.lost => Known::Lost,
            None => Known::Underway,
        },
        None => Known::Underway,
    })
}

/// Says, in the transaction that carries the request out, that it is carried out; `false` when somebody else has taken
/// the claim.
pub async fn carry_out(conn: &mut PgConnection, claim: &Claim) -> Result<bool, DbError> {
    let done = sqlx::query!(
        "UPDATE idempotency_key SET carried_out = TRUE WHERE user_id = $1 AND key = $2 AND epoch = $3",
        claim.user,
        claim.key,
        claim.epoch
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Keeps an answer.
pub async fn finish(
    conn: &mut PgConnection,
    claim: &Claim,
    status: u16,
    response: &serde_json::Value,
) -> Result<(), DbError> {
    sqlx::query!(
        "UPDATE idempotency_key SET status = $4, response = $5 WHERE user_id = $1 AND key = $2 AND epoch = $3",
        claim.user,
        claim.key,
        claim.epoch,
        i32::from(status),
        response
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Gives up a claim on a request that failed on our side, so that it can be tried again at once, unless it was carried
/// out before it failed.
pub async fn forget(conn: &mut PgConnection, claim: &Claim) -> Result<(), DbError> {
    sqlx::query!(
        "DELETE FROM idempotency_key WHERE user_id = $1 AND key = $2 AND epoch = $3 AND NOT carried_out",
        claim.user,
        claim.key,
        claim.epoch
    )
    .execute(conn)
    .await?;
    Ok(())
}
