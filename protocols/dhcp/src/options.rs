//! Options (RFC 2132): an ordered list of codes and bytes with lenient typed reading.

use std::net::Ipv4Addr;

/// Option codes that the server reads or writes.
pub mod code {
    #![allow(missing_docs, reason = "each is the name of RFC 2132 or the RFC beside it")]
    pub const PAD: u8 = 0;
    pub const SUBNET_MASK: u8 = 1;
    pub const ROUTERS: u8 = 3;
    pub const DNS_SERVERS: u8 = 6;
    pub const HOSTNAME: u8 = 12;
    pub const DOMAIN: u8 = 15;
    pub const MTU: u8 = 26;
    pub const NTP_SERVERS: u8 = 42;
    pub const VENDOR_SPECIFIC: u8 = 43;
    pub const REQUESTED_ADDRESS: u8 = 50;
    pub const LEASE_TIME: u8 = 51;
    pub const OVERLOAD: u8 = 52;
    pub const MESSAGE_TYPE: u8 = 53;
    pub const SERVER_ID: u8 = 54;
    pub const PARAMETER_LIST: u8 = 55;
    pub const MESSAGE: u8 = 56;
    pub const MAX_MESSAGE_SIZE: u8 = 57;
    pub const RENEWAL_TIME: u8 = 58;
    pub const REBINDING_TIME: u8 = 59;
    pub const VENDOR_CLASS: u8 = 60;
    pub const CLIENT_ID: u8 = 61;
    pub const TFTP_SERVER: u8 = 66;
    pub const BOOT_FILE: u8 = 67;
    pub const USER_CLASS: u8 = 77; // RFC 3004
    pub const CLIENT_FQDN: u8 = 81; // RFC 4702
    pub const RELAY_INFO: u8 = 82; // RFC 3046
    pub const CLIENT_ARCH: u8 = 93; // RFC 4578
    pub const CLIENT_NDI: u8 = 94; // RFC 4578
    pub const CLIENT_UUID: u8 = 97; // RFC 4578
    pub const CLASSLESS_ROUTES: u8 = 121; // RFC 3442
    pub const IPXE: u8 = 175; // iPXE's encapsulated options
    pub const END: u8 = 255;
}

/// Option 53 (RFC 2132 §9.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
#[allow(missing_docs, reason = "the names are the RFC's")]
pub enum MessageType {
    Discover = 1,
    Offer = 2,
    Request = 3,
    Decline = 4,
    Ack = 5,
    Nak = 6,
    Release = 7,
    Inform = 8,
}

impl MessageType {
    /// The type with that number, when it is one of RFC 2131's.
    pub fn from_byte(byte: u8) -> Option<MessageType> {
        use MessageType::*;
        [Discover, Offer, Request, Decline, Ack, Nak, Release, Inform].into_iter().find(|t| *t as u8 == byte)
    }
}

/// Options in the order of their first appearance; parts of one code are joined (RFC 3396).
///
/// The typed readers want at least as many bytes as their type has and ignore the rest, as an option sent twice
/// arrives here as one of twice the length.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Options {
    list: Vec<(u8, Vec<u8>)>,
    malformed: Vec<u8>,
}

impl Options {
    /// No options.
    pub fn new() -> Options {
        Options::default()
    }

    /// The bytes of an option.
    pub fn get(&self, code: u8) -> Option<&[u8]> {
        self.list.iter().find(|(c, _)| *c == code).map(|(_, value)| value.as_slice())
    }

    /// Sets an option, replacing it in its place when it is there.
    pub fn set(&mut self, code: u8, value: impl Into<Vec<u8>>) {
        match self.list.iter_mut().find(|(c, _)| *c == code) {
            Some((_, old)) => *old = value.into(),
            None => self.list.push((code, value.into())),
        }
    }

    /// Sets an option to addresses; none leave it out.
    pub fn set_addresses(&mut self, code: u8, addresses: &[Ipv4Addr]) {
        if !addresses.is_empty() {
            self.set(code, addresses.iter().flat_map(|a| a.octets()).collect::<Vec<u8>>());
        }
    }

    /// Removes an option.
    pub fn remove(&mut self, code: u8) {
        self.list.retain(|(c, _)| *c != code);
    }

