//! Actions on machines. Long ones become operations; the rest takes effect at once.

use super::{App, Change, Describe, Error, Result, access, audit, parameters};
use crate::auth::Actor;
use crate::db::{self, Transaction};
use crate::lifecycle::{self, OperationRequest};
use crate::model::Role;
use crate::model::action::{
    CommissionRequest, DeployRequest, PowerRequest, ReasonRequest, ReleaseRequest, RescueRequest, TestRequest,
};
use crate::model::machine::Machine;
use crate::model::operation::Operation;
use crate::scripts::choice;
use rackwright_common::lifecycle::Event;
use rackwright_common::script::ScriptType;
use rackwright_common::{MachineId, OperationId, Status};
use sqlx::PgConnection;

/// Reads the hardware, sets up the BMC, runs commissioning scripts and tests.
pub async fn commission(
    app: &App,
    actor: &Actor,
    id: &MachineId,
    body: CommissionRequest,
) -> Result<Operation> {
    let (mut tx, _) = access::operate(app, actor, id, Role::Operator).await?;
    let found = db::machine::get(&mut tx, id).await.or_not_found("machine", id)?;
    let CommissionRequest { commissioning_scripts, tests, parameters } = body;
    known(&mut tx, ScriptType::Commissioning, commissioning_scripts.as_deref(), "commissioning_scripts")
        .await?;
    known(&mut tx, ScriptType::Testing, tests.as_deref(), "tests").await?;
    let inventory = found.inventory.as_ref();
    let mut scripts = choice::commissioning(&mut tx, commissioning_scripts.as_deref(), inventory).await?;
    scripts.extend(choice::tests(&mut tx, tests.as_deref()).await?);
    let asked = commissioning_scripts.is_some() || tests.is_some();
    let parameters = parameters::check(app.keys(), &found, &scripts, asked, &parameters)?;
    start(tx, actor, id, OperationRequest::Commission { commissioning_scripts, tests, parameters }).await
}

/// Runs test scripts.
pub async fn test(app: &App, actor: &Actor, id: &MachineId, body: TestRequest) -> Result<Operation> {
    let (mut tx, _) = access::operate(app, actor, id, Role::Operator).await?;
    let found = db::machine::get(&mut tx, id).await.or_not_found("machine", id)?;
    let words = body.scripts.as_deref();
    known(&mut tx, ScriptType::Testing, words, "scripts").await?;
    let scripts = choice::tests(&mut tx, words).await?;
    let parameters = parameters::check(app.keys(), &found, &scripts, words.is_some(), &body.parameters)?;
    start(tx, actor, id, OperationRequest::Test { scripts: body.scripts, parameters }).await
}

/// Refuses words that mean no script of a type.
async fn known(
    conn: &mut PgConnection,
    script_type: ScriptType,
    words: Option<&[String]>,
    field: &str,
) -> Result<()> {
    match choice::unknown(conn, script_type, words.unwrap_or_default()).await? {
        Some(word) => Err(Error::invalid(
            field,
            format!(
                "there is no {} script or tag `{word}`; see `rackwright script list`",
                script_type.as_str()
            ),
        )),
        None => Ok(()),
    }
}

/// Installs an operating system. A machine that was nobody's becomes the caller's.
pub async fn deploy(app: &App, actor: &Actor, id: &MachineId, body: DeployRequest) -> Result<Operation> {
    let (mut tx, found) = access::operate(app, actor, id, Role::User).await?;
    if found.owner_id.is_none() {
        access::take_one_more(&mut tx, actor).await?;
        db::machine_edit::set_owner(&mut tx, id, actor.user_id).await?;
    } else {
        actor.require_owner_in(&found.pool, found.owner_id)?;
    }
    let image = match body.image {
        Some(image) => image,
        None => db::setting::load(&mut tx)
            .await?
            .default_image
            .ok_or_else(|| Error::invalid("image", "name an image, or set the site's `default_image`"))?,
    };
    let layout = match body.layout {
        Some(layout) => layout,
        None => db::machine_query::get(&mut tx, id).await?.storage_layout,
    };
    let owner = found.owner_id.unwrap_or(actor.user_id);
    let ssh_keys = keys(&mut tx, &[owner, actor.user_id], &body.ssh_keys).await?;
    let request = OperationRequest::Deploy { image, layout, user_data: body.user_data, ssh_keys };
    start(tx, actor, id, request).await
}

/// The keys of these users and some more, once each.
async fn keys(conn: &mut PgConnection, users: &[i64], more: &[String]) -> Result<Vec<String>> {
    let mut keys = Vec::new();
    for user in users {
        keys.extend(db::ssh_key::list(&mut *conn, *user).await?.into_iter().map(|k| k.public_key));
    }
    for key in more {
        keys.push(super::user::check_public_key(key).map_err(|m| Error::invalid("ssh_keys", m))?);
    }
    let mut seen = std::collections::BTreeSet::new();
    keys.retain(|key| seen.insert(key.clone()));
    Ok(keys)
}

/// Gives the machine back.
pub async fn release(app: &App, actor: &Actor, id: &MachineId, body: ReleaseRequest) -> Result<Operation> {
    let (mut tx, _) = access::own(app, actor, id).await?;
    let erase = match body.erase {
        Some(erase) => erase,
        None => db::setting::load(&mut tx).await?.default_erase,
    };
    start(tx, actor, id, OperationRequest::Release { erase }).await
}

