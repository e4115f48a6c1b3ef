//! `/fabrics`, `/vlans` and `/leases`.

use super::extract::{ApiJson, ApiPath, ApiQuery};
use super::problem::Refused;
use crate::app::{App, Error, network};
use crate::auth::Actor;
use crate::model::Page;
use crate::model::network::{Fabric, Lease, NewFabric, NewVlan, SubnetQuery, Vlan};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

/// All fabrics.
#[utoipa::path(get, path = "/fabrics", tag = "network",
    responses((status = 200, body = Page<Fabric>), Refused))]
pub async fn list_fabrics(State(app): State<App>, actor: Actor) -> Result<Json<Page<Fabric>>, Error> {
    network::fabrics(&app, &actor).await.map(Json)
}

/// Makes a fabric.
#[utoipa::path(post, path = "/fabrics", tag = "network", request_body = NewFabric,
    responses((status = 201, body = Fabric), Refused))]
pub async fn create_fabric(
    State(app): State<App>,
    actor: Actor,
    ApiJson(body): ApiJson<NewFabric>,
) -> Result<(StatusCode, Json<Fabric>), Error> {
    Ok((StatusCode::CREATED, Json(network::create_fabric(&app, &actor, &body).await?)))
}

/// Renames a fabric.
#[utoipa::path(put, path = "/fabrics/{id}", tag = "network", request_body = NewFabric, params(("id" = i64, Path)),
    responses((status = 200, body = Fabric), Refused))]
pub async fn update_fabric(
    State(app): State<App>,
    actor: Actor,
    ApiPath(id): ApiPath<i64>,
    ApiJson(body): ApiJson<NewFabric>,
) -> Result<Json<Fabric>, Error> {
    network::update_fabric(&app, &actor, id, &body).await.map(Json)
}

/// Removes a fabric without VLANs.
#[utoipa::path(delete, path = "/fabrics/{id}", tag = "network", params(("id" = i64, Path)),
    responses((status = 204), Refused))]
pub async fn delete_fabric(
    State(app): State<App>,
    actor: Actor,
    ApiPath(id): ApiPath<i64>,
) -> Result<StatusCode, Error> {
    network::delete_fabric(&app, &actor, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// All VLANs.
#[utoipa::path(get, path = "/vlans", tag = "network",
    responses((status = 200, body = Page<Vlan>), Refused))]
pub async fn list_vlans(State(app): State<App>, actor: Actor) -> Result<Json<Page<Vlan>>, Error> {
    network::vlans(&app, &actor).await.map(Json)
}

/// Makes a VLAN.
#[utoipa::path(post, path = "/vlans", tag = "network", request_body = NewVlan,
    responses((status = 201, body = Vlan), Refused))]
pub async fn create_vlan(
    State(app): State<App>,
    actor: Actor,
    ApiJson(body): ApiJson<NewVlan>,
) -> Result<(StatusCode, Json<Vlan>), Error> {
    Ok((StatusCode::CREATED, Json(network::create_vlan(&app, &actor, &body).await?)))
}

/// Changes a VLAN.
#[utoipa::path(put, path = "/vlans/{id}", tag = "network", request_body = NewVlan, params(("id" = i64, Path)),
    responses((status = 200, body = Vlan), Refused))]
pub async fn update_vlan(
    State(app): State<App>,
    actor: Actor,
    ApiPath(id): ApiPath<i64>,
    ApiJson(body): ApiJson<NewVlan>,
) -> Result<Json<Vlan>, Error> {
    network::update_vlan(&app, &actor, id, &body).await.map(Json)
}

/// Removes a VLAN without subnets.
#[utoipa::path(delete, path = "/vlans/{id}", tag = "network", params(("id" = i64, Path)),
    responses((status = 204), Refused))]
pub async fn delete_vlan(
    State(app): State<App>,
    actor: Actor,
    ApiPath(id): ApiPath<i64>,
) -> Result<StatusCode, Error> {
    network::delete_vlan(&app, &actor, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Dynamic addresses in use.
#[utoipa::path(get, path = "/leases", tag = "network", params(SubnetQuery),
    responses((status = 200, body = Page<Lease>), Refused))]
pub async fn list_leases(
    State(app): State<App>,
    actor: Actor,
    ApiQuery(query): ApiQuery<SubnetQuery>,
) -> Result<Json<Page<Lease>>, Error> {
    network::leases(&app, &actor, query.subnet).await.map(Json)
}
