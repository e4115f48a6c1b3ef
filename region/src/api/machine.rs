//! `/machines`: list, enter, show, change, remove; their BMC, interfaces and script runs.

use super::extract::{ApiJson, ApiPath, ApiQuery, if_match};
use super::problem::Refused;
use crate::app::{App, Error, machine, result_value};
use crate::auth::Actor;
use crate::model::Page;
use crate::model::machine::{
    BmcView, InterfacePatch, Machine, MachinePatch, MachineQuery, MachineSummary, NewBmc, NewMachine,
};
use crate::model::result_value::Comparison;
use crate::model::script::{ScriptRun, ScriptRunQuery};
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use rackwright_common::MachineId;
use serde::Deserialize;

type Tagged = ([(HeaderName, String); 1], Json<Machine>);

/// A machine with its version as ETag.
fn tagged(machine: Machine) -> Tagged {
    ([(header::ETAG, format!("\"{}\"", machine.summary.version))], Json(machine))
}

/// Machines by name.
#[utoipa::path(get, path = "/machines", tag = "machines", params(MachineQuery),
    responses((status = 200, body = Page<MachineSummary>), Refused))]
pub async fn list_machines(
    State(app): State<App>,
    actor: Actor,
    ApiQuery(query): ApiQuery<MachineQuery>,
) -> Result<Json<Page<MachineSummary>>, Error> {
    machine::list(&app, &actor, &query).await.map(Json)
}

/// Enters a machine by hand.
#[utoipa::path(post, path = "/machines", tag = "machines", request_body = NewMachine,
    responses((status = 201, body = Machine), Refused))]
pub async fn create_machine(
    State(app): State<App>,
    actor: Actor,
    ApiJson(new): ApiJson<NewMachine>,
) -> Result<(StatusCode, Tagged), Error> {
    Ok((StatusCode::CREATED, tagged(machine::create(&app, &actor, &new).await?)))
}

/// One machine in full.
#[utoipa::path(get, path = "/machines/{id}", tag = "machines", params(("id" = MachineId, Path)),
    responses((status = 200, body = Machine, headers(("ETag" = String))), Refused))]
pub async fn show_machine(
    State(app): State<App>,
    actor: Actor,
    ApiPath(id): ApiPath<MachineId>,
) -> Result<Tagged, Error> {
    machine::get(&app, &actor, &id).await.map(tagged)
}

/// Changes a machine; with `If-Match` only if it still has that version.
#[utoipa::path(patch, path = "/machines/{id}", tag = "machines", request_body = MachinePatch,
    params(("id" = MachineId, Path), ("If-Match" = Option<String>, Header, description = "ETag of the machine as it was read")),
    responses((status = 200, body = Machine, headers(("ETag" = String))), Refused))]
pub async fn update_machine(
    State(app): State<App>,
    actor: Actor,
    ApiPath(id): ApiPath<MachineId>,
    headers: HeaderMap,
    ApiJson(patch): ApiJson<MachinePatch>,
) -> Result<Tagged, Error> {
    machine::update(&app, &actor, &id, if_match(&headers)?, &patch).await.map(tagged)
}

/// How a removal is meant.
#[derive(Debug, Clone, Copy, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Force {
    /// Also when something speaks against it.
    #[serde(default)]
    pub force: bool,
}

/// Removes a machine.
#[utoipa::path(delete, path = "/machines/{id}", tag = "machines", params(("id" = MachineId, Path), Force),
    responses((status = 204), Refused))]
pub async fn delete_machine(
    State(app): State<App>,
    actor: Actor,
    ApiPath(id): ApiPath<MachineId>,
    ApiQuery(query): ApiQuery<Force>,
) -> Result<StatusCode, Error> {
    machine::delete(&app, &actor, &id, query.force).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Sets how the machine's BMC is reached; with `If-Match` only if the machine still has that version.
#[utoipa::path(put, path = "/machines/{id}/bmc", tag = "machines", request_body = NewBmc,
    params(("id" = MachineId, Path), ("If-Match" = Option<String>, Header, description = "ETag of the machine as it was read")), responses((status = 200, body = BmcView), Refused))]
