//! Spaces.

use super::DbError;
use crate::model::space::{NewSpace, Space};
use sqlx::PgConnection;

/// All spaces, by name; one when `id` is given.
pub async fn list(conn: &mut PgConnection, id: Option<i64>) -> Result<Vec<Space>, DbError> {
    Ok(sqlx::query_as!(
        Space,
        r#"SELECT id, name, description, ARRAY(SELECT v.id FROM vlan v WHERE v.space_id = space.id ORDER BY v.id) AS "vlans!"
           FROM space WHERE $1::bigint IS NULL OR id = $1 ORDER BY name"#,
        id
    )
    .fetch_all(conn)
    .await?)
}

/// One space.
pub async fn get(conn: &mut PgConnection, id: i64) -> Result<Space, DbError> {
    list(conn, Some(id)).await?.pop().ok_or(DbError::NotFound)
}

/// Makes a space; its number.
pub async fn insert(conn: &mut PgConnection, new: &NewSpace) -> Result<i64, DbError> {
    Ok(sqlx::query_scalar!(
        "INSERT INTO space (name, description) VALUES ($1, $2) RETURNING id",
        new.name,
        new.description
    )
    .fetch_one(conn)
    .await?)
}

/// Changes a space.
pub async fn update(conn: &mut PgConnection, id: i64, new: &NewSpace) -> Result<(), DbError> {
    sqlx::query_scalar!(
        "UPDATE space SET name = $2, description = $3 WHERE id = $1 RETURNING id",
        id,
        new.name,
        new.description
    )
    .fetch_one(conn)
    .await?;
    Ok(())
}

/// Removes a space without VLANs.
pub async fn delete(conn: &mut PgConnection, id: i64) -> Result<bool, DbError> {
    Ok(sqlx::query!("DELETE FROM space WHERE id = $1", id).execute(conn).await?.rows_affected() == 1)
}
