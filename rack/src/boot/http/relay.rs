//! Requests that a region answers: the agent's, and cloud-init's of installed systems.

use super::{Served, say};
use axum::extract::{ConnectInfo, State};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use rackwright_common::link::{Fact, Relay, RelayReply};
use std::net::SocketAddr;

/// `/agent/v1/…`, `/MAAS/metadata/…`: passed on unread.
pub(super) async fn relay(
    State(served): State<Served>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: String,
) -> Response {
    let request = request(&served, peer, &method, &uri, &headers, body);
    match served.context.hub.relay(&request).await {
        Ok(reply) => answer(reply),
        Err(error) => {
            tracing::warn!(%peer, path = uri.path(), %error, "a machine's request is not answered");
            (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, "1")], format!("{error}\n")).into_response()
        }
    }
}

/// `POST /MAAS/metadata/status/…`: cloud-init tells how the installed system starts, and does not repeat it.
/// With no region there, it is kept until one is.
pub(super) async fn report(
    State(served): State<Served>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: String,
) -> Response {
    let request = request(&served, peer, &method, &uri, &headers, body);
    if let Ok(reply) = served.context.hub.relay(&request).await {
        return answer(reply);
    }
    match served.context.journal.append_durable(Fact::Report(request)).await {
        Ok(seq) => {
            tracing::info!(%peer, path = uri.path(), seq, "kept for a region");
            say(StatusCode::OK, "kept")
        }
        Err(error) => say(StatusCode::SERVICE_UNAVAILABLE, &error.to_string()),
    }
}

fn request(
    served: &Served,
    peer: SocketAddr,
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    body: String,
) -> Relay {
    Relay {
        id: 0,
        method: method.to_string(),
        path: uri.path_and_query().map_or_else(|| uri.path().to_owned(), ToString::to_string),
        authorization: headers.get(AUTHORIZATION).and_then(|v| v.to_str().ok()).map(str::to_owned),
        body,
        peer: peer.ip(),
        local: served.local.clone(),
    }
}

fn answer(reply: RelayReply) -> Response {
    let Ok(status) = StatusCode::from_u16(reply.status) else {
        return say(StatusCode::BAD_GATEWAY, "the region's answer makes no sense");
    };
    let mut response = (status, reply.body).into_response();
    match HeaderValue::from_str(&reply.content_type) {
        Ok(kind) if !reply.content_type.is_empty() => response.headers_mut().insert(CONTENT_TYPE, kind),
        _ => response.headers_mut().remove(CONTENT_TYPE),
    };
    response
}
