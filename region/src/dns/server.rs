//! A region as name server: the authority of the site's zones, from memory; copies for those who prove who they are.
//!
//! What holds: it answers from what it last read while the database is away; it asks no other server for anybody; a
//! transfer without a key is refused; to one network it says one thing only so often (UDP).

use crate::db::{DbError, dns_zone, secondary};
use crate::secrets::MasterKey;
use arc_swap::ArcSwap;
use async_trait::async_trait;
use rackwright_common::names::{RecordView, ZoneView};
use rackwright_dns::tsig::{self, Key, Signer};
use rackwright_dns::{
    Allowance, Data, Difference, Limit, Name, Query, Record, RecordType, Rest, Writer, Zone, Zones, rcode,
    refusal, transfer,
};
use rackwright_services::dns::{Respond, Transport, Verdict};
use sqlx::PgPool;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How long noting a copy may take.
const NOTING: Duration = Duration::from_secs(2);
/// The longest answer by connection.
const LONGEST: usize = 65_535;

/// A name server that gets copies.
#[derive(Debug, Clone)]
pub struct Copy {
    /// Where it is told of changes.
    pub address: SocketAddr,
    /// How it proves who it is.
    pub key: Key,
}

/// Answers names.
pub struct NameServer {
    pool: PgPool,
    keys: MasterKey,
    zones: ArcSwap<Zones>,
    copies: ArcSwap<Vec<Copy>>,
    limit: Limit,
    started: Instant,
}

impl NameServer {
    /// With nothing to tell yet; so many answers per second and network about one thing.
    pub fn new(pool: PgPool, keys: MasterKey, per_second: u32) -> Self {
        Self {
            pool,
            keys,
            zones: ArcSwap::default(),
            copies: ArcSwap::default(),
            limit: Limit::new(per_second),
            started: Instant::now(),
        }
    }

    /// What secrets are sealed with.
    pub fn keys(&self) -> &MasterKey {
        &self.keys
    }

    /// Those that get copies.
    pub fn copies(&self) -> Arc<Vec<Copy>> {
        self.copies.load_full()
    }

    /// Reads what is published and new here; the names of the zones that have changed.
    pub async fn load(&self) -> Result<Vec<Name>, DbError> {
        let mut tx = self.pool.begin().await?;
        dns_zone::lock_shared(&mut tx).await?;
        let standings = dns_zone::standings(&mut tx).await?;
        let present = self.zones.load_full();
        let same = |z: &dns_zone::Standing| {
            let zone = z.origin.parse().ok().and_then(|origin| present.get(&origin));
            zone.is_some_and(|zone| i64::from(zone.serial()) == z.serial & i64::from(u32::MAX))
        };
        let served = standings.iter().filter(|z| !z.gone);
        let stale: Vec<_> = served.filter(|z| !same(z)).map(|z| z.origin.clone()).collect();
        let fresh =
            if stale.is_empty() { Vec::new() } else { dns_zone::whole(&mut tx, Some(&stale)).await? };
        let copies = secondary::keys(&mut tx).await?;
        tx.commit().await?;
        self.copies.store(Arc::new(copies.iter().filter_map(|c| self.copy(c)).collect()));
        let gone: Vec<Name> =
            standings.iter().filter(|z| z.gone).filter_map(|z| z.origin.parse().ok()).collect();
        let mut zones = Zones::clone(&present);
        gone.iter().for_each(|origin| zones.remove(origin));
        let mut changed = Vec::new();
        for view in &fresh {
            match zone(view) {
                Some(zone) => {
                    changed.push(zone.origin().clone());
                    zones.insert(Arc::new(zone));
                }
                None => tracing::error!(zone = view.origin, "a published zone cannot be served"),
            }
        }
        self.zones.store(Arc::new(zones));
        Ok(changed)
    }

    fn copy(&self, stored: &secondary::Stored) -> Option<Copy> {
        let secret = self.keys.open(&stored.secret).ok();
        if secret.is_none() {
            tracing::warn!(secondary = stored.name, "its key cannot be opened with this region's master key");
        }
        let key = Key::new(stored.name.parse().ok()?, secret?.expose().clone());
        Some(Copy { address: SocketAddr::from((stored.address, stored.port)), key })
    }

    /// Who asks, by signature; an answer when that does not hold.
    fn prove(&self, message: &[u8], query: &Query<'_>) -> Result<Option<Signer>, Vec<u8>> {
        if query.signature.is_none() {
            return Ok(None);
        }
        let keys: Vec<Key> = self.copies.load().iter().map(|copy| copy.key.clone()).collect();
        let now = unix_time();
        tsig::verify(message, query, &keys, now).map(Some).map_err(|why| {
            tracing::warn!(zone = %query.name, %why, "a query is not proven");
            tsig::unproven(message, query, why, now)
        })
    }

    /// What changed since the serial that the asker has; `None` when that is not known any more.
    async fn difference(&self, zone: &Zone, since: u32) -> Result<Option<Difference>, DbError> {
        let mut tx = self.pool.begin().await?;
        dns_zone::lock_shared(&mut tx).await?;
        let changes = dns_zone::changes(&mut tx, &zone.origin().to_string(), since, zone.serial()).await?;
        tx.commit().await?;
        Ok(changes.map(|(removed, added)| Difference {
            since,
            removed: removed.iter().filter_map(record).collect(),
            added: added.iter().filter_map(record).collect(),
        }))
    }

