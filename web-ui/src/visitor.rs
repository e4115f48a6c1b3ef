//! Who looks at a page, and the fields of a form they sent.
//!
//! Pages know the session's cookie only. A form carries the session's CSRF token in a hidden field; without it nothing
//! is changed. Whoever is not logged in is sent to log in and comes back.

use crate::error::PageError;
use crate::view::Layout;
use axum::Form;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Redirect, Response};
use axum_extra::extract::CookieJar;
use rackwright_common::Secret;
use rackwright_region::api::actor::{peer, session_cookie};
use rackwright_region::app::session::{self, Credential};
use rackwright_region::app::{App, Error, notification};
use rackwright_region::auth::Actor;

/// The chosen theme's cookie.
pub const THEME: &str = "rackwright_theme";

/// Sent by `app.js` with what it fetches: it wants a refusal, not the log-in page.
const LIVE: &str = "x-rackwright-live";

/// Somebody who is logged in.
#[derive(Debug, Clone)]
pub struct Visitor {
    /// Who.
    pub actor: Actor,
    /// Goes into every form.
    pub csrf: String,
    /// `light`, `dark` or empty.
    pub theme: String,
    /// The session's cookie.
    pub cookie: Secret<String>,
    /// Notifications that they have not seen, counted to a hundred.
    pub unread: i64,
}

impl Visitor {
    /// What is around the page.
    pub fn layout(&self, nav: &'static str) -> Layout {
        Layout {
            user: self.actor.name.clone(),
            role: self.actor.role,
            highest: self.actor.highest(),
            csrf: self.csrf.clone(),
            theme: self.theme.clone(),
            nav,
            unread: self.unread,
        }
    }

    async fn find(parts: &Parts, app: &App, csrf: Option<String>, reads_only: bool) -> Result<Self, Error> {
        let cookie = session_cookie(&parts.headers).ok_or(Error::Unauthenticated("log in first"))?;
        let shown = Credential::Session { cookie: cookie.clone(), csrf, reads_only };
        let actor = session::authenticate(app, &shown, peer(&parts.extensions)).await?;
        let current = session::current(app, &actor, Some(&cookie)).await?;
        let theme = theme(&CookieJar::from_headers(&parts.headers));
        // What is fetched into a page shows no navigation.
        let live = parts.headers.contains_key(LIVE);
        let unread = if live { 0 } else { notification::unread(app, &actor).await? };
        Ok(Self { actor, csrf: current.csrf.unwrap_or_default(), theme, cookie, unread })
    }
}

/// The theme that somebody has chosen.
pub fn theme(jar: &CookieJar) -> String {
    let chosen = jar.get(THEME).map(|c| c.value().to_owned());
    chosen.filter(|t| ["light", "dark"].contains(&t.as_str())).unwrap_or_default()
}

/// Sends somebody to log in, unless a script asks.
fn refuse(error: Error, parts: &Parts) -> Response {
    if !matches!(error, Error::Unauthenticated(_)) {
        return PageError(error).into_response();
    }
    if parts.headers.contains_key(LIVE) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let back = parts.uri.path_and_query().map_or("/", |p| p.as_str());
    let back: String = back
        .bytes()
        .map(|b| match b {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'/' => char::from(b).to_string(),
            other => format!("%{other:02X}"),
        })
        .collect();
    let read = parts.method == axum::http::Method::GET;
    let to = if read && back != "/" { format!("/login?next={back}") } else { "/login".into() };
    Redirect::to(&to).into_response()
}

impl FromRequestParts<App> for Visitor {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Response> {
        Self::find(parts, app, None, true).await.map_err(|error| refuse(error, parts))
    }
}

/// The fields of a form, in order; some may come more than once.
#[derive(Debug, Clone, Default)]
pub struct Fields(Vec<(String, String)>);

impl Fields {
    /// The value of a field; empty when it is not there. Line ends are those of Unix: browsers send CR LF, and a
    /// script with those does not run.
    pub fn text(&self, name: &str) -> String {
        let value = self.0.iter().find(|(n, _)| n == name).map(|(_, v)| v.replace("\r\n", "\n"));
        value.unwrap_or_default()
    }

    /// The value of a field, if the form has it; also an empty one.
    pub fn find(&self, name: &str) -> Option<String> {
        self.0.iter().any(|(n, _)| n == name).then(|| self.text(name))
    }

    /// A box is ticked.
    pub fn ticked(&self, name: &str) -> bool {
        self.text(name) == "on"
    }

    /// The value of a field, if it says anything.
    pub fn filled(&self, name: &str) -> Option<String> {
        Some(self.text(name)).filter(|v| !v.trim().is_empty())
    }

    /// The names of all fields, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    /// All values of a field.
    pub fn all(&self, name: &str) -> Vec<String> {
        self.0.iter().filter(|(n, _)| n == name).map(|(_, v)| v.clone()).collect()
    }

    /// The lines of a field that say anything.
    pub fn lines(&self, name: &str) -> Vec<String> {
        let text = self.text(name);
        text.lines().map(str::trim).filter(|l| !l.is_empty()).map(str::to_owned).collect()
    }
}

impl FromIterator<(String, String)> for Fields {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(pairs: I) -> Self {
        Self(pairs.into_iter().collect())
    }
}

/// A form that somebody sent, with the session's CSRF token.
#[derive(Debug)]
pub struct Posted {
    /// Who.
    pub visitor: Visitor,
    /// What.
    pub fields: Fields,
}

impl FromRequest<App> for Posted {
    type Rejection = Response;

    async fn from_request(request: Request, app: &App) -> Result<Self, Response> {
        let (parts, body) = request.into_parts();
        let form =
            Form::<Vec<(String, String)>>::from_request(Request::from_parts(parts.clone(), body), app).await;
        let not_a_form = |_| refuse(Error::invalid("", "this is not a form; go back and try again"), &parts);
        let fields = Fields(form.map_err(not_a_form)?.0);
        let found = Visitor::find(&parts, app, fields.filled("csrf"), false).await;
        let visitor = found.map_err(|error| refuse(stale_form(error), &parts))?;
        Ok(Self { visitor, fields })
    }
}

/// The API speaks of a header that a page does not have.
fn stale_form(error: Error) -> Error {
    match error {
        Error::Forbidden(_) => {
            Error::Forbidden("this form is not of your present session; reload the page and try again".into())
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_read_with_unix_line_ends() {
        let pairs = [("a", "1"), ("b", "x\r\ny\r\n"), ("b", "2"), ("c", " ")];
        let fields = Fields(pairs.map(|(n, v)| (n.to_owned(), v.to_owned())).into());
        assert_eq!(fields.text("b"), "x\ny\n");
        assert_eq!(fields.lines("b"), ["x", "y"]);
        assert_eq!(fields.all("b").len(), 2);
        assert_eq!((fields.filled("c"), fields.text("d")), (None, String::new()));
    }
}