    /// Codes and values in order.
    pub fn iter(&self) -> impl Iterator<Item = (u8, &[u8])> {
        self.list.iter().map(|(code, value)| (*code, value.as_slice()))
    }

    /// Codes whose stated length ran past the end of their field; they are not in the list.
    pub fn malformed(&self) -> &[u8] {
        &self.malformed
    }

    /// The first byte.
    pub fn byte(&self, code: u8) -> Option<u8> {
        self.get(code)?.first().copied()
    }

    /// The first two bytes, in network order.
    pub fn short(&self, code: u8) -> Option<u16> {
        self.get(code)?.first_chunk().map(|b| u16::from_be_bytes(*b))
    }

    /// The first four bytes, in network order.
    pub fn long(&self, code: u8) -> Option<u32> {
        self.get(code)?.first_chunk().map(|b| u32::from_be_bytes(*b))
    }

    /// The first address.
    pub fn address(&self, code: u8) -> Option<Ipv4Addr> {
        self.long(code).map(Ipv4Addr::from)
    }

    /// Text without trailing NULs; bytes that are not UTF-8 are replaced.
    pub fn text(&self, code: u8) -> Option<String> {
        let bytes = self.get(code)?;
        let end = bytes.iter().rposition(|b| *b != 0).map_or(0, |last| last + 1);
        Some(String::from_utf8_lossy(&bytes[..end]).into_owned())
    }

    /// Option 53.
    pub fn message_type(&self) -> Option<MessageType> {
        MessageType::from_byte(self.byte(code::MESSAGE_TYPE)?)
    }

    /// Reads one field of options (the options area, or an overloaded `file` or `sname`), adding to what is there.
    pub(crate) fn read(&mut self, mut field: &[u8]) {
        while let [code, rest @ ..] = field {
            match (*code, rest) {
                (code::PAD, _) => field = rest,
                (code::END, _) | (_, []) => return,
                (code, [len, value @ ..]) => match value.split_at_checked(usize::from(*len)) {
                    Some((value, after)) => {
                        self.append(code, value);
                        field = after;
                    }
                    None => {
                        self.malformed.push(code);
                        return;
                    }
                },
            }
        }
    }

    fn append(&mut self, code: u8, part: &[u8]) {
        match self.list.iter_mut().find(|(c, _)| *c == code) {
            Some((_, value)) => value.extend_from_slice(part),
            None => self.list.push((code, part.to_vec())),
        }
    }

    /// Writes as many options as fit in `room` bytes, END included: message type first, relay information last
    /// (RFC 3046 §2.2), the others in their order; one that does not fit is left out whole. Returns what was left out.
    pub(crate) fn write(&self, out: &mut Vec<u8>, room: usize) -> Vec<u8> {
        let limit = out.len() + room.saturating_sub(1);
        let relay = self.get(code::RELAY_INFO).map_or(0, encoded_len);
        let mut left_out = Vec::new();
        let (first, others): (Vec<_>, Vec<_>) = self
            .iter()
            .filter(|(c, _)| ![code::RELAY_INFO, code::PAD, code::END].contains(c))
            .partition(|(c, _)| *c == code::MESSAGE_TYPE);
        for (code, value) in first.into_iter().chain(others) {
            if out.len() + encoded_len(value) + relay <= limit {
                write_one(out, code, value);
            } else {
                left_out.push(code);
            }
        }
        if let Some(value) = self.get(code::RELAY_INFO) {
            if out.len() + relay <= limit {
                write_one(out, code::RELAY_INFO, value);
            } else {
                left_out.push(code::RELAY_INFO);
            }
        }
        out.push(code::END);
        left_out
    }
}

/// Bytes on the wire, each part of at most 255 with its own head.
fn encoded_len(value: &[u8]) -> usize {
    value.len() + 2 * value.len().div_ceil(255).max(1)
}

fn write_one(out: &mut Vec<u8>, code: u8, value: &[u8]) {
    if value.is_empty() {
        out.extend_from_slice(&[code, 0]);
    }
    for part in value.chunks(255) {
        out.push(code);
        out.push(part.len() as u8);
        out.extend_from_slice(part);
    }
}
