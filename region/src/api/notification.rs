//! `/notifications` and `/notification-rules`: who is told of what.

use super::extract::{ApiJson, ApiPath, ApiQuery};
use super::problem::Refused;
use crate::app::{App, Error, notification};
use crate::auth::Actor;
use crate::model::Page;
use crate::model::notification::{Notification, NotificationQuery, NotificationRule, NotificationsSeen};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

/// What rules let through to the page, newest first; for administrators also what is sent, by its state.
#[utoipa::path(get, path = "/notifications", tag = "notifications", params(NotificationQuery),
    responses((status = 200, body = Page<Notification>), Refused))]
pub async fn list_notifications(
    State(app): State<App>,
    actor: Actor,
    ApiQuery(query): ApiQuery<NotificationQuery>,
) -> Result<Json<Page<Notification>>, Error> {
    notification::list(&app, &actor, &query).await.map(Json)
}

/// Says that the caller has seen the notifications on the page, up to one of them.
#[utoipa::path(put, path = "/notifications/seen", tag = "notifications", request_body = NotificationsSeen,
    responses((status = 204), Refused))]
pub async fn see_notifications(
    State(app): State<App>,
    actor: Actor,
    ApiJson(body): ApiJson<NotificationsSeen>,
) -> Result<StatusCode, Error> {
    notification::see(&app, &actor, &body).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// All rules, without their secrets.
#[utoipa::path(get, path = "/notification-rules", tag = "notifications",
    responses((status = 200, body = Page<NotificationRule>), Refused))]
pub async fn list_notification_rules(
    State(app): State<App>,
    actor: Actor,
) -> Result<Json<Page<NotificationRule>>, Error> {
    notification::rules(&app, &actor).await.map(Json)
}

/// Makes a rule, or changes it. Its name is the one in the path. Without a secret in it the stored one stays, unless it goes elsewhere.
#[utoipa::path(put, path = "/notification-rules/{name}", tag = "notifications", request_body = NotificationRule,
    params(("name" = String, Path)), responses((status = 200, body = NotificationRule), Refused))]
pub async fn put_notification_rule(
    State(app): State<App>,
    actor: Actor,
    ApiPath(name): ApiPath<String>,
    ApiJson(body): ApiJson<NotificationRule>,
) -> Result<Json<NotificationRule>, Error> {
    notification::put_rule(&app, &actor, &name, &body).await.map(Json)
}

/// Removes a rule; what it has let through goes with it.
#[utoipa::path(delete, path = "/notification-rules/{name}", tag = "notifications", params(("name" = String, Path)),
    responses((status = 204), Refused))]
pub async fn delete_notification_rule(
    State(app): State<App>,
    actor: Actor,
    ApiPath(name): ApiPath<String>,
) -> Result<StatusCode, Error> {
    notification::delete_rule(&app, &actor, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}
