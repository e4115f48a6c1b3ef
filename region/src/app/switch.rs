//! Switches: entering them, seeing what is plugged in where, and giving a port another VLAN.

use super::{App, Change, Describe, Error, Result, audit, json};
use crate::auth::Actor;
use crate::db::switch::{Access, Known, Stored};
use crate::db::{self, switch_task};
use crate::model::switch::{HeardAt, NewSwitch, PortDetail, Switch, SwitchDetail};
use crate::model::{Page, Role};
use rackwright_common::Mac;
use rackwright_common::switch::{SnmpAccess, SwitchAction, SwitchError, SwitchMac, SwitchReading};
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// A rack begins what was asked for within this, or none will. Seconds.
const TAKEN_WITHIN: f64 = 15.0;
/// Longest time that the caller is held; a rack gives up a switch after a minute.
const ANSWERED_WITHIN: Duration = Duration::from_secs(80);
/// Between two looks whether it is done.
const LOOK: Duration = Duration::from_millis(100);
/// Of those who were heard at a port, so many are named.
const NAMED: usize = 20;

/// All switches.
pub async fn list(app: &App, actor: &Actor) -> Result<Page<Switch>> {
    actor.require(Role::Viewer)?;
    Ok(Page::whole(db::switch::list(&mut *app.read().await?, None).await?))
}

/// One switch with what it said the last time.
pub async fn get(app: &App, actor: &Actor, id: i64) -> Result<SwitchDetail> {
    actor.require(Role::Viewer)?;
    let mut conn = app.read().await?;
    let switch = db::switch::get(&mut conn, id).await.or_not_found("switch", id)?;
    let SwitchReading { vlans, ports, macs, .. } = db::switch::reading(&mut conn, id).await?;
    let all: Vec<String> = macs.iter().map(|m| m.mac.to_string()).collect();
    let known = db::switch::known(&mut conn, &all, actor.sight().as_deref()).await?;
    let mut at: HashMap<u32, Vec<SwitchMac>> = HashMap::new();
    for heard in macs {
        at.entry(heard.port).or_default().push(heard);
    }
    let ports = ports.into_iter().map(|port| {
        let heard = at.remove(&port.number).unwrap_or_default();
        PortDetail { heard_count: heard.len(), heard: named(heard, &known), port }
    });
    Ok(SwitchDetail { switch, vlans, ports: ports.collect() })
}

fn named(heard: Vec<SwitchMac>, known: &HashMap<Mac, Known>) -> Vec<HeardAt> {
    let mut all: Vec<HeardAt> = heard
        .into_iter()
        .map(|SwitchMac { mac, vid, .. }| {
            let known = known.get(&mac);
            HeardAt {
                mac,
                vid,
                machine: known.map(|k| k.machine.clone()),
                machine_name: known.map(|k| k.name.clone()),
                interface: known.map(|k| k.interface.clone()),
            }
        })
        .collect();
    all.sort_by_key(|h| h.machine.is_none());
    all.truncate(NAMED);
    all
}

/// Enters a switch; racks read it from now on.
pub async fn create(app: &App, actor: &Actor, new: &NewSwitch) -> Result<Switch> {
    actor.require(Role::Administrator)?;
    let Some(access) = &new.access else {
        return Err(Error::invalid(
            "access",
            "say how racks are let in: a community (v2c), or a user with passwords (v3)",
        ));
    };
    let access = sealed(app, access)?;
    let mut tx = app.begin().await?;
    let id = db::switch::insert(&mut tx, &stored(new), &access).await?;
    let switch = db::switch::get(&mut tx, id).await?;
    let message = format!("The switch {} at {} was entered", switch.name, switch.address);
    let change = Change { kind: "switch.created", message, after: json(&switch), ..Change::default() };
    audit(&mut tx, actor, change).await?;
    tx.commit().await?;
    Ok(switch)
}

