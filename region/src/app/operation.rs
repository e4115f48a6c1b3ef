//! Operations: look at them, wait for them.

use super::{App, Describe, Error, Result, access};
use crate::auth::Actor;
use crate::db;
use crate::db::wakeups;
use crate::model::operation::{LogChunk, Operation, OperationDetail, OperationQuery};
use crate::model::page::InvalidCursor;
use crate::model::{Page, Role};
use rackwright_common::OperationId;
use std::time::{Duration, Instant};

/// Longest time that [`wait`] holds the caller, seconds.
pub const MAX_WAIT_SECONDS: u64 = 60;

/// Operations, newest first.
pub async fn list(app: &App, actor: &Actor, query: &OperationQuery) -> Result<Page<Operation>> {
    actor.require(Role::Viewer)?;
    let page = query.page();
    if let Some(status) = &query.status
        && !["running", "done", "failed", "aborted"].contains(&status.as_str())
    {
        return Err(Error::invalid("status", format!("`{status}` is not running, done, failed or aborted")));
    }
    let filter = db::operation_query::Filter {
        machine: query.machine.as_ref(),
        status: query.status.as_deref(),
        kind: query.kind.as_deref(),
        pools: actor.sight(),
    };
    let after = page.after_counted().and_then(|after| match after {
        Some((total, key)) => Ok(Some((total, key.parse::<i64>().map_err(|_| InvalidCursor)?))),
        None => Ok(None),
    });
    let after = after.map_err(|e| Error::invalid("cursor", format!("`cursor` {e}")))?;
    let mut conn = app.read().await?;
    let total = match after {
        Some((total, _)) => total,
        None => db::operation_query::count(&mut conn, &filter).await?,
    };
    let before = after.map(|(_, key)| key);
    let rows = db::operation_query::list(&mut conn, &filter, before, page.rows() + 1).await?;
    Ok(Page::new(rows, total, page.rows(), |o| format!("{total} {}", o.id)))
}

/// One operation with its work items.
pub async fn get(app: &App, actor: &Actor, id: OperationId) -> Result<OperationDetail> {
    actor.require(Role::Viewer)?;
    let mut conn = app.read().await?;
    let operation = db::operation_query::get(&mut conn, id).await.or_not_found("operation", id)?;
    access::see(&mut conn, actor, &operation.machine).await?;
    let items = db::operation_query::items(&mut conn, id).await?;
    let console_tail = if operation.status == "failed" {
        db::operation_query::console_tail(&mut conn, id).await?
    } else {
        Vec::new()
    };
    let result = db::operation_query::result(&mut conn, id).await?;
    Ok(OperationDetail { operation, items, console_tail, result })
}

/// As [`get`], but holds the answer back until the operation has ended or `seconds` have passed.
pub async fn wait(app: &App, actor: &Actor, id: OperationId, seconds: u64) -> Result<OperationDetail> {
    let until = Instant::now() + Duration::from_secs(seconds.min(MAX_WAIT_SECONDS));
    let mut wakeup = app.wakeups().events();
    loop {
        let shown = get(app, actor, id).await?;
        let left = until.saturating_duration_since(Instant::now());
        if !shown.operation.is_running() || left.is_zero() {
            return Ok(shown);
        }
        wakeups::wait(&mut wakeup, left.min(Duration::from_secs(1))).await;
    }
}

/// Log of an operation's work after a position, oldest first.
pub async fn log(app: &App, actor: &Actor, id: OperationId, after: i64) -> Result<Page<LogChunk>> {
    actor.require(Role::Viewer)?;
    let mut conn = app.read().await?;
    let operation = db::operation_query::get(&mut conn, id).await.or_not_found("operation", id)?;
    access::see(&mut conn, actor, &operation.machine).await?;
    Ok(Page::whole(db::operation_query::log(&mut conn, id, after, 1000).await?))
}

/// The end of an operation's log, at most `bytes` of it: what somebody looks at who wants to know how it goes.
pub async fn log_end(app: &App, actor: &Actor, id: OperationId, bytes: i64) -> Result<Vec<LogChunk>> {
    actor.require(Role::Viewer)?;
    let mut conn = app.read().await?;
    let operation = db::operation_query::get(&mut conn, id).await.or_not_found("operation", id)?;
    access::see(&mut conn, actor, &operation.machine).await?;
    Ok(db::operation_query::log_end(&mut conn, id, bytes).await?)
}
