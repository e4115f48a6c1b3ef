//! Name servers that get copies of all zones.

use super::DbError;
use crate::model::domain::Secondary;
use sqlx::PgConnection;
use std::net::IpAddr;

/// A secondary with its sealed key.
#[derive(Debug, Clone)]
pub struct Stored {
    /// Its name, and its key's.
    pub name: String,
    /// Its address.
    pub address: IpAddr,
    /// Its port.
    pub port: u16,
    /// The key, sealed.
    pub secret: Vec<u8>,
}

/// All secondaries, by name.
pub async fn list(conn: &mut PgConnection) -> Result<Vec<Secondary>, DbError> {
    let rows = sqlx::query!(
        r#"SELECT name, host(address) AS "address!", port, created_at FROM secondary ORDER BY name"#
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|r| {
            Ok(Secondary {
                name: r.name,
                address: r.address.parse().map_err(|_| DbError::Corrupt { what: "address" })?,
                port: r.port,
                created_at: r.created_at.into(),
            })
        })
        .collect()
}

/// All of them with their sealed keys.
pub async fn keys(conn: &mut PgConnection) -> Result<Vec<Stored>, DbError> {
    let rows = sqlx::query!(
        r#"SELECT name, host(address) AS "address!", port, secret FROM secondary ORDER BY name"#
    )
    .fetch_all(conn)
    .await?;
    let stored = |(name, address, port, secret): (_, String, i32, _)| {
        Some(Stored { name, address: address.parse().ok()?, port: u16::try_from(port).ok()?, secret })
    };
    Ok(rows.into_iter().filter_map(|r| stored((r.name, r.address, r.port, r.secret))).collect())
}

/// Enters a secondary.
pub async fn insert(
    conn: &mut PgConnection,
    name: &str,
    address: IpAddr,
    port: i32,
    secret: &[u8],
) -> Result<(), DbError> {
    sqlx::query!(
        "INSERT INTO secondary (name, address, port, secret) VALUES ($1, $2::text::inet, $3, $4)",
        name,
        address.to_string(),
        port,
        secret
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Removes a secondary.
pub async fn delete(conn: &mut PgConnection, name: &str) -> Result<bool, DbError> {
    Ok(sqlx::query!("DELETE FROM secondary WHERE name = $1", name).execute(conn).await?.rows_affected() == 1)
}
