//! Domains.

use super::DbError;
use crate::model::domain::{Domain, NewDomain};
use sqlx::PgConnection;

/// All domains, by name; one when `id` is given.
pub async fn list(conn: &mut PgConnection, id: Option<i64>) -> Result<Vec<Domain>, DbError> {
    Ok(sqlx::query_as!(
        Domain,
        r#"SELECT id, name, ttl, is_default, (SELECT count(*) FROM dns_record r WHERE r.domain_id = d.id) AS "records!"
           FROM domain d WHERE $1::bigint IS NULL OR id = $1 ORDER BY name"#,
        id
    )
    .fetch_all(conn)
    .await?)
}

/// One domain.
pub async fn get(conn: &mut PgConnection, id: i64) -> Result<Domain, DbError> {
    list(conn, Some(id)).await?.pop().ok_or(DbError::NotFound)
}

/// Whether there is a domain of this name.
pub async fn exists(conn: &mut PgConnection, name: &str) -> Result<bool, DbError> {
    Ok(sqlx::query_scalar!(r#"SELECT EXISTS (SELECT 1 FROM domain WHERE name = $1) AS "is!""#, name)
        .fetch_one(conn)
        .await?)
}

/// Makes a domain; its number.
pub async fn insert(conn: &mut PgConnection, new: &NewDomain) -> Result<i64, DbError> {
    Ok(sqlx::query_scalar!("INSERT INTO domain (name, ttl) VALUES ($1, $2) RETURNING id", new.name, new.ttl)
        .fetch_one(conn)
        .await?)
}

/// Changes a domain.
pub async fn update(conn: &mut PgConnection, id: i64, new: &NewDomain) -> Result<(), DbError> {
    sqlx::query_scalar!(
        "UPDATE domain SET name = $2, ttl = $3 WHERE id = $1 RETURNING id",
        id,
        new.name,
        new.ttl
    )
    .fetch_one(conn)
    .await?;
    Ok(())
}

/// Makes it the default one.
pub async fn set_default(conn: &mut PgConnection, id: i64) -> Result<(), DbError> {
    sqlx::query!("UPDATE domain SET is_default = FALSE WHERE is_default AND id <> $1", id)
        .execute(&mut *conn)
        .await?;
    sqlx::query!("UPDATE domain SET is_default = TRUE WHERE id = $1", id).execute(conn).await?;
    Ok(())
}

/// Removes a domain with its records; refused while machines are in it.
pub async fn delete(conn: &mut PgConnection, id: i64) -> Result<bool, DbError> {
    Ok(sqlx::query!("DELETE FROM domain WHERE id = $1", id).execute(conn).await?.rows_affected() == 1)
}

/// Lets one change of domains and records happen after the other: what one record may be depends on the others.
pub async fn lock(conn: &mut PgConnection) -> Result<(), DbError> {
    sqlx::query!("LOCK TABLE domain, dns_record IN SHARE ROW EXCLUSIVE MODE").execute(conn).await?;
    Ok(())
}
