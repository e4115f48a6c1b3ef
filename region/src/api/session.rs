//! `/session`: log in, who am I, log out.

use super::actor::{COOKIE, credential, peer, session_cookie};
use super::extract::{ApiJson, ApiPath, ApiQuery};
use super::problem::Refused;
use crate::app::session::{self, Credential};
use crate::app::{App, Error};
use crate::auth::Actor;
use crate::model::Page;
use crate::model::user::{Login, Session, SessionInfo, SessionQuery};
use axum::Json;
use axum::extract::State;
use axum::http::{Extensions, HeaderMap, Method, StatusCode, header};
use axum_extra::extract::CookieJar;
use axum_extra::extract::cookie::{Cookie, SameSite};
use rackwright_common::Secret;

/// The cookie that carries a session.
pub fn cookie(value: &Secret<String>) -> Cookie<'static> {
    Cookie::build((COOKIE, value.expose().clone())).path("/").http_only(true).same_site(SameSite::Lax).build()
}

/// Logs in: sets the session's cookie and tells its CSRF token. Needs no credentials.
#[utoipa::path(post, path = "/session", tag = "users", request_body = Login, security(()),
    responses((status = 200, body = Session), Refused))]
pub async fn login(
    State(app): State<App>,
    extensions: Extensions,
    headers: HeaderMap,
    jar: CookieJar,
    ApiJson(body): ApiJson<Login>,
) -> Result<(CookieJar, Json<Session>), Error> {
    let (value, session) = session::login(&app, &body, (peer(&extensions), program(&headers))).await?;
    Ok((jar.add(cookie(&value)), Json(session)))
}

/// Who asks, and the session's CSRF token where there is a session.
#[utoipa::path(get, path = "/session", tag = "users", responses((status = 200, body = Session), Refused))]
pub async fn show_session(
    State(app): State<App>,
    actor: Actor,
    method: Method,
    headers: HeaderMap,
) -> Result<Json<Session>, Error> {
    let cookie = match credential(&headers, &method) {
        Some(Credential::Session { cookie, .. }) => Some(cookie),
        Some(Credential::Token(_)) | None => None,
    };
    session::current(&app, &actor, cookie.as_ref()).await.map(Json)
}

/// Ends the session.
#[utoipa::path(delete, path = "/session", tag = "users", responses((status = 204), Refused))]
pub async fn logout(
    State(app): State<App>,
    actor: Actor,
    headers: HeaderMap,
    jar: CookieJar,
) -> Result<(CookieJar, StatusCode), Error> {
    if let Some(cookie) = session_cookie(&headers) {
        session::logout(&app, &actor, &cookie).await?;
    }
    Ok((jar.remove(Cookie::build(COOKIE).path("/")), StatusCode::NO_CONTENT))
}

/// What the caller's program calls itself.
pub fn program(headers: &HeaderMap) -> &str {
    headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// Sessions that have not ended: one's own, or for administrators those of `user`.
#[utoipa::path(get, path = "/sessions", tag = "users", params(SessionQuery),
    responses((status = 200, body = Page<SessionInfo>), Refused))]
pub async fn list_sessions(
    State(app): State<App>,
    actor: Actor,
    headers: HeaderMap,
    ApiQuery(query): ApiQuery<SessionQuery>,
) -> Result<Json<Page<SessionInfo>>, Error> {
    session::list(&app, &actor, &query, session_cookie(&headers).as_ref()).await.map(Json)
}

/// Ends a session: one's own, or as administrator anybody's.
#[utoipa::path(delete, path = "/sessions/{id}", tag = "users", params(("id" = i64, Path)),
    responses((status = 204), Refused))]
pub async fn delete_session(
    State(app): State<App>,
    actor: Actor,
    ApiPath(id): ApiPath<i64>,
) -> Result<StatusCode, Error> {
    session::end(&app, &actor, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
