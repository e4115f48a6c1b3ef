//! Signed messages (TSIG, RFC 8945) with HMAC-SHA256.

use crate::message::{Query, Record, class, rcode, read_name};
use crate::name::Name;
use crate::record::RecordType;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use std::fmt;

/// How far clocks may differ, seconds.
const FUDGE: u16 = 300;
/// `hmac-sha256.` on the wire.
const ALGORITHM: &[u8] = b"\x0bhmac-sha256\x00";
/// The class of signatures.
const ANY_CLASS: u16 = 255;

/// A key that two sides share.
#[derive(Clone)]
pub struct Key {
    /// Its name, which both sides call it by.
    pub name: Name,
    secret: Vec<u8>,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.name)
    }
}

impl Key {
    /// A key of this secret.
    pub fn new(name: Name, secret: Vec<u8>) -> Self {
        Self { name, secret }
    }

    fn mac(&self, parts: &[&[u8]]) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.secret).expect("HMAC takes keys of any length");
        parts.iter().for_each(|part| mac.update(part));
        mac
    }
}

/// Why a signature does not hold (RFC 8945 section 5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unproven {
    /// The record cannot be read.
    #[error("the signature cannot be read")]
    Format,
    /// Nobody knows the key, or not with this algorithm.
    #[error("the key is not known")]
    Key,
    /// It is not of this message and key.
    #[error("the signature is wrong")]
    Signature,
    /// The clocks differ by too much.
    #[error("the signature is of another time; compare the clocks")]
    Time,
}

impl Unproven {
    fn code(self) -> u16 {
        match self {
            Self::Format => 1,
            Self::Signature => 16,
            Self::Key => 17,
            Self::Time => 18,
        }
    }
}

/// The fields of a signature that are signed with the message.
struct Signature {
    name: Name,
    algorithm: Name,
    time: u64,
    fudge: u16,
    mac: Vec<u8>,
    id: u16,
    error: u16,
}

impl Signature {
    fn read(message: &[u8], at: usize) -> Option<Self> {
        let record = Record::read(message, at)?;
        // RFC 8945 §4.2: what is signed is taken to be so, and so it must be.
        let plain = record.class == ANY_CLASS && record.ttl == 0;
        if record.kind != RecordType::TSIG || !plain || record.end != message.len() {
            return None;
        }
        let (algorithm, at) = read_name(message, record.data.start)?;
        let word = |at: usize| message.get(at..at + 2).map(|b| u16::from_be_bytes([b[0], b[1]]));
        let high = u64::from(word(at)?);
        let low = message.get(at + 2..at + 6)?;
        let low = u64::from(u32::from_be_bytes([low[0], low[1], low[2], low[3]]));
        let size = usize::from(word(at + 8)?);
        let mac = message.get(at + 10..at + 10 + size)?.to_vec();
        let end = at + 10 + size;
        let other = usize::from(word(end + 4)?);
        if end + 6 + other != record.data.end {
            return None;
        }
        Some(Self {
            name: record.name,
            algorithm,
            time: high << 32 | low,
            fudge: word(at + 6)?,
            mac,
            id: word(end)?,
            error: word(end + 2)?,
        })
    }
}

/// What the answers to a signed message are signed with, one after the other.
#[derive(Debug, Clone)]
pub struct Signer {
    key: Key,
    /// The signature before.
    prior: Vec<u8>,
    first: bool,
}

/// Proves a query against the keys. Times are seconds since 1970.
pub fn verify(message: &[u8], query: &Query<'_>, keys: &[Key], now: u64) -> Result<Signer, Unproven> {
    let at = query.signature.ok_or(Unproven::Format)?;
    let signature = Signature::read(message, at).ok_or(Unproven::Format)?;
    let key = keys.iter().find(|key| key.name == signature.name).ok_or(Unproven::Key)?;
    if signature.algorithm.wire() != ALGORITHM {
        return Err(Unproven::Key);
    }
    let plain = unsigned(message, at, signature.id).ok_or(Unproven::Format)?;
    let variables = variables(&key.name, signature.time, signature.fudge, signature.error, &[]);
    key.mac(&[&plain, &variables]).verify_slice(&signature.mac).map_err(|_| Unproven::Signature)?;
    if now.abs_diff(signature.time) > u64::from(signature.fudge) {
        return Err(Unproven::Time);
    }
    Ok(Signer { key: key.clone(), prior: signature.mac, first: true })
}

/// The message as it was before it was signed.
fn unsigned(message: &[u8], at: usize, id: u16) -> Option<Vec<u8>> {
    let mut plain = message.get(..at)?.to_vec();
    let count = u16::from_be_bytes([*plain.get(10)?, *plain.get(11)?]).checked_sub(1)?;
    plain[..2].copy_from_slice(&id.to_be_bytes());
    plain[10..12].copy_from_slice(&count.to_be_bytes());
    Some(plain)
}

fn timers(time: u64, fudge: u16) -> Vec<u8> {
    [&time.to_be_bytes()[2..], &fudge.to_be_bytes()].concat()
}

fn variables(name: &Name, time: u64, fudge: u16, error: u16, other: &[u8]) -> Vec<u8> {
    let length = u16::try_from(other.len()).unwrap_or(0);
    [
        name.wire(),
        &ANY_CLASS.to_be_bytes(),
        &[0; 4],
        ALGORITHM,
        &timers(time, fudge),
        &error.to_be_bytes(),
        &length.to_be_bytes(),
        other,
    ]
    .concat()
}

impl Signer {
    /// The name of the key, and so of who proved to have it.
    pub fn key_name(&self) -> &Name {
        &self.key.name
    }

