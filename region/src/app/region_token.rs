//! Further regions: an administrator makes a token, a blank box proves to hold its secret and gets what a region is.
//!
//! What holds: a secret is good for one answer, for the region it was made for, until it expires. A request that is
//! refused for any other reason does not use it up. [`crate::model::region_token`] says why plain HTTP will do.

use super::controller_token::{ReachedAt, authority, check_name, is_loopback, make, split};
use super::{App, Error, Result};
use crate::auth::Actor;
use crate::db;
use crate::model::Role;
use crate::model::controller_token::Controller;
use crate::model::region_token::{
    Exchange, NewRegionToken, RegionRequest, RegionSecrets, RegionToken, RegionWelcome, side_by_side,
    wrong_clock,
};
use rackwright_common::Secret;
use serde_json::{Map, Value};
use sqlx::PgConnection;
use std::net::IpAddr;

const NOT_GOOD: &str = "this region token was used, has expired or is not known here; \
                        make a new one with `rackwright region token NAME`";

/// What this region passes on to one that joins.
#[derive(Debug)]
pub struct Invitation {
    /// This region's name.
    pub region: String,
    /// `host:port` under which others reach its stream service.
    pub stream: String,
    /// How it reaches the database.
    pub database_url: Secret<String>,
    /// Settings that all regions have in common, as in `region.toml`.
    pub settings: Map<String, Value>,
}

/// Makes a token for a further region.
pub async fn create(
    app: &App,
    actor: &Actor,
    new: &NewRegionToken,
    reached: ReachedAt<'_>,
) -> Result<RegionToken> {
    actor.require(Role::Administrator)?;
    check_name(Controller::Region, &new.name)?;
    let invitation = invitation(app)?;
    check_reach(invitation)?;
    check_free(&mut *app.read().await?, &new.name).await?;
    let named = (Controller::Region, new.name.as_str());
    let (token, expires_at) = make(app, actor, named, new.expires_seconds, reached).await?;
    Ok(RegionToken { token, expires_at })
}

/// Gives a blank box what makes it a region. The proof alone says who asks; its secret is used up.
pub async fn join(app: &App, asked: &RegionRequest, from: Option<IpAddr>) -> Result<RegionWelcome> {
    let (ca, invitation) = (authority(app)?, invitation(app)?);
    let mut tx = app.begin().await?;
    let good = db::rack_token::lock_valid(&mut tx, (Controller::Region, &asked.name)).await?;
    let Some(used) = good.iter().find(|stored| asked.is_proven(stored)) else {
        tracing::warn!(from = from.map(tracing::field::display), "a region token was refused");
        return Err(Error::Unauthenticated(NOT_GOOD));
    };
    check_version(&asked.version)?;
    check_clock(&mut tx, asked.clock).await?;
    check_free(&mut tx, &asked.name).await?;
    let secrets = RegionSecrets {
        master_key: app.keys().to_hex(),
        ca_pem: ca.certificate_pem().to_owned(),
        ca_key_pem: ca.key_pem().clone(),
        database_url: invitation.database_url.clone(),
        database_ca: database_ca(invitation).await?,
        region: invitation.region.clone(),
        settings: invitation.settings.clone(),
    };
    let exchange = Exchange::new().map_err(Error::internal)?;
    let welcome = exchange.seal(used, asked, &secrets).map_err(|_| {
        Error::invalid("public_key", "this is no key (X25519, hexadecimal); the token is still good")
    })?;
    db::rack_token::delete(&mut tx, used).await?;
    let (message, actor) =
        (format!("The region {} has joined", asked.name), format!("region:{}", asked.name));
    let event = db::event::NewEvent {
        kind: "region.joined",
        level: "info",
        machine: None,
        operation: None,
        actor: &actor,
        message: &message,
        data: from.map_or_else(Default::default, |from| serde_json::json!({ "from": from })),
    };
    db::event::append(&mut tx, &event).await?;
    tx.commit().await?;
    Ok(welcome)
}

/// What the file holds that the database's URL names: the new box does not have it.
async fn database_ca(invitation: &Invitation) -> Result<Option<String>> {
    let Some(file) = db::root_certificate(invitation.database_url.expose()) else { return Ok(None) };
    tokio::fs::read_to_string(&file).await.map(Some).map_err(Error::internal)
}