/// Boots the ephemeral system with SSH.
pub async fn enter_rescue(
    app: &App,
    actor: &Actor,
    id: &MachineId,
    body: RescueRequest,
) -> Result<Operation> {
    let (mut tx, _) = access::operate(app, actor, id, Role::Operator).await?;
    let ssh_keys = keys(&mut tx, &[actor.user_id], &body.ssh_keys).await?;
    if ssh_keys.is_empty() {
        return Err(Error::invalid(
            "ssh_keys",
            "nobody could log in: add an SSH key to your account, or name one here",
        ));
    }
    start(tx, actor, id, OperationRequest::EnterRescue { ssh_keys }).await
}

/// Back from rescue mode to where it was.
pub async fn exit_rescue(app: &App, actor: &Actor, id: &MachineId) -> Result<Operation> {
    let (tx, _) = access::operate(app, actor, id, Role::Operator).await?;
    start(tx, actor, id, OperationRequest::ExitRescue).await
}

/// A power command: by operators on any machine, by users on their own.
pub async fn power(app: &App, actor: &Actor, id: &MachineId, body: PowerRequest) -> Result<Operation> {
    let (tx, _) = access::own(app, actor, id).await?;
    start(tx, actor, id, OperationRequest::Power { action: body.action }).await
}

/// Ends what is under way.
pub async fn abort(app: &App, actor: &Actor, id: &MachineId) -> Result<Operation> {
    let (mut tx, _) = access::own(app, actor, id).await?;
    let operation = lifecycle::request::abort(&mut tx, id, &actor.name).await?;
    finish(tx, operation).await
}

async fn start(
    mut tx: Transaction,
    actor: &Actor,
    id: &MachineId,
    request: OperationRequest,
) -> Result<Operation> {
    let operation = lifecycle::request::start(&mut tx, id, &request, &actor.name).await?;
    finish(tx, operation).await
}

async fn finish(mut tx: Transaction, operation: OperationId) -> Result<Operation> {
    let shown = db::operation_query::get(&mut tx, operation).await?;
    tx.commit().await?;
    Ok(shown)
}

/// Takes a Ready machine for oneself.
pub async fn allocate(app: &App, actor: &Actor, id: &MachineId) -> Result<Machine> {
    let (mut tx, _) = access::operate(app, actor, id, Role::User).await?;
    access::take_one_more(&mut tx, actor).await?;
    apply(&mut tx, actor, id, Event::Allocate, &format!("allocated by {}", actor.name)).await?;
    db::machine_edit::set_owner(&mut tx, id, actor.user_id).await?;
    done(tx, id).await
}

/// Says that a machine must not be used.
pub async fn mark_broken(app: &App, actor: &Actor, id: &MachineId, body: ReasonRequest) -> Result<Machine> {
    let (mut tx, _) = access::operate(app, actor, id, Role::Operator).await?;
    let why = if body.message.is_empty() { format!("marked broken by {}", actor.name) } else { body.message };
    apply(&mut tx, actor, id, Event::MarkBroken, &why).await?;
    done(tx, id).await
}

/// Says that a machine is mended.
pub async fn mark_fixed(app: &App, actor: &Actor, id: &MachineId, body: ReasonRequest) -> Result<Machine> {
    let (mut tx, found) = access::operate(app, actor, id, Role::Operator).await?;
    let back_to = if found.commissioned { Status::Ready } else { Status::New };
    apply(&mut tx, actor, id, Event::MarkFixed { back_to }, &body.message).await?;
    done(tx, id).await
}

/// Takes a machine in spite of its failed tests.
pub async fn override_failed_tests(
    app: &App,
    actor: &Actor,
    id: &MachineId,
    body: ReasonRequest,
) -> Result<Machine> {
    let (mut tx, found) = access::operate(app, actor, id, Role::Operator).await?;
    let back_to = if found.deployed { Status::Deployed } else { Status::Ready };
    apply(&mut tx, actor, id, Event::OverrideFailedTest { back_to }, &body.message).await?;
    done(tx, id).await
}

async fn apply(
    conn: &mut PgConnection,
    actor: &Actor,
    id: &MachineId,
    event: Event,
    message: &str,
) -> Result<Status> {
    Ok(lifecycle::request::apply(conn, id, event, message, &actor.name).await?)
}

async fn done(mut tx: Transaction, id: &MachineId) -> Result<Machine> {
    let machine = db::machine_query::get(&mut tx, id).await?;
    tx.commit().await?;
    Ok(machine)
}

/// Protects a machine against everything that changes it, or ends that.
pub async fn set_locked(app: &App, actor: &Actor, id: &MachineId, locked: bool) -> Result<Machine> {
    let (mut tx, found) = access::own(app, actor, id).await?;
    db::machine_edit::set_locked(&mut tx, id, locked).await?;
    let change = Change {
        kind: "machine.locked",
        message: format!("{} was {}", found.hostname, if locked { "locked" } else { "unlocked" }),
        machine: Some(id),
        ..Change::default()
    };
    audit(&mut tx, actor, change).await?;
    done(tx, id).await
}
