//! Devices: things that are not machines, with a name and fixed addresses.

use super::{App, Change, Describe, Error, Result, audit, json, subnet};
use crate::auth::Actor;
use crate::db;
use crate::model::device::{Device, DeviceAddress, NewDevice};
use crate::model::network::NewReservation;
use crate::model::{Page, Role};
use sqlx::PgConnection;

/// All devices.
pub async fn list(app: &App, actor: &Actor) -> Result<Page<Device>> {
    actor.require(Role::Viewer)?;
    Ok(Page::whole(db::device::list(&mut *app.read().await?, None).await?))
}

/// One device.
pub async fn get(app: &App, actor: &Actor, id: i64) -> Result<Device> {
    actor.require(Role::Viewer)?;
    db::device::get(&mut *app.read().await?, id).await.or_not_found("device", id)
}

/// Makes a device.
pub async fn create(app: &App, actor: &Actor, new: &NewDevice) -> Result<Device> {
    actor.require(Role::Operator)?;
    let mut tx = app.begin().await?;
    check_name(&mut tx, new).await?;
    let id = db::device::insert(&mut tx, &new.hostname, &new.description).await?;
    for address in &new.addresses {
        reserve(&mut tx, id, new, address).await?;
    }
    let device = db::device::get(&mut tx, id).await?;
    let message = format!("The device {} was entered", device.hostname);
    let change = Change { kind: "device.created", message, after: json(&device), ..Change::default() };
    audit(&mut tx, actor, change).await?;
    tx.commit().await?;
    Ok(device)
}

/// Changes a device into what is said; addresses that are not named are taken away from it.
pub async fn update(app: &App, actor: &Actor, id: i64, new: &NewDevice) -> Result<Device> {
    actor.require(Role::Operator)?;
    let mut tx = app.begin().await?;
    let before = db::device::get(&mut tx, id).await.or_not_found("device", id)?;
    check_name(&mut tx, new).await?;
    db::device::update(&mut tx, id, &new.hostname, &new.description).await?;
    for gone in before.addresses.iter().filter(|a| !new.addresses.contains(a)) {
        db::device::remove_address(&mut tx, id, gone).await?;
    }
    for address in new.addresses.iter().filter(|a| !before.addresses.contains(a)) {
        reserve(&mut tx, id, new, address).await?;
    }
    let device = db::device::get(&mut tx, id).await?;
    let change = Change {
        kind: "device.changed",
        message: format!("The device {} was changed", device.hostname),
        before: json(&before),
        after: json(&device),
        ..Change::default()
    };
    audit(&mut tx, actor, change).await?;
    tx.commit().await?;
    Ok(device)
}

/// Removes a device; its addresses are free.
pub async fn delete(app: &App, actor: &Actor, id: i64) -> Result<()> {
    actor.require(Role::Operator)?;
    let mut tx = app.begin().await?;
    let before = db::device::get(&mut tx, id).await.or_not_found("device", id)?;
    if !db::device::delete(&mut tx, id).await? {
        return Err(Error::not_found("device", id));
    }
    let message = format!("The device {} was removed", before.hostname);
    let change = Change { kind: "device.deleted", message, before: json(&before), ..Change::default() };
    audit(&mut tx, actor, change).await?;
    Ok(tx.commit().await?)
}

/// A machine's name is its own.
async fn check_name(conn: &mut PgConnection, new: &NewDevice) -> Result<()> {
    if db::device::machine_is_called(conn, &new.hostname).await? {
        let message = format!("there is already a machine called {}", new.hostname);
        return Err(Error::Conflict { field: Some("hostname"), message });
    }
    Ok(())
}

async fn reserve(conn: &mut PgConnection, id: i64, device: &NewDevice, at: &DeviceAddress) -> Result<()> {
    let new = NewReservation {
        mac: at.mac,
        address: at.address,
        hostname: Some(device.hostname.clone()),
        comment: String::new(),
        dhcp_options: Vec::new(),
    };
    subnet::reserve(conn, Some(id), &new).await.map(drop)
}
