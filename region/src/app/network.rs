//! Fabrics, VLANs and leases. Subnets and what is in them are in [`super::subnet`].

use super::{App, Change, Describe, Error, Result, audit, json};
use crate::auth::Actor;
use crate::db;
use crate::model::network::{Fabric, Lease, NewFabric, NewVlan, Vlan};
use crate::model::{Page, Role};

/// All fabrics.
pub async fn fabrics(app: &App, actor: &Actor) -> Result<Page<Fabric>> {
    actor.require(Role::Viewer)?;
    Ok(Page::whole(db::fabric::list(&mut *app.read().await?).await?))
}

/// Makes a fabric.
pub async fn create_fabric(app: &App, actor: &Actor, new: &NewFabric) -> Result<Fabric> {
    actor.require(Role::Administrator)?;
    let mut tx = app.begin().await?;
    let fabric = db::fabric::insert(&mut tx, &new.name).await?;
    let message = format!("The fabric {} was made", fabric.name);
    audit(&mut tx, actor, Change { kind: "fabric.created", message, ..Change::default() }).await?;
    tx.commit().await?;
    Ok(fabric)
}

/// Renames a fabric.
pub async fn update_fabric(app: &App, actor: &Actor, id: i64, new: &NewFabric) -> Result<Fabric> {
    actor.require(Role::Administrator)?;
    let mut tx = app.begin().await?;
    let fabric = db::fabric::update(&mut tx, id, &new.name).await.or_not_found("fabric", id)?;
    let message = format!("The fabric {id} is now called {}", fabric.name);
    audit(&mut tx, actor, Change { kind: "fabric.changed", message, ..Change::default() }).await?;
    tx.commit().await?;
    Ok(fabric)
}

/// Removes a fabric without VLANs.
pub async fn delete_fabric(app: &App, actor: &Actor, id: i64) -> Result<()> {
    actor.require(Role::Administrator)?;
    let mut tx = app.begin().await?;
    if !db::fabric::delete(&mut tx, id).await.or_in_use("the fabric has VLANs; remove them first")? {
        return Err(Error::not_found("fabric", id));
    }
    let message = format!("The fabric {id} was removed");
    audit(&mut tx, actor, Change { kind: "fabric.deleted", message, ..Change::default() }).await?;
    Ok(tx.commit().await?)
}

/// All VLANs.
pub async fn vlans(app: &App, actor: &Actor) -> Result<Page<Vlan>> {
    actor.require(Role::Viewer)?;
    Ok(Page::whole(db::vlan::list(&mut *app.read().await?).await?))
}

/// Makes a VLAN.
pub async fn create_vlan(app: &App, actor: &Actor, new: &NewVlan) -> Result<Vlan> {
    actor.require(Role::Administrator)?;
    let mut tx = app.begin().await?;
    let vlan = db::vlan::insert(&mut tx, new).await?;
    let message = format!("The VLAN {} was made", vlan.name);
    audit(&mut tx, actor, Change { kind: "vlan.created", message, after: json(&vlan), ..Change::default() })
        .await?;
    tx.commit().await?;
    Ok(vlan)
}

/// Changes a VLAN.
pub async fn update_vlan(app: &App, actor: &Actor, id: i64, new: &NewVlan) -> Result<Vlan> {
    actor.require(Role::Administrator)?;
    let mut tx = app.begin().await?;
    let vlan = db::vlan::update(&mut tx, id, new).await.or_not_found("VLAN", id)?;
    let message = format!("The VLAN {} was changed", vlan.name);
    audit(&mut tx, actor, Change { kind: "vlan.changed", message, after: json(&vlan), ..Change::default() })
        .await?;
    tx.commit().await?;
    Ok(vlan)
}

/// Removes a VLAN without subnets.
pub async fn delete_vlan(app: &App, actor: &Actor, id: i64) -> Result<()> {
    actor.require(Role::Administrator)?;
    let mut tx = app.begin().await?;
    if !db::vlan::delete(&mut tx, id).await.or_in_use("the VLAN has subnets; remove them first")? {
        return Err(Error::not_found("VLAN", id));
    }
    let message = format!("The VLAN {id} was removed");
    audit(&mut tx, actor, Change { kind: "vlan.deleted", message, ..Change::default() }).await?;
    Ok(tx.commit().await?)
}

/// Dynamic addresses in use; of one subnet when given. Whoever sees some pools only sees their machines' ones.
pub async fn leases(app: &App, actor: &Actor, subnet: Option<i64>) -> Result<Page<Lease>> {
    actor.require(Role::Viewer)?;
    Ok(Page::whole(
        db::controller_query::leases(&mut *app.read().await?, subnet, actor.sight().as_deref()).await?,
    ))
}
