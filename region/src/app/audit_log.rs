//! The audit: what people did. It is written by the database itself (migration 0017).

use super::{App, Result};
use crate::auth::Actor;
use crate::db;
use crate::model::audit::{AuditEntry, AuditQuery};
use crate::model::{Page, Role};

/// Entries: with `after` oldest first, otherwise newest first; `total` counts all that there are.
pub async fn list(app: &App, actor: &Actor, query: &AuditQuery) -> Result<Page<AuditEntry>> {
    actor.require(Role::Administrator)?;
    let mut conn = app.read().await?;
    let items = db::audit::list(&mut conn, query).await?;
    let total = db::audit::count(&mut conn).await?;
    Ok(Page { items, total, next_cursor: None })
}
