//! Regions and racks, and how the site does.

use super::{App, Change, Describe, Error, Result, audit};
use crate::auth::Actor;
use crate::db;
use crate::db::lease_state::{self, Changes, RackState};
use crate::model::controller::{DatabaseRole, DatabaseServer, Rack, RackFence, Region, SiteStatus};
use crate::model::{Page, Role, Timestamp};
use rackwright_dhcp::racks::Terms;
use sqlx::PgConnection;
use time::OffsetDateTime;

/// A rack that was heard within this time may be running, seconds.
pub(super) const HEARD_SECONDS: i64 = 10;

/// All racks.
pub async fn racks(app: &App, actor: &Actor) -> Result<Page<Rack>> {
    actor.require(Role::Viewer)?;
    Ok(Page::whole(find_racks(&mut *app.read().await?).await?))
}

/// All racks, with what becomes of the addresses of those that are not heard.
async fn find_racks(conn: &mut PgConnection) -> Result<Vec<Rack>> {
    let mut racks = db::controller_query::racks(conn).await?;
    if racks.iter().all(|rack| rack.connected || rack.blocks == 0) {
        return Ok(racks);
    }
    let now = lease_state::now(conn).await?;
    for state in lease_state::racks(conn, now).await? {
        let gone = racks.iter_mut().find(|rack| rack.id == state.id && !rack.connected && rack.blocks > 0);
        if let Some(rack) = gone {
            rack.blocks_free_at = blocks_free_at(&state);
        }
    }
    Ok(racks)
}

/// When a rack's blocks may move if it is never heard again; after a fence, from then on.
fn blocks_free_at(rack: &RackState) -> Option<Timestamp> {
    let whole = |number: i64| u64::try_from(number).unwrap_or(0);
    let terms = Terms { longest_lease_seconds: whole(rack.longest_lease), ..Terms::default() };
    let heard = rack.heard.map(|heard| heard.max(rack.seen.unwrap_or(0)));
    let by_itself = heard.map(|heard| terms.out_at(whole(heard)));
    let fenced = rack.fenced.map(|fenced| terms.out_after_fence(whole(fenced)));
    let at = i64::try_from([by_itself, fenced].into_iter().flatten().min()?).ok()?;
    OffsetDateTime::from_unix_timestamp(at).ok().map(Into::into)
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
    overview_of(app, actor.sight().as_deref()).await
}

/// The same for metrics. Asks nobody who they are; names no machine.
pub async fn overview(app: &App) -> Result<SiteStatus> {
    overview_of(app, None).await
}

async fn overview_of(app: &App, pools: Option<&[String]>) -> Result<SiteStatus> {
    let mut conn = app.read().await?;
    let position = db::controller_query::log_position(&mut conn).await?;
    let mut database = app.database().servers(position);
    if database.is_empty() {
        let role = if position.is_some() { DatabaseRole::Primary } else { DatabaseRole::Standby };
        database.push(DatabaseServer { name: "database".to_owned(), role, lag_bytes: None });
    }
    let (pending, failed) = db::notification::troubles(&mut conn).await?;
    Ok(SiteStatus {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        machines: db::machine_query::count_by_status(&mut conn, pools).await?.into_iter().collect(),
        operations_running: db::operation_query::count_running(&mut conn).await?,
        operations_by_region: db::operation_query::count_by_region(&mut conn).await?.into_iter().collect(),
        notifications_refused: [("pending".to_owned(), pending), ("failed".to_owned(), failed)].into(),
        last_takeover: db::controller_query::last_takeover(&mut conn).await?,
        database,
        regions: db::controller_query::regions(&mut conn).await?,
        racks: find_racks(&mut conn).await?,
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
        .or_in_use(
            "the rack still holds address blocks, leases or tasks; `rackwright rack fence` says that its box is off, and \
             frees them after the longest lease",
        )?;
    let message = format!("The rack {name} was removed");
    audit(&mut tx, actor, Change { kind: "rack.deleted", message, ..Change::default() }).await?;
    Ok(tx.commit().await?)
}

/// Takes a person's word that a rack's box is off, and stays off until it may speak again. What it has given is valid for
/// one longest lease more; then its blocks go to others.
pub async fn fence_rack(app: &App, actor: &Actor, name: &str) -> Result<RackFence> {
    actor.require(Role::Administrator)?;
    let mut tx = app.begin().await?;
    Changes::lock(&mut tx).await?;
    let now = lease_state::now(&mut tx).await?;
    let racks = lease_state::racks(&mut tx, now).await?;
    let rack = racks.into_iter().find(|r| r.name == name).ok_or_else(|| Error::not_found("rack", name))?;
    if rack.seen.max(rack.heard).is_some_and(|seen| now < seen + HEARD_SECONDS) {
        return Err(Error::conflict(format!(
            "a region hears the rack {name}, so it is not off; switch its box off first, and ask again ten seconds later"
        )));
    }
    if rack.fenced.is_none() {
        lease_state::fence(&mut tx, rack.id, now).await?;
        let message = format!("{} says that the box of the rack {name} is off", actor.name);
        audit(&mut tx, actor, Change { kind: "rack.fenced", message, ..Change::default() }).await?;
    }
    tx.commit().await?;
    let fenced = RackState { fenced: Some(rack.fenced.unwrap_or(now)), ..rack };
    let blocks_free_at =
        blocks_free_at(&fenced).ok_or_else(|| Error::conflict("the database's clock is wrong"))?;
    Ok(RackFence { blocks_free_at })
}

/// What a region cannot do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unready {
    /// A person drains it.
    Draining,
    /// Its database does not take writes.
    ReadOnly,
}

/// Why this region cannot work, if so. Asks nobody who they are.
pub async fn unready(app: &App) -> Result<Option<Unready>> {
    if app.standing().is_draining() {
        return Ok(Some(Unready::Draining));
    }
    let writable = db::controller_query::is_writable(&mut *app.read().await?).await?;
    Ok((!writable).then_some(Unready::ReadOnly))
}
