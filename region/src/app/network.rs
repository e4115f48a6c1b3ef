//! Fabrics, VLANs and leases. Subnets and what is in them are in [`super::subnet`].

use super::{App, Change, Describe, Error, Result, audit, json, subnet};
use crate::auth::Actor;
use crate::db;
use crate::model::dhcp_seen::DhcpShadow;
use crate::model::network::{Fabric, Lease, NewFabric, NewVlan, Vlan};
use crate::model::{Page, Role};
use sqlx::PgConnection;

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
    refuse_in_use("fabric", &db::in_use::of_fabric(&mut tx, id).await?)?;
    if !db::fabric::delete(&mut tx, id).await.or_in_use("the fabric has VLANs; remove them first")? {
        return Err(Error::not_found("fabric", id));
    }
    let message = format!("The fabric {id} was removed");
    audit(&mut tx, actor, Change { kind: "fabric.deleted", message, ..Change::default() }).await?;
    Ok(tx.commit().await?)
}

/// Says what is in the way of a removal.
pub(super) fn refuse_in_use(what: &str, users: &[String]) -> Result<()> {
    if users.is_empty() {
        return Ok(());
    }
    let more = if users.len() > 3 { ", …" } else { "" };
    let shown = &users[..users.len().min(3)];
    Err(Error::conflict(format!(
        "the {what} is in use: {}{more}; remove or change that first",
        shown.join(", ")
    )))
}

/// All VLANs.
pub async fn vlans(app: &App, actor: &Actor) -> Result<Page<Vlan>> {
    actor.require(Role::Viewer)?;
    Ok(Page::whole(db::vlan::list(&mut *app.read().await?, None).await?))
}

/// Makes a VLAN.
pub async fn create_vlan(app: &App, actor: &Actor, new: &NewVlan) -> Result<Vlan> {
    actor.require(Role::Administrator)?;
    let mut tx = app.begin().await?;
    check_vlan(&mut tx, None, new).await?;
    let id = db::vlan::insert(&mut tx, new).await?;
    let vlan = db::vlan::get(&mut tx, id).await?;
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
    let before = db::vlan::get(&mut tx, id).await.or_not_found("VLAN", id)?;
    check_vlan(&mut tx, Some(id), new).await?;
    db::vlan::update(&mut tx, id, new).await.or_not_found("VLAN", id)?;
    let vlan = db::vlan::get(&mut tx, id).await?;
    let change = Change {
        kind: "vlan.changed",
        message: format!("The VLAN {} was changed", vlan.name),
        before: json(&before),
        after: json(&vlan),
        ..Change::default()
    };
    audit(&mut tx, actor, change).await?;
    tx.commit().await?;
    Ok(vlan)
}

/// What the database would refuse without saying what is in the way.
async fn check_vlan(conn: &mut PgConnection, id: Option<i64>, new: &NewVlan) -> Result<()> {
    subnet::check_options(&new.dhcp_options)?;
    let Some(relay) = new.relay else { return Ok(()) };
    let conflict = |message: String| Err(Error::Conflict { field: Some("relay"), message });
    if Some(relay) == id {
        return conflict("a VLAN cannot relay to itself".into());
    }
    let all = db::vlan::list(conn, None).await?;
    let Some(target) = all.iter().find(|v| v.id == relay) else {
        return Err(Error::invalid("relay", format!("there is no VLAN {relay}")));
    };
    if let Some(further) = target.relay {
        let name = all.iter().find(|v| v.id == further).map_or("another", |v| v.name.as_str());
        return conflict(format!(
            "VLAN {} relays to {name} itself; a relay passes on to a VLAN that racks are on",
            target.name
        ));
    }
    match all.iter().find(|v| id.is_some() && v.relay == id) {
        Some(other) => conflict(format!(
            "VLAN {} relays to this one, so this one cannot relay; change that first",
            other.name
        )),
        None => Ok(()),
    }
}

/// Removes a VLAN without subnets.
pub async fn delete_vlan(app: &App, actor: &Actor, id: i64) -> Result<()> {
    actor.require(Role::Administrator)?;
    let mut tx = app.begin().await?;
    refuse_in_use("VLAN", &db::in_use::of_vlan(&mut tx, id).await?)?;
    if !db::vlan::delete(&mut tx, id).await.or_in_use("the VLAN is in use")? {
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

/// What racks in shadow mode would have answered; of one subnet when given. Whoever sees some pools only sees their
/// machines' ones.
pub async fn dhcp_shadow(app: &App, actor: &Actor, subnet: Option<i64>) -> Result<Page<DhcpShadow>> {
    actor.require(Role::Viewer)?;
    let pools = actor.sight();
    Ok(Page::whole(db::dhcp_seen::shadows(&mut *app.read().await?, subnet, pools.as_deref()).await?))
}
