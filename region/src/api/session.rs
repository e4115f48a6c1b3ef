//! `/session`: log in, who am I, log out.

use super::actor::{COOKIE, credential, peer, session_cookie};
use super::extract::ApiJson;
use super::problem::Refused;
use crate::app::session::{self, Credential};
use crate::app::{App, Error};
use crate::auth::Actor;
use crate::model::user::{Login, Session};
use axum::Json;
use axum::extract::State;
use axum::http::{Extensions, HeaderMap, Method, StatusCode};
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
    jar: CookieJar,
    ApiJson(body): ApiJson<Login>,
) -> Result<(CookieJar, Json<Session>), Error> {
    let (value, session) = session::login(&app, &body, peer(&extensions)).await?;
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
