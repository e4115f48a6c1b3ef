//! Keys that zones are signed with: the first one begins it, a second one is for changing keys, the last one ends it.

use super::{App, Change, Error, Result, audit, json};
use crate::auth::Actor;
use crate::db;
use crate::db::dns_key::Stored;
use crate::model::dns_key::{DnsKey, NewDnsKey};
use crate::model::{Page, Role};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rackwright_dns::Name;
use rackwright_dns::dnssec::{self, KEY_TTL, SEED, ZoneKey};
use time::{Duration, OffsetDateTime};

/// All keys, with what the zone above has to know of them.
pub async fn list(app: &App, actor: &Actor) -> Result<Page<DnsKey>> {
    actor.require(Role::Viewer)?;
    let stored = db::dns_key::list(&mut *app.read().await?).await?;
    Ok(Page::whole(stored.iter().filter_map(shown).collect()))
}

fn shown(stored: &Stored) -> Option<DnsKey> {
    let zone: Name = stored.zone.parse().ok()?;
    let key = dnssec::public_key(&stored.public);
    let above = dnssec::above(&zone, &key).wire;
    let (head, digest) = above.split_at_checked(4)?;
    Some(DnsKey {
        id: stored.id,
        zone: stored.zone.clone(),
        tag: dnssec::tag(&key).into(),
        algorithm: "ED25519".into(),
        dnskey: format!("{zone}. IN DNSKEY 257 3 15 {}", STANDARD.encode(&stored.public)),
        ds: format!(
            "{zone}. IN DS {} {} {} {}",
            dnssec::tag(&key),
            head[2],
            head[3],
            hex::encode_upper(digest)
        ),
        created_at: stored.created_at.into(),
    })
}

/// Makes a key for a zone, which is signed with it from then on.
pub async fn create(app: &App, actor: &Actor, new: &NewDnsKey) -> Result<DnsKey> {
    actor.require(Role::Administrator)?;
    let zone: Name = new
        .zone
        .trim()
        .parse()
        .map_err(|e: rackwright_dns::InvalidName| Error::invalid("zone", e.to_string()))?;
    let zone = zone.to_string();
    let mut tx = app.begin().await?;
    db::dns_zone::lock(&mut tx).await?;
    let served = db::dns_zone::standings(&mut tx).await?.iter().any(|z| z.origin == zone && !z.gone);
    if !served && !db::domain::exists(&mut tx, &zone).await? {
        let message = format!("there is no zone {zone}; `rackwright name zones` lists those that are");
        return Err(Error::invalid("zone", message));
    }
    let keys = db::dns_key::by_zone(&mut tx).await?.remove(&zone).unwrap_or_default();
    if keys.len() > 1 {
        return Err(Error::Conflict {
            field: Some("zone"),
            message: format!(
                "{zone} has two keys already; remove the old one when the zone above knows the new one"
            ),
        });
    }
    let seed = rand::random::<[u8; SEED]>();
    let key = ZoneKey::from_seed(&seed).map_err(Error::internal)?;
    let public = key.public().wire.get(4..).unwrap_or_default();
    let id = db::dns_key::insert(&mut tx, &zone, public, &app.keys().seal(&seed)).await?;
    let made = find(&mut tx, id).await?;
    let made = shown(&made).ok_or_else(|| Error::not_found("key", id))?;
    let message = format!("The key {} was made, with which {zone} is signed", made.tag);
    let change = Change { kind: "dns-key.created", message, after: json(&made), ..Change::default() };
    audit(&mut tx, actor, change).await?;
    tx.commit().await?;
    Ok(made)
}

/// Removes a key. The last one of a zone only when the zone is to be signed no more, which has to be said.
pub async fn delete(app: &App, actor: &Actor, id: i64, unsign: bool) -> Result<()> {
    actor.require(Role::Administrator)?;
    let mut tx = app.begin().await?;
    db::dns_zone::lock(&mut tx).await?;
    let key = find(&mut tx, id).await?;
    let zone = key.zone.clone();
    let keys = db::dns_key::by_zone(&mut tx).await?.remove(&zone).unwrap_or_default();
    let others: Vec<_> = keys.iter().filter(|other| other.id != id).collect();
    if others.is_empty() && !unsign {
        return Err(Error::conflict(format!(
            "this is the only key of {zone}: without it the zone is not signed. Have its DS records taken from the zone \
             above and wait until nobody keeps them, then say so (`--unsign`)"
        )));
    }
    let known = OffsetDateTime::now_utc() - Duration::seconds(KEY_TTL.into());
    if !others.is_empty() && others.iter().all(|other| other.created_at > known) {
        return Err(Error::conflict(format!(
            "the other key of {zone} is there for less than an hour: resolvers may not know it yet. Wait, and see that \
             the zone above has its DS record"
        )));
    }
    db::dns_key::delete(&mut tx, id).await?;
    let before = shown(&key).map(|key| json(&key)).unwrap_or_default();
    let message = match others.len() {
        0 => format!("The last key of {zone} was removed; it is not signed any more"),
        _ => format!("An old key of {zone} was removed"),
    };
    audit(&mut tx, actor, Change { kind: "dns-key.deleted", message, before, ..Change::default() }).await?;
    Ok(tx.commit().await?)
}

async fn find(conn: &mut sqlx::PgConnection, id: i64) -> Result<Stored> {
    let keys = db::dns_key::list(conn).await?;
    keys.into_iter().find(|key| key.id == id).ok_or_else(|| Error::not_found("key", id))
}
