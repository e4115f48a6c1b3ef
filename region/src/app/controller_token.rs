//! What enrolling a rack and joining a region share: making the token, and where its holder finds the regions.

use super::{App, Change, Error, Result, audit};
use crate::auth::{Actor, token};
use crate::db;
use crate::model::Timestamp;
use crate::model::controller_token::{Controller, DEFAULT_SECONDS, TokenContent, stored};
use rackwright_common::Secret;
use rackwright_link::Ca;
use sqlx::PgConnection;
use std::net::IpAddr;
use std::ops::RangeInclusive;

const SECONDS: RangeInclusive<u32> = 60..=604_800;

/// Under which address a caller reached the API.
#[derive(Debug, Clone, Copy)]
pub struct ReachedAt<'a> {
    /// `host` or `host:port`, when the request says it.
    pub host: Option<&'a str>,
    /// By HTTPS.
    pub tls: bool,
}

/// Makes a token with which a box becomes a rack or a region of this name.
pub(super) async fn make(
    app: &App,
    actor: &Actor,
    (controller, name): (Controller, &str),
    seconds: Option<u32>,
    reached: ReachedAt<'_>,
) -> Result<(Secret<String>, Timestamp)> {
    let reached_at = named(reached.host)?;
    let seconds = seconds.unwrap_or(DEFAULT_SECONDS);
    if !SECONDS.contains(&seconds) {
        return Err(Error::invalid("expires_seconds", "a token lasts 60 seconds to 7 days (604800)"));
    }
    let ca_sha256 = authority(app)?.fingerprint().map_err(Error::internal)?;
    let secret = Secret::new(token::random());
    let mut tx = app.begin().await?;
    let expires_at = db::rack_token::insert(&mut tx, &stored(&secret), (controller, name), seconds).await?;
    let regions = streams(&mut tx, reached_at).await?;
    let verb = match controller {
        Controller::Rack => "enrol",
        Controller::Region => "join",
    };
    let message = format!("{} made a token to {verb} the {controller} {name}", actor.name);
    let kind = match controller {
        Controller::Rack => "rack.token",
        Controller::Region => "region.token",
    };
    audit(&mut tx, actor, Change { kind, message, ..Change::default() }).await?;
    tx.commit().await?;
    let scheme = if reached.tls { "https" } else { "http" };
    let api = vec![format!("{scheme}://{reached_at}")];
    let content = TokenContent { name: name.to_owned(), api, regions, ca_sha256, secret };
    Ok((content.encode(controller), expires_at))
}

pub(super) fn authority(app: &App) -> Result<&Ca> {
    app.ca.as_deref().ok_or_else(|| Error::conflict("this region has no certificate authority; ask another"))
}

pub(super) fn named(reached_at: Option<&str>) -> Result<&str> {
    reached_at.ok_or_else(|| Error::invalid("Host", "the request does not say in `Host` whom it is for"))
}

/// Whether a rack or region can have this name.
pub(super) fn check_name(controller: Controller, name: &str) -> Result<()> {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
    let taken = match controller {
        Controller::Rack => ["tokens", "enroll"],
        Controller::Region => ["tokens", "join"],
    };
    if (1..=64).contains(&name.len()) && name.bytes().all(fits) && !taken.contains(&name) {
        return Ok(());
    }
    let message = format!(
        "a {controller}'s name has 1 to 64 letters, digits, dots, hyphens or underscores, and is neither `{}` nor `{}`",
        taken[0], taken[1]
    );
    Err(Error::invalid("name", message))
}

/// Where racks reach the regions' stream services. An address that means the region's own box is replaced by the one
/// under which that box was reached.
pub(super) async fn streams(conn: &mut PgConnection, reached_at: &str) -> Result<Vec<String>> {
    let host = split(reached_at).0;
    let mut streams: Vec<String> = Vec::new();
    for stream in db::region::streams(conn).await? {
        let stream = match split(&stream) {
            (own, Some(port)) if is_loopback(own) => format!("{host}:{port}"),
            _ => stream,
        };
        if !streams.contains(&stream) {
            streams.push(stream);
        }
    }
    Ok(streams)
}

/// `host:port`, `[address]:port` or a host alone.
pub(super) fn split(address: &str) -> (&str, Option<u16>) {
    match address.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()),
        _ => (address, None),
    }
}

pub(super) fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_ports_are_told_apart() {
        assert_eq!(split("10.0.0.1:5240"), ("10.0.0.1", Some(5240)));
        assert_eq!(split("region"), ("region", None));
        assert_eq!(split("[fd00::1]:5240"), ("[fd00::1]", Some(5240)));
        assert_eq!(split("[fd00::1]"), ("[fd00::1]", None));
        assert!(is_loopback("127.0.0.1") && is_loopback("[::1]") && is_loopback("localhost"));
        assert!(!is_loopback("10.0.0.1") && !is_loopback("region"));
    }
}
