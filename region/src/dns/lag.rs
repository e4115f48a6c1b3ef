//! Secondaries that do not get what has changed: an event when one begins to lag behind, and when it has caught up.

use crate::db::event::{self, NewEvent};
use crate::db::{DbError, secondary};
use serde_json::json;
use sqlx::PgPool;

/// Tells of secondaries that have begun to lag behind, or have caught up. One region does, once.
pub async fn tell(pool: &PgPool) -> Result<(), DbError> {
    let mut tx = pool.begin().await?;
    for lag in secondary::take_lags(&mut tx).await? {
        let (name, zone) = (&lag.secondary, &lag.zone);
        let (kind, level, message) = if lag.behind {
            let message =
                format!("The secondary {name} has not got what changed in {zone} more than five minutes ago");
            ("secondary.behind", "warning", message)
        } else {
            ("secondary.caught-up", "info", format!("The secondary {name} has the present {zone} again"))
        };
        let told = NewEvent {
            kind,
            level,
            machine: None,
            operation: None,
            actor: "rackwright",
            message: &message,
            data: json!({ "secondary": name, "zone": zone }),
        };
        event::append(&mut tx, &told).await?;
    }
    Ok(tx.commit().await?)
}
