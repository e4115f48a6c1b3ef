//! Signed zones: which keys sign what, and what the zones above say of the zones below.
//!
//! Signatures are published like all other records, so regions, racks and copies have the same ones, and a change goes to
//! copies as a difference. The time is the database's: regions whose clocks differ would otherwise sign over and over again.

use super::derive::Content;
use super::server::record;
use crate::db::dns_key::Stored;
use crate::secrets::MasterKey;
use rackwright_common::names::RecordView;
use rackwright_dns::dnssec::{self, Window, ZoneKey};
use rackwright_dns::{Name, Zone};
use std::collections::{BTreeMap, BTreeSet};

/// How long resolvers keep what a zone says of the key of one below, seconds.
const DELEGATION_TTL: u32 = 3600;

/// How a zone is to be signed.
pub(super) struct Signing {
    origin: Name,
    keys: Vec<ZoneKey>,
    window: Window,
}

impl Signing {
    /// With these keys, at this time; `None` when one does not open.
    pub(super) fn new(origin: &str, stored: &[Stored], keys: &MasterKey, now: i64) -> Option<Self> {
        let origin: Name = origin.parse().ok()?;
        let open = |key: &Stored| ZoneKey::from_seed(keys.open(&key.secret).ok()?.expose()).ok();
        let keys = stored.iter().map(open).collect::<Option<Vec<_>>>()?;
        let window = Window::at(&origin, u64::try_from(now).unwrap_or(0));
        Some(Self { origin, keys, window })
    }

    /// What is to be published, in short: the same as long as nothing has to be signed. The database knows signed zones by
    /// how it begins.
    pub(super) fn mark(&self, plain: &str) -> String {
        let tags: Vec<_> = self.keys.iter().map(|key| dnssec::tag(key.public()).to_string()).collect();
        format!("signed:{plain}:{}:{}", self.window.expiration, tags.join("+"))
    }

    /// The zone with all that signing adds. Of `before` is kept what is still right. `None` when it is no zone.
    pub(super) fn records(
        &self,
        serial: i64,
        minimum: u32,
        plain: BTreeSet<RecordView>,
        before: &BTreeSet<RecordView>,
    ) -> Option<BTreeSet<RecordView>> {
        // Serials are arithmetic modulo 2^32 (RFC 1982).
        let serial = u32::try_from(serial & i64::from(u32::MAX)).ok()?;
        let mut records = level(plain);
        let zone = |records: &BTreeSet<RecordView>| {
            Zone::new(self.origin.clone(), serial, minimum, records.iter().filter_map(record)).ok()
        };
        let added = dnssec::sign(&zone(&records)?, &self.keys, self.window, zone(before).as_ref());
        records.extend(added.into_iter().map(|record| RecordView {
            name: record.name.to_string(),
            kind: record.data.kind.to_string(),
            ttl: record.ttl,
            data: record.data.to_string(),
        }));
        Some(records)
    }
}

/// What is signed together is kept for as long together (RFC 2181 section 5.2).
fn level(records: BTreeSet<RecordView>) -> BTreeSet<RecordView> {
    let mut least: BTreeMap<(String, String), u32> = BTreeMap::new();
    for record in &records {
        let ttl = least.entry((record.name.clone(), record.kind.clone())).or_insert(record.ttl);
        *ttl = record.ttl.min(*ttl);
    }
    let ttl = |record: &RecordView| least.get(&(record.name.clone(), record.kind.clone())).copied();
    records.into_iter().map(|r| RecordView { ttl: ttl(&r).unwrap_or(r.ttl), ..r }).collect()
}

/// A signed zone gives the zones below it away by name: otherwise it would prove that they are not there. What it says of
/// their keys makes them trusted as it is itself.
pub(super) fn enter_delegations(
    wanted: &mut BTreeMap<String, Content>,
    keys: &BTreeMap<String, Vec<Stored>>,
) {
    let mut entries: Vec<(String, RecordView)> = Vec::new();
    for (below, content) in wanted.iter() {
        let mut name = below.as_str();
        let above = loop {
            match name.split_once('.') {
                Some((_, rest)) if wanted.contains_key(rest) => break Some(rest),
                Some((_, rest)) => name = rest,
                None => break None,
            }
        };
        let Some(above) = above.filter(|above| keys.contains_key(*above)) else { continue };
        let servers = content.records.iter().filter(|r| r.kind == "NS" && r.name == *below);
        for server in servers {
            entries.push((above.to_owned(), server.clone()));
            let is_address =
                |r: &&RecordView| matches!(r.kind.as_str(), "A" | "AAAA") && r.name == server.data;
            let addresses = content.records.iter().filter(is_address);
            entries.extend(addresses.map(|r| (above.to_owned(), r.clone())));
        }
        let Ok(origin) = below.parse::<Name>() else { continue };
        for key in keys.get(below).into_iter().flatten() {
            let data = dnssec::above(&origin, &dnssec::public_key(&key.public));
            let (name, kind) = (below.clone(), data.kind.to_string());
            let view = RecordView { name, kind, ttl: DELEGATION_TTL, data: data.to_string() };
            entries.push((above.to_owned(), view));
        }
    }
    for (above, entry) in entries {
        if let Some(content) = wanted.get_mut(&above) {
            content.records.insert(entry);
        }
    }
}
