//! The warning before addresses run out: looked for once a minute by every region, given once by one of them.

use crate::db::event::{self, NewEvent};
use crate::db::{DbError, subnet, utilisation};
use serde_json::json;
use sqlx::{Connection, PgConnection, PgPool};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const EVERY: Duration = Duration::from_secs(60);

/// Looks until cancelled.
pub async fn run(pool: PgPool, cancel: CancellationToken) {
    loop {
        tokio::select! {
            () = cancel.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
        let looked = async { warn_of_low(&mut *pool.acquire().await?).await };
        if let Err(error) = looked.await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the use of subnets could not be looked at"
            );
        }
    }
}

/// Warns of each subnet that runs low since the last look.
pub async fn warn_of_low(conn: &mut PgConnection) -> Result<(), DbError> {
    for found in subnet::list(conn, None).await? {
        let used = utilisation::of(conn, &found).await?;
        let mut tx = conn.begin().await?;
        if utilisation::note_low(&mut tx, found.id, !used.warnings.is_empty()).await? {
            let message = format!("{}: {}", found.name, used.warnings.join("; "));
            let event = NewEvent {
                kind: "subnet.low",
                level: "warning",
                machine: None,
                operation: None,
                actor: "rackwright",
                message: &message,
                data: json!({ "subnet": found.id }),
            };
            event::append(&mut tx, &event).await?;
        }
        tx.commit().await?;
    }
    Ok(())
}