    /// Signs a message that nothing answers yet, such as a NOTIFY.
    pub fn of_request(key: Key) -> Self {
        Self { key, prior: Vec::new(), first: true }
    }

    /// Signs the next message of the answer, or the request itself.
    pub fn sign(&mut self, message: &mut Vec<u8>, now: u64) {
        let length = u16::try_from(self.prior.len()).unwrap_or(0).to_be_bytes();
        let prior = if self.prior.is_empty() { Vec::new() } else { [&length[..], &self.prior].concat() };
        let signed =
            if self.first { variables(&self.key.name, now, FUDGE, 0, &[]) } else { timers(now, FUDGE) };
        let mac = self.key.mac(&[&prior, message, &signed]).finalize().into_bytes().to_vec();
        append(message, &self.key.name, now, &mac, 0);
        self.prior = mac;
        self.first = false;
    }
}

/// Adds the record of a signature.
fn append(message: &mut Vec<u8>, name: &Name, time: u64, mac: &[u8], error: u16) {
    let (Some(&[id0, id1]), Some(&[n0, n1])) =
        (message.first_chunk::<2>(), message.get(10..12).and_then(|c| c.first_chunk::<2>()))
    else {
        return;
    };
    let data = [
        ALGORITHM,
        &timers(time, FUDGE),
        &u16::try_from(mac.len()).unwrap_or(0).to_be_bytes(),
        mac,
        &[id0, id1],
        &error.to_be_bytes(),
        &[0, 0],
    ]
    .concat();
    let count = u16::from_be_bytes([n0, n1]).saturating_add(1);
    message[10..12].copy_from_slice(&count.to_be_bytes());
    message.extend_from_slice(name.wire());
    message.extend_from_slice(&RecordType::TSIG.0.to_be_bytes());
    message.extend_from_slice(&ANY_CLASS.to_be_bytes());
    message.extend_from_slice(&[0; 4]);
    message.extend_from_slice(&u16::try_from(data.len()).unwrap_or(0).to_be_bytes());
    message.extend_from_slice(&data);
}

/// The answer to a query whose signature does not hold: NOTAUTH, unsigned, saying why.
pub fn unproven(message: &[u8], query: &Query<'_>, why: Unproven, now: u64) -> Vec<u8> {
    let mut buffer = Vec::new();
    let mut writer = crate::Writer::respond(query, &mut buffer, 512);
    writer.code(if why == Unproven::Format { rcode::FORMAT } else { rcode::NOT_AUTHORITY });
    writer.finish(query.edns);
    if let Some(signature) = query.signature.and_then(|at| Signature::read(message, at)) {
        append(&mut buffer, &signature.name, now, &[], why.code());
    }
    buffer
}

/// Bytes that a signature by this key adds to a message.
pub(crate) fn room(signer: &Signer) -> usize {
    signer.key.name.wire().len() + 10 + ALGORITHM.len() + 16 + 32
}

/// A NOTIFY (RFC 1996) for a zone, signed.
pub fn notify(id: u16, zone: &Name, signer: &mut Signer, now: u64) -> Vec<u8> {
    let mut buffer = Vec::new();
    let flags = crate::flag::AA | u16::from(crate::opcode::NOTIFY) << 11;
    let mut writer = crate::Writer::begin(&mut buffer, id, flags, 512);
    writer.ask(zone.wire(), RecordType::SOA, class::IN);
    writer.finish(None);
    signer.sign(&mut buffer, now);
    buffer
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Writer;
    use proptest::prelude::*;

    fn key(secret: &[u8]) -> Key {
        Key::new("copy.lab".parse().unwrap(), secret.to_vec())
    }

    fn signed(key: Key, now: u64) -> Vec<u8> {
        let mut message = Vec::new();
        let mut writer = Writer::begin(&mut message, 9, 0, 512);
        writer.ask(b"\x03lab\x00", RecordType::AXFR, class::IN);
        writer.finish(None);
        Signer::of_request(key).sign(&mut message, now);
        message
    }

    fn proven(message: &[u8], keys: &[Key], now: u64) -> Result<Signer, Unproven> {
        verify(message, &Query::parse(message).unwrap(), keys, now)
    }

    #[test]
    fn a_signature_holds_for_its_message_key_and_time() {
        let message = signed(key(b"secret"), 1_000_000);
        assert!(proven(&message, &[key(b"secret")], 1_000_200).is_ok());
        assert_eq!(proven(&message, &[key(b"other")], 1_000_000).unwrap_err(), Unproven::Signature);
        assert_eq!(proven(&message, &[], 1_000_000).unwrap_err(), Unproven::Key);
        assert_eq!(proven(&message, &[key(b"secret")], 1_000_301).unwrap_err(), Unproven::Time);
        let mut lasting = message.clone();
        lasting[35] = 1;
        assert_eq!(proven(&lasting, &[key(b"secret")], 1_000_000).unwrap_err(), Unproven::Format);
        let mut changed = message;
        changed[14] = b'b';
        assert_eq!(proven(&changed, &[key(b"secret")], 1_000_000).unwrap_err(), Unproven::Signature);
    }

    #[test]
    fn a_key_shows_nothing_of_its_secret() {
        assert_eq!(format!("{:?}", key(b"secret")), "Key(copy.lab)");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(at in 0usize..100, to: u8, cut in 0usize..90) {
            let mut message = signed(key(b"secret"), 5);
            let at = at % message.len();
            message[at] = to;
            message.truncate(message.len() - cut.min(message.len() - 12));
            if let Ok(query) = Query::parse(&message) {
                let whole = message == signed(key(b"secret"), 5);
                prop_assert!(verify(&message, &query, &[key(b"secret")], 5).is_err() || whole || at < 2);
                unproven(&message, &query, Unproven::Key, 5);
            }
        }
    }
}