/// Changes where a switch is and how it is read. Without `access`, the stored one stays.
pub async fn update(app: &App, actor: &Actor, id: i64, new: &NewSwitch) -> Result<Switch> {
    actor.require(Role::Administrator)?;
    let access = new.access.as_ref().map(|access| sealed(app, access)).transpose()?;
    let mut tx = app.begin().await?;
    let before = db::switch::get(&mut tx, id).await.or_not_found("switch", id)?;
    // Whoever could point a stored password at another address could read it there.
    if access.is_none() && (&before.address, before.port) != (&new.address, new.port) {
        return Err(Error::invalid("access", "with another address, say again how racks are let in"));
    }
    db::switch::update(&mut tx, id, &stored(new), access.as_ref()).await?;
    let switch = db::switch::get(&mut tx, id).await?;
    let change = Change {
        kind: "switch.changed",
        message: format!("The switch {} was changed", switch.name),
        before: json(&before),
        after: json(&switch),
        ..Change::default()
    };
    audit(&mut tx, actor, change).await?;
    tx.commit().await?;
    Ok(switch)
}

/// Removes a switch; it is not read any more.
pub async fn delete(app: &App, actor: &Actor, id: i64) -> Result<()> {
    actor.require(Role::Administrator)?;
    let mut tx = app.begin().await?;
    let before = db::switch::get(&mut tx, id).await.or_not_found("switch", id)?;
    db::switch::delete(&mut tx, id).await?;
    let message = format!("The switch {} was removed", before.name);
    let change = Change { kind: "switch.deleted", message, before: json(&before), ..Change::default() };
    audit(&mut tx, actor, change).await?;
    Ok(tx.commit().await?)
}

/// Has a rack read a switch now, and says what is there.
pub async fn read(app: &App, actor: &Actor, id: i64) -> Result<SwitchDetail> {
    actor.require(Role::Operator)?;
    let mut tx = app.begin().await?;
    db::switch::get(&mut tx, id).await.or_not_found("switch", id)?;
    let task = switch_task::write(&mut tx, id, SwitchAction::Read, &actor.name, TAKEN_WITHIN).await?;
    tx.commit().await?;
    done(app, task).await?;
    get(app, actor, id).await
}

/// Makes a port an access port of a VLAN: a rack does it, looks whether the switch has really done it, and the event of
/// it is written with the result.
pub async fn set_access_vlan(app: &App, actor: &Actor, id: i64, port: u32, vid: u16) -> Result<SwitchDetail> {
    actor.require(Role::Operator)?;
    if !(1..=4094).contains(&vid) {
        return Err(Error::invalid("vid", "a VLAN of a port is 1 to 4094"));
    }
    let mut tx = app.begin().await?;
    let switch = db::switch::get(&mut tx, id).await.or_not_found("switch", id)?;
    let read = db::switch::reading(&mut tx, id).await?;
    if let Some(found) = read.ports.iter().find(|p| p.number == port) {
        if !found.is_access() {
            return Err(Error::conflict(format!(
                "{} of {} carries tagged VLANs, or none: it is no access port",
                found.name, switch.name
            )));
        }
    } else {
        return Err(Error::not_found("port", port));
    }
    let action = SwitchAction::SetAccessVlan { port, vid };
    let task = switch_task::write(&mut tx, id, action, &actor.name, TAKEN_WITHIN).await?;
    tx.commit().await?;
    done(app, task).await?;
    get(app, actor, id).await
}

async fn done(app: &App, task: i64) -> Result<()> {
    let until = Instant::now() + ANSWERED_WITHIN;
    loop {
        match switch_task::outcome(&mut *app.read().await?, task)
            .await
            .or_not_found("switch", "that was asked")?
        {
            Some(Ok(())) => return Ok(()),
            Some(Err(SwitchError::Refused(why))) => return Err(Error::conflict(why)),
            Some(Err(error)) => return Err(error.into()),
            None if Instant::now() >= until => {
                let seconds = ANSWERED_WITHIN.as_secs();
                return Err(SwitchError::Unreachable(format!("nothing within {seconds} s")).into());
            }
            None => tokio::time::sleep(LOOK).await,
        }
    }
}

fn stored(new: &NewSwitch) -> Stored<'_> {
    Stored { name: &new.name, address: new.address.trim(), port: new.port, poll_seconds: new.poll_seconds }
}

fn sealed(app: &App, access: &SnmpAccess) -> Result<Access> {
    if let Some(fault) = access.fault() {
        return Err(Error::invalid("access", fault));
    }
    let plain = serde_json::to_vec(access).map_err(Error::internal)?;
    Ok(Access { shown: access.shown(), sealed: app.keys().seal(&plain) })
}
