//! Subnets, their ranges and reservations.

use super::controller::HEARD_SECONDS;
use super::network::refuse_in_use;
use super::{App, Change, Describe, Error, Result, audit, json};
use crate::auth::Actor;
use crate::db;
use crate::db::lease_state::{self, Changes};
use crate::model::network::{
    IpRange, NewIpRange, NewReservation, NewSubnet, RangeKind, Reservation, Subnet, Utilisation,
};
use crate::model::{Page, Role};
use rackwright_common::dhcp_option::DhcpOption;
use sqlx::PgConnection;
use std::net::IpAddr;

/// The fewest addresses of a dynamic IPv6 range: with fewer, clients would often have the same one computed.
const SMALLEST_RANGE6: u128 = 65_536;

/// All subnets.
pub async fn list(app: &App, actor: &Actor) -> Result<Page<Subnet>> {
    actor.require(Role::Viewer)?;
    Ok(Page::whole(db::subnet::list(&mut *app.read().await?, None).await?))
}

/// One subnet.
pub async fn get(app: &App, actor: &Actor, id: i64) -> Result<Subnet> {
    actor.require(Role::Viewer)?;
    db::subnet::get(&mut *app.read().await?, id).await.or_not_found("subnet", id)
}

/// How the addresses of a subnet are used.
pub async fn utilisation(app: &App, actor: &Actor, id: i64) -> Result<Utilisation> {
    actor.require(Role::Viewer)?;
    let mut conn = app.read().await?;
    let subnet = db::subnet::get(&mut conn, id).await.or_not_found("subnet", id)?;
    Ok(db::utilisation::of(&mut conn, &subnet).await?)
}

/// Makes a subnet.
pub async fn create(app: &App, actor: &Actor, new: &NewSubnet) -> Result<Subnet> {
    actor.require(Role::Administrator)?;
    let new = checked(new)?;
    let mut tx = app.begin().await?;
    let id = db::subnet::insert(&mut tx, &new).await?;
    let subnet = db::subnet::get(&mut tx, id).await?;
    let message = format!("The subnet {} was made", subnet.cidr);
    audit(
        &mut tx,
        actor,
        Change { kind: "subnet.created", message, after: json(&subnet), ..Change::default() },
    )
    .await?;
    tx.commit().await?;
    Ok(subnet)
}

/// Changes a subnet. What is in it must still fit.
pub async fn update(app: &App, actor: &Actor, id: i64, new: &NewSubnet) -> Result<Subnet> {
    actor.require(Role::Administrator)?;
    let new = checked(new)?;
    let mut tx = app.begin().await?;
    let before = db::subnet::get(&mut tx, id).await.or_not_found("subnet", id)?;
    if let Some(address) = db::subnet::outside(&mut tx, id, new.cidr).await?.first() {
        return Err(Error::Conflict {
            field: Some("cidr"),
            message: format!("{address} is used in this subnet and does not lie in {}", new.cidr),
        });
    }
    db::subnet::update(&mut tx, id, &new).await?;
    let subnet = db::subnet::get(&mut tx, id).await?;
    let change = Change {
        kind: "subnet.changed",
        message: format!("The subnet {} was changed", subnet.cidr),
        before: json(&before),
        after: json(&subnet),
        ..Change::default()
    };
    audit(&mut tx, actor, change).await?;
    tx.commit().await?;
    Ok(subnet)
}

/// Refuses options that cannot be what they say, or are not a person's to set.
pub(super) fn check_options(options: &[DhcpOption]) -> Result<()> {
    for (at, option) in options.iter().enumerate() {
        option.encode().map_err(|e| Error::invalid("dhcp_options", e.to_string()))?;
        if options[..at].iter().any(|o| o.code == option.code) {
            return Err(Error::invalid("dhcp_options", format!("option {} is there twice", option.code)));
        }
    }
    Ok(())
}

fn checked(new: &NewSubnet) -> Result<NewSubnet> {
    check_options(&new.dhcp_options)?;
    if new.cidr.trunc() != new.cidr {
        return Err(Error::invalid(
            "cidr",
            format!("{} has host bits; the network is {}", new.cidr, new.cidr.trunc()),
        ));
    }
    let name = if new.name.trim().is_empty() { new.cidr.to_string() } else { new.name.trim().to_owned() };
    Ok(NewSubnet { name, ..new.clone() })
}

