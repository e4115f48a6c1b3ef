//! Asks one server over and over what it is. All servers are asked at the same time, each by a task and a connection
//! of its own, so that a dead one costs the others nothing.

use super::hosts::Host;
use super::route::Seen;
use crate::db::DbError;
use sqlx::{Connection, PgConnection};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

/// Between two questions.
const EVERY: Duration = Duration::from_millis(250);
/// A server that takes longer to answer counts as gone. Reads move to a standby then, and shall be answered within 3 s.
const PATIENCE: Duration = Duration::from_millis(1500);
/// For making a connection.
const CONNECT: Duration = Duration::from_secs(1);

/// Publishes what the host is, without end.
pub(super) async fn watch(host: Host, at: usize, seen: watch::Sender<Vec<Seen>>) {
    let shown = format!("{}:{}", host.name, host.port);
    loop {
        if let Ok(Ok(mut conn)) = timeout(CONNECT, PgConnection::connect_with(&host.options)).await {
            while let Ok(Ok(now)) = timeout(PATIENCE, ask(&mut conn)).await {
                publish(&seen, at, now, &shown);
                sleep(EVERY).await;
            }
        }
        publish(&seen, at, Seen::Gone, &shown);
        sleep(EVERY).await;
    }
}

/// Connects and asks once.
pub(super) async fn look(host: &Host) -> Result<(PgConnection, Seen), sqlx::Error> {
    let looking = async {
        let mut conn = PgConnection::connect_with(&host.options).await?;
        match ask(&mut conn).await {
            Ok(seen) => Ok((conn, seen)),
            Err(DbError::Unavailable(error)) => Err(error),
            Err(other) => Err(sqlx::Error::Protocol(other.to_string())),
        }
    };
    timeout(CONNECT + PATIENCE, looking).await.unwrap_or(Err(sqlx::Error::PoolTimedOut))
}

fn publish(seen: &watch::Sender<Vec<Seen>>, at: usize, now: Seen, host: &str) {
    seen.send_if_modified(|all| {
        let Some(known) = all.get_mut(at) else { return false };
        if std::mem::discriminant(known) != std::mem::discriminant(&now) {
            tracing::info!(host, was = ?known, now = ?now, "a database server");
        }
        std::mem::replace(known, now) != now
    });
}

async fn ask(conn: &mut PgConnection) -> Result<Seen, DbError> {
    let row = sqlx::query!(
        r#"SELECT pg_is_in_recovery() AS "standby!",
                  CASE WHEN pg_is_in_recovery()
                       THEN coalesce(pg_wal_lsn_diff(pg_last_wal_replay_lsn(), '0/0'), 0)::bigint
                       ELSE 0 END AS "position!",
                  CASE WHEN pg_is_in_recovery() THEN ''
                       ELSE left(pg_walfile_name(pg_current_wal_lsn()), 8) END AS "timeline!""#
    )
    .fetch_one(conn)
    .await?;
    if row.standby {
        return Ok(Seen::Standby { position: row.position });
    }
    let timeline =
        u32::from_str_radix(&row.timeline, 16).map_err(|_| DbError::Corrupt { what: "timeline" })?;
    Ok(Seen::Primary { timeline })
}