fn invitation(app: &App) -> Result<&Invitation> {
    app.invitation
        .as_deref()
        .ok_or_else(|| Error::conflict("this region takes no others; ask another region"))
}

/// A region on another box must be able to reach the database and this region.
fn check_reach(invitation: &Invitation) -> Result<()> {
    if !is_for_others(invitation.database_url.expose()) {
        return Err(Error::conflict(
            "this region reaches its database in a way that works on its own box only. Put a database that other boxes reach \
             into `database_url` of region.toml (postgres://USER:PASSWORD@HOST/DATABASE) and restart the region. The \
             database of `rackwright up` is for one box: docs/several-regions.md says how to move it",
        ));
    }
    if is_loopback(split(&invitation.stream).0) {
        return Err(Error::conflict(
            "other regions and racks cannot reach this region: set `stream_address` in region.toml to an address of this box \
             with the port of `stream_listen`, such as 10.0.0.1:5241, and restart the region",
        ));
    }
    Ok(())
}

async fn check_free(conn: &mut PgConnection, name: &str) -> Result<()> {
    if db::region::alive(conn).await?.iter().any(|alive| alive == name) {
        let message =
            format!("there is a region `{name}` that lives; choose another name, or stop that region first");
        return Err(Error::Conflict { field: Some("name"), message });
    }
    Ok(())
}

fn check_version(theirs: &str) -> Result<()> {
    let ours = env!("CARGO_PKG_VERSION");
    if side_by_side(ours, theirs) {
        return Ok(());
    }
    Err(Error::conflict(format!(
        "the new box has Rackwright {theirs} and this region {ours}, which do not work side by side: install {ours} on the new \
         box (the token is still good)"
    )))
}

async fn check_clock(conn: &mut PgConnection, theirs: i64) -> Result<()> {
    let now = db::region::clock(conn).await?.unix_timestamp();
    let Some(how) = wrong_clock(theirs, now) else { return Ok(()) };
    Err(Error::conflict(format!(
        "the new box's clock is {how} the database's: set the one that is wrong (`chronyc makestep`, or \
         `timedatectl set-time`) and join again (the token is still good)"
    )))
}

/// Whether a database URL names a host that other boxes can mean too: neither a unix socket nor this box itself.
fn is_for_others(url: &str) -> bool {
    let Some((_, rest)) = url.split_once("://") else { return false };
    let (base, query) = rest.split_once('?').unwrap_or((rest, ""));
    let authority = base.split('/').next().unwrap_or_default();
    let hosts = authority.rsplit_once('@').map_or(authority, |(_, hosts)| hosts);
    let asked = query.split('&').filter_map(|pair| pair.split_once('='));
    // Both may name it; what is asked for with `host` counts.
    let named =
        asked.filter(|(key, _)| matches!(*key, "host" | "hostaddr")).map(|(_, value)| value).next_back();
    let remote = |host: &str| {
        let bare = split(host).0;
        !bare.is_empty()
            && !bare.starts_with('/')
            && !bare.to_ascii_lowercase().starts_with("%2f")
            && !is_loopback(bare)
    };
    let mut hosts = named.unwrap_or(hosts).split(',').peekable();
    hosts.peek().is_some() && hosts.all(remote)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_other_boxes_reach_is_told_from_what_they_do_not() {
        for url in [
            "postgres://u:p@10.0.0.5/rackwright",
            "postgres://u:p%40x@db.example:6432/rackwright?sslmode=require",
            "postgres://u@a:5432,b:5432/rackwright?target_session_attrs=read-write",
            "postgres://u@localhost/x?host=10.0.0.5",
            "postgres://u@[fd00::5]/x",
        ] {
            assert!(is_for_others(url), "{url}");
        }
        for url in [
            "",
            "postgres:///rackwright",
            "postgres://rackwright@localhost/rackwright",
            "postgres://rackwright@localhost/rackwright?host=/var/lib/rackwright/postgres/run",
            "postgres://u@%2Frun%2Fpostgresql/x",
            "postgres://u@127.0.0.1:5432/x",
            "postgres://u@[::1]/x",
            "postgres://u@a,localhost/x",
        ] {
            assert!(!is_for_others(url), "{url}");
        }
    }
}
