//! `/users`, and the caller's own `/tokens` and `/ssh-keys`.

use super::extract::{ApiJson, ApiPath};
use super::problem::Refused;
use crate::app::{App, Error, user};
use crate::auth::Actor;
use crate::model::Page;
use crate::model::user::{CreatedToken, NewSshKey, NewToken, NewUser, SshKey, Token, User, UserPatch};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

/// All users.
#[utoipa::path(get, path = "/users", tag = "users",
    responses((status = 200, body = Page<User>), Refused))]
pub async fn list_users(State(app): State<App>, actor: Actor) -> Result<Json<Page<User>>, Error> {
    user::list(&app, &actor).await.map(Json)
}

/// Makes a user.
#[utoipa::path(post, path = "/users", tag = "users", request_body = NewUser,
    responses((status = 201, body = User), Refused))]
pub async fn create_user(
    State(app): State<App>,
    actor: Actor,
    ApiJson(body): ApiJson<NewUser>,
) -> Result<(StatusCode, Json<User>), Error> {
    Ok((StatusCode::CREATED, Json(user::create(&app, &actor, &body).await?)))
}

/// One user: for administrators, or oneself.
#[utoipa::path(get, path = "/users/{name}", tag = "users", params(("name" = String, Path)),
    responses((status = 200, body = User), Refused))]
pub async fn show_user(
    State(app): State<App>,
    actor: Actor,
    ApiPath(name): ApiPath<String>,
) -> Result<Json<User>, Error> {
    user::get(&app, &actor, &name).await.map(Json)
}

/// Changes a user; one's own password, or anything as administrator.
#[utoipa::path(patch, path = "/users/{name}", tag = "users", request_body = UserPatch, params(("name" = String, Path)),
    responses((status = 200, body = User), Refused))]
pub async fn update_user(
    State(app): State<App>,
    actor: Actor,
    ApiPath(name): ApiPath<String>,
    ApiJson(body): ApiJson<UserPatch>,
) -> Result<Json<User>, Error> {
    user::update(&app, &actor, &name, &body).await.map(Json)
}

/// Removes a user. Their machines stay, without owner.
#[utoipa::path(delete, path = "/users/{name}", tag = "users", params(("name" = String, Path)),
    responses((status = 204), Refused))]
pub async fn delete_user(
    State(app): State<App>,
    actor: Actor,
    ApiPath(name): ApiPath<String>,
) -> Result<StatusCode, Error> {
    user::delete(&app, &actor, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The caller's API tokens, without their secrets.
#[utoipa::path(get, path = "/tokens", tag = "users",
    responses((status = 200, body = Page<Token>), Refused))]
pub async fn list_tokens(State(app): State<App>, actor: Actor) -> Result<Json<Page<Token>>, Error> {
    user::tokens(&app, &actor).await.map(Json)
}

/// Makes an API token for the caller. Its secret is told this once.
#[utoipa::path(post, path = "/tokens", tag = "users", request_body = NewToken,
    responses((status = 201, body = CreatedToken), Refused))]
pub async fn create_token(
    State(app): State<App>,
    actor: Actor,
    ApiJson(body): ApiJson<NewToken>,
) -> Result<(StatusCode, Json<CreatedToken>), Error> {
    Ok((StatusCode::CREATED, Json(user::create_token(&app, &actor, &body).await?)))
}

/// Removes an API token of the caller.
#[utoipa::path(delete, path = "/tokens/{id}", tag = "users", params(("id" = i64, Path)),
    responses((status = 204), Refused))]
pub async fn delete_token(
    State(app): State<App>,
    actor: Actor,
    ApiPath(id): ApiPath<i64>,
) -> Result<StatusCode, Error> {
    user::delete_token(&app, &actor, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The caller's SSH keys.
#[utoipa::path(get, path = "/ssh-keys", tag = "users",
    responses((status = 200, body = Page<SshKey>), Refused))]
pub async fn list_ssh_keys(State(app): State<App>, actor: Actor) -> Result<Json<Page<SshKey>>, Error> {
    user::ssh_keys(&app, &actor).await.map(Json)
}

/// Adds an SSH key of the caller; it gets onto the machines they deploy.
#[utoipa::path(post, path = "/ssh-keys", tag = "users", request_body = NewSshKey,
    responses((status = 201, body = SshKey), Refused))]
pub async fn create_ssh_key(
    State(app): State<App>,
    actor: Actor,
    ApiJson(body): ApiJson<NewSshKey>,
) -> Result<(StatusCode, Json<SshKey>), Error> {
    Ok((StatusCode::CREATED, Json(user::create_ssh_key(&app, &actor, &body).await?)))
}

/// Removes an SSH key of the caller.
#[utoipa::path(delete, path = "/ssh-keys/{id}", tag = "users", params(("id" = i64, Path)),
    responses((status = 204), Refused))]
pub async fn delete_ssh_key(
    State(app): State<App>,
    actor: Actor,
    ApiPath(id): ApiPath<i64>,
) -> Result<StatusCode, Error> {
    user::delete_ssh_key(&app, &actor, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
