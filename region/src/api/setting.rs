//! `/settings`.

use super::extract::ApiJson;
use super::problem::Refused;
use crate::app::{App, Error, setting};
use crate::auth::Actor;
use crate::model::setting::Settings;
use axum::Json;
use axum::extract::State;

/// All settings.
#[utoipa::path(get, path = "/settings", tag = "settings",
    responses((status = 200, body = Settings), Refused))]
pub async fn show_settings(State(app): State<App>, actor: Actor) -> Result<Json<Settings>, Error> {
    setting::get(&app, &actor).await.map(Json)
}

/// Changes some settings, all or none.
#[utoipa::path(patch, path = "/settings", tag = "settings", request_body = Settings,
    responses((status = 200, body = Settings), Refused))]
pub async fn update_settings(
    State(app): State<App>,
    actor: Actor,
    ApiJson(body): ApiJson<serde_json::Map<String, serde_json::Value>>,
) -> Result<Json<Settings>, Error> {
    setting::update(&app, &actor, &body).await.map(Json)
}
