//! Keys that zones are signed with.

use super::DbError;
use sqlx::PgConnection;
use std::collections::BTreeMap;
use time::OffsetDateTime;

/// A key with its sealed secret.
#[derive(Debug, Clone)]
pub struct Stored {
    /// Number.
    pub id: i64,
    /// Name of its zone.
    pub zone: String,
    /// The public part, 32 bytes.
    pub public: Vec<u8>,
    /// The secret, sealed.
    pub secret: Vec<u8>,
    /// Since when.
    pub created_at: OffsetDateTime,
}

/// All keys, the oldest of a zone first.
pub async fn list(conn: &mut PgConnection) -> Result<Vec<Stored>, DbError> {
    Ok(sqlx::query_as!(
        Stored,
        "SELECT id, zone, public, secret, created_at FROM dns_key ORDER BY zone, created_at, id"
    )
    .fetch_all(conn)
    .await?)
}

/// All keys by the names of their zones.
pub async fn by_zone(conn: &mut PgConnection) -> Result<BTreeMap<String, Vec<Stored>>, DbError> {
    let mut zones: BTreeMap<String, Vec<Stored>> = BTreeMap::new();
    for key in list(conn).await? {
        zones.entry(key.zone.clone()).or_default().push(key);
    }
    Ok(zones)
}

/// Enters a key; its number.
pub async fn insert(
    conn: &mut PgConnection,
    zone: &str,
    public: &[u8],
    secret: &[u8],
) -> Result<i64, DbError> {
    Ok(sqlx::query_scalar!(
        "INSERT INTO dns_key (zone, public, secret) VALUES ($1, $2, $3) RETURNING id",
        zone,
        public,
        secret
    )
    .fetch_one(conn)
    .await?)
}

/// Removes a key.
pub async fn delete(conn: &mut PgConnection, id: i64) -> Result<(), DbError> {
    sqlx::query!("DELETE FROM dns_key WHERE id = $1", id).execute(conn).await?;
    Ok(())
}
