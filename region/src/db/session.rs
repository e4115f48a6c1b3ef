//! Sessions of the web pages. Only the hash of a session's token is stored.

use super::DbError;
use super::standby::unless_standby;
use crate::model::user::SessionInfo;
use crate::model::{Role, Timestamp};
use sqlx::PgConnection;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// A session that has not expired.
#[derive(Debug, Clone)]
pub struct Session {
    /// Whose.
    pub user_id: i64,
    /// Their name.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// What they may do with the machines of a pool.
    pub pools: BTreeMap<String, Role>,
    /// They see those only.
    pub restricted: bool,
    /// Number.
    pub id: i64,
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
    (source, program): (Option<IpAddr>, &str),
) -> Result<Timestamp, DbError> {
    sqlx::query!("DELETE FROM session WHERE expires_at < now()").execute(&mut *conn).await?;
    let expires_at = sqlx::query_scalar!(
        "INSERT INTO session (token_hash, user_id, csrf, expires_at, source, program, last_used_at)
         VALUES ($1, $2, $3, now() + make_interval(secs => $4), $5, $6, now()) RETURNING expires_at",
        hash,
        user_id,
        csrf,
        SESSION_SECONDS,
        source.map(|address| address.to_string()),
        program
    )
    .fetch_one(conn)
    .await?;
    Ok(expires_at.into())
}

/// The session with this token, unless it has expired or its user is disabled.
pub async fn find(conn: &mut PgConnection, hash: &[u8]) -> Result<Option<Session>, DbError> {
    let row = sqlx::query!(
        r#"SELECT s.id, s.user_id, u.name, u.role, u.restricted, s.csrf, s.expires_at,
                  (SELECT coalesce(jsonb_object_agg(b.pool, b.role), '{}') FROM role_binding b WHERE b.user_id = u.id) AS "pools!"
           FROM session s JOIN "user" u ON u.id = s.user_id
           WHERE s.token_hash = $1 AND s.expires_at > now() AND NOT u.disabled"#,
        hash
    )
    .fetch_optional(conn)
    .await?;
    row.map(|r| {
        let role = r.role.parse().map_err(|_| DbError::Corrupt { what: "role" })?;
        Ok(Session {
            user_id: r.user_id,
            name: r.name,
            role,
            pools: super::user::pools(r.pools)?,
            restricted: r.restricted,
            id: r.id,
            csrf: r.csrf,
            expires_at: r.expires_at.into(),
        })
    })
    .transpose()
}

/// Lengthens a session, and notes its use, once a minute at most.
pub async fn extend(conn: &mut PgConnection, hash: &[u8]) -> Result<(), DbError> {
    let extended = sqlx::query!(
        "UPDATE session SET expires_at = now() + make_interval(secs => $2::float8), last_used_at = now()
         WHERE token_hash = $1 AND (last_used_at IS NULL OR last_used_at < now() - interval '1 minute')",
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

/// Sessions that have not expired, the latest used first: of a user, or of everybody.
pub async fn list(conn: &mut PgConnection, user: Option<&str>) -> Result<Vec<SessionInfo>, DbError> {
    let rows = sqlx::query!(
        r#"SELECT s.id, u.name, s.source, s.program, s.created_at, s.last_used_at, s.expires_at
           FROM session s JOIN "user" u ON u.id = s.user_id
           WHERE s.expires_at > now() AND ($1::text IS NULL OR u.name = $1)
           ORDER BY s.last_used_at DESC NULLS LAST, s.id DESC LIMIT 1000"#,
        user
    )
    .fetch_all(conn)
    .await?;
    let info = rows.into_iter().map(|r| SessionInfo {
        id: r.id,
        user: r.name,
        current: false,
        source: r.source,
        program: r.program,
        created_at: r.created_at.into(),
        last_used_at: r.last_used_at.map(Into::into),
        expires_at: r.expires_at.into(),
    });
    Ok(info.collect())
}

/// Ends a session by its number: of a user, or of anybody; whose it was.
pub async fn delete_by_id(
    conn: &mut PgConnection,
    id: i64,
    user_id: Option<i64>,
) -> Result<Option<String>, DbError> {
    Ok(sqlx::query_scalar!(
        r#"DELETE FROM session s USING "user" u WHERE u.id = s.user_id AND s.id = $1 AND ($2::bigint IS NULL OR s.user_id = $2)
           RETURNING u.name"#,
        id,
        user_id
    )
    .fetch_optional(conn)
    .await?)
}
