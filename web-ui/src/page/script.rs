//! Scripts. A refused upload comes back with the program as it was sent.

use super::{Params, Shown, go, now};
use crate::error::{describe, log};
use crate::view::script::{ScriptPage, ScriptsPage};
use crate::visitor::{Posted, Visitor};
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use rackwright_region::app::{App, script, script_history};
use rackwright_region::model::script::NewScript;

/// The list.
pub async fn list(State(app): State<App>, visitor: Visitor) -> Shown<ScriptsPage> {
    scripts(&app, &visitor).await
}

async fn scripts(app: &App, visitor: &Visitor) -> Shown<ScriptsPage> {
    let scripts = script::list(app, &visitor.actor).await?.items;
    let results = script_history::results(app, &visitor.actor).await?.items;
    Ok(ScriptsPage::new(visitor.layout("Scripts"), &scripts, &results, now()))
}

/// One script; another version of it than the one that runs with `?version=`.
pub async fn show(
    State(app): State<App>,
    visitor: Visitor,
    Path(name): Path<String>,
    params: Params,
) -> Shown<ScriptPage> {
    one(&app, &visitor, &name, params.parsed("version")).await
}

async fn one(app: &App, visitor: &Visitor, name: &str, version: Option<i32>) -> Shown<ScriptPage> {
    let found = script::get(app, &visitor.actor, name, version).await?;
    let history = script_history::get(app, &visitor.actor, name).await?;
    Ok(ScriptPage::new(visitor.layout("Scripts"), &found, &history, now()))
}

/// Stores a script, or a new version of one.
pub async fn create(State(app): State<App>, posted: Posted) -> Shown<Response> {
    let Posted { visitor, fields } = posted;
    let new =
        NewScript { name: fields.filled("name").map(|n| n.trim().to_owned()), body: fields.text("body") };
    match script::create(&app, &visitor.actor, &new).await {
        Ok(stored) => Ok(go(&format!("/scripts/{}", stored.name))),
        Err(error) => {
            log(&error);
            let mut page = scripts(&app, &visitor).await?;
            match &mut page.form {
                Some(form) => *form = form.clone().refused(&fields, &error),
                None => return Err(error.into()),
            }
            Ok((describe(&error).0, page).into_response())
        }
    }
}

/// Removes a script.
pub async fn delete(State(app): State<App>, Path(name): Path<String>, posted: Posted) -> Shown<Response> {
    let Posted { visitor, fields } = posted;
    let Err(error) = script::delete(&app, &visitor.actor, &name).await else { return Ok(go("/scripts")) };
    log(&error);
    let mut page = one(&app, &visitor, &name, None).await?;
    match &mut page.delete_form {
        Some(form) => *form = form.clone().refused(&fields, &error),
        None => return Err(error.into()),
    }
    Ok((describe(&error).0, page).into_response())
}
