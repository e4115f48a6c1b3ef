//! Types of records and their data: from text and to text (RFC 1035 section 5, and one RFC per later type).

use crate::name::{MAX, Name};
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// The type of a record, as its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RecordType(pub u16);

impl RecordType {
    /// IPv4 address (RFC 1035).
    pub const A: Self = Self(1);
    /// Name server (RFC 1035).
    pub const NS: Self = Self(2);
    /// The other name of this one (RFC 1035).
    pub const CNAME: Self = Self(5);
    /// Start of authority (RFC 1035).
    pub const SOA: Self = Self(6);
    /// Pointer, for reverse names (RFC 1035).
    pub const PTR: Self = Self(12);
    /// Host information (RFC 1035); answers ANY (RFC 8482).
    pub const HINFO: Self = Self(13);
    /// Mail exchange (RFC 1035).
    pub const MX: Self = Self(15);
    /// Text (RFC 1035).
    pub const TXT: Self = Self(16);
    /// IPv6 address (RFC 3596).
    pub const AAAA: Self = Self(28);
    /// Service (RFC 2782).
    pub const SRV: Self = Self(33);
    /// EDNS (RFC 6891).
    pub const OPT: Self = Self(41);
    /// The key of a zone that others have (RFC 4034).
    pub const DS: Self = Self(43);
    /// SSH fingerprint (RFC 4255).
    pub const SSHFP: Self = Self(44);
    /// Signature of a set (RFC 4034).
    pub const RRSIG: Self = Self(46);
    /// The next name, and what this one has (RFC 4034).
    pub const NSEC: Self = Self(47);
    /// Key of a zone (RFC 4034).
    pub const DNSKEY: Self = Self(48);
    /// Signature of a message (RFC 8945).
    pub const TSIG: Self = Self(250);
    /// Incremental transfer (RFC 1995).
    pub const IXFR: Self = Self(251);
    /// Whole transfer (RFC 5936).
    pub const AXFR: Self = Self(252);
    /// Everything (RFC 8482).
    pub const ANY: Self = Self(255);
    /// Who may issue certificates (RFC 8659).
    pub const CAA: Self = Self(257);

    /// Those that people enter; all others are made.
    pub const ENTERED: [Self; 9] =
        [Self::A, Self::AAAA, Self::CNAME, Self::MX, Self::NS, Self::SRV, Self::TXT, Self::SSHFP, Self::CAA];
}

const NAMES: &[(RecordType, &str)] = &[
    (RecordType::A, "A"),
    (RecordType::NS, "NS"),
    (RecordType::CNAME, "CNAME"),
    (RecordType::SOA, "SOA"),
    (RecordType::PTR, "PTR"),
    (RecordType::MX, "MX"),
    (RecordType::TXT, "TXT"),
    (RecordType::AAAA, "AAAA"),
    (RecordType::SRV, "SRV"),
    (RecordType::DS, "DS"),
    (RecordType::SSHFP, "SSHFP"),
    (RecordType::RRSIG, "RRSIG"),
    (RecordType::NSEC, "NSEC"),
    (RecordType::DNSKEY, "DNSKEY"),
    (RecordType::CAA, "CAA"),
];

impl fmt::Display for RecordType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match NAMES.iter().find(|(kind, _)| kind == self) {
            Some((_, name)) => f.write_str(name),
            None => write!(f, "TYPE{}", self.0),
        }
    }
}

impl FromStr for RecordType {
    type Err = InvalidData;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = NAMES.iter().find(|(_, name)| name.eq_ignore_ascii_case(text));
        found.map(|(kind, _)| *kind).ok_or_else(|| InvalidData(format!("there is no record type `{text}`")))
    }
}

/// The text does not fit the record's type. Says what would.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidData(String);

/// What a record says, in wire form without pointers; with its type.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Data {
    /// Type.
    pub kind: RecordType,
    /// Wire form.
    pub wire: Box<[u8]>,
}

