//! How many requests of people a region works on at once; more wait a moment, and are then told to come again.
//!
//! What holds: people never have all of the region's connections to its database, so that racks, agents, workers, the
//! heartbeat and `/readyz` find one whatever people ask for; what is read and what changes something are counted apart, so that
//! changes which wait for the next primary of a cluster hold up nobody who reads; and while there is no primary nothing
//! is turned away, because it is the primary that is waited for. Left out: fairness between people, and requests that wait
//! for something else than the database (another operation's end, a BMC, a switch, an upload), which are not counted.

use super::bridge::TELLING;
use super::{PREFIX, problem};
use crate::app::App;
use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// Who has waited so long is turned away. A primary that fell silent is known to be gone by then.
const PATIENCE: Duration = Duration::from_secs(3);
/// Seconds after which to come again.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("2");
/// Parts of the paths of what needs no database, or waits for something else.
const NOT_COUNTED: [&str; 7] =
    ["/static/", "/stream", "/socket", "/files/", "/bmc/", "/switches/", "/login/provider"];

struct Crowd {
    app: App,
    reads: Semaphore,
    changes: Semaphore,
}

/// Puts the limit around everything that people ask a region for, which has so many connections to its database.
pub fn limit(router: Router, app: App, connections: u32) -> Router {
    let share = |of: u32| Semaphore::new((connections / of).max(1) as usize);
    // Together three quarters; with a cluster, reads have connections of their own beside.
    let crowd = Arc::new(Crowd { app, reads: share(2), changes: share(4) });
    router.layer(from_fn(move |request, next| enter(crowd.clone(), request, next)))
}

async fn enter(crowd: Arc<Crowd>, request: Request, next: Next) -> Response {
    if !is_counted(request.uri()) {
        return next.run(request).await;
    }
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let places = if reads { &crowd.reads } else { &crowd.changes };
    let place = tokio::time::timeout(PATIENCE, places.acquire()).await;
    if place.is_err() && !crowd.app.database().awaits_primary() {
        return full(request.uri());
    }
    next.run(request).await
}

fn is_counted(uri: &Uri) -> bool {
    let path = uri.path();
    let waits = uri.query().is_some_and(|query| query.split('&').any(|pair| pair.starts_with("wait=")));
    !waits && !TELLING.contains(&path) && !NOT_COUNTED.iter().any(|part| path.contains(part))
}

fn full(uri: &Uri) -> Response {
    let detail = "this region has more to do than it can; try again in a moment";
    let status = StatusCode::SERVICE_UNAVAILABLE;
    let mut response = if uri.path().starts_with(PREFIX) {
        problem::respond(status, "overloaded", "Too much to do", detail.to_owned(), None)
    } else {
        (status, format!("{detail}\n")).into_response()
    };
    response.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_for_something_else_or_tells_how_the_region_does_is_not_counted() {
        for path in [
            "/readyz?for=reads",
            "/healthz",
            "/metrics",
            "/api/v1/operations/4?wait=30",
            "/api/v1/events/stream",
            "/api/v1/machines/abcdef/bmc/sensors",
            "/api/v1/images/debian-12/files/disk.raw",
            "/static/app.css",
        ] {
            assert!(!is_counted(&path.parse().expect("a path")), "{path}");
        }
        for path in ["/", "/machines", "/api/v1/machines?limit=5", "/api/v1/operations/4", "/login"] {
            assert!(is_counted(&path.parse().expect("a path")), "{path}");
        }
    }
}
