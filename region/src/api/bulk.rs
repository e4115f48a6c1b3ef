//! `/bulk-actions`.

use super::extract::{ApiJson, ApiPath};
use super::problem::Refused;
use crate::app::{App, Error, bulk};
use crate::auth::Actor;
use crate::model::bulk::{Bulk, NewBulk};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

/// One action on many machines. It is carried out machine by machine; a refusal ends nothing.
#[utoipa::path(post, path = "/bulk-actions", tag = "machines", request_body = NewBulk,
    responses((status = 202, body = Bulk), Refused))]
pub async fn create_bulk_action(
    State(app): State<App>,
    actor: Actor,
    ApiJson(body): ApiJson<NewBulk>,
) -> Result<(StatusCode, Json<Bulk>), Error> {
    Ok((StatusCode::ACCEPTED, Json(bulk::create(&app, &actor, &body).await?)))
}

/// Ends an action on many machines before its next machine; those that were not begun are refused with that reason.
#[utoipa::path(post, path = "/bulk-actions/{id}/stop", tag = "machines", params(("id" = i64, Path)),
    responses((status = 200, body = Bulk), Refused))]
pub async fn stop_bulk_action(
    State(app): State<App>,
    actor: Actor,
    ApiPath(id): ApiPath<i64>,
) -> Result<Json<Bulk>, Error> {
    bulk::stop(&app, &actor, id).await.map(Json)
}

/// How far an action on many machines is.
#[utoipa::path(get, path = "/bulk-actions/{id}", tag = "machines", params(("id" = i64, Path)),
    responses((status = 200, body = Bulk), Refused))]
pub async fn show_bulk_action(
    State(app): State<App>,
    actor: Actor,
    ApiPath(id): ApiPath<i64>,
) -> Result<Json<Bulk>, Error> {
    bulk::get(&app, &actor, id).await.map(Json)
}
