//! `Idempotency-Key`: a POST that is sent twice is carried out once, and both get the same answer.
//!
//! Answers are kept for a day, sealed with the master key, because some hold a secret. A key that comes with
//! another request is refused. All this also holds when the region dies, or loses its database, at any point: a
//! repetition, at any region, carries the request out where the first has not committed it, which then never will; it
//! waits for the answer where the first has, and hears that the answer is lost when none comes ([`once`]).

use super::problem::respond;
use crate::app::{App, Error, once};
use crate::auth::Actor;
use crate::db::idempotency::{self, Claim, Known};
use axum::body::{Body, to_bytes};
use axum::extract::{FromRequestParts, Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

const KEY: HeaderName = HeaderName::from_static("idempotency-key");
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// Bodies and answers up to this size can be kept; the API has none that are larger.
const LIMIT: usize = 4 << 20;

const LOST: &str = "this request was carried out, and the region that did it died before its answer was kept; \
                    look at what came of it";

/// What is kept of an answer.
#[derive(Serialize, Deserialize)]
struct Kept {
    content_type: Option<String>,
    location: Option<String>,
    body: String,
}

/// Answers a repeated request as the first one was answered.
pub async fn replay(State(app): State<App>, request: Request, next: Next) -> Response {
    let key = request.headers().get(KEY).and_then(|v| v.to_str().ok()).map(str::to_owned);
    let streams =
        request.headers().get(header::CONTENT_TYPE).is_some_and(|v| v == "application/octet-stream");
    match key {
        Some(key) if request.method() == Method::POST && !streams => {
            handle(&app, key, request, next).await.unwrap_or_else(|response| response)
        }
        Some(_) | None => next.run(request).await,
    }
}

async fn handle(app: &App, key: String, request: Request, next: Next) -> Result<Response, Response> {
    let refuse = |error: Error| error.into_response();
    if !(1..=255).contains(&key.len()) {
        return Err(refuse(Error::invalid("Idempotency-Key", "a key has 1 to 255 characters")));
    }
    let (mut parts, body) = request.into_parts();
    // Only logging in needs no credentials, and it is not repeated by key.
    let Ok(actor) = Actor::from_request_parts(&mut parts, app).await else {
        return Ok(next.run(Request::from_parts(parts, body)).await);
    };
    let too_large = |_| {
        let detail = format!("a body has {LIMIT} bytes at most");
        respond(StatusCode::PAYLOAD_TOO_LARGE, "body", "The body is too large", detail, None)
    };
    let bytes = to_bytes(body, LIMIT).await.map_err(too_large)?;
    let hash = Sha256::new()
        .chain_update(parts.method.as_str())
        .chain_update([0])
        .chain_update(parts.uri.to_string())
        .chain_update([0])
        .chain_update(&bytes)
        .finalize();
    let mut conn = app.read().await.map_err(refuse)?;
    let known = idempotency::begin(&mut conn, actor.user_id, &key, &hash).await;
    drop(conn);
    let claim = match known.map_err(|e| refuse(e.into()))? {
        Known::New(claim) => claim,
        Known::Underway => {
            let busy = Error::Busy("the first request with this key is still being answered".into());
            let mut response = refuse(busy);
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            return Err(response);
        }
        Known::Lost => return Err(refuse(Error::conflict(LOST))),
        Known::Other => {
            return Err(refuse(Error::invalid(
                "Idempotency-Key",
                "this key was used for another request; take a new one",
            )));
        }
        Known::Answered { status, response } => return rebuild(app, status, &response).map_err(refuse),
    };
    let work = next.run(Request::from_parts(parts, Body::from(bytes)));
    let response = once::carry_out(claim.clone(), work).await;
    keep(app, &claim, response).await.map_err(refuse)
}

/// Keeps an answer, except where the fault was ours: that may be tried again under the same key.
async fn keep(app: &App, claim: &Claim, response: Response) -> Result<Response, Error> {
    let (parts, body) = response.into_parts();
    let bytes = to_bytes(body, LIMIT).await.map_err(Error::internal)?;
    let mut conn = app.read().await?;
    if parts.status.is_server_error() {
        idempotency::forget(&mut conn, claim).await?;
    } else {
        let text = |name| parts.headers.get(name).and_then(|v| v.to_str().ok()).map(str::to_owned);
        let kept = Kept {
            content_type: text(header::CONTENT_TYPE),
            location: text(header::LOCATION),
            body: String::from_utf8_lossy(&bytes).into_owned(),
        };
        let plain = serde_json::to_vec(&kept).map_err(Error::internal)?;
        let sealed = serde_json::Value::String(STANDARD.encode(app.keys().seal(&plain)));
        idempotency::finish(&mut conn, claim, parts.status.as_u16(), &sealed).await?;
    }
    Ok(Response::from_parts(parts, Body::from(bytes)))
}

fn rebuild(app: &App, status: u16, response: &serde_json::Value) -> Result<Response, Error> {
    let sealed = STANDARD.decode(response.as_str().unwrap_or_default()).map_err(Error::internal)?;
    let plain = app.keys().open(&sealed).map_err(Error::internal)?;
    let kept: Kept = serde_json::from_slice(plain.expose()).map_err(Error::internal)?;
    let status = StatusCode::from_u16(status).map_err(Error::internal)?;
    let mut response = (status, kept.body).into_response();
    let headers = response.headers_mut();
    headers.remove(header::CONTENT_TYPE);
    for (name, value) in [(header::CONTENT_TYPE, kept.content_type), (header::LOCATION, kept.location)] {
        if let Some(value) = value.and_then(|v| HeaderValue::from_str(&v).ok()) {
            headers.insert(name, value);
        }
    }
    headers.insert(REPLAYED, HeaderValue::from_static("true"));
    Ok(response)
}
