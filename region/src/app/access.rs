//! Who may do something with one machine: by their role everywhere, by their role in the machine's pool, or as its owner.
//! To whoever does not see its pool, a machine is not there.

use super::{App, Describe, Error, Result};
use crate::auth::Actor;
use crate::db::{self, Transaction, machine_edit::Locked};
use crate::model::Role;
use rackwright_common::MachineId;
use sqlx::PgConnection;

/// Begins a change of a machine by somebody with `least` in its pool at least. The machine stays locked until its end.
pub(super) async fn operate(
    app: &App,
    actor: &Actor,
    id: &MachineId,
    least: Role,
) -> Result<(Transaction, Locked)> {
    actor.require_somewhere(least)?;
    let mut tx = app.begin().await?;
    db::audit::set_source(&mut tx, actor.from).await?;
    let found = db::machine_edit::lock(&mut tx, id).await.or_not_found("machine", id)?;
    actor.require_sight(id, &found.pool)?;
    actor.require_in(least, &found.pool)?;
    Ok((tx, found))
}

/// Begins a change of a machine by its owner or an operator.
pub(super) async fn own(app: &App, actor: &Actor, id: &MachineId) -> Result<(Transaction, Locked)> {
    let (tx, found) = operate(app, actor, id, Role::User).await?;
    actor.require_owner_in(&found.pool, found.owner_id)?;
    Ok((tx, found))
}

/// Refuses whoever does not see a machine.
pub(super) async fn see(conn: &mut PgConnection, actor: &Actor, id: &MachineId) -> Result<()> {
    actor.require(Role::Viewer)?;
    if !actor.restricted {
        return Ok(());
    }
    let pool = db::machine_query::pool(conn, id).await.or_not_found("machine", id)?;
    actor.require_sight(id, &pool)
}

/// Refuses whoever has as many machines as they may have. Their row stays locked, so that two requests cannot take one each.
pub(super) async fn take_one_more(conn: &mut PgConnection, actor: &Actor) -> Result<()> {
    let (limit, count) = db::user::machines(conn, actor.user_id).await?;
    match limit {
        Some(limit) if count >= i64::from(limit) => Err(Error::conflict(format!(
            "{} may have {limit} machines at once and has {count}; release one first, or ask an administrator for more",
            actor.name
        ))),
        Some(_) | None => Ok(()),
    }
}
