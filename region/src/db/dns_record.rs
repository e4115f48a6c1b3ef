//! Records that people entered.

use super::DbError;
use crate::model::domain::{DnsRecord, NewDnsRecord};
use sqlx::PgConnection;
use time::OffsetDateTime;

struct Row {
    id: i64,
    domain: String,
    name: String,
    kind: String,
    data: String,
    ttl: Option<i32>,
    created_at: OffsetDateTime,
}

impl From<Row> for DnsRecord {
    fn from(r: Row) -> Self {
        let Row { id, domain, name, kind, data, ttl, created_at } = r;
        Self { id, domain, name, kind, data, ttl, created_at: created_at.into() }
    }
}

/// Records, by name; of one domain when given.
pub async fn list(conn: &mut PgConnection, domain: Option<&str>) -> Result<Vec<DnsRecord>, DbError> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT r.id, d.name AS domain, r.name, r.type AS kind, r.data, r.ttl, r.created_at
           FROM dns_record r JOIN domain d ON d.id = r.domain_id
           WHERE $1::text IS NULL OR d.name = $1 ORDER BY r.name, r.type, r.data"#,
        domain
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(DnsRecord::from).collect())
}

/// One record.
pub async fn get(conn: &mut PgConnection, id: i64) -> Result<DnsRecord, DbError> {
    let row = sqlx::query_as!(
        Row,
        r#"SELECT r.id, d.name AS domain, r.name, r.type AS kind, r.data, r.ttl, r.created_at
           FROM dns_record r JOIN domain d ON d.id = r.domain_id WHERE r.id = $1"#,
        id
    )
    .fetch_one(conn)
    .await?;
    Ok(row.into())
}

/// Records of one name.
pub async fn named(conn: &mut PgConnection, name: &str) -> Result<Vec<DnsRecord>, DbError> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT r.id, d.name AS domain, r.name, r.type AS kind, r.data, r.ttl, r.created_at
           FROM dns_record r JOIN domain d ON d.id = r.domain_id WHERE r.name = $1 ORDER BY r.id"#,
        name
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(DnsRecord::from).collect())
}

/// Enters a record; its number.
pub async fn insert(conn: &mut PgConnection, domain: i64, new: &NewDnsRecord) -> Result<i64, DbError> {
    Ok(sqlx::query_scalar!(
        "INSERT INTO dns_record (domain_id, name, type, data, ttl) VALUES ($1, $2, $3, $4, $5) RETURNING id",
        domain,
        new.name,
        new.kind,
        new.data,
        new.ttl
    )
    .fetch_one(conn)
    .await?)
}

/// Changes a record.
pub async fn update(
    conn: &mut PgConnection,
    id: i64,
    domain: i64,
    new: &NewDnsRecord,
) -> Result<(), DbError> {
    sqlx::query_scalar!(
        "UPDATE dns_record SET domain_id = $2, name = $3, type = $4, data = $5, ttl = $6 WHERE id = $1 RETURNING id",
        id,
        domain,
        new.name,
        new.kind,
        new.data,
        new.ttl
    )
    .fetch_one(conn)
    .await?;
    Ok(())
}

/// Removes a record.
pub async fn delete(conn: &mut PgConnection, id: i64) -> Result<bool, DbError> {
    Ok(sqlx::query!("DELETE FROM dns_record WHERE id = $1", id).execute(conn).await?.rows_affected() == 1)
}
