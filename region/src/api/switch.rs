//! `/switches`

use super::extract::{ApiJson, ApiPath};
use super::problem::Refused;
use crate::app::{App, Error, switch};
use crate::auth::Actor;
use crate::model::Page;
use crate::model::switch::{AccessVlan, NewSwitch, Switch, SwitchDetail};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

/// All switches that racks read by SNMP.
#[utoipa::path(get, path = "/switches", tag = "network", responses((status = 200, body = Page<Switch>), Refused))]
pub async fn list_switches(State(app): State<App>, actor: Actor) -> Result<Json<Page<Switch>>, Error> {
    switch::list(&app, &actor).await.map(Json)
}

/// Enters a switch; racks read it from now on.
#[utoipa::path(post, path = "/switches", tag = "network", request_body = NewSwitch,
    responses((status = 201, body = Switch), Refused))]
pub async fn create_switch(
    State(app): State<App>,
    actor: Actor,
    ApiJson(body): ApiJson<NewSwitch>,
) -> Result<(StatusCode, Json<Switch>), Error> {
    Ok((StatusCode::CREATED, Json(switch::create(&app, &actor, &body).await?)))
}

/// One switch: its VLANs, its ports, and who was heard there.
#[utoipa::path(get, path = "/switches/{id}", tag = "network", params(("id" = i64, Path)),
    responses((status = 200, body = SwitchDetail), Refused))]
pub async fn show_switch(
    State(app): State<App>,
    actor: Actor,
    ApiPath(id): ApiPath<i64>,
) -> Result<Json<SwitchDetail>, Error> {
    switch::get(&app, &actor, id).await.map(Json)
}

/// Changes where a switch is and how it is read. With another address, `access` must be told again.
#[utoipa::path(put, path = "/switches/{id}", tag = "network", request_body = NewSwitch, params(("id" = i64, Path)),
    responses((status = 200, body = Switch), Refused))]
pub async fn update_switch(
    State(app): State<App>,
    actor: Actor,
    ApiPath(id): ApiPath<i64>,
    ApiJson(body): ApiJson<NewSwitch>,
) -> Result<Json<Switch>, Error> {
    switch::update(&app, &actor, id, &body).await.map(Json)
}

/// Removes a switch; it is not read any more.
#[utoipa::path(delete, path = "/switches/{id}", tag = "network", params(("id" = i64, Path)),
    responses((status = 204), Refused))]
pub async fn delete_switch(
    State(app): State<App>,
    actor: Actor,
    ApiPath(id): ApiPath<i64>,
) -> Result<StatusCode, Error> {
    switch::delete(&app, &actor, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Has a rack read a switch now, and waits for it.
#[utoipa::path(post, path = "/switches/{id}/read", tag = "network", params(("id" = i64, Path)),
    responses((status = 200, body = SwitchDetail), Refused))]
pub async fn read_switch(
    State(app): State<App>,
    actor: Actor,
    ApiPath(id): ApiPath<i64>,
) -> Result<Json<SwitchDetail>, Error> {
    switch::read(&app, &actor, id).await.map(Json)
}

/// Gives an access port another VLAN, and waits until the switch has it. Ports that carry tagged VLANs are refused.
#[utoipa::path(put, path = "/switches/{id}/ports/{port}/vlan", tag = "network", request_body = AccessVlan,
    params(("id" = i64, Path), ("port" = u32, Path, description = "The port's `number`")),
    responses((status = 200, body = SwitchDetail), Refused))]
pub async fn set_switch_port_vlan(
    State(app): State<App>,
    actor: Actor,
    ApiPath((id, port)): ApiPath<(i64, u32)>,
    ApiJson(body): ApiJson<AccessVlan>,
) -> Result<Json<SwitchDetail>, Error> {
    switch::set_access_vlan(&app, &actor, id, port, body.vid).await.map(Json)
}
