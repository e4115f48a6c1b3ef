//! Enrolling racks: an administrator makes a token, a new box proves to hold its secret and gets a certificate.
//!
//! What holds: a secret is good for one certificate, for the rack it was made for, until it expires. A request that
//! is refused for any other reason does not use it up. [`crate::model::rack_token`] says what plain HTTP means here.

use super::controller_token::{ReachedAt, authority, check_name, make, named, streams};
use super::{App, Error, Result};
use crate::auth::Actor;
use crate::db;
use crate::model::Role;
use crate::model::controller_token::Controller;
use crate::model::rack_token::{NewRackToken, RackCertificate, RackEnrolment, RackToken, is_proven};
use std::net::IpAddr;

const NOT_GOOD: &str = "this rack token was used, has expired or is not known here; \
                        make a new one with `rackwright rack token NAME`";

/// Makes a token for a new rack.
pub async fn create(
    app: &App,
    actor: &Actor,
    new: &NewRackToken,
    reached: ReachedAt<'_>,
) -> Result<RackToken> {
    actor.require(Role::Administrator)?;
    check_name(Controller::Rack, &new.name)?;
    let made = make(app, actor, (Controller::Rack, &new.name), new.expires_seconds, reached).await?;
    Ok(RackToken { token: made.0, expires_at: made.1 })
}

/// Certifies a new rack's key. The proof alone says who asks; its secret is used up.
pub async fn enroll(
    app: &App,
    asked: &RackEnrolment,
    reached_at: Option<&str>,
    from: Option<IpAddr>,
) -> Result<RackCertificate> {
    let reached_at = named(reached_at)?;
    let ca = authority(app)?;
    let mut tx = app.begin().await?;
    let good = db::rack_token::lock_valid(&mut tx, (Controller::Rack, &asked.name)).await?;
    let Some(used) = good.iter().find(|stored| is_proven(stored, asked)) else {
        tracing::warn!(from = from.map(tracing::field::display), "a rack token was refused");
        return Err(Error::Unauthenticated(NOT_GOOD));
    };
    let certificate_pem = ca.sign_rack(&asked.name, &asked.csr_pem).map_err(|_| {
        Error::invalid("csr_pem", "this is no certificate signing request in PEM; the token is still good")
    })?;
    db::rack_token::delete(&mut tx, used).await?;
    let regions = streams(&mut tx, reached_at).await?;
    let (message, actor) = (format!("The rack {} was enrolled", asked.name), format!("rack:{}", asked.name));
    let event = db::event::NewEvent {
        kind: "rack.enrolled",
        level: "info",
        machine: None,
        operation: None,
        actor: &actor,
        message: &message,
        data: from.map_or_else(Default::default, |from| serde_json::json!({ "from": from })),
    };
    db::event::append(&mut tx, &event).await?;
    tx.commit().await?;
    Ok(RackCertificate { certificate_pem, ca_pem: ca.certificate_pem().to_owned(), regions })
}
