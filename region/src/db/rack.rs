//! Rack controllers: who is alive, and which snapshot each has.

use super::DbError;
use rackwright_common::link::{RackAddress, RackHello};
use rackwright_common::ntp::TimeReport;
use sqlx::PgConnection;

/// A rack that was heard of within this time is alive, seconds.
const ALIVE_SECONDS: f64 = 5.0;

/// A rack.
#[derive(Debug, Clone)]
pub struct Rack {
    /// Row.
    pub id: i64,
    /// Name, as in its certificate.
    pub name: String,
    /// Where machines reach it.
    pub addresses: Vec<RackAddress>,
    /// Newest generation made for it.
    pub generation: i64,
    /// Hash of that snapshot's content.
    pub content_hash: String,
    /// Generation that it runs.
    pub running: i64,
    /// Heard of lately.
    pub alive: bool,
    /// How it has the time, as it said last.
    pub time: Option<TimeReport>,
}

/// A rack says hello: its row is made or refreshed. It is not off, whoever said so.
pub async fn hello(conn: &mut PgConnection, name: &str, hello: &RackHello) -> Result<i64, DbError> {
    let addresses =
        serde_json::to_value(&hello.addresses).map_err(|_| DbError::Corrupt { what: "rack address" })?;
    Ok(sqlx::query_scalar!(
        "INSERT INTO rack (name, version, addresses, running, last_seen_at) VALUES ($1, $2, $3, $4, now())
         ON CONFLICT (name) DO UPDATE SET version = $2, addresses = $3, running = $4, last_seen_at = now(), fenced_at = NULL,
                error = NULL
         RETURNING id",
        name,
        hello.version,
        addresses,
        i64::try_from(hello.generation).unwrap_or(0),
    )
    .fetch_one(conn)
    .await?)
}

/// It said hello and is not talked to, for this reason.
pub async fn refused(
    conn: &mut PgConnection,
    name: &str,
    version: &str,
    reason: &str,
) -> Result<(), DbError> {
    sqlx::query!("UPDATE rack SET version = $2, error = $3 WHERE name = $1", name, version, reason)
        .execute(conn)
        .await?;
    Ok(())
}

/// A heartbeat.
pub async fn seen(conn: &mut PgConnection, id: i64, running: u64) -> Result<(), DbError> {
    sqlx::query!(
        "UPDATE rack SET last_seen_at = now(), running = $2 WHERE id = $1",
        id,
        i64::try_from(running).unwrap_or(0)
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// How it has the time.
pub async fn set_time(conn: &mut PgConnection, id: i64, time: &TimeReport) -> Result<(), DbError> {
    let time = serde_json::to_value(time).map_err(|_| DbError::Corrupt { what: "time report" })?;
    sqlx::query!("UPDATE rack SET time = $2 WHERE id = $1", id, time).execute(conn).await?;
    Ok(())
}

/// Which blobs it has.
pub async fn set_blobs(conn: &mut PgConnection, id: i64, blobs: &[String]) -> Result<(), DbError> {
    sqlx::query!("UPDATE rack SET blobs = $2 WHERE id = $1", id, blobs).execute(conn).await?;
    Ok(())
}

/// It took or refused a snapshot.
pub async fn applied(
    conn: &mut PgConnection,
    id: i64,
    running: u64,
    error: Option<&str>,
) -> Result<(), DbError> {
    sqlx::query!(
        "UPDATE rack SET last_seen_at = now(), error = $3, running = CASE WHEN $3::text IS NULL THEN $2 ELSE running END WHERE id = $1",
        id,
        i64::try_from(running).unwrap_or(0),
        error,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// All racks.
pub async fn list(conn: &mut PgConnection) -> Result<Vec<Rack>, DbError> {
    let rows = sqlx::query!(
        "SELECT id, name, addresses, generation, content_hash, running, time,
                coalesce(last_seen_at > now() - make_interval(secs => $1), FALSE) AS \"alive!\" FROM rack ORDER BY id",
        ALIVE_SECONDS
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|r| {
            Ok(Rack {
                id: r.id,
                name: r.name,
                addresses: serde_json::from_value(r.addresses)
                    .map_err(|_| DbError::Corrupt { what: "rack address" })?,
                generation: r.generation,
                content_hash: r.content_hash,
                running: r.running,
                alive: r.alive,
                time: r.time.and_then(|time| serde_json::from_value(time).ok()),
            })
        })
        .collect()
}

/// Locks a rack's row, so that its snapshots are made one after another, by whichever region.
pub async fn lock(conn: &mut PgConnection, id: i64) -> Result<(), DbError> {
    sqlx::query_scalar!("SELECT id FROM rack WHERE id = $1 FOR UPDATE", id).fetch_one(conn).await?;
    Ok(())
}

/// A snapshot with new content: returns its generation. Call after [`lock`].
pub async fn next_generation(conn: &mut PgConnection, id: i64, content_hash: &str) -> Result<i64, DbError> {
    Ok(sqlx::query_scalar!(
        "UPDATE rack SET generation = greatest(generation, running) + 1, content_hash = $2 WHERE id = $1 RETURNING generation",
        id,
        content_hash
    )
    .fetch_one(conn)
    .await?)
}

/// Up to which journal entry of this rack everything is stored. Locks the row for the rest of the transaction.
pub async fn lock_journal(conn: &mut PgConnection, id: i64) -> Result<i64, DbError> {
    Ok(sqlx::query_scalar!("SELECT journal_seq FROM rack WHERE id = $1 FOR UPDATE", id)
        .fetch_one(conn)
        .await?)
}

/// Everything up to `seq` is stored.
pub async fn set_journal(conn: &mut PgConnection, id: i64, seq: i64) -> Result<(), DbError> {
    sqlx::query!("UPDATE rack SET journal_seq = $2 WHERE id = $1", id, seq).execute(conn).await?;
    Ok(())
}
