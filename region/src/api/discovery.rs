//! `/discoveries`, `/wiring-faults`, and which subnets are scanned.

use super::extract::{ApiJson, ApiPath, ApiQuery};
use super::problem::Refused;
use crate::app::{App, Error, discovery};
use crate::auth::Actor;
use crate::model::Page;
use crate::model::discovery::{Adoption, Discovery, DiscoveryQuery, Whether, WiringFault, WiringQuery};
use crate::model::machine::Machine;
use crate::model::network::Reservation;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

/// Who racks have heard on the networks of machines and nobody has modelled, newest first.
#[utoipa::path(get, path = "/discoveries", tag = "network", params(DiscoveryQuery),
    responses((status = 200, body = Page<Discovery>), Refused))]
pub async fn list_discoveries(
    State(app): State<App>,
    actor: Actor,
    ApiQuery(query): ApiQuery<DiscoveryQuery>,
) -> Result<Json<Page<Discovery>>, Error> {
    discovery::list(&app, &actor, &query).await.map(Json)
}

/// Enters what was heard as a machine.
#[utoipa::path(post, path = "/discoveries/{id}/machine", tag = "network", request_body = Adoption, params(("id" = i64, Path)),
    responses((status = 201, body = Machine), Refused))]
pub async fn discovery_to_machine(
    State(app): State<App>,
    actor: Actor,
    ApiPath(id): ApiPath<i64>,
    ApiJson(body): ApiJson<Adoption>,
) -> Result<(StatusCode, Json<Machine>), Error> {
    Ok((StatusCode::CREATED, Json(discovery::to_machine(&app, &actor, id, &body).await?)))
}

/// Reserves the address that was heard for whoever has it.
#[utoipa::path(post, path = "/discoveries/{id}/reservation", tag = "network", request_body = Adoption, params(("id" = i64, Path)),
    responses((status = 201, body = Reservation), Refused))]
pub async fn discovery_to_reservation(
    State(app): State<App>,
    actor: Actor,
    ApiPath(id): ApiPath<i64>,
    ApiJson(body): ApiJson<Adoption>,
) -> Result<(StatusCode, Json<Reservation>), Error> {
    Ok((StatusCode::CREATED, Json(discovery::to_reservation(&app, &actor, id, &body).await?)))
}

/// Says whether this MAC is told of.
#[utoipa::path(put, path = "/discoveries/{id}/ignored", tag = "network", request_body = Whether, params(("id" = i64, Path)),
    responses((status = 204), Refused))]
pub async fn ignore_discovery(
    State(app): State<App>,
    actor: Actor,
    ApiPath(id): ApiPath<i64>,
    ApiJson(body): ApiJson<Whether>,
) -> Result<StatusCode, Error> {
    discovery::set_ignored(&app, &actor, id, body.on).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Numbers of the subnets that racks scan.
#[utoipa::path(get, path = "/scanned-subnets", tag = "network",
    responses((status = 200, body = Page<i64>), Refused))]
pub async fn list_scanned_subnets(State(app): State<App>, actor: Actor) -> Result<Json<Page<i64>>, Error> {
    discovery::scanned(&app, &actor).await.map(Json)
}

/// Says whether racks may ask every address of a subnet who has it.
#[utoipa::path(put, path = "/subnets/{id}/scan", tag = "network", request_body = Whether, params(("id" = i64, Path)),
    responses((status = 204), Refused))]
pub async fn scan_subnet(
    State(app): State<App>,
    actor: Actor,
    ApiPath(id): ApiPath<i64>,
    ApiJson(body): ApiJson<Whether>,
) -> Result<StatusCode, Error> {
    discovery::set_active_scan(&app, &actor, id, body.on).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Interfaces of machines and racks that are elsewhere than the model says.
#[utoipa::path(get, path = "/wiring-faults", tag = "network", params(WiringQuery),
    responses((status = 200, body = Page<WiringFault>), Refused))]
pub async fn list_wiring_faults(
    State(app): State<App>,
    actor: Actor,
    ApiQuery(query): ApiQuery<WiringQuery>,
) -> Result<Json<Page<WiringFault>>, Error> {
    discovery::wiring_faults(&app, &actor, query.machine.as_ref()).await.map(Json)
}
