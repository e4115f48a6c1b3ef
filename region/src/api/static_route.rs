//! `/static-routes`

use super::extract::{ApiJson, ApiPath, ApiQuery};
use super::problem::Refused;
use crate::app::{App, Error, static_route};
use crate::auth::Actor;
use crate::model::Page;
use crate::model::network::SubnetQuery;
use crate::model::static_route::{NewStaticRoute, StaticRoute};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

/// Routes of machines and DHCP clients.
#[utoipa::path(get, path = "/static-routes", tag = "network", params(SubnetQuery),
    responses((status = 200, body = Page<StaticRoute>), Refused))]
pub async fn list_static_routes(
    State(app): State<App>,
    actor: Actor,
    ApiQuery(query): ApiQuery<SubnetQuery>,
) -> Result<Json<Page<StaticRoute>>, Error> {
    static_route::list(&app, &actor, query.subnet).await.map(Json)
}

/// Makes a route.
#[utoipa::path(post, path = "/static-routes", tag = "network", request_body = NewStaticRoute,
    responses((status = 201, body = StaticRoute), Refused))]
pub async fn create_static_route(
    State(app): State<App>,
    actor: Actor,
    ApiJson(body): ApiJson<NewStaticRoute>,
) -> Result<(StatusCode, Json<StaticRoute>), Error> {
    Ok((StatusCode::CREATED, Json(static_route::create(&app, &actor, &body).await?)))
}

/// Removes a route.
#[utoipa::path(delete, path = "/static-routes/{id}", tag = "network", params(("id" = i64, Path)),
    responses((status = 204), Refused))]
pub async fn delete_static_route(
    State(app): State<App>,
    actor: Actor,
    ApiPath(id): ApiPath<i64>,
) -> Result<StatusCode, Error> {
    static_route::delete(&app, &actor, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
