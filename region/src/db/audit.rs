//! The audit. Its entries are written by a trigger of the database at each commit, so no program can forget one.

use super::DbError;
use crate::model::audit::{AuditEntry, AuditQuery};
use crate::model::page::MAX_LIMIT;
use sqlx::PgConnection;
use std::net::IpAddr;

/// Says for the rest of the transaction from where it was asked for; entries of events that do not say it themselves have it.
pub async fn set_source(conn: &mut PgConnection, from: Option<IpAddr>) -> Result<(), DbError> {
    let Some(from) = from else { return Ok(()) };
    sqlx::query!("SELECT set_config('rackwright.source', $1, TRUE) AS done", from.to_string())
        .fetch_one(conn)
        .await?;
    Ok(())
}

/// Entries: with `after` the oldest first, otherwise the newest first.
pub async fn list(conn: &mut PgConnection, query: &AuditQuery) -> Result<Vec<AuditEntry>, DbError> {
    let limit = query.limit.unwrap_or(100).clamp(1, MAX_LIMIT);
    let entries = match query.after {
        Some(after) => {
            sqlx::query_as!(
                AuditEntry,
                r#"SELECT number, record, encode(hash, 'hex') AS "hash!" FROM audit
                   WHERE number > $1 AND ($2::text IS NULL OR record::jsonb ->> 'actor' = $2) ORDER BY number LIMIT $3"#,
                after,
                query.actor,
                limit
            )
            .fetch_all(conn)
            .await?
        }
        None => {
            sqlx::query_as!(
                AuditEntry,
                r#"SELECT number, record, encode(hash, 'hex') AS "hash!" FROM audit
                   WHERE number < $1 AND ($2::text IS NULL OR record::jsonb ->> 'actor' = $2) ORDER BY number DESC LIMIT $3"#,
                query.before.unwrap_or(i64::MAX),
                query.actor,
                limit
            )
            .fetch_all(conn)
            .await?
        }
    };
    Ok(entries)
}

/// How many entries there are.
pub async fn count(conn: &mut PgConnection) -> Result<i64, DbError> {
    Ok(sqlx::query_scalar!("SELECT number FROM audit_head").fetch_one(conn).await?)
}
