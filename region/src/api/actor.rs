//! Finds out who asks, from `Authorization: Bearer` or from the session's cookie.

use crate::app::session::{Credential, authenticate, is_unchanged};
use crate::app::{App, Error};
use crate::auth::Actor;
use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap, Method, header};
use axum_extra::extract::CookieJar;
use rackwright_common::Secret;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// The session's cookie.
pub const COOKIE: &str = "rackwright_session";

/// What the caller shows of themselves, if anything.
pub fn credential(headers: &HeaderMap, method: &Method) -> Option<Credential> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(value) = text(header::AUTHORIZATION.as_str()) {
        let (scheme, token) = value.split_once(' ')?;
        let token = Secret::new(token.trim().to_owned());
        return scheme.eq_ignore_ascii_case("bearer").then_some(Credential::Token(token));
    }
    let cookie = session_cookie(headers)?;
    let reads_only = matches!(*method, Method::GET | Method::HEAD);
    Some(Credential::Session { cookie, csrf: text("x-csrf-token").map(str::to_owned), reads_only })
}

/// How often is looked whether who reads a stream may still do so.
const LOOK: Duration = Duration::from_secs(5);

/// Lasts as long as who opened a stream may exactly what they might then: it ends when their session or token does, and when
/// their roles or their sight change. An outage of the database changes nothing.
pub async fn unchanged(app: App, actor: Actor, headers: HeaderMap) {
    // Without anything shown there would be no actor.
    let Some(shown) = credential(&headers, &Method::GET) else { return };
    loop {
        tokio::time::sleep(LOOK).await;
        match is_unchanged(&app, &shown, &actor).await {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => tracing::debug!(%error, "who reads a stream is not looked up now"),
        }
    }
}

/// The session's cookie, if there is one.
pub fn session_cookie(headers: &HeaderMap) -> Option<Secret<String>> {
    CookieJar::from_headers(headers).get(COOKIE).map(|cookie| Secret::new(cookie.value().to_owned()))
}

/// The peer's address, when the server keeps it.
pub fn peer(extensions: &Extensions) -> Option<IpAddr> {
    extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(address)| address.ip().to_canonical())
}

impl FromRequestParts<App> for Actor {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Error> {
        if let Some(actor) = parts.extensions.get::<Self>() {
            return Ok(actor.clone());
        }
        let shown = credential(&parts.headers, &parts.method);
        let shown =
            shown.ok_or(Error::Unauthenticated("show an API token: `Authorization: Bearer rwt_…`"))?;
        let actor = authenticate(app, &shown, peer(&parts.extensions)).await?;
        parts.extensions.insert(actor.clone());
        Ok(actor)
    }
}
