//! Bridges the time without a primary database, for the API and for pages.
//!
//! What changes nothing is answered from a standby and says so (`Rackwright-Read-From: standby`). What changes something
//! waits for the next primary, and is done again when the old one was lost under it, as long as that is safe: no
//! transaction of it had reached its COMMIT, or it has an `Idempotency-Key`, whose row says whether it was carried out.
//! Else nobody can tell from here, and the answer says so. With a single database server nothing of this happens.

use super::{PREFIX, problem};
use crate::app::App;
use crate::db::standby;
use axum::body::{Body, HttpBody, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use std::time::{Duration, Instant};

const READ_FROM: HeaderName = HeaderName::from_static("rackwright-read-from");
/// Before a request is done again.
const PAUSE: Duration = Duration::from_millis(100);
/// A larger body, or one that comes in pieces, is not kept to be sent again.
const KEPT: u64 = 4 << 20;
/// These tell how the region does now; they neither wait nor try again.
pub const TELLING: [&str; 3] = ["/healthz", "/readyz", "/metrics"];

/// Serves a request across a change of the primary.
pub async fn bridge(State(app): State<App>, request: Request, next: Next) -> Response {
    let Some(patience) = app.database().waits_for_primary() else { return next.run(request).await };
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let telling = TELLING.contains(&request.uri().path());
    let whole = request.body().size_hint().upper().is_some_and(|bytes| bytes <= KEPT);
    if telling || !whole {
        return mark(standby::trace(reads, next.run(request)).await);
    }
    let deadline = Instant::now() + patience;
    let (parts, body) = request.into_parts();
    let api = parts.uri.path().starts_with(PREFIX);
    let keyed = parts.method == Method::POST && parts.headers.contains_key("idempotency-key");
    let body = match to_bytes(body, usize::MAX).await {
        Ok(body) => body,
        // The client broke off: nobody reads the answer.
        Err(_) => return Response::new(Body::empty()),
    };
    let mut doubt = false;
    loop {
        let request = Request::from_parts(parts.clone(), Body::from(body.clone()));
        let (response, outcome) = standby::trace(reads, next.clone().run(request)).await;
        let lost = response.status() == StatusCode::SERVICE_UNAVAILABLE;
        // What asks may write that it asks, any number of times.
        doubt |= lost && outcome.reached_commit && !reads;
        if lost && doubt && !keyed {
            return in_doubt(response, api);
        }
        // The key is still held by the try that was lost.
        let held = doubt && response.status() == StatusCode::CONFLICT && retry_after(&response);
        if !(lost || held) || Instant::now() + PAUSE >= deadline {
            return mark((response, outcome));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

fn retry_after(response: &Response) -> bool {
    response.headers().contains_key(header::RETRY_AFTER)
}

/// Says where an answer was read.
fn mark((mut response, outcome): (Response, standby::Outcome)) -> Response {
    if outcome.read_from_standby {
        response.headers_mut().insert(READ_FROM, HeaderValue::from_static("standby"));
    }
    response
}

/// The database was lost between COMMIT and its answer. A page keeps its own words.
fn in_doubt(page: Response, api: bool) -> Response {
    let detail = "the database was lost while this was being written, so it may have been carried out or not; look \
                  before you send it again";
    let mut response = if api {
        let status = StatusCode::SERVICE_UNAVAILABLE;
        problem::respond(status, "in-doubt", "Perhaps carried out", detail.to_owned(), None)
    } else {
        page
    };
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    response
}