/// Removes a subnet with its ranges and reservations; refused while somebody has an address in it. Leases are let go of
/// when it is forced.
pub async fn delete(app: &App, actor: &Actor, id: i64, force: bool) -> Result<()> {
    actor.require(Role::Administrator)?;
    let mut tx = app.begin().await?;
    // Before any row: a block may be granted or given back at this moment.
    Changes::lock(&mut tx).await?;
    let before = db::subnet::get(&mut tx, id).await.or_not_found("subnet", id)?;
    check_racks_know(&mut tx, id).await?;
    let mut users = db::in_use::of_subnet(&mut tx, id).await?;
    users.retain(|user| !force || user.starts_with("machine "));
    refuse_in_use("subnet", &users)?;
    db::subnet::delete(&mut tx, id)
        .await
        .or_in_use("machines have addresses in this subnet; remove them or change their interfaces first")?;
    let change = Change {
        kind: "subnet.deleted",
        message: format!("The subnet {} was removed", before.cidr),
        before: json(&before),
        ..Change::default()
    };
    audit(&mut tx, actor, change).await?;
    Ok(tx.commit().await?)
}

/// A rack that nobody hears goes on giving addresses from its blocks; were they forgotten, others could get the same ones.
async fn check_racks_know(conn: &mut PgConnection, subnet: i64) -> Result<()> {
    let holders = db::lease_block::holders(conn, subnet).await?;
    let now = lease_state::now(conn).await?;
    let silent: Vec<_> = lease_state::racks(conn, now)
        .await?
        .into_iter()
        .filter(|rack| holders.contains(&rack.id))
        .filter(|rack| rack.seen.max(rack.heard).is_none_or(|at| now >= at + HEARD_SECONDS))
        .map(|rack| rack.name)
        .collect();
    let Some(name) = silent.first() else { return Ok(()) };
    Err(Error::conflict(format!(
        "no region hears the rack {}, which may still give addresses of this subnet. Remove the subnet when the rack is back; \
         or, if its box is off for good, say so with `rackwright rack fence {name}` and wait until its addresses are free \
         (`rackwright status` says when)",
        silent.join(", ")
    )))
}

/// Ranges; of one subnet when given.
pub async fn ip_ranges(app: &App, actor: &Actor, subnet: Option<i64>) -> Result<Page<IpRange>> {
    actor.require(Role::Viewer)?;
    Ok(Page::whole(db::ip_range::list(&mut *app.read().await?, subnet).await?))
}

/// Makes a range inside its subnet.
pub async fn create_ip_range(app: &App, actor: &Actor, new: &NewIpRange) -> Result<IpRange> {
    actor.require(Role::Administrator)?;
    let mut tx = app.begin().await?;
    let subnet = db::subnet::get(&mut tx, new.subnet).await.or_not_found("subnet", new.subnet)?;
    for (field, address) in [("first", new.first), ("last", new.last)] {
        if !subnet.cidr.contains(&address) {
            return Err(Error::invalid(field, format!("{address} does not lie in {}", subnet.cidr)));
        }
    }
    if let (RangeKind::Dynamic, IpAddr::V6(first), IpAddr::V6(last)) = (new.kind, new.first, new.last)
        && u128::from(last).saturating_sub(first.into()) < SMALLEST_RANGE6 - 1
    {
        return Err(Error::invalid(
            "last",
            format!(
                "a dynamic range of IPv6 has {SMALLEST_RANGE6} addresses at least: racks compute which a client gets"
            ),
        ));
    }
    let is_end = |address: IpAddr| {
        subnet.cidr.addr().is_ipv4()
            && subnet.cidr.prefix_len() < 31
            && (address == subnet.cidr.network() || address == subnet.cidr.broadcast())
    };
    if new.kind == RangeKind::Dynamic && (is_end(new.first) || is_end(new.last)) {
        return Err(Error::invalid("first", "no host can have the network's or the broadcast address"));
    }
    if new.kind == RangeKind::Dynamic
        && let Some(gateway) = subnet.gateway
        && (new.first..=new.last).contains(&gateway)
    {
        return Err(Error::invalid("first", format!("the range holds the gateway, {gateway}")));
    }
    if new.kind == RangeKind::Dynamic
        && let Some(fixed) =
            db::in_use::fixed_between(&mut tx, new.subnet, new.first, new.last).await?.first()
    {
        let holder = db::in_use::holder_of(&mut tx, *fixed).await?.unwrap_or_default();
        return Err(Error::Conflict {
            field: Some("first"),
            message: format!("the range holds {fixed}, which {holder} has; leave it out"),
        });
    }
    let id = db::ip_range::insert(&mut tx, new).await?;
    let range = IpRange {
        id,
        subnet: new.subnet,
        kind: new.kind,
        first: new.first,
        last: new.last,
        comment: new.comment.clone(),
    };
    let message = format!("The {} range {} to {} was made", range.kind.as_str(), range.first, range.last);
    audit(
        &mut tx,
        actor,
        Change { kind: "ip-range.created", message, after: json(&range), ..Change::default() },
    )
    .await?;
    tx.commit().await?;
    Ok(range)
}

