//! What a person asks a machine to do. A refusal shows the page again, with the reason and what was typed.

use super::machine::page;
use super::{Shown, go, machine_id};
use crate::error::{describe, log, sentence};
use crate::view::action::{Refusal, Typed};
use crate::visitor::{Fields, Posted};
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use rackwright_common::bmc::BmcAction;
use rackwright_common::storage::{EraseMode, LayoutKind, StorageLayout};
use rackwright_region::app::{self, App, Error, machine_action as action};
use rackwright_region::auth::Actor;
use rackwright_region::model::action::{
    CommissionRequest, DeployRequest, PowerRequest, ReasonRequest, ReleaseRequest, RescueRequest, TestRequest,
};
use rackwright_region::model::hardware_change::AcceptedChanges;
use rackwright_region::model::machine::Machine;

/// Takes a form or a button.
pub async fn act(
    State(app): State<App>,
    Path((id, verb)): Path<(String, String)>,
    posted: Posted,
) -> Shown<Response> {
    let Posted { visitor, fields } = posted;
    let machine = app::machine::get(&app, &visitor.actor, &machine_id(&id)?).await?;
    match carry_out(&app, &visitor.actor, &machine, &verb, &fields).await {
        Ok(()) => Ok(go(&format!("/machines/{id}"))),
        Err(error) => {
            log(&error);
            let refusal = Refusal { verb, message: sentence(&error.to_string()) };
            // Read again: somebody else may just have changed it, which is why this was refused.
            let machine = app::machine::get(&app, &visitor.actor, &machine.summary.id).await?;
            let shown = page(&app, visitor, &machine, Some((refusal, typed(&fields)))).await?;
            Ok((describe(&error).0, shown).into_response())
        }
    }
}

fn typed(fields: &Fields) -> Typed {
    Typed {
        image: fields.text("image"),
        layout: fields.text("layout"),
        ssh_keys: fields.text("ssh_keys"),
        user_data: fields.text("user_data"),
        erase: fields.text("erase"),
        message: fields.text("message"),
    }
}

async fn carry_out(app: &App, actor: &Actor, m: &Machine, verb: &str, fields: &Fields) -> Result<(), Error> {
    let id = &m.summary.id;
    let reason = || ReasonRequest { message: fields.text("message").trim().to_owned() };
    match verb {
        "deploy" => action::deploy(app, actor, id, deploy(m, fields)?).await.map(drop),
        "commission" => action::commission(app, actor, id, commission(fields)).await.map(drop),
        "test" => action::test(app, actor, id, test(fields)?).await.map(drop),
        "release" => {
            action::release(app, actor, id, ReleaseRequest { erase: erase_mode(fields)? }).await.map(drop)
        }
        "rescue" => {
            let request = RescueRequest { ssh_keys: fields.lines("ssh_keys") };
            action::enter_rescue(app, actor, id, request).await.map(drop)
        }
        "exit-rescue" => action::exit_rescue(app, actor, id).await.map(drop),
        "power" => action::power(app, actor, id, PowerRequest { action: power(fields)? }).await.map(drop),
        "abort" => action::abort(app, actor, id).await.map(drop),
        "allocate" => action::allocate(app, actor, id).await.map(drop),
        "lock" => action::set_locked(app, actor, id, true).await.map(drop),
        "unlock" => action::set_locked(app, actor, id, false).await.map(drop),
        "mark-broken" => action::mark_broken(app, actor, id, reason()).await.map(drop),
        "mark-fixed" => action::mark_fixed(app, actor, id, reason()).await.map(drop),
        "accept-hardware" => {
            let unknown = || Error::invalid("upto", "this is the number of no change");
            let accepted = AcceptedChanges { upto: fields.text("upto").parse().map_err(|_| unknown())? };
            app::hardware_change::accept(app, actor, id, accepted).await.map(drop)
        }
        "override" => action::override_failed_tests(app, actor, id, reason()).await.map(drop),
        other => Err(Error::not_found("action", other)),
    }
}

fn deploy(m: &Machine, fields: &Fields) -> Result<DeployRequest, Error> {
    let kind = match fields.text("layout").as_str() {
        "" => None,
        "image" => Some(LayoutKind::Image),
        "flat" => Some(LayoutKind::Flat),
        "lvm" => Some(LayoutKind::Lvm),
        other => {
            return Err(Error::invalid("layout", format!("`{other}` is not a layout: image, flat or lvm")));
        }
    };
    Ok(DeployRequest {
        image: fields.filled("image"),
        layout: kind.map(|kind| StorageLayout { kind, ..m.storage_layout.clone() }),
        user_data: fields.filled("user_data"),
        ssh_keys: fields.lines("ssh_keys"),
    })
}

fn commission(fields: &Fields) -> CommissionRequest {
    CommissionRequest {
        commissioning_scripts: (fields.text("commissioning_scripts") == "none").then(Vec::new),
        tests: (fields.text("tests") == "none").then(Vec::new),
        ..CommissionRequest::default()
    }
}

fn test(fields: &Fields) -> Result<TestRequest, Error> {
    let scripts = fields.all("scripts");
    if scripts.is_empty() {
        return Err(Error::invalid("scripts", "choose one test at least"));
    }
    Ok(TestRequest { scripts: Some(scripts), ..TestRequest::default() })
}

/// The way to erase that a form asks for.
pub fn erase_mode(fields: &Fields) -> Result<Option<EraseMode>, Error> {
    match fields.text("erase").as_str() {
        "" => Ok(None),
        "none" => Ok(Some(EraseMode::None)),
        "quick" => Ok(Some(EraseMode::Quick)),
        "full" => Ok(Some(EraseMode::Full)),
        other => {
            Err(Error::invalid("erase", format!("`{other}` is not a way to erase: none, quick or full")))
        }
    }
}

fn power(fields: &Fields) -> Result<BmcAction, Error> {
    match fields.text("action").as_str() {
        "on" => Ok(BmcAction::On),
        "off" => Ok(BmcAction::Off),
        "soft" => Ok(BmcAction::Soft),
        "cycle" => Ok(BmcAction::Cycle),
        "reset" => Ok(BmcAction::Reset),
        "query" => Ok(BmcAction::Query),
        other => Err(Error::invalid("action", format!("`{other}` is not a power command"))),
    }
}
