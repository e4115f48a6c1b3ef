//! One connection for a few questions, to a server or to a cluster: for commands that are no region.

use super::hosts;
use sqlx::{Connection, PgConnection};
use std::time::Duration;

/// A host that does not answer for so long is passed over.
const PATIENCE: Duration = Duration::from_secs(5);

/// Connects to what `url` names: of several servers to the first that takes writes, or to one that answers at all.
pub async fn connect_once(url: &str) -> Result<PgConnection, sqlx::Error> {
    let hosts = hosts::parse(url)?;
    if hosts.is_empty() {
        return PgConnection::connect(url).await;
    }
    let mut found = Err(sqlx::Error::PoolTimedOut);
    for host in hosts {
        let connecting = tokio::time::timeout(PATIENCE, PgConnection::connect_with(&host.options)).await;
        match connecting.unwrap_or(Err(sqlx::Error::PoolTimedOut)) {
            Ok(mut conn) => {
                let standby: bool =
                    sqlx::query_scalar("SELECT pg_is_in_recovery()").fetch_one(&mut conn).await?;
                if !standby {
                    return Ok(conn);
                }
                found = Ok(conn);
            }
            Err(error) if found.is_err() => found = Err(error),
            Err(_) => {}
        }
    }
    found
}