    async fn send_copy(&self, query: &Query<'_>, signer: &mut Signer) -> Option<Vec<Vec<u8>>> {
        let zone = self.zones.load().get(&query.name).cloned()?;
        let now = unix_time();
        let Some(since) = query.serial.filter(|_| query.kind == RecordType::IXFR) else {
            tracing::info!(zone = %query.name, records = zone.len(), "a copy is sent");
            return Some(transfer::whole(query, &zone, signer, now));
        };
        if since == zone.serial() {
            return Some(transfer::difference(query, &zone, None, signer, now));
        }
        let difference = self.difference(&zone, since).await.unwrap_or_else(|error| {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "a whole copy is sent instead of differences"
            );
            None
        });
        Some(match difference {
            Some(difference) => transfer::difference(query, &zone, Some(&difference), signer, now),
            None => transfer::whole(query, &zone, signer, now),
        })
    }

    /// Notes who got which serial. A copy is not held up by a database that is away.
    async fn note_copy(&self, query: &Query<'_>, signer: &Signer) {
        let Some(zone) = self.zones.load().get(&query.name).cloned() else { return };
        let (name, origin) = (signer.key_name().to_string(), zone.origin().to_string());
        let note = async {
            let mut conn = self.pool.acquire().await?;
            secondary::note_copy(&mut conn, &name, &origin, zone.serial()).await
        };
        match tokio::time::timeout(NOTING, note).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(secondary = name, zone = origin, error, "its copy is not noted");
            }
            Err(_) => tracing::warn!(secondary = name, zone = origin, "its copy is not noted in time"),
        }
    }

    /// Keeps to the limit: what is asked for, or for what is not there the zone that it would be in.
    fn limit(&self, query: &Query<'_>, from: SocketAddr, answer: &mut Vec<u8>) -> Verdict {
        let denied = answer.get(3).is_some_and(|flags| flags & 15 != 0);
        let what = if denied { b"denied".as_slice() } else { query.name.wire() };
        let now = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        match self.limit.allow(from.ip(), what, now) {
            Allowance::Send => Verdict::Answered,
            Allowance::Drop => Verdict::Silent,
            Allowance::Cut => {
                let mut message = Writer::respond(query, answer, 512);
                message.cut();
                message.finish(query.edns);
                Verdict::Answered
            }
        }
    }
}

#[async_trait]
impl Respond for NameServer {
    fn respond(&self, message: &[u8], from: SocketAddr, by: Transport, answer: &mut Vec<u8>) -> Verdict {
        let Ok(query) = Query::parse(message) else { return Verdict::Silent };
        let mut signer = match self.prove(message, &query) {
            Ok(signer) => signer,
            Err(refused) => {
                *answer = refused;
                return Verdict::Answered;
            }
        };
        let room = if signer.is_some() { 256 } else { 0 };
        let longest = if by == Transport::Udp { query.udp_limit() } else { LONGEST } - room;
        let transfers = matches!(query.kind, RecordType::AXFR | RecordType::IXFR);
        match refusal(&query) {
            // Too much for a datagram: the asker comes again by connection.
            Some(_) if transfers && signer.is_some() && by == Transport::Udp => {
                let mut message = Writer::respond(&query, answer, longest);
                message.cut();
                message.finish(query.edns);
            }
            Some(code) => refuse(&query, code, answer),
            None => {
                let found = self.zones.load().answer(&query, answer, longest);
                match found.rest {
                    Rest::Elsewhere => refuse(&query, rcode::REFUSED, answer),
                    Rest::Done | Rest::Follow(_) => found.message.finish(query.edns),
                }
            }
        }
        if let Some(signer) = &mut signer {
            signer.sign(answer, unix_time());
            return Verdict::Answered;
        }
        if by == Transport::Udp { self.limit(&query, from, answer) } else { Verdict::Answered }
    }

    async fn wait(&self, _: &[u8], _: SocketAddr, _: Transport, _: &mut Vec<u8>) {}

    async fn transfer(&self, message: &[u8], from: SocketAddr) -> Option<Vec<Vec<u8>>> {
        let query = Query::parse(message).ok()?;
        if !matches!(query.kind, RecordType::AXFR | RecordType::IXFR) {
            return None;
        }
        match self.prove(message, &query) {
            Ok(Some(mut signer)) => {
                let copy = self.send_copy(&query, &mut signer).await?;
                self.note_copy(&query, &signer).await;
                Some(copy)
            }
            Ok(None) => {
                tracing::warn!(zone = %query.name, from = %from.ip(), "a copy is refused to somebody without a key");
                None
            }
            Err(refused) => Some(vec![refused]),
        }
    }
}

fn refuse(query: &Query<'_>, code: u16, answer: &mut Vec<u8>) {
    let mut message = Writer::respond(query, answer, 512);
    message.code(code);
    message.finish(query.edns);
}

pub(super) fn record(view: &RecordView) -> Option<Record> {
    let data = Data::parse(view.kind.parse().ok()?, &view.data).ok()?;
    Some(Record { name: view.name.parse().ok()?, ttl: view.ttl, data })
}

fn zone(view: &ZoneView) -> Option<Zone> {
    let records = view.records.iter().filter_map(record);
    Zone::new(view.origin.parse().ok()?, view.serial, view.minimum, records).ok()
}

/// Seconds since 1970: what signatures are compared by.
pub(super) fn unix_time() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
