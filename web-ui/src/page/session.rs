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
use rackwright_region::app::{App, session};
use rackwright_region::auth::token;
use rackwright_region::model::user::Login;
use serde::Deserialize;

/// Ties the log-in form to the browser that asked for it, as long as there is no session.
const FORM: &str = "rackwright_login";

/// The log-in page.
pub async fn show(jar: CookieJar, visitor: Result<Visitor, Response>, params: Params) -> Response {
    let next = local(&params.get("next").unwrap_or_default());
    if visitor.is_ok() {
        return go(&next);
    }
    let page = LoginPage {
        theme: theme(&jar),
        csrf: String::new(),
        next,
        name: String::new(),
        refused: String::new(),
    };
    with_form_cookie(jar, page)
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
    let page = LoginPage {
        theme: theme(&jar),
        csrf: String::new(),
        next: local(&form.next),
        name: form.name.clone(),
        refused: String::new(),
    };
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
    (jar.remove(Cookie::build(COOKIE).path("/")), go("/login")).into_response()
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
