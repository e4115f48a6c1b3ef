//! Boot files by name, blobs by hash: what the snapshot lists and nothing else.

use super::range::{Part, part};
use super::{Served, say};
use crate::boot::plain_name;
use crate::cache::{BlobReader, CacheError, find_listed};
use axum::body::Body;
use axum::extract::{ConnectInfo, Path, State};
use axum::http::header::{ACCEPT_RANGES, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG};
use axum::http::{HeaderMap, Method, StatusCode, response};
use axum::response::Response;
use futures_util::stream;
use rackwright_common::link::BootStage;
use rackwright_common::snapshot::BlobRef;
use std::net::SocketAddr;

/// `/boot/files/NAME` and `/boot/NAME`.
pub(super) async fn boot_file(
    State(served): State<Served>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Path(name): Path<String>,
    method: Method,
    headers: HeaderMap,
) -> Response {
    let name = plain_name(&name);
    let snapshot = served.context.world.snapshot();
    let Some(blob) = snapshot.boot_files.get(&name) else {
        served.context.told(peer.ip(), BootStage::Refused, format!("HTTP: no boot file {name:?}"));
        return say(StatusCode::NOT_FOUND, "no such boot file");
    };
    if method == Method::GET {
        served.context.told(peer.ip(), BootStage::Loader, format!("{name}, {} bytes by HTTP", blob.size));
        served.context.has_loader(peer.ip(), &name);
    }
    answer(&served, blob, &method, &headers).await
}

/// `/blob/SHA256`.
pub(super) async fn blob(
    State(served): State<Served>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Path(sha256): Path<String>,
    method: Method,
    headers: HeaderMap,
) -> Response {
    let snapshot = served.context.world.snapshot();
    let Some(blob) = find_listed(&snapshot, &sha256) else {
        let shown: String = sha256.chars().take(12).collect();
        served.context.told(peer.ip(), BootStage::Refused, format!("HTTP: no blob {shown:?}"));
        return say(StatusCode::NOT_FOUND, "no such blob");
    };
    if method == Method::GET {
        served.context.told_blob(peer.ip(), &snapshot, blob);
        // The agent says so after it got something else than this blob.
        if headers.get(CACHE_CONTROL).is_some_and(|said| said == "no-cache") {
            served.context.cache.doubt(blob);
        }
    }
    answer(&served, blob, &method, &headers).await
}

async fn answer(served: &Served, blob: &BlobRef, method: &Method, headers: &HeaderMap) -> Response {
    let etag = format!("\"{}\"", blob.sha256);
    let part = part(headers, blob.size, &etag);
    let head = Response::builder()
        .header(ETAG, etag)
        .header(ACCEPT_RANGES, "bytes")
        .header(CACHE_CONTROL, "no-transform, immutable");
    let (start, end, head) = match part {
        Part::Unchanged => return finish(head.status(StatusCode::NOT_MODIFIED), Body::empty()),
        Part::Unsatisfiable => {
            let head = head.status(StatusCode::RANGE_NOT_SATISFIABLE);
            return finish(head.header(CONTENT_RANGE, format!("bytes */{}", blob.size)), Body::empty());
        }
        Part::Whole => (0, blob.size, head),
        Part::Range(start, end) => {
            let range = format!("bytes {start}-{}/{}", end - 1, blob.size);
            (start, end, head.status(StatusCode::PARTIAL_CONTENT).header(CONTENT_RANGE, range))
        }
    };
    let head = head.header(CONTENT_TYPE, "application/octet-stream").header(CONTENT_LENGTH, end - start);
    if method == Method::HEAD {
        return finish(head, Body::empty());
    }
    match served.context.cache.open_blob(blob).await {
        Ok(reader) => finish(head, body(reader, start, end)),
        Err(error @ CacheError::Nowhere { .. }) => {
            tracing::error!(blob = blob.sha256, %error, "a blob cannot be served");
            say(StatusCode::NOT_FOUND, &error.to_string())
        }
        Err(error) => {
            tracing::warn!(blob = blob.sha256, %error, "a blob cannot be served");
            // No Retry-After: iPXE would obey it for ever instead of asking the next rack.
            say(StatusCode::SERVICE_UNAVAILABLE, &error.to_string())
        }
    }
}

fn finish(head: response::Builder, body: Body) -> Response {
    head.body(body).unwrap_or_else(|error| say(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()))
}

/// The bytes, in large pieces. When they cannot be had, the connection breaks before its announced length: no
/// client takes that for the end.
fn body(reader: BlobReader, start: u64, end: u64) -> Body {
    Body::from_stream(stream::try_unfold((reader, start), move |(mut reader, at)| async move {
        if at >= end {
            return Ok::<_, CacheError>(None);
        }
        let bytes = reader.read(at, end).await?;
        let next = at + bytes.len() as u64;
        Ok(Some((bytes, (reader, next))))
    }))
}
