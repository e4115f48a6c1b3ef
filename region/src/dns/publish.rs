//! Publishes names: compares what should be there with what is, and writes the difference under a new serial.

use super::{derive, sign};
use crate::db::dns_zone::{self, Change};
use crate::db::{DbError, dns_key, name_source};
use crate::secrets::MasterKey;
use rackwright_common::names::RecordView;
use sha2::{Digest, Sha256};
use sqlx::{PgConnection, PgPool};
use std::collections::BTreeSet;
use std::time::Duration;

/// Publishes all zones that have changed; how many those were. Regions do so one after another, each on what the one
/// before has left, so that a serial means the same everywhere. A zone with keys is signed; while one of them does not open
/// with `keys`, it stays as it is.
pub async fn publish(pool: &PgPool, keys: &MasterKey) -> Result<usize, DbError> {
    let mut tx = pool.begin().await?;
    dns_zone::lock(&mut tx).await?;
    let mut wanted = derive::zones(&name_source::load(&mut tx).await?);
    let zone_keys = dns_key::by_zone(&mut tx).await?;
    sign::enter_delegations(&mut wanted, &zone_keys);
    let now = dns_zone::now(&mut tx).await?;
    let present = dns_zone::standings(&mut tx).await?;
    let mut changed = 0;
    for (origin, zone) in &wanted {
        let known = present.iter().find(|z| z.origin == *origin);
        let before = known.filter(|z| !z.gone);
        let signing = match zone_keys.get(origin) {
            None => None,
            Some(zone_keys) => match sign::Signing::new(origin, zone_keys, keys, now) {
                Some(signing) => Some(signing),
                None => {
                    tracing::error!(
                        zone = origin,
                        "its key does not open with this region's master key; the zone stays as it is"
                    );
                    continue;
                }
            },
        };
        let plain = hash(zone.minimum, &zone.records);
        let content_hash = signing.as_ref().map_or_else(|| plain.clone(), |signing| signing.mark(&plain));
        if before.is_some_and(|z| z.content_hash == content_hash) {
            continue;
        }
        let before = match before {
            Some(_) => dns_zone::records(&mut tx, origin).await?,
            None => BTreeSet::new(),
        };
        // Serials follow the clock, so that they grow also when the database was set back.
        let serial = known.map_or(now, |z| now.max(z.serial + 1));
        let records = match signing {
            Some(signing) => {
                let (records, before) = (zone.records.clone(), before.clone());
                let (minimum, number) = (zone.minimum, serial);
                let work = move || signing.records(number, minimum, records, &before);
                let Some(signed) = beside(&mut tx, work).await? else {
                    tracing::error!(zone = origin, "it cannot be signed and stays as it is");
                    continue;
                };
                signed
            }
            None => zone.records.clone(),
        };
        let change = Change {
            origin,
            serial,
            minimum: i32::try_from(zone.minimum).unwrap_or(60),
            content_hash: &content_hash,
            removed: before.difference(&records).collect(),
            added: records.difference(&before).collect(),
        };
        dns_zone::write(&mut tx, &change).await?;
        changed += 1;
    }
    for zone in present.iter().filter(|z| !z.gone && !wanted.contains_key(&z.origin)) {
        dns_zone::retire(&mut tx, &zone.origin).await?;
        changed += 1;
    }
    tx.commit().await?;
    Ok(changed)
}

/// Does what takes the processor for long, while the transaction shows that it lives.
async fn beside<T: Send + 'static>(
    conn: &mut PgConnection,
    work: impl FnOnce() -> Option<T> + Send + 'static,
) -> Result<Option<T>, DbError> {
    let mut work = tokio::task::spawn_blocking(work);
    loop {
        match tokio::time::timeout(Duration::from_secs(1), &mut work).await {
            Ok(done) => return Ok(done.ok().flatten()),
            Err(_) => dns_zone::stay(conn).await?,
        }
    }
}

fn hash(minimum: u32, records: &BTreeSet<RecordView>) -> String {
    let mut hash = Sha256::new();
    hash.update(minimum.to_be_bytes());
    for record in records {
        for part in [&record.name, &record.kind, &record.data] {
            hash.update(u32::try_from(part.len()).unwrap_or(0).to_be_bytes());
            hash.update(part);
        }
        hash.update(record.ttl.to_be_bytes());
    }
    hex::encode(hash.finalize())
}
