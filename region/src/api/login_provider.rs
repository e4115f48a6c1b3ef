//! `/login-provider`: where people log in besides here.

use super::extract::ApiJson;
use super::problem::Refused;
use crate::app::{App, Error, login_provider};
use crate::auth::Actor;
use crate::model::login_provider::LoginProvider;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

/// The OpenID Connect provider, without its secret.
#[utoipa::path(get, path = "/login-provider", tag = "users", responses((status = 200, body = LoginProvider), Refused))]
pub async fn show_login_provider(State(app): State<App>, actor: Actor) -> Result<Json<LoginProvider>, Error> {
    login_provider::get(&app, &actor).await.map(Json)
}

/// Sets the OpenID Connect provider. Without a secret in it the stored one stays.
#[utoipa::path(put, path = "/login-provider", tag = "users", request_body = LoginProvider,
    responses((status = 200, body = LoginProvider), Refused))]
pub async fn put_login_provider(
    State(app): State<App>,
    actor: Actor,
    ApiJson(body): ApiJson<LoginProvider>,
) -> Result<Json<LoginProvider>, Error> {
    login_provider::put(&app, &actor, &body).await.map(Json)
}

/// Forgets the provider. Its users stay, and log in no more.
#[utoipa::path(delete, path = "/login-provider", tag = "users", responses((status = 204), Refused))]
pub async fn delete_login_provider(State(app): State<App>, actor: Actor) -> Result<StatusCode, Error> {
    login_provider::delete(&app, &actor).await?;
    Ok(StatusCode::NO_CONTENT)
}