impl Data {
    /// Reads the presentation form of its type, such as `10 mail.lab.example` of MX. Names are full ones.
    pub fn parse(kind: RecordType, text: &str) -> Result<Self, InvalidData> {
        let text = text.trim();
        let wire = match kind {
            RecordType::A => {
                address::<Ipv4Addr>(text, "an IPv4 address, such as 10.0.0.5")?.octets().to_vec()
            }
            RecordType::AAAA => {
                address::<Ipv6Addr>(text, "an IPv6 address, such as fd00::5")?.octets().to_vec()
            }
            RecordType::CNAME | RecordType::NS | RecordType::PTR => name(text)?.wire().to_vec(),
            RecordType::MX => match words(text)[..] {
                [preference, host] => [&number(preference)?.to_be_bytes()[..], name(host)?.wire()].concat(),
                _ => return Err(form("MX", "PREFERENCE HOST", "10 mail.lab.example")),
            },
            RecordType::SRV => match words(text)[..] {
                [priority, weight, port, host] => [
                    &number(priority)?.to_be_bytes()[..],
                    &number(weight)?.to_be_bytes(),
                    &number(port)?.to_be_bytes(),
                    name(host)?.wire(),
                ]
                .concat(),
                _ => return Err(form("SRV", "PRIORITY WEIGHT PORT HOST", "0 5 5060 sip.lab.example")),
            },
            RecordType::TXT => txt(text)?,
            RecordType::SSHFP => sshfp(text)?,
            RecordType::CAA => caa(text)?,
            RecordType::DS | RecordType::RRSIG | RecordType::NSEC | RecordType::DNSKEY => generic(text)?,
            other => return Err(InvalidData(format!("records of type {other} cannot be written here"))),
        };
        if wire.len() > usize::from(u16::MAX) / 2 {
            return Err(InvalidData("the data is too long for one record".into()));
        }
        Ok(Self { kind, wire: wire.into() })
    }

    /// A start of authority (RFC 1035 section 3.3.13): refresh 1 h, retry 10 min, expire 2 weeks, negative answers for
    /// `minimum` seconds.
    pub fn soa(server: &Name, zone: &Name, serial: u32, minimum: u32) -> Self {
        let mailbox = zone.child("hostmaster").unwrap_or_else(|| zone.clone());
        let mut wire = [server.wire(), mailbox.wire()].concat();
        for value in [serial, 3600, 600, 1_209_600, minimum] {
            wire.extend_from_slice(&value.to_be_bytes());
        }
        Self { kind: RecordType::SOA, wire: wire.into() }
    }

    /// The name that it points to, of types that do.
    pub fn target(&self) -> Option<Name> {
        let skip = match self.kind {
            RecordType::CNAME | RecordType::NS | RecordType::PTR => 0,
            RecordType::MX => 2,
            RecordType::SRV => 6,
            _ => return None,
        };
        let wire = self.wire.get(skip..).filter(|w| !w.is_empty() && w.len() <= MAX)?;
        Some(Name::from_wire(wire))
    }
}

impl fmt::Display for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let wire = &*self.wire;
        let word = |at: usize| wire.get(at..at + 2).map_or(0, |b| u16::from_be_bytes([b[0], b[1]]));
        let target = self.target().unwrap_or_else(Name::root);
        match self.kind {
            RecordType::A if wire.len() == 4 => {
                write!(f, "{}", Ipv4Addr::new(wire[0], wire[1], wire[2], wire[3]))
            }
            RecordType::AAAA => match <[u8; 16]>::try_from(wire) {
                Ok(bytes) => write!(f, "{}", Ipv6Addr::from(bytes)),
                Err(_) => f.write_str("?"),
            },
            RecordType::CNAME | RecordType::NS | RecordType::PTR => write!(f, "{target}"),
            RecordType::MX => write!(f, "{} {target}", word(0)),
            RecordType::SRV => write!(f, "{} {} {} {target}", word(0), word(2), word(4)),
            RecordType::TXT => show_txt(f, wire),
            RecordType::SSHFP if wire.len() > 2 => {
                write!(f, "{} {} ", wire[0], wire[1])?;
                wire[2..].iter().try_for_each(|b| write!(f, "{b:02x}"))
            }
            RecordType::CAA if wire.len() > 2 && wire.len() >= 2 + usize::from(wire[1]) => {
                let (tag, value) = wire[2..].split_at(usize::from(wire[1]));
                write!(f, "{} {} ", wire[0], String::from_utf8_lossy(tag))?;
                quoted(f, value)
            }
            _ => {
                write!(f, "\\# {} ", wire.len())?;
                wire.iter().try_for_each(|b| write!(f, "{b:02x}"))
            }
        }
    }
}

fn form(kind: &str, form: &str, example: &str) -> InvalidData {
    InvalidData(format!("{kind} is written `{form}`, such as `{example}`"))
}