pub async fn set_bmc(
    State(app): State<App>,
    actor: Actor,
    ApiPath(id): ApiPath<MachineId>,
    headers: HeaderMap,
    ApiJson(new): ApiJson<NewBmc>,
) -> Result<Json<BmcView>, Error> {
    machine::set_bmc(&app, &actor, &id, if_match(&headers)?, &new).await.map(Json)
}

/// Changes an interface of the machine.
#[utoipa::path(patch, path = "/machines/{id}/interfaces/{interface}", tag = "machines", request_body = InterfacePatch,
    params(("id" = MachineId, Path), ("interface" = i64, Path)), responses((status = 200, body = Machine), Refused))]
pub async fn update_interface(
    State(app): State<App>,
    actor: Actor,
    ApiPath((id, interface)): ApiPath<(MachineId, i64)>,
    ApiJson(patch): ApiJson<InterfacePatch>,
) -> Result<Tagged, Error> {
    crate::app::interface::update(&app, &actor, &id, interface, &patch).await.map(tagged)
}

/// Takes an interface away from the machine.
#[utoipa::path(delete, path = "/machines/{id}/interfaces/{interface}", tag = "machines",
    params(("id" = MachineId, Path), ("interface" = i64, Path)), responses((status = 204), Refused))]
pub async fn delete_interface(
    State(app): State<App>,
    actor: Actor,
    ApiPath((id, interface)): ApiPath<(MachineId, i64)>,
) -> Result<StatusCode, Error> {
    crate::app::interface::delete(&app, &actor, &id, interface).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Script runs of the machine, newest first, without output.
#[utoipa::path(get, path = "/machines/{id}/script-runs", tag = "machines",
    params(("id" = MachineId, Path), ScriptRunQuery), responses((status = 200, body = Page<ScriptRun>), Refused))]
pub async fn list_script_runs(
    State(app): State<App>,
    actor: Actor,
    ApiPath(id): ApiPath<MachineId>,
    ApiQuery(query): ApiQuery<ScriptRunQuery>,
) -> Result<Json<Page<ScriptRun>>, Error> {
    machine::script_runs(&app, &actor, &id, &query).await.map(Json)
}

/// The machine's result values beside those of the other machines of its model.
#[utoipa::path(get, path = "/machines/{id}/comparison", tag = "machines", params(("id" = MachineId, Path)),
    responses((status = 200, body = Comparison), Refused))]
pub async fn compare_machine(
    State(app): State<App>,
    actor: Actor,
    ApiPath(id): ApiPath<MachineId>,
) -> Result<Json<Comparison>, Error> {
    result_value::compare(&app, &actor, &id).await.map(Json)
}

/// One script run with its output.
#[utoipa::path(get, path = "/machines/{id}/script-runs/{run}", tag = "machines",
    params(("id" = MachineId, Path), ("run" = i64, Path)), responses((status = 200, body = ScriptRun), Refused))]
pub async fn show_script_run(
    State(app): State<App>,
    actor: Actor,
    ApiPath((id, run)): ApiPath<(MachineId, i64)>,
) -> Result<Json<ScriptRun>, Error> {
    machine::script_run(&app, &actor, &id, run).await.map(Json)
}

/// Whether a run counts.
#[derive(Debug, Clone, Copy, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Suppress {
    /// It does not count.
    pub suppressed: bool,
}

/// Says that a script run does not count against the machine, or that it does again.
#[utoipa::path(patch, path = "/machines/{id}/script-runs/{run}", tag = "machines", request_body = Suppress,
    params(("id" = MachineId, Path), ("run" = i64, Path)), responses((status = 200, body = ScriptRun), Refused))]
pub async fn suppress_script_run(
    State(app): State<App>,
    actor: Actor,
    ApiPath((id, run)): ApiPath<(MachineId, i64)>,
    ApiJson(body): ApiJson<Suppress>,
) -> Result<Json<ScriptRun>, Error> {
    machine::suppress_run(&app, &actor, &id, run, body.suppressed).await.map(Json)
}
