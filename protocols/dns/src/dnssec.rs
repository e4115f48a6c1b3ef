//! Signing zones (RFC 4033 to 4035): keys, a signature for each set, and the chain of names (NSEC) that proves what is not there.
//!
//! What holds: Ed25519 (RFC 8080) makes the same signature of the same set each time, and the window in which signatures hold
//! follows from the time and the zone's name alone. So whoever signs a zone with its keys writes the same bytes, and what has
//! not changed is not signed again. Left out: hashed names (NSEC3, RFC 5155), separate keys for keys and for data.

use crate::name::{self, Name};
use crate::record::{Data, RecordType};
use crate::zone::{self, Node, Record, RecordSet, Zone};
use ring::signature::{Ed25519KeyPair, KeyPair};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

/// For how long resolvers keep the keys of a zone, seconds.
pub const KEY_TTL: u32 = 3600;
/// Bytes of a key's secret.
pub const SEED: usize = 32;
/// Ed25519 (RFC 8080).
const ALGORITHM: u8 = 15;
/// A key of the zone that the zone above knows (RFC 4034 section 2.1.1).
const FLAGS: u16 = 257;
/// A digest by SHA-256 (RFC 4509).
const SHA_256: u8 = 2;
/// How often everything is signed anew, seconds.
const PERIOD: u64 = 7 * DAY;
const DAY: u64 = 24 * 3600;

/// The bytes are no secret of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the secret of a key has 32 bytes")]
pub struct InvalidSeed;

/// A key that signs a zone.
#[derive(Clone)]
pub struct ZoneKey {
    pair: Arc<Ed25519KeyPair>,
    public: Data,
}

impl fmt::Debug for ZoneKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ZoneKey({})", tag(&self.public))
    }
}

impl ZoneKey {
    /// The key of this secret.
    pub fn from_seed(seed: &[u8]) -> Result<Self, InvalidSeed> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| InvalidSeed)?;
        let public = public_key(pair.public_key().as_ref());
        Ok(Self { pair: Arc::new(pair), public })
    }

    /// What is published of it (DNSKEY).
    pub fn public(&self) -> &Data {
        &self.public
    }
}

/// The record (DNSKEY) of a public key of 32 bytes.
pub fn public_key(bytes: &[u8]) -> Data {
    let wire = [&FLAGS.to_be_bytes()[..], &[3, ALGORITHM], bytes].concat();
    Data { kind: RecordType::DNSKEY, wire: wire.into() }
}

/// The number by which a key is called (RFC 4034 appendix B).
pub fn tag(key: &Data) -> u16 {
    let sum: u32 = key
        .wire
        .iter()
        .enumerate()
        .map(|(at, byte)| if at % 2 == 0 { u32::from(*byte) << 8 } else { u32::from(*byte) })
        .sum();
    u16::try_from(sum.wrapping_add(sum >> 16) & 0xffff).unwrap_or(0)
}

/// What the zone above says of a key (DS, RFC 4034 section 5).
pub fn above(zone: &Name, key: &Data) -> Data {
    let digest = Sha256::new().chain_update(zone.wire()).chain_update(&key.wire).finalize();
    let wire = [&tag(key).to_be_bytes()[..], &[ALGORITHM, SHA_256], &digest].concat();
    Data { kind: RecordType::DS, wire: wire.into() }
}

/// From when and until when signatures hold, seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// From when; a day before it is used, for clocks that go wrong.
    pub inception: u64,
    /// Until when; two weeks at least after it has been left for the next one, which is for how long copies are served
    /// that nobody refreshes.
    pub expiration: u64,
}

impl Window {
    /// Of a zone at a time. Each zone changes to the next one at an hour of its own, once a week.
    pub fn at(zone: &Name, now: u64) -> Self {
        let digest = Sha256::digest(zone.wire());
        let shift = digest.iter().take(4).fold(0, |sum, byte| sum << 8 | u64::from(*byte)) % PERIOD;
        let start = now.saturating_sub(shift) / PERIOD * PERIOD + shift;
        Self { inception: start.saturating_sub(DAY), expiration: start + 3 * PERIOD }
    }
}

/// All records that make a zone a signed one: its keys, its chain, its signatures. Those of `before`, the same zone as it was
/// signed last, are taken over where they are still right.
pub fn sign(zone: &Zone, keys: &[ZoneKey], window: Window, before: Option<&Zone>) -> Vec<Record> {
    let origin = zone.origin();
    let sets: Vec<_> = keys.iter().map(|key| key.public.wire.clone()).collect();
    let public = RecordSet { kind: RecordType::DNSKEY, ttl: KEY_TTL, data: sets };
    let soa = RecordSet { kind: RecordType::SOA, ttl: zone.minimum(), data: vec![zone.soa().wire.clone()] };
    let mut names: Vec<(&Name, &Node)> =
        zone.nodes().filter(|(name, node)| linked(zone, name, node)).collect();
    names.sort_by(|one, other| name::canonical(one.0.wire(), other.0.wire()));
    let mut signing = Signing { origin, keys, window, before, records: Vec::new() };
    for (number, (name, node)) in names.iter().enumerate() {
        let mut kinds = BTreeSet::from([RecordType::RRSIG, RecordType::NSEC]);
        let cut = *name != origin && node.iter().any(|set| set.kind == RecordType::NS);
        for set in *node {
            kinds.insert(set.kind);
            if !cut || set.kind == RecordType::DS {
                signing.enter(name, set);
            }
        }
        if *name == origin {
            kinds.extend([RecordType::SOA, RecordType::DNSKEY]);
            signing.enter(name, &soa);
            signing.enter(name, &public);
            signing.add(name, &public);
        }
        // Addresses at a cut belong to the zone below it.
        kinds.retain(|kind| !cut || !matches!(*kind, RecordType::A | RecordType::AAAA));
        let next = names.get(number + 1).map_or(origin, |(name, _)| name);
        let data = [next.wire(), &bits(&kinds)].concat().into();
        let link = RecordSet { kind: RecordType::NSEC, ttl: zone.minimum(), data: vec![data] };
        signing.enter(name, &link);
        signing.add(name, &link);
    }
    signing.records
}

