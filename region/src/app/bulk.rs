//! One action on many machines.
//!
//! It is stored with its machines and carried out by whichever region claims the next one, as the user who asked, with what they
//! may at that moment, and at most what the token let them do with which they asked. Each machine is one request under an idempotency
//! key, so that a region that dies in between does nothing twice. It goes on when the one who asked has logged out; it does not when they
//! are disabled, when the token is gone with which they asked, or when somebody has stopped it.

use super::{App, Change, Describe, Error, Result, audit, machine, machine_action as action, once};
use crate::auth::Actor;
use crate::db;
use crate::db::bulk::Claimed;
use crate::db::idempotency::{self, Known};
use crate::db::wakeups;
use crate::model::Role;
use crate::model::action::{
    CommissionRequest, DeployRequest, PowerRequest, ReasonRequest, ReleaseRequest, TestRequest,
};
use crate::model::bulk::{Bulk, BulkParameters, BulkVerb, NewBulk};
use crate::model::machine::{MachinePatch, MachineSummary};
use rackwright_common::MachineId;
use rackwright_common::bmc::BmcAction;
use sqlx::PgConnection;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Machines of one action at most.
const MOST: usize = 10_000;
/// Machines whose rows are told with an action.
const SHOWN: i64 = 100;

/// Asks for an action; the answer tells its number, under which [`get`] tells how far it is.
pub async fn create(app: &App, actor: &Actor, new: &NewBulk) -> Result<Bulk> {
    actor.require_somewhere(Role::User)?;
    if new.machines.is_empty() || new.machines.len() > MOST {
        return Err(Error::invalid("machines", format!("choose 1 to {MOST} machines")));
    }
    let machines: Vec<String> = new.machines.iter().map(ToString::to_string).collect();
    let (verb, sight) = (word(new.verb), actor.sight());
    let row = db::bulk::NewBulk {
        user_id: actor.user_id,
        role: actor.scope,
        token: actor.token,
        verb: &verb,
        parameters: super::json(&new.parameters),
        source: actor.from.map(|from| from.to_string()),
        machines: &machines,
        sight: sight.as_deref(),
    };
    let mut tx = app.begin().await?;
    let (id, count) = db::bulk::insert(&mut tx, &row).await?;
    if count == 0 {
        return Err(Error::not_found("machine", machines.join(", ")));
    }
    let message = format!("{} asked for the action {verb} on {count} machines", actor.name);
    let change = Change { kind: "bulk.created", message, after: super::json(new), ..Change::default() };
    audit(&mut tx, actor, change).await?;
    let (bulk, _) = db::bulk::get(&mut tx, id).await?;
    tx.commit().await?;
    Ok(bulk)
}

fn word(verb: BulkVerb) -> String {
    super::json(&verb).as_str().unwrap_or_default().to_owned()
}

/// How far an action is: one's own, or as operator anybody's.
pub async fn get(app: &App, actor: &Actor, id: i64) -> Result<Bulk> {
    actor.require(Role::Viewer)?;
    let (bulk, whose) = db::bulk::get(&mut *app.read().await?, id).await.or_not_found("action", id)?;
    if whose != actor.user_id {
        actor.require(Role::Operator)?;
    }
    Ok(bulk)
}

/// Ends an action before its next machine: one's own, or as operator anybody's. Machines that were not begun are told so; an action
/// that has ended stays as it is.
pub async fn stop(app: &App, actor: &Actor, id: i64) -> Result<Bulk> {
    actor.require_somewhere(Role::User)?;
    get(app, actor, id).await?;
    let mut tx = app.begin().await?;
    let (before, _) = db::bulk::get(&mut tx, id).await.or_not_found("action", id)?;
    if before.finished_at.is_some() || before.stopped_by.is_some() {
        return Ok(before);
    }
    db::bulk::stop(&mut tx, id, &actor.name, &stopped(&actor.name)).await?;
    let (bulk, _) = db::bulk::get(&mut tx, id).await?;
    let left = bulk.refused - before.refused;
    let message = format!(
        "{} stopped the action {} on many machines; {left} were not begun",
        actor.name,
        word(bulk.verb)
    );
    audit(&mut tx, actor, Change { kind: "bulk.stopped", message, ..Change::default() }).await?;
    tx.commit().await?;
    Ok(bulk)
}

fn stopped(by: &str) -> String {
    format!("{by} stopped the action before its turn came")
}

/// Of the first hundred machines with which it was done those that the caller sees, as they are now.
pub async fn machines(app: &App, actor: &Actor, id: i64) -> Result<Vec<MachineSummary>> {
    get(app, actor, id).await?;
    let mut conn = app.read().await?;
    let ids = db::bulk::done(&mut conn, id, SHOWN).await?;
    let mut found = db::machine_query::some(&mut conn, &ids).await?;
    found.retain(|machine| actor.sees(&machine.pool));
    Ok(found)
}

/// Carries out what is asked for, until cancelled.
pub async fn run(app: App, cancel: CancellationToken) {
    let mut wakeup = app.wakeups().events();
    while !cancel.is_cancelled() {
        match next(&app).await {
            Ok(true) => {}
            Ok(false) => {
                tokio::select! {
                    () = cancel.cancelled() => {}
                    () = wakeups::wait(&mut wakeup, Duration::from_secs(2)) => {}
                }
            }
            Err(error) => {
                tracing::warn!(%error, "an action on many machines waits for the database");
                tokio::select! {
                    () = cancel.cancelled() => {}
                    () = tokio::time::sleep(Duration::from_secs(1)) => {}
                }
            }
        }
    }
}

