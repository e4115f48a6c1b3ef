//! Logging in and out, and the theme.

use super::{Params, go};
use crate::error::{describe, log, sentence};
use crate::view::login::LoginPage;
use crate::visitor::{Posted, THEME, Visitor, theme};
use axum::Form;
use axum::extract::State;
use axum::http::{Extensions, HeaderMap};
use axum::response::{IntoResponse, Response};
use axum_extra::extract::CookieJar;
use axum_extra::extract::cookie::{Cookie, SameSite};
use rackwright_common::Secret;
use rackwright_region::api::actor::{COOKIE, peer, session_cookie};
use rackwright_region::api::session::{cookie, program};
use rackwright_region::app::{App, Error, login_provider, session};
use rackwright_region::auth::token;
use rackwright_region::model::user::Login;
use serde::Deserialize;

/// Ties the log-in form to the browser that asked for it, as long as there is no session.
const FORM: &str = "rackwright_login";

/// Keeps what the login provider has to bring back.
const AWAY: &str = "rackwright_login_away";

/// The log-in page.
pub async fn show(
    State(app): State<App>,
    jar: CookieJar,
    visitor: Result<Visitor, Response>,
    params: Params,
) -> Response {
    let next = local(&params.get("next").unwrap_or_default());
    if visitor.is_ok() {
        return go(&next);
    }
    let left = params.get("left").is_some();
    let page = LoginPage { left, ..fresh(&app, &jar, next).await };
    with_form_cookie(jar, page)
}

/// The log-in page before anything is typed. Its form works also when the provider's name cannot be read.
async fn fresh(app: &App, jar: &CookieJar, next: String) -> LoginPage {
    LoginPage {
        theme: theme(jar),
        csrf: String::new(),
        next,
        name: String::new(),
        refused: String::new(),
        provider: login_provider::label(app).await.ok().flatten(),
        left: false,
    }
}

/// Sends somebody to the login provider.
pub async fn go_away(State(app): State<App>, jar: CookieJar, params: Params) -> Response {
    let next = local(&params.get("next").unwrap_or_default());
    match login_provider::begin(&app, &next).await {
        Ok((url, kept)) => {
            let kept = Cookie::build((AWAY, kept.expose().clone()));
            // Lax: it has to come along when the provider sends the browser back.
            let kept = kept.path("/login").http_only(true).same_site(SameSite::Lax).build();
            (jar.add(kept), go(&url)).into_response()
        }
        Err(error) => refuse(&app, jar, next, &error).await,
    }
}

/// Somebody is back from the login provider.
pub async fn come_back(
    State(app): State<App>,
    extensions: Extensions,
    headers: HeaderMap,
    jar: CookieJar,
    params: Params,
) -> Response {
    let kept = jar.get(AWAY).map(|cookie| cookie.value().to_owned()).unwrap_or_default();
    let jar = jar.remove(Cookie::build(AWAY).path("/login"));
    let text = |name: &str| params.get(name).unwrap_or_default();
    let (code, state, error) = (text("code"), text("state"), text("error"));
    let back = login_provider::Return { code, state, error, kept: Secret::new(kept) };
    match login_provider::finish(&app, &back, (peer(&extensions), program(&headers))).await {
        Ok((value, _, next)) => (jar.add(cookie(&value)), go(&local(&next))).into_response(),
        Err(error) => refuse(&app, jar, "/".into(), &error).await,
    }
}

/// Ends the session at the login provider, when that is possible there.
pub async fn leave_provider(State(app): State<App>, jar: CookieJar) -> Response {
    match login_provider::leave(&app).await {
        Ok(Some(url)) => go(&url),
        Ok(None) => {
            let none = Error::conflict(
                "the login provider offers no log-out to other programs; log out on its own pages",
            );
            refuse(&app, jar, "/".into(), &none).await
        }
        Err(error) => refuse(&app, jar, "/".into(), &error).await,
    }
}

