//! Name servers that get copies of all zones.

use super::DbError;
use crate::model::domain::{Secondary, SecondaryCopy};
use sqlx::PgConnection;
use std::collections::BTreeMap;
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
    .fetch_all(&mut *conn)
    .await?;
    let mut copies = copies(conn).await?;
    rows.into_iter()
        .map(|r| {
            Ok(Secondary {
                copies: copies.remove(&r.name).unwrap_or_default(),
                name: r.name,
                address: r.address.parse().map_err(|_| DbError::Corrupt { what: "address" })?,
                port: r.port,
                created_at: r.created_at.into(),
            })
        })
        .collect()
}

/// What each of them copied last, by their names.
async fn copies(conn: &mut PgConnection) -> Result<BTreeMap<String, Vec<SecondaryCopy>>, DbError> {
    let rows = sqlx::query!(
        r#"SELECT c.secondary, c.zone, c.serial, c.copied_at,
                  c.serial <> z.serial & 4294967295 AND z.changed_at < now() - interval '5 minutes' AS "behind!"
           FROM secondary_copy c JOIN dns_zone z ON z.origin = c.zone WHERE NOT z.gone ORDER BY c.zone"#
    )
    .fetch_all(conn)
    .await?;
    let mut copies: BTreeMap<String, Vec<SecondaryCopy>> = BTreeMap::new();
    for r in rows {
        let (zone, serial, copied_at) = (r.zone, r.serial, r.copied_at.into());
        copies.entry(r.secondary).or_default().push(SecondaryCopy {
            zone,
            serial,
            copied_at,
            behind: r.behind,
        });
    }
    Ok(copies)
}

/// Notes that a secondary got a copy of a zone.
pub async fn note_copy(conn: &mut PgConnection, name: &str, zone: &str, serial: u32) -> Result<(), DbError> {
    sqlx::query!(
        "INSERT INTO secondary_copy (secondary, zone, serial)
         SELECT s.name, z.origin, $3 FROM secondary s, dns_zone z WHERE s.name = $1 AND z.origin = $2
         ON CONFLICT (secondary, zone) DO UPDATE SET serial = $3, copied_at = now()",
        name,
        zone,
        i64::from(serial)
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// A secondary that has begun to lag behind, or has caught up.
#[derive(Debug, Clone)]
pub struct Lag {
    /// Its name.
    pub secondary: String,
    /// The zone.
    pub zone: String,
    /// It lags behind.
    pub behind: bool,
}

/// Who has begun to lag behind or has caught up; to one caller once.
pub async fn take_lags(conn: &mut PgConnection) -> Result<Vec<Lag>, DbError> {
    Ok(sqlx::query_as!(
        Lag,
        r#"UPDATE secondary_copy c SET told = NOT c.told
           FROM dns_zone z WHERE z.origin = c.zone AND NOT z.gone
            AND c.told <> (c.serial <> z.serial & 4294967295 AND z.changed_at < now() - interval '5 minutes')
            AND (NOT c.told OR c.serial = z.serial & 4294967295)
           RETURNING c.secondary, c.zone, c.told AS behind"#
    )
    .fetch_all(conn)
    .await?)
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
