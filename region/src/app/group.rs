//! Resource pools, zones and tags.

use super::{App, Change, Describe, Error, Result, audit};
use crate::auth::Actor;
use crate::db;
use crate::model::network::{Group, GroupKind};
use crate::model::{Page, Role};

/// All of a kind; machines that the caller sees are counted.
pub async fn list(app: &App, actor: &Actor, kind: GroupKind) -> Result<Page<Group>> {
    actor.require(Role::Viewer)?;
    let pools = actor.sight();
    Ok(Page::whole(db::group::list(&mut *app.read().await?, kind, pools.as_deref()).await?))
}

/// Makes one, or changes its description.
pub async fn put(app: &App, actor: &Actor, kind: GroupKind, group: &Group) -> Result<()> {
    actor.require(Role::Administrator)?;
    let mut tx = app.begin().await?;
    db::group::put(&mut tx, kind, group).await?;
    let word = kind.as_str();
    let (event, message) = (format!("{word}.changed"), format!("The {word} {} was set", group.name));
    audit(&mut tx, actor, Change { kind: &event, message, ..Change::default() }).await?;
    Ok(tx.commit().await?)
}

/// Removes an empty one. New machines go to the default ones, so these stay.
pub async fn delete(app: &App, actor: &Actor, kind: GroupKind, name: &str) -> Result<()> {
    actor.require(Role::Administrator)?;
    let word = kind.as_str();
    if name == "default" {
        return Err(Error::conflict(format!("new machines go to the default {word}; it stays")));
    }
    let mut tx = app.begin().await?;
    let gone = db::group::delete(&mut tx, kind, name).await;
    if !gone.or_in_use(&format!("there are machines in this {word}; move them first"))? {
        return Err(Error::not_found(word, name));
    }
    let (event, message) = (format!("{word}.deleted"), format!("The {word} {name} was removed"));
    audit(&mut tx, actor, Change { kind: &event, message, ..Change::default() }).await?;
    Ok(tx.commit().await?)
}

/// Every tag that a machine has which the caller sees.
pub async fn tags(app: &App, actor: &Actor) -> Result<Page<Group>> {
    actor.require(Role::Viewer)?;
    let pools = actor.sight();
    Ok(Page::whole(db::group::tags(&mut *app.read().await?, pools.as_deref()).await?))
}

/// Takes a tag away from all machines; how many had it.
pub async fn delete_tag(app: &App, actor: &Actor, name: &str) -> Result<u64> {
    actor.require(Role::Administrator)?;
    let mut tx = app.begin().await?;
    let count = db::group::delete_tag(&mut tx, name).await?;
    if count == 0 {
        return Err(Error::not_found("tag", name));
    }
    let message = format!("The tag {name} was taken away from {count} machines");
    audit(&mut tx, actor, Change { kind: "tag.deleted", message, ..Change::default() }).await?;
    tx.commit().await?;
    Ok(count)
}
