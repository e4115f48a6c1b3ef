//! HTTP for machines: boot scripts, boot files, blobs, and requests that regions answer.

mod blob;
mod range;
mod relay;
mod script;

use super::BootContext;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use std::io;
use std::net::{IpAddr, SocketAddr};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Largest body of a machine's request, bytes.
const BODY_MAX: usize = 8 << 20;

/// Why HTTP cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The port is taken.
    #[error("HTTP: port {1} of {0} is in use: stop what listens there (see `ss -ltnp`), or set `http_port`")]
    InUse(IpAddr, u16),
    /// Another error.
    #[error("HTTP: {address}:{port} cannot be served")]
    Socket {
        /// Address.
        address: IpAddr,
        /// Port.
        port: u16,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
}

/// What handlers get.
#[derive(Clone)]
struct Served {
    context: BootContext,
    /// `address:port` that machines reach.
    local: String,
}

/// Serves one address until cancelled.
pub async fn serve(
    context: BootContext,
    address: IpAddr,
    cancel: CancellationToken,
) -> Result<(), HttpError> {
    let port = context.http_port;
    let listener = TcpListener::bind((address, port)).await.map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => HttpError::InUse(address, port),
        _ => HttpError::Socket { address, port, source },
    })?;
    tracing::info!(%address, port, "HTTP is served to machines");
    let router = router(Served { context, local: SocketAddr::new(address, port).to_string() });
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    tokio::select! {
        () = cancel.cancelled() => Ok(()),
        ended = axum::serve(listener, service).into_future() => {
            ended.map_err(|source| HttpError::Socket { address, port, source })
        }
    }
}

fn router(served: Served) -> Router {
    Router::new()
        .route("/boot/ipxe", get(script::ipxe))
        .route("/boot/files/{*name}", get(blob::boot_file))
        .route("/boot/{*name}", get(blob::boot_file))
        .route("/blob/{sha256}", get(blob::blob))
        .route("/agent/v1/{*rest}", post(relay::relay))
        .route("/MAAS/metadata/status/{*rest}", post(relay::report))
        .route("/MAAS/metadata/{*rest}", get(relay::relay).post(relay::relay).put(relay::relay))
        .route("/healthz", get(|| async { "ok\n" }))
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .with_state(served)
}

/// A line of text, for a person who looks at a console or a capture.
fn say(status: StatusCode, text: &str) -> Response {
    (status, [(CONTENT_TYPE, "text/plain; charset=utf-8")], format!("{text}\n")).into_response()
}
