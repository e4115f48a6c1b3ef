//! `/devices`

use super::extract::{ApiJson, ApiPath};
use super::problem::Refused;
use crate::app::{App, Error, device};
use crate::auth::Actor;
use crate::model::Page;
use crate::model::device::{Device, NewDevice};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

/// All devices: things with a name and fixed addresses that are not machines.
#[utoipa::path(get, path = "/devices", tag = "network", responses((status = 200, body = Page<Device>), Refused))]
pub async fn list_devices(State(app): State<App>, actor: Actor) -> Result<Json<Page<Device>>, Error> {
    device::list(&app, &actor).await.map(Json)
}

/// Makes a device.
#[utoipa::path(post, path = "/devices", tag = "network", request_body = NewDevice,
    responses((status = 201, body = Device), Refused))]
pub async fn create_device(
    State(app): State<App>,
    actor: Actor,
    ApiJson(body): ApiJson<NewDevice>,
) -> Result<(StatusCode, Json<Device>), Error> {
    Ok((StatusCode::CREATED, Json(device::create(&app, &actor, &body).await?)))
}

/// One device.
#[utoipa::path(get, path = "/devices/{id}", tag = "network", params(("id" = i64, Path)),
    responses((status = 200, body = Device), Refused))]
pub async fn show_device(
    State(app): State<App>,
    actor: Actor,
    ApiPath(id): ApiPath<i64>,
) -> Result<Json<Device>, Error> {
    device::get(&app, &actor, id).await.map(Json)
}

/// Changes a device; addresses that are not named are taken away from it.
#[utoipa::path(put, path = "/devices/{id}", tag = "network", request_body = NewDevice, params(("id" = i64, Path)),
    responses((status = 200, body = Device), Refused))]
pub async fn update_device(
    State(app): State<App>,
    actor: Actor,
    ApiPath(id): ApiPath<i64>,
    ApiJson(body): ApiJson<NewDevice>,
) -> Result<Json<Device>, Error> {
    device::update(&app, &actor, id, &body).await.map(Json)
}

/// Removes a device.
#[utoipa::path(delete, path = "/devices/{id}", tag = "network", params(("id" = i64, Path)),
    responses((status = 204), Refused))]
pub async fn delete_device(
    State(app): State<App>,
    actor: Actor,
    ApiPath(id): ApiPath<i64>,
) -> Result<StatusCode, Error> {
    device::delete(&app, &actor, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
