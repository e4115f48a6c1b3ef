//! What has changed in machines, and who says that it is meant.

use super::{App, Change, Result, access, audit, json};
use crate::auth::Actor;
use crate::db;
use crate::model::hardware_change::{AcceptedChanges, HardwareChange, HardwareChangeQuery};
use crate::model::{Page, Role};
use rackwright_common::MachineId;

/// Changes, newest first, at machines that the caller sees.
pub async fn list(app: &App, actor: &Actor, query: &HardwareChangeQuery) -> Result<Page<HardwareChange>> {
    actor.require(Role::Viewer)?;
    let (pools, machine) = (actor.sight(), query.machine.as_ref());
    let mut conn = app.read().await?;
    Ok(Page::whole(db::hardware_change::list(&mut conn, machine, query.missing, pools.as_deref()).await?))
}

/// Says that a machine's changes are meant, up to one of them; all of them as they are then.
pub async fn accept(
    app: &App,
    actor: &Actor,
    id: &MachineId,
    accepted: AcceptedChanges,
) -> Result<Page<HardwareChange>> {
    let (mut tx, found) = access::operate(app, actor, id, Role::Operator).await?;
    if db::hardware_change::accept(&mut tx, id, accepted.upto, &actor.name).await? > 0 {
        let change = Change {
            kind: "machine.hardware-accepted",
            message: format!("Changes of the hardware of {} are meant", found.hostname),
            machine: Some(id),
            after: json(&accepted),
            ..Change::default()
        };
        audit(&mut tx, actor, change).await?;
    }
    let all = db::hardware_change::list(&mut tx, Some(id), false, None).await?;
    tx.commit().await?;
    Ok(Page::whole(all))
}
