//! `/pools`, `/zones` and `/tags`.

use super::extract::{ApiJson, ApiPath};
use super::problem::Refused;
use crate::app::{App, Error, group};
use crate::auth::Actor;
use crate::model::Page;
use crate::model::network::{Group, GroupKind};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;

/// All resource pools.
#[utoipa::path(get, path = "/pools", tag = "groups",
    responses((status = 200, body = Page<Group>), Refused))]
pub async fn list_pools(State(app): State<App>, actor: Actor) -> Result<Json<Page<Group>>, Error> {
    group::list(&app, &actor, GroupKind::Pool).await.map(Json)
}

/// Makes a resource pool, or changes its description.
#[utoipa::path(put, path = "/pools/{name}", tag = "groups", request_body = Description, params(("name" = String, Path)),
    responses((status = 204), Refused))]
pub async fn put_pool(
    State(app): State<App>,
    actor: Actor,
    ApiPath(name): ApiPath<String>,
    ApiJson(body): ApiJson<Description>,
) -> Result<StatusCode, Error> {
    group::put(&app, &actor, GroupKind::Pool, &body.group(name)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Removes an empty resource pool.
#[utoipa::path(delete, path = "/pools/{name}", tag = "groups", params(("name" = String, Path)),
    responses((status = 204), Refused))]
pub async fn delete_pool(
    State(app): State<App>,
    actor: Actor,
    ApiPath(name): ApiPath<String>,
) -> Result<StatusCode, Error> {
    group::delete(&app, &actor, GroupKind::Pool, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// All zones.
#[utoipa::path(get, path = "/zones", tag = "groups",
    responses((status = 200, body = Page<Group>), Refused))]
pub async fn list_zones(State(app): State<App>, actor: Actor) -> Result<Json<Page<Group>>, Error> {
    group::list(&app, &actor, GroupKind::Zone).await.map(Json)
}

/// Makes a zone, or changes its description.
#[utoipa::path(put, path = "/zones/{name}", tag = "groups", request_body = Description, params(("name" = String, Path)),
    responses((status = 204), Refused))]
pub async fn put_zone(
    State(app): State<App>,
    actor: Actor,
    ApiPath(name): ApiPath<String>,
    ApiJson(body): ApiJson<Description>,
) -> Result<StatusCode, Error> {
    group::put(&app, &actor, GroupKind::Zone, &body.group(name)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Removes an empty zone.
#[utoipa::path(delete, path = "/zones/{name}", tag = "groups", params(("name" = String, Path)),
    responses((status = 204), Refused))]
pub async fn delete_zone(
    State(app): State<App>,
    actor: Actor,
    ApiPath(name): ApiPath<String>,
) -> Result<StatusCode, Error> {
    group::delete(&app, &actor, GroupKind::Zone, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What a group is for.
#[derive(Debug, Clone, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Description {
    /// For people.
    #[serde(default)]
    pub description: String,
}

impl Description {
    fn group(self, name: String) -> Group {
        Group { name, description: self.description, machines: 0 }
    }
}

/// Every tag that a machine has, with the number of its machines.
#[utoipa::path(get, path = "/tags", tag = "groups",
    responses((status = 200, body = Page<Group>), Refused))]
pub async fn list_tags(State(app): State<App>, actor: Actor) -> Result<Json<Page<Group>>, Error> {
    group::tags(&app, &actor).await.map(Json)
}

/// Takes a tag away from all machines.
#[utoipa::path(delete, path = "/tags/{name}", tag = "groups", params(("name" = String, Path)),
    responses((status = 204), Refused))]
pub async fn delete_tag(
    State(app): State<App>,
    actor: Actor,
    ApiPath(name): ApiPath<String>,
) -> Result<StatusCode, Error> {
    group::delete_tag(&app, &actor, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}