fn address<T: FromStr>(text: &str, wanted: &str) -> Result<T, InvalidData> {
    text.parse().map_err(|_| InvalidData(format!("`{text}` is not {wanted}")))
}

fn words(text: &str) -> Vec<&str> {
    text.split_whitespace().collect()
}

fn number(text: &str) -> Result<u16, InvalidData> {
    text.parse().map_err(|_| InvalidData(format!("`{text}` is not a number from 0 to 65535")))
}

fn name(text: &str) -> Result<Name, InvalidData> {
    text.parse().map_err(|e: crate::InvalidName| InvalidData(e.to_string()))
}

fn byte(text: &str) -> Result<u8, InvalidData> {
    text.parse().map_err(|_| InvalidData(format!("`{text}` is not a number from 0 to 255")))
}

/// Bytes as `\# LENGTH HEX` (RFC 3597 section 5): of types that nobody enters.
fn generic(text: &str) -> Result<Vec<u8>, InvalidData> {
    let wrong = || form("such data", "\\# LENGTH HEXADECIMAL", "\\# 2 01ff");
    let ["\\#", length, digits] = words(text)[..] else { return Err(wrong()) };
    let digits = digits.as_bytes();
    let whole = usize::from(number(length)?) * 2 == digits.len() && digits.iter().all(u8::is_ascii_hexdigit);
    if whole { Ok(digits.chunks(2).map(hex_byte).collect()) } else { Err(wrong()) }
}

fn hex_byte(pair: &[u8]) -> u8 {
    pair.iter().fold(0, |byte, digit| {
        let value = char::from(*digit).to_digit(16).and_then(|d| u8::try_from(d).ok()).unwrap_or(0);
        byte << 4 | value
    })
}

/// Strings in quotes, or the whole text as it is; each string has at most 255 bytes, so a longer one is cut.
fn txt(text: &str) -> Result<Vec<u8>, InvalidData> {
    let strings = if text.starts_with('"') { unquote(text)? } else { vec![text.as_bytes().to_vec()] };
    let mut wire = Vec::new();
    for string in strings {
        if string.is_empty() {
            wire.push(0);
        }
        for piece in string.chunks(255) {
            wire.push(u8::try_from(piece.len()).unwrap_or(255));
            wire.extend_from_slice(piece);
        }
    }
    Ok(wire)
}

/// `"one" "two"`, with `\"` and `\\` inside.
fn unquote(text: &str) -> Result<Vec<Vec<u8>>, InvalidData> {
    let open = || InvalidData("a quote is not closed: write \"text\", and \\\" for a quote inside".into());
    let (mut strings, mut bytes) = (Vec::new(), text.bytes());
    while let Some(start) = bytes.next() {
        match start {
            b'"' => {}
            b if b.is_ascii_whitespace() => continue,
            _ => return Err(InvalidData("between quoted texts there is room for blanks only".into())),
        }
        let mut string = Vec::new();
        loop {
            match bytes.next().ok_or_else(open)? {
                b'"' => break,
                b'\\' => string.push(bytes.next().ok_or_else(open)?),
                other => string.push(other),
            }
        }
        strings.push(string);
    }
    Ok(strings)
}

fn sshfp(text: &str) -> Result<Vec<u8>, InvalidData> {
    let [algorithm, kind, digest] = words(text)[..] else {
        return Err(form("SSHFP", "ALGORITHM TYPE FINGERPRINT", "4 2 1f2e… (64 hexadecimal digits)"));
    };
    let (algorithm, kind) = (byte(algorithm)?, byte(kind)?);
    let length = match kind {
        1 => 20,
        2 => 32,
        _ => return Err(InvalidData("the type of a fingerprint is 1 (SHA-1) or 2 (SHA-256)".into())),
    };
    let digits = digest.as_bytes();
    if digits.len() != 2 * length || !digits.iter().all(u8::is_ascii_hexdigit) {
        return Err(InvalidData(format!(
            "a fingerprint of type {kind} has {} hexadecimal digits",
            2 * length
        )));
    }
    let mut wire = vec![algorithm, kind];
    wire.extend(digits.chunks(2).map(hex_byte));
    Ok(wire)
}

