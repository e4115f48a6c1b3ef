//! `GET /boot/ipxe?mac=…&uuid=…`

use super::Served;
use crate::boot::decide::{Asker, ipxe_script};
use axum::extract::rejection::QueryRejection;
use axum::extract::{ConnectInfo, Query, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::IntoResponse;
use serde::Deserialize;
use std::net::SocketAddr;

/// What the boot loader says of itself. What is not understood counts as not said.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Who {
    #[serde(default)]
    mac: String,
    #[serde(default)]
    uuid: String,
}

pub(super) async fn ipxe(
    State(served): State<Served>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    who: Result<Query<Who>, QueryRejection>,
) -> impl IntoResponse {
    let who = who.map(|Query(who)| who).unwrap_or_default();
    let (mac, uuid) = (who.mac.parse().ok(), who.uuid.parse().ok());
    let context = &served.context;
    context.seen.identify(peer.ip(), mac, uuid);
    let asker = Asker { mac, uuid, rack: served.local };
    let script = ipxe_script(&context.world.snapshot(), &asker);
    context.told(peer.ip(), script.stage, script.detail);
    ([(CONTENT_TYPE, "text/plain; charset=utf-8"), (CACHE_CONTROL, "no-store")], script.text)
}
