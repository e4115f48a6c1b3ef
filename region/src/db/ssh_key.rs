//! SSH keys of users.

use super::DbError;
use crate::model::user::SshKey;
use sqlx::PgConnection;

/// The keys of a user, oldest first.
pub async fn list(conn: &mut PgConnection, user_id: i64) -> Result<Vec<SshKey>, DbError> {
    let rows = sqlx::query!(
        "SELECT id, public_key, created_at FROM ssh_key WHERE user_id = $1 ORDER BY id",
        user_id
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|r| SshKey { id: r.id, public_key: r.public_key, created_at: r.created_at.into() })
        .collect())
}

/// Adds a key.
pub async fn insert(conn: &mut PgConnection, user_id: i64, public_key: &str) -> Result<SshKey, DbError> {
    let r = sqlx::query!(
        "INSERT INTO ssh_key (user_id, public_key) VALUES ($1, $2) RETURNING id, created_at",
        user_id,
        public_key
    )
    .fetch_one(conn)
    .await?;
    Ok(SshKey { id: r.id, public_key: public_key.to_owned(), created_at: r.created_at.into() })
}

/// Removes a key of a user.
pub async fn delete(conn: &mut PgConnection, user_id: i64, id: i64) -> Result<bool, DbError> {
    let done =
        sqlx::query!("DELETE FROM ssh_key WHERE user_id = $1 AND id = $2", user_id, id).execute(conn).await?;
    Ok(done.rows_affected() == 1)
}
