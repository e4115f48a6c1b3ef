//! `/scripts`.

use super::extract::{ApiJson, ApiPath, ApiQuery};
use super::problem::Refused;
use crate::app::{App, Error, script, script_history};
use crate::auth::Actor;
use crate::model::Page;
use crate::model::script::{NewScript, Script};
use crate::model::script_history::{ScriptHistory, ScriptResults};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;

/// The current version of every script, without bodies.
#[utoipa::path(get, path = "/scripts", tag = "scripts",
    responses((status = 200, body = Page<Script>), Refused))]
pub async fn list_scripts(State(app): State<App>, actor: Actor) -> Result<Json<Page<Script>>, Error> {
    script::list(&app, &actor).await.map(Json)
}

/// Stores a new version of a script.
#[utoipa::path(post, path = "/scripts", tag = "scripts", request_body = NewScript,
    responses((status = 201, body = Script), Refused))]
pub async fn create_script(
    State(app): State<App>,
    actor: Actor,
    ApiJson(body): ApiJson<NewScript>,
) -> Result<(StatusCode, Json<Script>), Error> {
    Ok((StatusCode::CREATED, Json(script::create(&app, &actor, &body).await?)))
}

/// One script with its body.
#[utoipa::path(get, path = "/scripts/{name}", tag = "scripts", params(("name" = String, Path), Version),
    responses((status = 200, body = Script), Refused))]
pub async fn show_script(
    State(app): State<App>,
    actor: Actor,
    ApiPath(name): ApiPath<String>,
    ApiQuery(query): ApiQuery<Version>,
) -> Result<Json<Script>, Error> {
    script::get(&app, &actor, &name, query.version).await.map(Json)
}

/// Versions of a script, and its last runs on all machines.
#[utoipa::path(get, path = "/scripts/{name}/history", tag = "scripts", params(("name" = String, Path)),
    responses((status = 200, body = ScriptHistory), Refused))]
pub async fn show_script_history(
    State(app): State<App>,
    actor: Actor,
    ApiPath(name): ApiPath<String>,
) -> Result<Json<ScriptHistory>, Error> {
    script_history::get(&app, &actor, &name).await.map(Json)
}

/// How the scripts did in the site's last runs.
#[utoipa::path(get, path = "/script-results", tag = "scripts",
    responses((status = 200, body = Page<ScriptResults>), Refused))]
pub async fn list_script_results(
    State(app): State<App>,
    actor: Actor,
) -> Result<Json<Page<ScriptResults>>, Error> {
    script_history::results(&app, &actor).await.map(Json)
}

/// Removes a script that has never run.
#[utoipa::path(delete, path = "/scripts/{name}", tag = "scripts", params(("name" = String, Path)),
    responses((status = 204), Refused))]
pub async fn delete_script(
    State(app): State<App>,
    actor: Actor,
    ApiPath(name): ApiPath<String>,
) -> Result<StatusCode, Error> {
    script::delete(&app, &actor, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Which version.
#[derive(Debug, Clone, Copy, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Version {
    /// The current one when absent.
    #[serde(default)]
    pub version: Option<i32>,
}
