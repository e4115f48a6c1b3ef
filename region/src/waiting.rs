//! A region that starts before its database can be used: it waits, without end, and says so to whoever asks.
//!
//! What holds: only what passes by itself is waited for (no server is reached, none takes changes, one is starting or has
//! no room); what a person has to mend ends the region at once, with the reason. While it waits it is alive (`/healthz`) and not
//! ready: everything else is 503, so that whoever shares out requests leaves it out. Left out: racks' streams, names and
//! time, which are not served before there is a database; racks try their other regions meanwhile.

use crate::api::PREFIX;
use crate::api::problem::{chain, respond};
use crate::config::RegionConfig;
use crate::daemon::{Region, RegionError, listen, tls};
use crate::door::{Caller, Door, admit};
use axum::Router;
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use rackwright_link::Ca;
use std::future::{IntoFuture, ready};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Between two tries; one that finds nobody takes ten seconds and more by itself.
const PAUSE: Duration = Duration::from_secs(1);
/// One line in the log for so many tries.
const TOLD: u32 = 10;
const WAITING: &str = "this region waits for its database";

/// Opens a region as soon as its database can be used; nothing when it is cancelled before.
pub async fn open(config: &RegionConfig, cancel: &CancellationToken) -> Result<Option<Region>, RegionError> {
    let mut placard = None;
    for tries in 0_u32.. {
        let opened = tokio::select! {
            () = cancel.cancelled() => break,
            opened = Region::open(config.clone()) => opened,
        };
        let error = match opened {
            Err(RegionError::Db(error)) if error.is_outage() => error,
            opened => {
                if let Some(placard) = placard {
                    Placard::take_down(placard, config).await;
                }
                return opened.map(Some);
            }
        };
        if tries.is_multiple_of(TOLD) {
            tracing::warn!(error = chain(&error), "no database takes changes; {WAITING}");
        }
        if placard.is_none() {
            placard = Some(Placard::put_up(config).await?);
        }
        tokio::select! {
            () = cancel.cancelled() => break,
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
    Ok(None)
}

/// What the region's port says meanwhile.
struct Placard {
    stop: CancellationToken,
    served: JoinHandle<std::io::Result<()>>,
}

impl Placard {
    async fn put_up(config: &RegionConfig) -> Result<Self, RegionError> {
        let ca = Arc::new(Ca::load_or_create(&config.data.join("ca"))?);
        let tls = tls(config, ca)?.map(Arc::new);
        let address = config.listen.to_string();
        let listener = listen(&address, "listen").await?;
        let router = Router::new().route("/healthz", get(|| ready("ok\n"))).fallback(wait);
        let router = admit(router, tls.is_some() && !config.plain_http, config.trusted_proxies.clone());
        let stop = CancellationToken::new();
        let door = Door::open(listener, tls, stop.clone()).map_err(|source| RegionError::Listen {
            address,
            setting: "listen",
            source,
        })?;
        let served = axum::serve(door, router.into_make_service_with_connect_info::<Caller>())
            .with_graceful_shutdown(stop.clone().cancelled_owned());
        Ok(Self { stop, served: tokio::spawn(served.into_future()) })
    }

    /// Whoever keeps a connection hears the region itself at the next request; the port is free for it.
    async fn take_down(self, config: &RegionConfig) {
        self.stop.cancel();
        let gone = async {
            drop(self.served.await);
            while TcpListener::bind(config.listen).await.is_err() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        // If it is not, the region itself will say so.
        drop(tokio::time::timeout(Duration::from_secs(3), gone).await);
    }
}

async fn wait(uri: Uri) -> Response {
    let status = StatusCode::SERVICE_UNAVAILABLE;
    let mut response = if uri.path().starts_with(PREFIX) {
        respond(status, "unavailable", "Not available now", WAITING.to_owned(), None)
    } else {
        (status, format!("{WAITING}\n")).into_response()
    };
    response.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static("5"));
    ready(response).await
}
