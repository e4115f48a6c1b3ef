//! Host names that hosts tell in answers of multicast DNS (RFC 6762): only the name of an A or AAAA record that holds the
//! sender's own address. Services and what is said of others is left out.

use super::word;
use std::net::IpAddr;

/// UDP, source and destination.
pub const PORT: u16 = 5353;
const A: u16 = 1;
const AAAA: u16 = 28;
/// More records than this are not looked at.
const RECORDS: u16 = 64;
/// Labels and jumps of one name at most.
const STEPS: usize = 40;

/// The name that the sender of this message gives itself, without `.local`, in lower case.
pub fn name_of(message: &[u8], sender: IpAddr) -> Option<String> {
    // An answer without error (§18).
    if word(message, 2)? & 0xf80f != 0x8000 {
        return None;
    }
    let mut at = 12;
    for _ in 0..word(message, 4)?.min(RECORDS) {
        at = skip(message, at)?.checked_add(4)?;
    }
    let records = word(message, 6)?.saturating_add(word(message, 8)?).saturating_add(word(message, 10)?);
    for _ in 0..records.min(RECORDS) {
        let begins = at;
        let fixed = skip(message, at)?;
        let length = usize::from(word(message, fixed.checked_add(8)?)?);
        let data = message.get(fixed + 10..fixed + 10 + length)?;
        let address = match word(message, fixed)? {
            A => <[u8; 4]>::try_from(data).ok().map(IpAddr::from),
            AAAA => <[u8; 16]>::try_from(data).ok().map(IpAddr::from),
            _ => None,
        };
        if address == Some(sender)
            && let Some(name) = host_name(message, begins)
        {
            return Some(name);
        }
        at = fixed + 10 + length;
    }
    None
}

/// Where a name ends that begins at `at`.
fn skip(message: &[u8], mut at: usize) -> Option<usize> {
    for _ in 0..STEPS {
        match *message.get(at)? {
            0 => return Some(at + 1),
            length if length & 0xc0 == 0xc0 => return Some(at + 2),
            length if length < 64 => at += 1 + usize::from(length),
            _ => return None,
        }
    }
    None
}

/// `LABEL.local` as `label`: one label that is a host name.
fn host_name(message: &[u8], at: usize) -> Option<String> {
    let mut labels: Vec<&[u8]> = Vec::new();
    let mut at = at;
    for _ in 0..STEPS {
        match *message.get(at)? {
            0 => break,
            length if length & 0xc0 == 0xc0 => at = usize::from(word(message, at)? & 0x3fff),
            length if length < 64 => {
                let end = at + 1 + usize::from(length);
                labels.push(message.get(at + 1..end)?);
                at = end;
            }
            _ => return None,
        }
    }
    let [label, local] = labels.as_slice() else { return None };
    let good = |b: &u8| b.is_ascii_alphanumeric() || *b == b'-';
    let host = label.iter().all(good) && label.first() != Some(&b'-') && label.last() != Some(&b'-');
    (host && local.eq_ignore_ascii_case(b"local"))
        .then(|| String::from_utf8_lossy(label).to_ascii_lowercase())
}
