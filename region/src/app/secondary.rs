//! Name servers that get copies of all zones, and their keys.

use super::{App, Change, Error, Result, audit};
use crate::auth::Actor;
use crate::db;
use crate::model::domain::{NewSecondary, Secondary, SecondaryKey};
use crate::model::{Page, Role};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rackwright_common::Secret;

/// Bytes of a key (RFC 8945 section 8: no less than the hash).
const KEY: usize = 32;

/// All secondaries.
pub async fn list(app: &App, actor: &Actor) -> Result<Page<Secondary>> {
    actor.require(Role::Viewer)?;
    Ok(Page::whole(db::secondary::list(&mut *app.read().await?).await?))
}

/// Enters a secondary. Its key is in the answer, and nowhere else in the clear.
pub async fn create(app: &App, actor: &Actor, new: &NewSecondary) -> Result<SecondaryKey> {
    actor.require(Role::Administrator)?;
    let secret = rand::random::<[u8; KEY]>();
    let mut tx = app.begin().await?;
    let sealed = app.keys().seal(&secret);
    db::secondary::insert(&mut tx, &new.name, new.address, new.port, &sealed).await?;
    let message = format!("The secondary name server {} at {} was entered", new.name, new.address);
    audit(&mut tx, actor, Change { kind: "secondary.created", message, ..Change::default() }).await?;
    tx.commit().await?;
    Ok(SecondaryKey {
        name: new.name.clone(),
        algorithm: "hmac-sha256".into(),
        secret: Secret::new(STANDARD.encode(secret)),
    })
}

/// Removes a secondary; its key opens nothing any more.
pub async fn delete(app: &App, actor: &Actor, name: &str) -> Result<()> {
    actor.require(Role::Administrator)?;
    let mut tx = app.begin().await?;
    if !db::secondary::delete(&mut tx, name).await? {
        return Err(Error::not_found("secondary", name));
    }
    let message = format!("The secondary name server {name} was removed");
    audit(&mut tx, actor, Change { kind: "secondary.deleted", message, ..Change::default() }).await?;
    Ok(tx.commit().await?)
}
