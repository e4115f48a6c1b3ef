//! What a database has to forget when it was restored from a backup, and what it has to be ahead of.

use super::DbError;
use rackwright_common::{MachineId, OperationId};
use sqlx::PgConnection;

/// By so much every counter goes ahead: nobody has seen a number that is given out from now on, whatever was done
/// between the backup and its restoration.
pub const AHEAD: i64 = 1_000_000;

/// Says that a restoration has begun, until [`end`]. It is said outside the schema that is emptied and filled, so it
/// stays whatever becomes of that.
pub async fn begin(url: &str) -> Result<(), DbError> {
    let mut conn = super::connector::connect(url).await?;
    sqlx::query("CREATE SCHEMA IF NOT EXISTS rackwright_restore").execute(&mut conn).await?;
    Ok(())
}

/// Whether a restoration has begun and not ended: what runs in such a database may have ended long ago in the world.
pub async fn is_unfinished(conn: &mut PgConnection) -> Result<bool, DbError> {
    let marked = sqlx::query_scalar("SELECT to_regnamespace('rackwright_restore') IS NOT NULL");
    Ok(marked.fetch_one(conn).await?)
}

/// The restored database is put right.
pub async fn end(conn: &mut PgConnection) -> Result<(), DbError> {
    sqlx::query("DROP SCHEMA IF EXISTS rackwright_restore").execute(conn).await?;
    Ok(())
}

/// Removes everything in the schema. For a database that is about to be restored over another one.
pub async fn empty(url: &str) -> Result<(), DbError> {
    let mut conn = super::connector::connect(url).await?;
    for statement in ["DROP SCHEMA public CASCADE", "CREATE SCHEMA public"] {
        sqlx::query(statement).execute(&mut conn).await?;
    }
    Ok(())
}

/// How many tables there are.
pub async fn tables(url: &str) -> Result<i64, DbError> {
    let mut conn = super::connector::connect(url).await?;
    Ok(sqlx::query_scalar!(
        r#"SELECT count(*) AS "n!" FROM pg_catalog.pg_tables WHERE schemaname = 'public'"#
    )
    .fetch_one(&mut conn)
    .await?)
}

/// Raises every counter by [`AHEAD`]: racks and agents refuse what is older than they have seen.
pub async fn go_ahead(conn: &mut PgConnection) -> Result<(), DbError> {
    sqlx::query!(
        r#"SELECT count(setval(format('%I.%I', schemaname, sequencename)::regclass, coalesce(last_value, 0) + $1)) AS "n!"
           FROM pg_catalog.pg_sequences WHERE schemaname = 'public'"#,
        AHEAD
    )
    .fetch_one(&mut *conn)
    .await?;
    sqlx::query!("UPDATE lease_change SET number = number + $1", AHEAD).execute(conn).await?;
    Ok(())
}

/// Forgets what was only good at the time of the backup: who was logged in, tokens of new controllers, which regions
/// lived, what waited for racks. Every rack gets a new picture of the world.
pub async fn forget(conn: &mut PgConnection) -> Result<(), DbError> {
    sqlx::query!("DELETE FROM session").execute(&mut *conn).await?;
    sqlx::query!("DELETE FROM rack_token").execute(&mut *conn).await?;
    sqlx::query!("DELETE FROM idempotency_key").execute(&mut *conn).await?;
    sqlx::query!("DELETE FROM region").execute(&mut *conn).await?;
    sqlx::query!("DELETE FROM rack_task WHERE status <> 'done'").execute(&mut *conn).await?;
    sqlx::query!("DELETE FROM switch_task WHERE status <> 'done'").execute(&mut *conn).await?;
    sqlx::query!("UPDATE rack SET content_hash = '', error = NULL, last_seen_at = NULL")
        .execute(conn)
        .await?;
    Ok(())
}

/// Operations that ran when the backup was taken: number, kind, machine.
pub async fn running(conn: &mut PgConnection) -> Result<Vec<(OperationId, String, MachineId)>, DbError> {
    let rows =
        sqlx::query!("SELECT id, kind, machine_id FROM operation WHERE status = 'running' ORDER BY id")
            .fetch_all(conn)
            .await?;
    rows.into_iter()
        .map(|r| {
            let machine = r.machine_id.parse().map_err(|_| DbError::Corrupt { what: "machine id" })?;
            Ok((OperationId(r.id), r.kind, machine))
        })
        .collect()
}
