//! Fabrics.

use super::DbError;
use crate::model::network::Fabric;
use sqlx::PgConnection;

/// All fabrics.
pub async fn list(conn: &mut PgConnection) -> Result<Vec<Fabric>, DbError> {
    Ok(sqlx::query_as!(Fabric, "SELECT id, name FROM fabric ORDER BY name").fetch_all(conn).await?)
}

/// Makes a fabric.
pub async fn insert(conn: &mut PgConnection, name: &str) -> Result<Fabric, DbError> {
    Ok(sqlx::query_as!(Fabric, "INSERT INTO fabric (name) VALUES ($1) RETURNING id, name", name)
        .fetch_one(conn)
        .await?)
}

/// Renames a fabric.
pub async fn update(conn: &mut PgConnection, id: i64, name: &str) -> Result<Fabric, DbError> {
    Ok(sqlx::query_as!(Fabric, "UPDATE fabric SET name = $2 WHERE id = $1 RETURNING id, name", id, name)
        .fetch_one(conn)
        .await?)
}

/// Removes a fabric without VLANs.
pub async fn delete(conn: &mut PgConnection, id: i64) -> Result<bool, DbError> {
    Ok(sqlx::query!("DELETE FROM fabric WHERE id = $1", id).execute(conn).await?.rows_affected() == 1)
}
