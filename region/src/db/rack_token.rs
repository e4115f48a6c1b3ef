//! One-time secrets with which a box becomes a rack or a region. Only their SHA-256 is stored, which is the key of the
//! box's proof: whoever reads this table could use the tokens in it until they expire.

use super::DbError;
use crate::model::Timestamp;
use crate::model::controller_token::Controller;
use sqlx::PgConnection;

/// Stores a secret for the rack or region of this name; until when it is good. Expired ones of everybody are removed.
pub async fn insert(
    conn: &mut PgConnection,
    hash: &[u8],
    (controller, name): (Controller, &str),
    seconds: u32,
) -> Result<Timestamp, DbError> {
    sqlx::query!("DELETE FROM rack_token WHERE expires_at < now()").execute(&mut *conn).await?;
    let expires_at = sqlx::query_scalar!(
        "INSERT INTO rack_token (secret_hash, rack_name, expires_at, controller)
         VALUES ($1, $2, now() + make_interval(secs => $3), $4) RETURNING expires_at",
        hash,
        name,
        f64::from(seconds),
        controller.as_str()
    )
    .fetch_one(conn)
    .await?;
    Ok(expires_at.into())
}

/// The hashes that are good for this rack or region now, locked: two boxes cannot use the same one.
pub async fn lock_valid(
    conn: &mut PgConnection,
    (controller, name): (Controller, &str),
) -> Result<Vec<Vec<u8>>, DbError> {
    Ok(sqlx::query_scalar!(
        "SELECT secret_hash FROM rack_token WHERE rack_name = $1 AND controller = $2 AND expires_at > now() FOR UPDATE",
        name,
        controller.as_str()
    )
    .fetch_all(conn)
    .await?)
}

/// Ends a secret.
pub async fn delete(conn: &mut PgConnection, hash: &[u8]) -> Result<(), DbError> {
    sqlx::query!("DELETE FROM rack_token WHERE secret_hash = $1", hash).execute(conn).await?;
    Ok(())
}
