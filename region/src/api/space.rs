//! `/spaces`

use super::extract::{ApiJson, ApiPath};
use super::problem::Refused;
use crate::app::{App, Error, space};
use crate::auth::Actor;
use crate::model::Page;
use crate::model::space::{NewSpace, Space};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

/// All spaces.
#[utoipa::path(get, path = "/spaces", tag = "network", responses((status = 200, body = Page<Space>), Refused))]
pub async fn list_spaces(State(app): State<App>, actor: Actor) -> Result<Json<Page<Space>>, Error> {
    space::list(&app, &actor).await.map(Json)
}

/// Makes a space.
#[utoipa::path(post, path = "/spaces", tag = "network", request_body = NewSpace,
    responses((status = 201, body = Space), Refused))]
pub async fn create_space(
    State(app): State<App>,
    actor: Actor,
    ApiJson(body): ApiJson<NewSpace>,
) -> Result<(StatusCode, Json<Space>), Error> {
    Ok((StatusCode::CREATED, Json(space::create(&app, &actor, &body).await?)))
}

/// Changes a space.
#[utoipa::path(put, path = "/spaces/{id}", tag = "network", request_body = NewSpace, params(("id" = i64, Path)),
    responses((status = 200, body = Space), Refused))]
pub async fn update_space(
    State(app): State<App>,
    actor: Actor,
    ApiPath(id): ApiPath<i64>,
    ApiJson(body): ApiJson<NewSpace>,
) -> Result<Json<Space>, Error> {
    space::update(&app, &actor, id, &body).await.map(Json)
}

/// Removes a space without VLANs.
#[utoipa::path(delete, path = "/spaces/{id}", tag = "network", params(("id" = i64, Path)),
    responses((status = 204), Refused))]
pub async fn delete_space(
    State(app): State<App>,
    actor: Actor,
    ApiPath(id): ApiPath<i64>,
) -> Result<StatusCode, Error> {
    space::delete(&app, &actor, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
