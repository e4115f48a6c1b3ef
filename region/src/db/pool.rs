//! Resource pools: named groups of machines.

use super::DbError;
use crate::model::network::Group;
use sqlx::PgConnection;

/// All of them, by name, with the number of their machines.
pub async fn list(conn: &mut PgConnection) -> Result<Vec<Group>, DbError> {
    Ok(sqlx::query_as!(
        Group,
        r#"SELECT g.name, g.description, (SELECT count(*) FROM machine m WHERE m.pool = g.name) AS "machines!"
           FROM pool g ORDER BY g.name"#
    )
    .fetch_all(conn)
    .await?)
}

/// Makes one, or changes its description.
pub async fn put(conn: &mut PgConnection, name: &str, description: &str) -> Result<(), DbError> {
    sqlx::query!(
        "INSERT INTO pool (name, description) VALUES ($1, $2)
         ON CONFLICT (name) DO UPDATE SET description = $2",
        name,
        description
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Removes one; refused by the database while machines are in it.
pub async fn delete(conn: &mut PgConnection, name: &str) -> Result<bool, DbError> {
    Ok(sqlx::query!("DELETE FROM pool WHERE name = $1", name).execute(conn).await?.rows_affected() == 1)
}
