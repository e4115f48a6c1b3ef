//! Sessions of the web pages. Only the hash of a session's token is stored.

use super::DbError;
use super::standby::unless_standby;
use crate::model::{Role, Timestamp};
use sqlx::PgConnection;

/// A session that has not expired.
#[derive(Debug, Clone)]
pub struct Session {
    /// Whose.
    pub user_id: i64,
    /// Their name.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// Has to come with every change.
    pub csrf: String,
    /// Until when.
    pub expires_at: Timestamp,
}

/// How long a session lasts without being used, seconds.
pub const SESSION_SECONDS: f64 = 14.0 * 24.0 * 3600.0;

/// Begins a session; until when it lasts. Expired ones of everybody are removed.
pub async fn insert(
    conn: &mut PgConnection,
    hash: &[u8],
    user_id: i64,
    csrf: &str,
) -> Result<Timestamp, DbError> {
    sqlx::query!("DELETE FROM session WHERE expires_at < now()").execute(&mut *conn).await?;
    let expires_at = sqlx::query_scalar!(
        "INSERT INTO session (token_hash, user_id, csrf, expires_at)
         VALUES ($1, $2, $3, now() + make_interval(secs => $4)) RETURNING expires_at",
        hash,
        user_id,
        csrf,
        SESSION_SECONDS
    )
    .fetch_one(conn)
    .await?;
    Ok(expires_at.into())
}

/// The session with this token, unless it has expired or its user is disabled.
pub async fn find(conn: &mut PgConnection, hash: &[u8]) -> Result<Option<Session>, DbError> {
    let row = sqlx::query!(
        r#"SELECT s.user_id, u.name, u.role, s.csrf, s.expires_at FROM session s JOIN "user" u ON u.id = s.user_id
           WHERE s.token_hash = $1 AND s.expires_at > now() AND NOT u.disabled"#,
        hash
    )
    .fetch_optional(conn)
    .await?;
    row.map(|r| {
        let role = r.role.parse().map_err(|_| DbError::Corrupt { what: "role" })?;
        Ok(Session { user_id: r.user_id, name: r.name, role, csrf: r.csrf, expires_at: r.expires_at.into() })
    })
    .transpose()
}

/// Lengthens a session that is more than a day nearer to its end than a fresh one.
pub async fn extend(conn: &mut PgConnection, hash: &[u8]) -> Result<(), DbError> {
    let extended = sqlx::query!(
        "UPDATE session SET expires_at = now() + make_interval(secs => $2::float8)
         WHERE token_hash = $1 AND expires_at < now() + make_interval(secs => $2::float8 - 86400)",
        hash,
        SESSION_SECONDS
    )
    .execute(conn)
    .await;
    unless_standby(extended)
}

/// Ends a session.
pub async fn delete(conn: &mut PgConnection, hash: &[u8]) -> Result<(), DbError> {
    sqlx::query!("DELETE FROM session WHERE token_hash = $1", hash).execute(conn).await?;
    Ok(())
}

/// Ends all sessions of a user.
pub async fn delete_of_user(conn: &mut PgConnection, user_id: i64) -> Result<(), DbError> {
    sqlx::query!("DELETE FROM session WHERE user_id = $1", user_id).execute(conn).await?;
    Ok(())
}
