//! Regions and racks, and how the site does.

use super::{App, Change, Describe, Error, Result, audit};
use crate::auth::Actor;
use crate::db;
use crate::model::controller::{Rack, Region, SiteStatus};
use crate::model::{Page, Role};
use sqlx::PgConnection;

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

/// One region.
pub async fn region(app: &App, actor: &Actor, name: &str) -> Result<Region> {
    actor.require(Role::Viewer)?;
    find_region(&mut *app.read().await?, name).await
}

async fn find_region(conn: &mut PgConnection, name: &str) -> Result<Region> {
    let found = db::controller_query::regions(conn).await?.into_iter().find(|r| r.name == name);
    found.ok_or_else(|| Error::not_found("region", name))
}

/// Has a region take no new work, or work again.
pub async fn set_draining(app: &App, actor: &Actor, name: &str, draining: bool) -> Result<Region> {
    actor.require(Role::Administrator)?;
    let mut tx = app.begin().await?;
    let before = find_region(&mut tx, name).await?;
    if draining && !db::region::others_work(&mut tx, name).await? {
        return Err(Error::conflict(format!(
            "no other region than {name} lives and takes work: machines and racks would have nobody. Start another one, or              stop the service on its box if that is what you want"
        )));
    }
    if before.draining != draining {
        db::region::set_draining(&mut tx, name, draining).await?;
        let (kind, message) = if draining {
            ("region.drained", format!("The region {name} takes no new work any more"))
        } else {
            ("region.resumed", format!("The region {name} takes work again"))
        };
        audit(&mut tx, actor, Change { kind, message, ..Change::default() }).await?;
    }
    let after = find_region(&mut tx, name).await?;
    tx.commit().await?;
    Ok(after)
}

/// Forgets a region that is gone for good.
pub async fn delete_region(app: &App, actor: &Actor, name: &str) -> Result<()> {
    actor.require(Role::Administrator)?;
    let mut tx = app.begin().await?;
    if find_region(&mut tx, name).await?.connected {
        return Err(Error::conflict(format!(
            "the region {name} lives; drain it with `rackwright region drain {name}` and stop its service first"
        )));
    }
    db::region::delete(&mut tx, name).await?;
    let message = format!("The region {name} was removed");
    audit(&mut tx, actor, Change { kind: "region.deleted", message, ..Change::default() }).await?;
    Ok(tx.commit().await?)
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

/// Why this region cannot work, if so: it is drained, or its database does not take writes. Asks nobody who they are.
pub async fn unready(app: &App) -> Result<Option<&'static str>> {
    if app.standing().is_draining() {
        return Ok(Some("draining"));
    }
    let writable = db::controller_query::is_writable(&mut *app.read().await?).await?;
    Ok((!writable).then_some("the database is read-only"))
}

/// Machines by status, and operations under way, for metrics. Asks nobody who they are; names no machine.
pub async fn counts(app: &App) -> Result<(Vec<(String, i64)>, i64)> {
    let mut conn = app.read().await?;
    let machines = db::machine_query::count_by_status(&mut conn).await?;
    Ok((machines, db::operation_query::count_running(&mut conn).await?))
}
