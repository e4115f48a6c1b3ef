//! `/hardware-changes` and `/machines/{id}/hardware-changes/accepted`.

use super::extract::{ApiJson, ApiPath, ApiQuery};
use super::problem::Refused;
use crate::app::{App, Error, hardware_change};
use crate::auth::Actor;
use crate::model::Page;
use crate::model::hardware_change::{AcceptedChanges, HardwareChange, HardwareChangeQuery};
use axum::Json;
use axum::extract::State;
use rackwright_common::MachineId;

/// What readings of hardware found otherwise than the ones before, newest first, 200 at most.
#[utoipa::path(get, path = "/hardware-changes", tag = "machines", params(HardwareChangeQuery),
    responses((status = 200, body = Page<HardwareChange>), Refused))]
pub async fn list_hardware_changes(
    State(app): State<App>,
    actor: Actor,
    ApiQuery(query): ApiQuery<HardwareChangeQuery>,
) -> Result<Json<Page<HardwareChange>>, Error> {
    hardware_change::list(&app, &actor, &query).await.map(Json)
}

/// Says that a machine's changes are meant, up to one of them.
#[utoipa::path(put, path = "/machines/{id}/hardware-changes/accepted", tag = "machines", request_body = AcceptedChanges,
    params(("id" = MachineId, Path)), responses((status = 200, body = Page<HardwareChange>), Refused))]
pub async fn accept_hardware_changes(
    State(app): State<App>,
    actor: Actor,
    ApiPath(id): ApiPath<MachineId>,
    ApiJson(body): ApiJson<AcceptedChanges>,
) -> Result<Json<Page<HardwareChange>>, Error> {
    hardware_change::accept(&app, &actor, &id, body).await.map(Json)
}
