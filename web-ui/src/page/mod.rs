//! Handlers: extract, ask `app`, make a view.

pub mod account;
pub mod audit;
pub mod console;
pub mod controller;
pub mod dashboard;
pub mod device;
pub mod discovery;
pub mod event;
pub mod group;
pub mod image;
pub mod login_provider;
pub mod machine;
pub mod machine_action;
pub mod machine_bulk;
pub mod machine_edit;
pub mod machine_list;
pub mod machine_network;
pub mod name;
pub mod network;
pub mod network_edit;
pub mod notification;
pub mod operation;
pub mod script;
pub mod session;
pub mod setting;
pub mod start;
pub mod switch;
pub mod user;

use crate::error::{no_such_action, no_such_page};
use crate::{assets, error};
use axum::Router;
use axum::body::to_bytes;
use axum::extract::{FromRequestParts, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderValue, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use error::PageError;
use rackwright_common::MachineId;
use rackwright_region::app::{App, Error};
use std::collections::HashMap;
use std::convert::Infallible;
use tower::{ServiceExt, service_fn};

/// The pages, without the API.
pub fn router(app: App) -> Router {
    pages()
        .fallback(no_such_page)
        .method_not_allowed_fallback(no_such_action)
        .layer(from_fn(guard))
        .with_state(app)
}

/// The pages and the API on one port.
pub fn site(app: App) -> Router {
    let (api, pages) = (rackwright_region::api::router(app.clone()), router(app));
    // Chosen by hand: a wildcard route would add its capture to the API's own path parameters.
    Router::new().fallback_service(service_fn(move |request: Request| {
        let path = request.uri().path();
        let program = path.starts_with("/api/") || matches!(path, "/healthz" | "/readyz" | "/metrics");
        if program { api.clone() } else { pages.clone() }.oneshot(request)
    }))
}

fn pages() -> Router<App> {
    Router::new()
        .route("/", get(dashboard::show))
        .route("/login", get(session::show).post(session::login))
        .route("/login/provider", get(session::go_away))
        .route("/login/return", get(session::come_back))
        .route("/login/leave", get(session::leave_provider))
        .route("/logout", post(session::logout))
        .route("/theme", post(session::set_theme))
        .route("/machines", get(machine_list::show))
        .route("/machines/bulk", post(machine_bulk::act))
        .route("/bulk/{id}", get(machine_bulk::show))
        .route("/bulk/{id}/stop", post(machine_bulk::stop))
        .route("/machines/table", get(machine_list::table))
        .route("/machines/chips", get(machine_list::chips))
        .route("/machines/{id}", get(machine::show))
        .route("/machines/{id}/row", get(machine_list::row))
        .route("/machines/{id}/part/head", get(machine::head))
        .route("/machines/{id}/part/hardware", get(machine::hardware))
        .route("/machines/{id}/part/changes", get(machine::changes))
        .route("/machines/{id}/part/tests", get(machine::tests))
        .route("/machines/{id}/part/comparison", get(machine::comparison))
        .route("/machines/{id}/part/events", get(machine::events))
        .route("/machines/{id}/part/activity", get(machine::activity))
        .route("/machines/{id}/part/console", get(console::part))
        .route("/machines/{id}/console", get(console::log))
        .route("/machines/{id}/terminal", get(console::terminal))
        .route("/machines/{id}/runs/{run}", get(machine::run))
        .route("/machines/{id}/edit", get(machine_edit::show).post(machine_edit::save))
        .route("/machines/{id}/bmc", post(machine_edit::save_bmc))
        .route("/machines/{id}/network", get(machine_network::show))
        .route("/machines/{id}/interfaces/{interface}/{verb}", post(machine_network::save))
        .route("/machines/{id}/{verb}", post(machine_action::act))
        .route("/operations", get(operation::list))
        .route("/operations/{id}", get(operation::show))
        .route("/operations/{id}/part", get(operation::part))
        .route("/operations/{id}/log", get(operation::log))
        .route("/events", get(event::list))
        .route("/notifications", get(notification::list))
        .route("/notifications/seen", post(notification::see))
        .route("/notifications/rules", post(notification::save_rule))
        .route("/notifications/rules/{name}/delete", post(notification::delete_rule))
        .route("/images", get(image::list))
        .route("/images/new", get(image::fresh))
        .route("/images/{reference}", get(image::show))
        .route("/images/{reference}/delete", post(image::delete))
        .route("/controllers", get(controller::list))
        .route("/names", get(name::list))
        .route("/names/{noun}/{id}", get(name::show).post(name::save))
        .route("/names/{noun}/{id}/delete", post(name::delete))
        .route("/networks", get(network::list))
        .route("/networks/{noun}/{id}", get(network_edit::show).post(network_edit::save))
        .route("/networks/{noun}/{id}/{verb}", post(network_edit::act))
        .route("/groups", get(group::list))
        .route("/groups/{noun}/{name}", get(group::show).post(group::save))
        .route("/groups/{noun}/{name}/delete", post(group::delete))
        .route("/start", get(start::show))
        .route("/devices", get(device::list))
        .route("/devices/{id}", get(device::show).post(device::save))
        .route("/devices/{id}/delete", post(device::delete))
        .route("/discoveries", get(discovery::list))
        .route("/discoveries/{id}/{verb}", post(discovery::act))
        .route("/switches", get(switch::list))
        .route("/switches/{id}", get(switch::show).post(switch::save))
        .route("/switches/{id}/edit", get(switch::edit))
        .route("/switches/{id}/{verb}", post(switch::act))
        .route("/account", get(account::show))
        .route("/account/password", post(account::change_password))
        .route("/account/tokens", post(account::create_token))
        .route("/account/tokens/{id}/delete", post(account::delete_token))
        .route("/account/ssh-keys", post(account::create_key))
        .route("/account/ssh-keys/{id}/delete", post(account::delete_key))
        .route("/account/sessions/{id}/end", post(account::end_session))
        .route("/audit", get(audit::list))
        .route("/users", get(user::list).post(user::create))
        .route("/users/{name}", get(user::show).post(user::save))
        .route("/users/{name}/{verb}", post(user::act))
        .route("/scripts", get(script::list).post(script::create))
        .route("/scripts/{name}", get(script::show))
        .route("/scripts/{name}/delete", post(script::delete))
        .route("/settings", get(setting::list).post(setting::save))
        .route("/settings/login", get(login_provider::show).post(login_provider::save))
        .route("/settings/login/delete", post(login_provider::delete))
        .merge(assets::router())
}

/// Headers that keep foreign content out and pages out of caches; and nothing in a page that nobody sees.
async fn guard(request: Request, next: Next) -> Response {
    let mut response = visible(next.run(request).await).await;
    let headers = response.headers_mut();
    let policy =
        "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'";
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(HeaderValue::from_static(policy));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// A page in which every character is seen. Pages are made whole; what is sent in pieces is no page.
async fn visible(response: Response) -> Response {
    let kind = response.headers().get(header::CONTENT_TYPE);
    if !kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/html")) {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    // It is in memory already: reading it does not fail.
    let page = to_bytes(body, usize::MAX).await.unwrap_or_default();
    match str::from_utf8(&page).ok().and_then(crate::escape::visible) {
        Some(page) => {
            parts.headers.remove(header::CONTENT_LENGTH);
            Response::from_parts(parts, page.into())
        }
        None => Response::from_parts(parts, page.into()),
    }
}

/// The parameters of the address that say anything: browsers send the empty fields of a form too.
#[derive(Debug, Default)]
pub struct Params(HashMap<String, String>);

impl Params {
    /// One of them.
    pub fn get(&self, name: &str) -> Option<String> {
        self.0.get(name).cloned()
    }

    /// One of them, in its own form; what cannot be read is as if it was not there.
    pub fn parsed<T: std::str::FromStr>(&self, name: &str) -> Option<T> {
        self.0.get(name)?.parse().ok()
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Params {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        let query = Query::<HashMap<String, String>>::from_request_parts(parts, state).await;
        let mut all = query.map(|Query(all)| all).unwrap_or_default();
        all.retain(|_, value| !value.trim().is_empty());
        Ok(Self(all))
    }
}

/// The machine that an address names.
fn machine_id(text: &str) -> Result<MachineId, PageError> {
    text.parse().map_err(|_| Error::not_found("machine", text).into())
}

/// A number that an address names.
fn number(what: &'static str, text: &str) -> Result<i64, PageError> {
    text.parse().map_err(|_| Error::not_found(what, text).into())
}

/// A page, or why there is none.
type Shown<T> = Result<T, PageError>;

/// The present time, by which pages say how long ago things were.
fn now() -> time::OffsetDateTime {
    time::OffsetDateTime::now_utc()
}

/// Elsewhere, after a form was taken.
fn go(to: &str) -> Response {
    Redirect::to(to).into_response()
}
