//! Regions and racks, and how the site does.

use super::{App, Change, Describe, Error, Result, audit};
use crate::auth::Actor;
use crate::db;
use crate::model::controller::{Rack, Region, SiteStatus};
use crate::model::{Page, Role};

/// All racks.
pub async fn racks(app: &App, actor: &Actor) -> Result<Page<Rack>> {
    actor.require(Role::Viewer)?;
    Ok(Page::whole(db::controller_query::racks(&mut *app.read().await?).await?))
}

/// All regions.
pub async fn regions(app: &App, actor: &Actor) -> Result<Page<Region>> {
    actor.require(Role::Viewer)?;
    Ok(Page::whole(db::controller_query::regions(&mut *app.read().await?).await?))
}

/// What the site has and how it does.
pub async fn status(app: &App, actor: &Actor) -> Result<SiteStatus> {
    actor.require(Role::Viewer)?;
    let mut conn = app.read().await?;
    Ok(SiteStatus {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        machines: db::machine_query::count_by_status(&mut conn).await?.into_iter().collect(),
        operations_running: db::operation_query::count_running(&mut conn).await?,
        regions: db::controller_query::regions(&mut conn).await?,
        racks: db::controller_query::racks(&mut conn).await?,
    })
}

/// Removes a rack that is gone for good and holds no addresses.
pub async fn delete_rack(app: &App, actor: &Actor, name: &str) -> Result<()> {
    actor.require(Role::Administrator)?;
    let mut tx = app.begin().await?;
    let rack = db::controller_query::racks(&mut tx).await?.into_iter().find(|r| r.name == name);
    if rack.ok_or_else(|| Error::not_found("rack", name))?.connected {
        return Err(Error::conflict(format!("the rack {name} is connected; stop it first")));
    }
    db::controller_query::delete_rack(&mut tx, name)
        .await
        .or_in_use("the rack still holds address blocks, leases or tasks, which are not handed over yet")?;
    let message = format!("The rack {name} was removed");
    audit(&mut tx, actor, Change { kind: "rack.deleted", message, ..Change::default() }).await?;
    Ok(tx.commit().await?)
}

/// Whether this region can work: its database answers and takes writes. Asks nobody who they are.
pub async fn is_ready(app: &App) -> Result<bool> {
    Ok(db::controller_query::is_writable(&mut *app.read().await?).await?)
}

/// Machines by status, and operations under way, for metrics. Asks nobody who they are; names no machine.
pub async fn counts(app: &App) -> Result<(Vec<(String, i64)>, i64)> {
    let mut conn = app.read().await?;
    let machines = db::machine_query::count_by_status(&mut conn).await?;
    Ok((machines, db::operation_query::count_running(&mut conn).await?))
}
