//! Spaces.

use super::network::refuse_in_use;
use super::{App, Change, Describe, Error, Result, audit, json};
use crate::auth::Actor;
use crate::db;
use crate::model::space::{NewSpace, Space};
use crate::model::{Page, Role};

/// All spaces.
pub async fn list(app: &App, actor: &Actor) -> Result<Page<Space>> {
    actor.require(Role::Viewer)?;
    Ok(Page::whole(db::space::list(&mut *app.read().await?, None).await?))
}

/// Makes a space.
pub async fn create(app: &App, actor: &Actor, new: &NewSpace) -> Result<Space> {
    actor.require(Role::Administrator)?;
    let mut tx = app.begin().await?;
    let id = db::space::insert(&mut tx, new).await?;
    let space = db::space::get(&mut tx, id).await?;
    let message = format!("The space {} was made", space.name);
    audit(
        &mut tx,
        actor,
        Change { kind: "space.created", message, after: json(&space), ..Change::default() },
    )
    .await?;
    tx.commit().await?;
    Ok(space)
}

/// Changes a space.
pub async fn update(app: &App, actor: &Actor, id: i64, new: &NewSpace) -> Result<Space> {
    actor.require(Role::Administrator)?;
    let mut tx = app.begin().await?;
    let before = db::space::get(&mut tx, id).await.or_not_found("space", id)?;
    db::space::update(&mut tx, id, new).await.or_not_found("space", id)?;
    let space = db::space::get(&mut tx, id).await?;
    let change = Change {
        kind: "space.changed",
        message: format!("The space {} was changed", space.name),
        before: json(&before),
        after: json(&space),
        ..Change::default()
    };
    audit(&mut tx, actor, change).await?;
    tx.commit().await?;
    Ok(space)
}

/// Removes a space without VLANs.
pub async fn delete(app: &App, actor: &Actor, id: i64) -> Result<()> {
    actor.require(Role::Administrator)?;
    let mut tx = app.begin().await?;
    let before = db::space::get(&mut tx, id).await.or_not_found("space", id)?;
    let vlans: Vec<String> = before.vlans.iter().map(|v| format!("VLAN {v}")).collect();
    refuse_in_use("space", &vlans)?;
    if !db::space::delete(&mut tx, id).await.or_in_use("the space has VLANs")? {
        return Err(Error::not_found("space", id));
    }
    let message = format!("The space {} was removed", before.name);
    audit(&mut tx, actor, Change { kind: "space.deleted", message, ..Change::default() }).await?;
    Ok(tx.commit().await?)
}