/// Removes a range. One whose addresses are in use stays, unless it is forced.
pub async fn delete_ip_range(app: &App, actor: &Actor, id: i64, force: bool) -> Result<()> {
    actor.require(Role::Administrator)?;
    let mut tx = app.begin().await?;
    let leased = db::ip_range::granted(&mut tx, id).await?;
    if leased > 0 && !force {
        return Err(Error::conflict(format!(
            "{leased} addresses of this range are leased; wait for their end, or force the removal"
        )));
    }
    if !db::ip_range::delete(&mut tx, id).await? {
        return Err(Error::not_found("range", id));
    }
    let message = format!("The range {id} was removed");
    audit(&mut tx, actor, Change { kind: "ip-range.deleted", message, ..Change::default() }).await?;
    Ok(tx.commit().await?)
}

/// Reservations; of one subnet when given.
pub async fn reservations(app: &App, actor: &Actor, subnet: Option<i64>) -> Result<Page<Reservation>> {
    actor.require(Role::Viewer)?;
    Ok(Page::whole(db::reservation::list(&mut *app.read().await?, subnet).await?))
}

/// Reserves an address outside the dynamic ranges for a MAC.
pub async fn create_reservation(app: &App, actor: &Actor, new: &NewReservation) -> Result<Reservation> {
    actor.require(Role::Operator)?;
    check_options(&new.dhcp_options)?;
    let mut tx = app.begin().await?;
    let reservation = reserve(&mut tx, None, new).await?;
    let message = format!("{} was reserved for {}", new.address, new.mac);
    let change =
        Change { kind: "reservation.created", message, after: json(&reservation), ..Change::default() };
    audit(&mut tx, actor, change).await?;
    tx.commit().await?;
    Ok(reservation)
}

/// Enters a reservation, of a device when one is named.
pub(super) async fn reserve(
    tx: &mut PgConnection,
    device: Option<i64>,
    new: &NewReservation,
) -> Result<Reservation> {
    let subnet = free_fixed(tx, new.address).await?;
    let id = db::reservation::insert(tx, subnet.id, device, new).await?;
    let made = db::reservation::list(tx, Some(subnet.id)).await?.into_iter().find(|r| r.id == id);
    made.ok_or_else(|| Error::not_found("reservation", id))
}

/// The subnet of an address that can be somebody's fixed one: it lies in a subnet and in none of its dynamic ranges, and
/// nobody has it.
pub(super) async fn free_fixed(tx: &mut PgConnection, address: IpAddr) -> Result<Subnet> {
    let subnet = db::subnet::find_containing(tx, address).await?;
    let subnet =
        subnet.ok_or_else(|| Error::invalid("address", format!("{address} lies in no known subnet")))?;
    db::lease_block::lock_subnet(tx, subnet.id).await?;
    let in_range = db::ip_range::list(tx, Some(subnet.id))
        .await?
        .into_iter()
        .find(|r| r.kind == RangeKind::Dynamic && (r.first..=r.last).contains(&address));
    if let Some(range) = in_range {
        return Err(Error::Conflict {
            field: Some("address"),
            message: format!(
                "{address} lies in the dynamic range {} to {}; choose one outside",
                range.first, range.last
            ),
        });
    }
    if let Some(holder) = db::in_use::holder_of(tx, address).await? {
        let message = if holder.starts_with("the reservation of ") {
            "this address is already reserved".to_owned()
        } else {
            format!("{holder} has the address {address}")
        };
        return Err(Error::Conflict { field: Some("address"), message });
    }
    Ok(subnet)
}

/// Removes a reservation.
pub async fn delete_reservation(app: &App, actor: &Actor, id: i64) -> Result<()> {
    actor.require(Role::Operator)?;
    let mut tx = app.begin().await?;
    if !db::reservation::delete(&mut tx, id).await? {
        return Err(Error::not_found("reservation", id));
    }
    let message = format!("The reservation {id} was removed");
    audit(&mut tx, actor, Change { kind: "reservation.deleted", message, ..Change::default() }).await?;
    Ok(tx.commit().await?)
}