/// Whether a name is in the chain: it has something, and nothing above it is given away.
fn linked(zone: &Zone, name: &Name, node: &Node) -> bool {
    let own = name == zone.origin();
    let hidden = || name::parent(name.wire()).is_some_and(|above| zone.cut_above(above).is_some());
    own || (!node.is_empty() && !hidden())
}

/// The types that a name has (RFC 4034 section 4.1.2).
fn bits(kinds: &BTreeSet<RecordType>) -> Vec<u8> {
    let mut wire = Vec::new();
    let windows: BTreeSet<u16> = kinds.iter().map(|kind| kind.0 >> 8).collect();
    for window in windows {
        let mut map = [0_u8; 32];
        let mut length = 0;
        for low in kinds.iter().filter(|kind| kind.0 >> 8 == window).map(|kind| usize::from(kind.0 & 255)) {
            map[low / 8] |= 0x80 >> (low % 8);
            length = low / 8 + 1;
        }
        wire.push(u8::try_from(window).unwrap_or(0));
        wire.push(u8::try_from(length).unwrap_or(32));
        wire.extend_from_slice(&map[..length]);
    }
    wire
}

struct Signing<'a> {
    origin: &'a Name,
    keys: &'a [ZoneKey],
    window: Window,
    before: Option<&'a Zone>,
    records: Vec<Record>,
}

impl Signing<'_> {
    fn add(&mut self, name: &Name, set: &RecordSet) {
        for wire in &set.data {
            let data = Data { kind: set.kind, wire: wire.clone() };
            self.records.push(Record { name: name.clone(), ttl: set.ttl, data });
        }
    }

    /// Enters the signatures of a set, one by each key.
    fn enter(&mut self, name: &Name, set: &RecordSet) {
        let mut data: Vec<&[u8]> = set.data.iter().map(|wire| &**wire).collect();
        data.sort_unstable();
        let known = self.before.and_then(|zone| {
            let old = zone.set(name.wire(), set.kind)?;
            let mut same: Vec<&[u8]> = old.data.iter().map(|wire| &**wire).collect();
            same.sort_unstable();
            let same = same == data && old.ttl == set.ttl;
            zone.node(name.wire()).filter(|_| same).and_then(|node| zone::signatures(node, set.kind))
        });
        for key in self.keys {
            let head = self.head(name, set, key);
            let kept = known.and_then(|old| old.data.iter().find(|wire| wire.starts_with(&head)));
            let wire = match kept {
                Some(wire) => wire.clone(),
                None => {
                    let signature = key.pair.sign(&signed(&head, name, set, &data));
                    [&head, signature.as_ref()].concat().into()
                }
            };
            let data = Data { kind: RecordType::RRSIG, wire };
            self.records.push(Record { name: name.clone(), ttl: set.ttl, data });
        }
    }

    /// A signature's record but for the signature (RFC 4034 section 3.1).
    fn head(&self, name: &Name, set: &RecordSet, key: &ZoneKey) -> Vec<u8> {
        let labels = name.labels().count() - usize::from(name.is_wildcard());
        // Times are arithmetic modulo 2^32 (RFC 1982).
        let time = |at: u64| u32::try_from(at & u64::from(u32::MAX)).unwrap_or(0).to_be_bytes();
        [
            &set.kind.0.to_be_bytes()[..],
            &[ALGORITHM, u8::try_from(labels).unwrap_or(0)],
            &set.ttl.to_be_bytes(),
            &time(self.window.expiration),
            &time(self.window.inception),
            &tag(&key.public).to_be_bytes(),
            self.origin.wire(),
        ]
        .concat()
    }
}

/// What is signed (RFC 4034 section 3.1.8.1): the head, then each record in canonical form and order.
fn signed(head: &[u8], name: &Name, set: &RecordSet, data: &[&[u8]]) -> Vec<u8> {
    let mut bytes = head.to_vec();
    for wire in data {
        bytes.extend_from_slice(name.wire());
        bytes.extend_from_slice(&set.kind.0.to_be_bytes());
        bytes.extend_from_slice(&crate::message::class::IN.to_be_bytes());
        bytes.extend_from_slice(&set.ttl.to_be_bytes());
        bytes.extend_from_slice(&u16::try_from(wire.len()).unwrap_or(0).to_be_bytes());
        bytes.extend_from_slice(wire);
    }
    bytes
}

#[cfg(test)]
mod tests;
