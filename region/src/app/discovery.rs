//! Who was heard on the networks, and what becomes of them.

use super::{App, Change, Describe, Error, Result, audit};
use crate::auth::Actor;
use crate::db;
use crate::db::discovery::Filter;
use crate::model::device::{Device, DeviceAddress, NewDevice};
use crate::model::discovery::{Adoption, Discovery, DiscoveryQuery, WiringFault};
use crate::model::machine::{Machine, NewMachine};
use crate::model::{Page, Role};
use rackwright_common::{Hostname, MachineId};

/// Discoveries, newest first; of known machines those that the caller sees.
pub async fn list(app: &App, actor: &Actor, query: &DiscoveryQuery) -> Result<Page<Discovery>> {
    actor.require(Role::Viewer)?;
    let page = query.page();
    let wrong = |e| Error::invalid("cursor", format!("`cursor` {e}"));
    let after = page.after().map_err(wrong)?;
    let before = match after {
        Some(text) => Some(text.parse().map_err(|_| wrong(crate::model::page::InvalidCursor))?),
        None => None,
    };
    let pools = actor.sight();
    let filter = Filter { id: None, all: query.all, subnet: query.subnet, before, pools: pools.as_deref() };
    let (rows, total) = db::discovery::list(&mut *app.read().await?, &filter, page.rows() + 1).await?;
    Ok(Page::new(rows, total, page.rows(), |d| d.id.to_string()))
}

async fn get(app: &App, id: i64) -> Result<Discovery> {
    let filter = Filter { id: Some(id), ..Filter::default() };
    let (mut rows, _) = db::discovery::list(&mut *app.read().await?, &filter, 1).await?;
    rows.pop().ok_or_else(|| Error::not_found("discovery", id))
}

/// The name that was given, or what it calls itself.
fn name(found: &Discovery, adoption: &Adoption) -> Option<Hostname> {
    adoption.hostname.clone().or_else(|| found.hostname.as_ref().and_then(|h| h.parse().ok()))
}

/// Enters what was heard as a machine.
pub async fn to_machine(app: &App, actor: &Actor, id: i64, adoption: &Adoption) -> Result<Machine> {
    actor.require(Role::Operator)?;
    let found = get(app, id).await?;
    let new = NewMachine {
        hostname: name(&found, adoption),
        description: format!("discovered by {} on {}", found.rack, found.interface),
        macs: vec![found.mac],
        bmc: None,
        pool: None,
        zone: None,
        tags: Vec::new(),
        architecture: None,
        commission: adoption.commission,
    };
    super::machine::create(app, actor, &new).await
}

/// Enters what was heard as a device that keeps the address it has.
pub async fn to_device(app: &App, actor: &Actor, id: i64, adoption: &Adoption) -> Result<Device> {
    actor.require(Role::Operator)?;
    if adoption.commission {
        return Err(Error::invalid("commission", "only machines are commissioned"));
    }
    let found = get(app, id).await?;
    let address = found.address.ok_or_else(|| {
        Error::conflict(format!("no address was heard of {}: there is nothing to keep for it", found.mac))
    })?;
    let [.., a, b, c] = found.mac.0;
    let made_up = || format!("device-{a:02x}{b:02x}{c:02x}").parse().ok();
    let hostname = name(&found, adoption).or_else(made_up);
    let hostname = hostname.ok_or_else(|| Error::invalid("hostname", "a device has a name"))?;
    let new = NewDevice {
        hostname,
        description: format!("discovered by {} on {}", found.rack, found.interface),
        addresses: vec![DeviceAddress { mac: found.mac, address }],
    };
    super::device::create(app, actor, &new).await
}

/// Says whether anybody wants to hear of this MAC.
pub async fn set_ignored(app: &App, actor: &Actor, id: i64, ignored: bool) -> Result<()> {
    actor.require(Role::Operator)?;
    let found = get(app, id).await?;
    let mut tx = app.begin().await?;
    db::discovery::set_ignored(&mut tx, found.mac, ignored).await?;
    let message = format!("{} is {} from now on", found.mac, if ignored { "ignored" } else { "told of" });
    audit(&mut tx, actor, Change { kind: "discovery.ignored", message, ..Change::default() }).await?;
    Ok(tx.commit().await?)
}

/// The subnets each of whose addresses racks ask who has it, by number.
pub async fn scanned(app: &App, actor: &Actor) -> Result<Page<i64>> {
    actor.require(Role::Viewer)?;
    let found = db::discovery::scanned(&mut *app.read().await?).await?;
    Ok(Page::whole(found.into_iter().map(|(id, _)| id).collect()))
}

/// Says whether racks may ask every address of a subnet who has it.
pub async fn set_active_scan(app: &App, actor: &Actor, subnet: i64, on: bool) -> Result<()> {
    actor.require(Role::Administrator)?;
    let mut tx = app.begin().await?;
    let found = db::subnet::get(&mut tx, subnet).await.or_not_found("subnet", subnet)?;
    if on && (found.cidr.addr().is_ipv6() || found.cidr.prefix_len() < 20) {
        return Err(Error::conflict(format!(
            "{} has too many addresses to ask each; IPv4 networks up to /20 can be scanned",
            found.cidr
        )));
    }
    db::discovery::set_active_scan(&mut tx, subnet, on).await?;
    let message =
        format!("Racks {} every address of {}", if on { "may ask" } else { "do not ask" }, found.cidr);
    audit(&mut tx, actor, Change { kind: "subnet.scan", message, ..Change::default() }).await?;
    Ok(tx.commit().await?)
}

/// Interfaces that are elsewhere than the model says; of one machine when given. Of machines those that the caller sees.
pub async fn wiring_faults(
    app: &App,
    actor: &Actor,
    machine: Option<&MachineId>,
) -> Result<Page<WiringFault>> {
    actor.require(Role::Viewer)?;
    let pools = actor.sight();
    Ok(Page::whole(db::wiring::faults(&mut *app.read().await?, machine, pools.as_deref()).await?))
}
