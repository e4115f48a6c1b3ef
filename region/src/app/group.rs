//! Resource pools and zones.

use super::{App, Change, Describe, Error, Result, audit};
use crate::auth::Actor;
use crate::db;
use crate::model::network::Group;
use crate::model::{Page, Role};

/// All resource pools.
pub async fn pools(app: &App, actor: &Actor) -> Result<Page<Group>> {
    actor.require(Role::Viewer)?;
    Ok(Page::whole(db::pool::list(&mut *app.read().await?).await?))
}

/// All zones.
pub async fn zones(app: &App, actor: &Actor) -> Result<Page<Group>> {
    actor.require(Role::Viewer)?;
    Ok(Page::whole(db::zone::list(&mut *app.read().await?).await?))
}

/// Makes a resource pool, or changes its description.
pub async fn put_pool(app: &App, actor: &Actor, group: &Group) -> Result<()> {
    actor.require(Role::Administrator)?;
    let mut tx = app.begin().await?;
    db::pool::put(&mut tx, &group.name, &group.description).await?;
    let message = format!("The pool {} was set", group.name);
    audit(&mut tx, actor, Change { kind: "pool.changed", message, ..Change::default() }).await?;
    Ok(tx.commit().await?)
}

/// Makes a zone, or changes its description.
pub async fn put_zone(app: &App, actor: &Actor, group: &Group) -> Result<()> {
    actor.require(Role::Administrator)?;
    let mut tx = app.begin().await?;
    db::zone::put(&mut tx, &group.name, &group.description).await?;
    let message = format!("The zone {} was set", group.name);
    audit(&mut tx, actor, Change { kind: "zone.changed", message, ..Change::default() }).await?;
    Ok(tx.commit().await?)
}

/// Removes an empty resource pool.
pub async fn delete_pool(app: &App, actor: &Actor, name: &str) -> Result<()> {
    actor.require(Role::Administrator)?;
    stays("pool", name)?;
    let mut tx = app.begin().await?;
    let gone = db::pool::delete(&mut tx, name)
        .await
        .or_in_use("there are machines in this pool; move them first")?;
    if !gone {
        return Err(Error::not_found("pool", name));
    }
    let message = format!("The pool {name} was removed");
    audit(&mut tx, actor, Change { kind: "pool.deleted", message, ..Change::default() }).await?;
    Ok(tx.commit().await?)
}

/// Removes an empty zone.
pub async fn delete_zone(app: &App, actor: &Actor, name: &str) -> Result<()> {
    actor.require(Role::Administrator)?;
    stays("zone", name)?;
    let mut tx = app.begin().await?;
    let gone = db::zone::delete(&mut tx, name)
        .await
        .or_in_use("there are machines in this zone; move them first")?;
    if !gone {
        return Err(Error::not_found("zone", name));
    }
    let message = format!("The zone {name} was removed");
    audit(&mut tx, actor, Change { kind: "zone.deleted", message, ..Change::default() }).await?;
    Ok(tx.commit().await?)
}

/// New machines go to the default ones, so these stay.
fn stays(what: &str, name: &str) -> Result<()> {
    if name == "default" {
        return Err(Error::conflict(format!("new machines go to the default {what}; it stays")));
    }
    Ok(())
}
