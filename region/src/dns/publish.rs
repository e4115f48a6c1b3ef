//! Publishes names: compares what should be there with what is, and writes the difference under a new serial.

use super::derive;
use crate::db::dns_zone::{self, Change};
use crate::db::{DbError, name_source};
use rackwright_common::names::RecordView;
use sha2::{Digest, Sha256};
use sqlx::PgPool;
use std::collections::BTreeSet;

/// Publishes all zones that have changed; how many those were. Regions do so one after another, each on what the one
/// before has left, so that a serial means the same everywhere.
pub async fn publish(pool: &PgPool) -> Result<usize, DbError> {
    let mut tx = pool.begin().await?;
    dns_zone::lock(&mut tx).await?;
    let wanted = derive::zones(&name_source::load(&mut tx).await?);
    let present = dns_zone::standings(&mut tx).await?;
    let mut changed = 0;
    for (origin, zone) in &wanted {
        let content_hash = hash(zone.minimum, &zone.records);
        let before = present.iter().find(|z| z.origin == *origin && !z.gone);
        if before.is_some_and(|z| z.content_hash == content_hash) {
            continue;
        }
        let before = match before {
            Some(_) => dns_zone::records(&mut tx, origin).await?,
            None => BTreeSet::new(),
        };
        let change = Change {
            origin,
            minimum: i32::try_from(zone.minimum).unwrap_or(60),
            content_hash: &content_hash,
            removed: before.difference(&zone.records).collect(),
            added: zone.records.difference(&before).collect(),
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
