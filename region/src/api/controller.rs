//! `/status`, `/racks` and `/regions`.

use super::extract::ApiPath;
use super::problem::Refused;
use crate::app::{App, Error, controller};
use crate::auth::Actor;
use crate::model::Page;
use crate::model::controller::{Rack, RackFence, Region, SiteStatus};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

/// What the site has and how it does.
#[utoipa::path(get, path = "/status", tag = "controllers",
    responses((status = 200, body = SiteStatus), Refused))]
pub async fn show_status(State(app): State<App>, actor: Actor) -> Result<Json<SiteStatus>, Error> {
    controller::status(&app, &actor).await.map(Json)
}

/// All racks.
#[utoipa::path(get, path = "/racks", tag = "controllers",
    responses((status = 200, body = Page<Rack>), Refused))]
pub async fn list_racks(State(app): State<App>, actor: Actor) -> Result<Json<Page<Rack>>, Error> {
    controller::racks(&app, &actor).await.map(Json)
}

/// Removes a rack that is gone for good.
#[utoipa::path(delete, path = "/racks/{name}", tag = "controllers", params(("name" = String, Path)),
    responses((status = 204), Refused))]
pub async fn delete_rack(
    State(app): State<App>,
    actor: Actor,
    ApiPath(name): ApiPath<String>,
) -> Result<StatusCode, Error> {
    controller::delete_rack(&app, &actor, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Takes the caller's word that a rack's box is off and cannot give addresses any more. Refused while a region hears it.
#[utoipa::path(post, path = "/racks/{name}/fence", tag = "controllers", params(("name" = String, Path)),
    responses((status = 200, body = RackFence), Refused))]
pub async fn fence_rack(
    State(app): State<App>,
    actor: Actor,
    ApiPath(name): ApiPath<String>,
) -> Result<Json<RackFence>, Error> {
    controller::fence_rack(&app, &actor, &name).await.map(Json)
}

/// All regions.
#[utoipa::path(get, path = "/regions", tag = "controllers",
    responses((status = 200, body = Page<Region>), Refused))]
pub async fn list_regions(State(app): State<App>, actor: Actor) -> Result<Json<Page<Region>>, Error> {
    controller::regions(&app, &actor).await.map(Json)
}

/// One region.
#[utoipa::path(get, path = "/regions/{name}", tag = "controllers", params(("name" = String, Path)),
    responses((status = 200, body = Region), Refused))]
pub async fn show_region(
    State(app): State<App>,
    actor: Actor,
    ApiPath(name): ApiPath<String>,
) -> Result<Json<Region>, Error> {
    controller::region(&app, &actor, &name).await.map(Json)
}

/// Removes a region that is gone for good.
#[utoipa::path(delete, path = "/regions/{name}", tag = "controllers", params(("name" = String, Path)),
    responses((status = 204), Refused))]
pub async fn delete_region(
    State(app): State<App>,
    actor: Actor,
    ApiPath(name): ApiPath<String>,
) -> Result<StatusCode, Error> {
    controller::delete_region(&app, &actor, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Has a region take no new work: it claims no operations, racks go to the others, and `/readyz` says 503. It stays so,
/// also across a restart, until it is resumed.
#[utoipa::path(post, path = "/regions/{name}/drain", tag = "controllers", params(("name" = String, Path)),
    responses((status = 200, body = Region), Refused))]
pub async fn drain_region(
    State(app): State<App>,
    actor: Actor,
    ApiPath(name): ApiPath<String>,
) -> Result<Json<Region>, Error> {
    controller::set_draining(&app, &actor, &name, true).await.map(Json)
}

/// Has a drained region take work again.
#[utoipa::path(post, path = "/regions/{name}/resume", tag = "controllers", params(("name" = String, Path)),
    responses((status = 200, body = Region), Refused))]
pub async fn resume_region(
    State(app): State<App>,
    actor: Actor,
    ApiPath(name): ApiPath<String>,
) -> Result<Json<Region>, Error> {
    controller::set_draining(&app, &actor, &name, false).await.map(Json)
}
