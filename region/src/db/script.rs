//! Scripts, each upload a version; the highest runs.

use super::DbError;
use crate::model::script::Script;
use rackwright_common::script::ScriptMetadata;
use sqlx::PgConnection;
use sqlx::types::Json;

struct Row {
    id: i64,
    name: String,
    version: i32,
    builtin: bool,
    metadata: Json<ScriptMetadata>,
    created_at: time::OffsetDateTime,
    body: Option<String>,
}

impl From<Row> for Script {
    fn from(r: Row) -> Self {
        Self {
            id: r.id,
            name: r.name,
            version: r.version,
            builtin: r.builtin,
            metadata: r.metadata.0,
            created_at: r.created_at.into(),
            body: r.body,
        }
    }
}

/// The current version of every script, by name, without bodies.
pub async fn list(conn: &mut PgConnection) -> Result<Vec<Script>, DbError> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT DISTINCT ON (name) id, name, version, builtin, metadata AS "metadata: Json<ScriptMetadata>",
                  created_at, NULL::text AS body
           FROM script ORDER BY name, version DESC"#
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(Script::from).collect())
}

/// One version of a script with its body; the current one when `version` is absent.
pub async fn find(
    conn: &mut PgConnection,
    name: &str,
    version: Option<i32>,
) -> Result<Option<Script>, DbError> {
    let row = sqlx::query_as!(
        Row,
        r#"SELECT id, name, version, builtin, metadata AS "metadata: Json<ScriptMetadata>", created_at, body
           FROM script WHERE name = $1 AND ($2::int IS NULL OR version = $2) ORDER BY version DESC LIMIT 1"#,
        name,
        version
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(Script::from))
}

/// Stores the next version; its number.
pub async fn insert(
    conn: &mut PgConnection,
    metadata: &ScriptMetadata,
    body: &str,
    builtin: bool,
) -> Result<i32, DbError> {
    sqlx::query!("SELECT pg_advisory_xact_lock(hashtext('script:' || $1)) IS NULL AS done", metadata.name)
        .fetch_one(&mut *conn)
        .await?;
    Ok(sqlx::query_scalar!(
        "INSERT INTO script (name, version, body, metadata, builtin)
         VALUES ($1, 1 + coalesce((SELECT max(version) FROM script WHERE name = $1), 0), $2, $3, $4) RETURNING version",
        metadata.name,
        body,
        Json(metadata) as _,
        builtin
    )
    .fetch_one(conn)
    .await?)
}

/// Removes all versions of a script; how many there were. Fails when results refer to one.
pub async fn delete(conn: &mut PgConnection, name: &str) -> Result<u64, DbError> {
    Ok(sqlx::query!("DELETE FROM script WHERE name = $1", name).execute(conn).await?.rows_affected())
}

/// Keeps others from storing scripts until the transaction ends.
pub async fn lock(conn: &mut PgConnection) -> Result<(), DbError> {
    sqlx::query!("LOCK TABLE script IN SHARE ROW EXCLUSIVE MODE").execute(conn).await?;
    Ok(())
}