fn caa(text: &str) -> Result<Vec<u8>, InvalidData> {
    let wrong = || form("CAA", "FLAGS TAG VALUE", "0 issue \"ca.example\"");
    let mut parts = text.splitn(3, char::is_whitespace);
    let (Some(flags), Some(tag), Some(value)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(wrong());
    };
    let flags = byte(flags)?;
    if !(1..=15).contains(&tag.len()) || !tag.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return Err(InvalidData(format!("`{tag}` is not a tag of CAA; issue, issuewild and iodef are")));
    }
    let value = value.trim();
    let value = if value.starts_with('"') { unquote(value)?.concat() } else { value.as_bytes().to_vec() };
    let mut wire = vec![flags, u8::try_from(tag.len()).unwrap_or(0)];
    wire.extend(tag.bytes().map(|b| b.to_ascii_lowercase()));
    wire.extend(value);
    Ok(wire)
}

fn show_txt(f: &mut fmt::Formatter<'_>, mut wire: &[u8]) -> fmt::Result {
    let mut first = true;
    while let Some((&length, rest)) = wire.split_first() {
        let (string, next) = rest.split_at(usize::from(length).min(rest.len()));
        if !first {
            f.write_str(" ")?;
        }
        quoted(f, string)?;
        (first, wire) = (false, next);
    }
    Ok(())
}

fn quoted(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    f.write_str("\"")?;
    for char in String::from_utf8_lossy(bytes).chars() {
        if matches!(char, '"' | '\\') {
            f.write_str("\\")?;
        }
        write!(f, "{char}")?;
    }
    f.write_str("\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_type_reads_its_text_and_writes_it_the_same_way() {
        let fingerprint = format!("4 2 {}", "ab".repeat(32));
        for (kind, given, shown) in [
            ("A", "10.0.0.5", "10.0.0.5"),
            ("AAAA", "FD00:0::5", "fd00::5"),
            ("CNAME", "Other.Lab.", "other.lab"),
            ("MX", "10  mail.lab", "10 mail.lab"),
            ("NS", "ns1.lab", "ns1.lab"),
            ("SRV", "0 5 5060 sip.lab", "0 5 5060 sip.lab"),
            ("TXT", "v=spf1 -all", "\"v=spf1 -all\""),
            ("TXT", r#""one" "t\"wo""#, r#""one" "t\"wo""#),
            ("SSHFP", &fingerprint, &fingerprint),
            ("CAA", "0 issue \"ca.example\"", "0 issue \"ca.example\""),
            ("DS", "\\# 4 01FF0a00", "\\# 4 01ff0a00"),
            ("CAA", "128 IODEF mailto:a@b.example", "128 iodef \"mailto:a@b.example\""),
        ] {
            let kind: RecordType = kind.parse().unwrap();
            let data = Data::parse(kind, given).unwrap();
            assert_eq!(data.to_string(), shown);
            assert_eq!(Data::parse(kind, shown).unwrap(), data, "{shown}");
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_with_what_would() {
        for (kind, text, says) in [
            ("A", "10.0.0", "not an IPv4 address"),
            ("A", "fd00::1", "not an IPv4 address"),
            ("AAAA", "10.0.0.1", "not an IPv6 address"),
            ("MX", "mail.lab", "`10 mail.lab.example`"),
            ("MX", "99999 mail.lab", "0 to 65535"),
            ("SRV", "0 5 sip.lab", "PRIORITY WEIGHT PORT HOST"),
            ("CNAME", "a..b", "not a name"),
            ("SSHFP", "4 2 abcd", "64 hexadecimal digits"),
            ("SSHFP", "4 3 abcd", "1 (SHA-1) or 2 (SHA-256)"),
            ("CAA", "0 issue", "FLAGS TAG VALUE"),
            ("TXT", "\"open", "not closed"),
            ("NSEC", "\\# 3 0102", "LENGTH HEXADECIMAL"),
            ("SOA", "x", "cannot be written here"),
        ] {
            let error = Data::parse(kind.parse().unwrap(), text).unwrap_err().to_string();
            assert!(error.contains(says), "{kind} {text}: {error}");
        }
        assert!("X25".parse::<RecordType>().is_err());
    }

    #[test]
    fn a_long_text_is_cut_into_strings_of_255_bytes() {
        let data = Data::parse(RecordType::TXT, &"x".repeat(300)).unwrap();
        assert_eq!((data.wire.len(), data.wire[0], data.wire[256]), (302, 255, 45));
    }
}