/// The log-in page with the reason.
async fn refuse(app: &App, jar: CookieJar, next: String, error: &Error) -> Response {
    log(error);
    let page = LoginPage { refused: sentence(&error.to_string()), ..fresh(app, &jar, next).await };
    (describe(error).0, with_form_cookie(jar, page)).into_response()
}

fn with_form_cookie(jar: CookieJar, page: LoginPage) -> Response {
    let csrf = token::random();
    let tie = Cookie::build((FORM, csrf.clone()))
        .path("/login")
        .http_only(true)
        .same_site(SameSite::Strict)
        .build();
    (jar.add(tie), LoginPage { csrf, ..page }).into_response()
}

/// An address on this site; the start page when it is none.
fn local(next: &str) -> String {
    let fine = next.starts_with('/')
        && !next.starts_with("//")
        && !next.starts_with("/login")
        && next.bytes().all(|b| b.is_ascii_graphic() && b != b'\\');
    if fine { next.to_owned() } else { "/".into() }
}

/// The log-in form.
#[derive(Debug, Deserialize)]
pub struct LoginForm {
    name: String,
    #[serde(with = "rackwright_common::secret::exposed")]
    password: Secret<String>,
    #[serde(default)]
    csrf: String,
    #[serde(default)]
    next: String,
}

/// Takes name and password.
pub async fn login(
    State(app): State<App>,
    extensions: Extensions,
    headers: HeaderMap,
    jar: CookieJar,
    Form(form): Form<LoginForm>,
) -> Response {
    let page = LoginPage { name: form.name.clone(), ..fresh(&app, &jar, local(&form.next)).await };
    let tied = jar.get(FORM).is_some_and(|c| !form.csrf.is_empty() && c.value() == form.csrf);
    if !tied {
        let refused = "This form had grown old. Please try again.".to_owned();
        return (axum::http::StatusCode::FORBIDDEN, with_form_cookie(jar, LoginPage { refused, ..page }))
            .into_response();
    }
    let body = Login { name: form.name, password: form.password };
    match session::login(&app, &body, (peer(&extensions), program(&headers))).await {
        Ok((value, _)) => {
            (jar.add(cookie(&value)).remove(Cookie::build(FORM).path("/login")), go(&page.next))
                .into_response()
        }
        Err(error) => {
            log(&error);
            let refused = sentence(&error.to_string());
            (describe(&error).0, with_form_cookie(jar, LoginPage { refused, ..page })).into_response()
        }
    }
}

/// Ends the session.
pub async fn logout(State(app): State<App>, headers: HeaderMap, jar: CookieJar, posted: Posted) -> Response {
    if let Some(value) = session_cookie(&headers)
        && let Err(error) = session::logout(&app, &posted.visitor.actor, &value).await
    {
        return crate::error::PageError(error).into_response();
    }
    let provider = login_provider::label(&app).await.ok().flatten();
    let to = if provider.is_some() { "/login?left=yes" } else { "/login" };
    (jar.remove(Cookie::build(COOKIE).path("/")), go(to)).into_response()
}

/// Chooses light or dark for this browser; `app.js` does the same without a round trip.
pub async fn set_theme(headers: HeaderMap, jar: CookieJar, posted: Posted) -> Response {
    let theme = match posted.fields.text("theme").as_str() {
        "dark" => "dark",
        _ => "light",
    };
    let chosen = Cookie::build((THEME, theme)).path("/").same_site(SameSite::Lax).permanent().build();
    let referer = headers.get("referer").and_then(|v| v.to_str().ok()).unwrap_or_default();
    let path = referer.split_once("://").and_then(|(_, rest)| rest.find('/').map(|at| rest[at..].to_owned()));
    (jar.add(chosen), go(&local(&path.unwrap_or_default()))).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_logging_in_one_stays_on_this_site() {
        assert_eq!(local("/machines/k3x9ab"), "/machines/k3x9ab");
        for elsewhere in ["", "https://example.org", "//example.org", "/\\example.org", "/a b", "/login"] {
            assert_eq!(local(elsewhere), "/", "{elsewhere}");
        }
    }
}
