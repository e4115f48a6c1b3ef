//! `/operations`.

use super::extract::{ApiPath, ApiQuery};
use super::problem::Refused;
use crate::app::{App, Error, operation};
use crate::auth::Actor;
use crate::model::Page;
use crate::model::operation::{LogChunk, Operation, OperationDetail, OperationQuery, WaitQuery};
use axum::Json;
use axum::extract::State;
use rackwright_common::OperationId;
use serde::Deserialize;

/// Operations, newest first.
#[utoipa::path(get, path = "/operations", tag = "operations", params(OperationQuery),
    responses((status = 200, body = Page<Operation>), Refused))]
pub async fn list_operations(
    State(app): State<App>,
    actor: Actor,
    ApiQuery(query): ApiQuery<OperationQuery>,
) -> Result<Json<Page<Operation>>, Error> {
    operation::list(&app, &actor, &query).await.map(Json)
}

/// One operation with its work items; `wait` holds the answer back until its end.
#[utoipa::path(get, path = "/operations/{id}", tag = "operations", params(("id" = i64, Path), WaitQuery),
    responses((status = 200, body = OperationDetail), Refused))]
pub async fn show_operation(
    State(app): State<App>,
    actor: Actor,
    ApiPath(id): ApiPath<i64>,
    ApiQuery(query): ApiQuery<WaitQuery>,
) -> Result<Json<OperationDetail>, Error> {
    operation::wait(&app, &actor, OperationId(id), query.wait.unwrap_or(0)).await.map(Json)
}

/// Log of the operation's work, oldest first, a thousand pieces at most.
#[utoipa::path(get, path = "/operations/{id}/log", tag = "operations", params(("id" = i64, Path), After),
    responses((status = 200, body = Page<LogChunk>), Refused))]
pub async fn show_operation_log(
    State(app): State<App>,
    actor: Actor,
    ApiPath(id): ApiPath<i64>,
    ApiQuery(query): ApiQuery<After>,
) -> Result<Json<Page<LogChunk>>, Error> {
    operation::log(&app, &actor, OperationId(id), query.after).await.map(Json)
}

/// From where.
#[derive(Debug, Clone, Copy, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct After {
    /// The last `position` that was read; 0 for all.
    #[serde(default)]
    pub after: i64,
}
