//! API tokens. Only their SHA-256 is stored: they hold 256 random bits, so nothing slower is needed.

use super::DbError;
use super::standby::unless_standby;
use crate::auth::Actor;
use crate::model::Role;
use crate::model::user::Token;
use sqlx::PgConnection;
use std::net::IpAddr;

/// The user that a token speaks for, as far as it lets them, unless it has expired or the user is disabled. Notes the use,
/// once a minute at most.
pub async fn find_actor(
    conn: &mut PgConnection,
    hash: &[u8],
    from: Option<IpAddr>,
) -> Result<Option<Actor>, DbError> {
    let row = sqlx::query!(
        r#"SELECT t.id, t.user_id, t.role AS scope, u.name, u.role, u.restricted,
                  (t.last_used_at IS NULL OR t.last_used_at < now() - interval '1 minute') AS "note!",
                  (SELECT coalesce(jsonb_object_agg(b.pool, b.role), '{}') FROM role_binding b WHERE b.user_id = u.id) AS "pools!"
           FROM token t JOIN "user" u ON u.id = t.user_id
           WHERE t.hash = $1 AND (t.expires_at IS NULL OR t.expires_at > now()) AND NOT u.disabled"#,
        hash
    )
    .fetch_optional(&mut *conn)
    .await?;
    let Some(row) = row else { return Ok(None) };
    if row.note {
        let note =
            sqlx::query!("UPDATE token SET last_used_at = now() WHERE id = $1", row.id).execute(conn).await;
        unless_standby(note)?;
    }
    let corrupt = |_| DbError::Corrupt { what: "role" };
    let mut actor = Actor::new(row.user_id, row.name, row.role.parse().map_err(corrupt)?, from);
    (actor.pools, actor.restricted) = (super::user::pools(row.pools)?, row.restricted);
    actor.token = Some(row.id);
    let scope = row.scope.map(|role| role.parse().map_err(corrupt)).transpose()?;
    Ok(Some(actor.limited(scope)))
}

/// The tokens of a user.
pub async fn list(conn: &mut PgConnection, user_id: i64) -> Result<Vec<Token>, DbError> {
    let rows = sqlx::query!(
        "SELECT id, name, role, created_at, expires_at, last_used_at FROM token WHERE user_id = $1 ORDER BY name",
        user_id
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|r| Token {
            id: r.id,
            name: r.name,
            role: r.role.and_then(|role| role.parse().ok()),
            created_at: r.created_at.into(),
            expires_at: r.expires_at.map(Into::into),
            last_used_at: r.last_used_at.map(Into::into),
        })
        .collect())
}

/// Stores a token.
pub async fn insert(
    conn: &mut PgConnection,
    user_id: i64,
    name: &str,
    hash: &[u8],
    days: Option<u16>,
    role: Option<Role>,
) -> Result<Token, DbError> {
    let r = sqlx::query!(
        "INSERT INTO token (user_id, name, hash, expires_at, role)
         VALUES ($1, $2, $3, now() + make_interval(days => $4), $5) RETURNING id, created_at, expires_at",
        user_id,
        name,
        hash,
        days.map(i32::from),
        role.map(Role::as_str)
    )
    .fetch_one(conn)
    .await?;
    Ok(Token {
        id: r.id,
        name: name.to_owned(),
        role,
        created_at: r.created_at.into(),
        expires_at: r.expires_at.map(Into::into),
        last_used_at: None,
    })
}

/// Removes a token of a user.
pub async fn delete(conn: &mut PgConnection, user_id: i64, id: i64) -> Result<bool, DbError> {
    let done =
        sqlx::query!("DELETE FROM token WHERE user_id = $1 AND id = $2", user_id, id).execute(conn).await?;
    Ok(done.rows_affected() == 1)
}