/// The next machine; `false` when there is none.
async fn next(app: &App) -> Result<bool> {
    if !app.standing().may_act() {
        return Ok(false);
    }
    let Some(claimed) = db::bulk::claim(&mut *app.database().pool().acquire().await?).await? else {
        return Ok(false);
    };
    let done = carry_out(app, &claimed).await;
    let refusal = match &done {
        Ok(()) => None,
        // The claim runs out, and somebody tries again.
        Err(Error::Unavailable(_) | Error::Internal(_)) => return done.map(|()| true),
        // Whoever has taken its place says how it ended.
        Err(Error::Busy(why)) if once::is_replaced(why) => return Ok(true),
        Err(error) => Some(error.to_string()),
    };
    db::bulk::finish(&mut *app.database().pool().acquire().await?, &claimed, refusal.as_deref()).await?;
    Ok(true)
}

async fn carry_out(app: &App, of: &Claimed) -> Result<()> {
    if let Some(by) = &of.stopped_by {
        return Err(Error::conflict(stopped(by)));
    }
    let mut conn = app.database().pool().acquire().await?;
    let actor = asker(&mut conn, of).await?;
    let id: MachineId = of.machine.parse().map_err(|_| Error::not_found("machine", &of.machine))?;
    let verb: BulkVerb = serde_json::from_value(of.verb.clone().into()).map_err(Error::internal)?;
    let parameters: BulkParameters =
        serde_json::from_value(of.parameters.clone()).map_err(Error::internal)?;
    let key = format!("bulk {}/{}", of.bulk, of.ordinal);
    let known = idempotency::begin(&mut conn, actor.user_id, &key, key.as_bytes()).await?;
    drop(conn);
    match known {
        Known::New(claim) => once::carry_out(claim, act(app, &actor, verb, &id, &parameters)).await,
        // A region did it and died before it could say so.
        Known::Underway | Known::Lost | Known::Answered { .. } | Known::Other => Ok(()),
    }
}

/// Who asked, with what they may now.
async fn asker(conn: &mut PgConnection, of: &Claimed) -> Result<Actor> {
    let user = db::user::get(conn, of.user_id).await?.user;
    if user.disabled {
        return Err(Error::Forbidden(format!("{} is disabled", user.name)));
    }
    if of.token_gone {
        return Err(Error::Forbidden(format!(
            "the token with which {} asked for it was removed or has expired",
            user.name
        )));
    }
    let corrupt = |_: String| db::DbError::Corrupt { what: "role" };
    let most = of.role.as_deref().map(str::parse).transpose().map_err(corrupt)?;
    let from = of.source.as_ref().and_then(|text| text.parse().ok());
    let mut actor = Actor::new(of.user_id, user.name, user.role, from);
    (actor.pools, actor.restricted) = (user.pools, user.restricted);
    Ok(actor.limited(most))
}

async fn act(app: &App, actor: &Actor, verb: BulkVerb, id: &MachineId, with: &BulkParameters) -> Result<()> {
    let reason = || ReasonRequest { message: with.message.clone() };
    let power = |action| PowerRequest { action };
    match verb {
        BulkVerb::Deploy => {
            let (image, none) = (with.image.clone(), Vec::new());
            let request = DeployRequest { image, layout: None, user_data: None, ssh_keys: none };
            action::deploy(app, actor, id, request).await.map(drop)
        }
        BulkVerb::Commission => {
            let tests = with.no_tests.then(Vec::new);
            let request = CommissionRequest { tests, ..CommissionRequest::default() };
            action::commission(app, actor, id, request).await.map(drop)
        }
        BulkVerb::Test => action::test(app, actor, id, TestRequest::default()).await.map(drop),
        BulkVerb::Release => {
            action::release(app, actor, id, ReleaseRequest { erase: with.erase }).await.map(drop)
        }
        BulkVerb::Allocate => action::allocate(app, actor, id).await.map(drop),
        BulkVerb::Abort => action::abort(app, actor, id).await.map(drop),
        BulkVerb::PowerOn => action::power(app, actor, id, power(BmcAction::On)).await.map(drop),
        BulkVerb::PowerOff => action::power(app, actor, id, power(BmcAction::Off)).await.map(drop),
        BulkVerb::Lock => action::set_locked(app, actor, id, true).await.map(drop),
        BulkVerb::Unlock => action::set_locked(app, actor, id, false).await.map(drop),
        BulkVerb::MarkBroken => action::mark_broken(app, actor, id, reason()).await.map(drop),
        BulkVerb::MarkFixed => action::mark_fixed(app, actor, id, reason()).await.map(drop),
        BulkVerb::Override => action::override_failed_tests(app, actor, id, reason()).await.map(drop),
        BulkVerb::Delete => machine::delete(app, actor, id, false).await,
        BulkVerb::AddTag | BulkVerb::RemoveTag | BulkVerb::SetPool | BulkVerb::SetZone => {
            change(app, actor, verb, id, &with.value).await
        }
    }
}

/// Changes a machine as it is now.
async fn change(app: &App, actor: &Actor, verb: BulkVerb, id: &MachineId, value: &str) -> Result<()> {
    machine::update_by(app, actor, id, None, |now| patch(verb, &now.summary, value)).await.map(drop)
}

/// What changes on a machine.
fn patch(verb: BulkVerb, m: &MachineSummary, value: &str) -> MachinePatch {
    let mut tags = m.tags.clone();
    match verb {
        BulkVerb::AddTag => tags.push(value.to_owned()),
        BulkVerb::RemoveTag => tags.retain(|t| t != value),
        BulkVerb::SetPool => return MachinePatch { pool: Some(value.to_owned()), ..MachinePatch::default() },
        _ => return MachinePatch { zone: Some(value.to_owned()), ..MachinePatch::default() },
    }
    MachinePatch { tags: Some(tags), ..MachinePatch::default() }
}
