//! `/machines/{id}/virtual-interfaces`, `…/default-gateways`, `…/network-plan`; `/dhcp-shadow`.

use super::extract::{ApiJson, ApiPath, ApiQuery};
use super::problem::Refused;
use crate::app::{App, Error, interface, network, network_plan};
use crate::auth::Actor;
use crate::model::Page;
use crate::model::dhcp_seen::DhcpShadow;
use crate::model::interface::{DefaultGateways, NetworkPlanView, NewVirtualInterface};
use crate::model::machine::Machine;
use crate::model::network::SubnetQuery;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use rackwright_common::MachineId;

/// Makes a bond, a bridge or a tagged VLAN of the machine's interfaces.
#[utoipa::path(post, path = "/machines/{id}/virtual-interfaces", tag = "machines", request_body = NewVirtualInterface,
    params(("id" = MachineId, Path)), responses((status = 201, body = Machine), Refused))]
pub async fn create_virtual_interface(
    State(app): State<App>,
    actor: Actor,
    ApiPath(id): ApiPath<MachineId>,
    ApiJson(body): ApiJson<NewVirtualInterface>,
) -> Result<(StatusCode, Json<Machine>), Error> {
    Ok((StatusCode::CREATED, Json(interface::create_virtual(&app, &actor, &id, &body).await?)))
}

/// Changes one into what is said.
#[utoipa::path(put, path = "/machines/{id}/virtual-interfaces/{interface}", tag = "machines", request_body = NewVirtualInterface,
    params(("id" = MachineId, Path), ("interface" = i64, Path)), responses((status = 200, body = Machine), Refused))]
pub async fn update_virtual_interface(
    State(app): State<App>,
    actor: Actor,
    ApiPath((id, number)): ApiPath<(MachineId, i64)>,
    ApiJson(body): ApiJson<NewVirtualInterface>,
) -> Result<Json<Machine>, Error> {
    interface::update_virtual(&app, &actor, &id, number, &body).await.map(Json)
}

/// Removes one that no other is made of.
#[utoipa::path(delete, path = "/machines/{id}/virtual-interfaces/{interface}", tag = "machines",
    params(("id" = MachineId, Path), ("interface" = i64, Path)), responses((status = 204), Refused))]
pub async fn delete_virtual_interface(
    State(app): State<App>,
    actor: Actor,
    ApiPath((id, number)): ApiPath<(MachineId, i64)>,
) -> Result<StatusCode, Error> {
    interface::delete_virtual(&app, &actor, &id, number).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Chooses the subnets whose gateways are the installed system's default routes.
#[utoipa::path(put, path = "/machines/{id}/default-gateways", tag = "machines", request_body = DefaultGateways,
    params(("id" = MachineId, Path)), responses((status = 200, body = Machine), Refused))]
pub async fn set_default_gateways(
    State(app): State<App>,
    actor: Actor,
    ApiPath(id): ApiPath<MachineId>,
    ApiJson(body): ApiJson<DefaultGateways>,
) -> Result<Json<Machine>, Error> {
    interface::set_gateways(&app, &actor, &id, body).await.map(Json)
}

/// What a deployment would make of the machine's network now. Changes nothing.
#[utoipa::path(get, path = "/machines/{id}/network-plan", tag = "machines",
    params(("id" = MachineId, Path)), responses((status = 200, body = NetworkPlanView), Refused))]
pub async fn show_network_plan(
    State(app): State<App>,
    actor: Actor,
    ApiPath(id): ApiPath<MachineId>,
) -> Result<Json<NetworkPlanView>, Error> {
    network_plan::show(&app, &actor, &id).await.map(Json)
}

/// What racks in shadow mode would have answered, beside what clients got; differences first.
#[utoipa::path(get, path = "/dhcp-shadow", tag = "network", params(SubnetQuery),
    responses((status = 200, body = Page<DhcpShadow>), Refused))]
pub async fn list_dhcp_shadow(
    State(app): State<App>,
    actor: Actor,
    ApiQuery(query): ApiQuery<SubnetQuery>,
) -> Result<Json<Page<DhcpShadow>>, Error> {
    network::dhcp_shadow(&app, &actor, query.subnet).await.map(Json)
}
