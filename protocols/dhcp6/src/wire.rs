//! The wire format: messages, messages within relays, options (RFC 8415 §8, §9, §21.1).

use std::net::Ipv6Addr;

/// Relays that a message may have passed (RFC 8415 §7.6, HOP_COUNT_LIMIT).
const HOPS: usize = 8;

/// Kinds of message (RFC 8415 §7.3).
pub mod kind {
    #![allow(missing_docs, reason = "names of the RFC")]
    pub const SOLICIT: u8 = 1;
    pub const ADVERTISE: u8 = 2;
    pub const REQUEST: u8 = 3;
    pub const CONFIRM: u8 = 4;
    pub const RENEW: u8 = 5;
    pub const REBIND: u8 = 6;
    pub const REPLY: u8 = 7;
    pub const RELEASE: u8 = 8;
    pub const DECLINE: u8 = 9;
    pub const INFORMATION_REQUEST: u8 = 11;
    pub const RELAY_FORW: u8 = 12;
    pub const RELAY_REPL: u8 = 13;
}

/// Codes of options (RFC 8415 §21, RFC 3646, 5908, 5970, 6939).
pub mod code {
    #![allow(missing_docs, reason = "names of the RFCs")]
    pub const CLIENT_ID: u16 = 1;
    pub const SERVER_ID: u16 = 2;
    pub const IA_NA: u16 = 3;
    pub const IA_TA: u16 = 4;
    pub const IA_ADDRESS: u16 = 5;
    pub const OPTION_REQUEST: u16 = 6;
    pub const PREFERENCE: u16 = 7;
    pub const RELAY_MESSAGE: u16 = 9;
    pub const STATUS: u16 = 13;
    pub const RAPID_COMMIT: u16 = 14;
    pub const USER_CLASS: u16 = 15;
    pub const VENDOR_CLASS: u16 = 16;
    pub const INTERFACE_ID: u16 = 18;
    pub const DNS_SERVERS: u16 = 23;
    pub const DOMAIN_SEARCH: u16 = 24;
    pub const IA_PD: u16 = 25;
    pub const INFORMATION_REFRESH: u16 = 32;
    pub const NTP_SERVER: u16 = 56;
    pub const BOOT_FILE_URL: u16 = 59;
    pub const CLIENT_ARCHITECTURE: u16 = 61;
    pub const CLIENT_LINK_ADDRESS: u16 = 79;
}

/// Options in the order of the wire.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options(pub Vec<(u16, Vec<u8>)>);

impl Options {
    /// Reads as many as there are; one that is cut off ends it and costs none before it.
    pub fn decode(mut data: &[u8]) -> Self {
        let mut options = Vec::new();
        while let [a, b, c, d, rest @ ..] = data {
            let length = usize::from(u16::from_be_bytes([*c, *d]));
            let Some(value) = rest.get(..length) else { break };
            options.push((u16::from_be_bytes([*a, *b]), value.to_vec()));
            data = &rest[length..];
        }
        Self(options)
    }

    /// The first of this code.
    pub fn get(&self, code: u16) -> Option<&[u8]> {
        self.all(code).next()
    }

    /// All of this code.
    pub fn all(&self, code: u16) -> impl Iterator<Item = &[u8]> {
        self.0.iter().filter(move |(found, _)| *found == code).map(|(_, value)| value.as_slice())
    }

    /// Adds one. What is longer than an option can be is not sent.
    pub fn add(&mut self, code: u16, value: impl Into<Vec<u8>>) {
        let value = value.into();
        if value.len() <= usize::from(u16::MAX) {
            self.0.push((code, value));
        }
    }

    /// As bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (code, value) in &self.0 {
            bytes.extend(code.to_be_bytes());
            bytes.extend((value.len() as u16).to_be_bytes());
            bytes.extend(value);
        }
        bytes
    }
}

/// What a client or a server says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Message {
    /// [`kind`].
    pub kind: u8,
    /// Pairs question and answer; three bytes.
    pub transaction: [u8; 3],
    /// Options.
    pub options: Options,
}

impl Message {
    /// As bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![self.kind];
        bytes.extend(self.transaction);
        bytes.extend(self.options.encode());
        bytes
    }
}

/// What one relay put around a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relay {
    /// Relays before it.
    pub hops: u8,
    /// An address on the client's link; unspecified when the relay says it by [`code::INTERFACE_ID`] only.
    pub link: Ipv6Addr,
    /// From whom it had the message.
    pub peer: Ipv6Addr,
    /// Its options, without the message.
    pub options: Options,
}

/// A message with the relays it came through, the outermost first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// Relays.
    pub relays: Vec<Relay>,
    /// The client's message.
    pub message: Message,
}

impl Packet {
    /// Reads a datagram; nothing where there is no message in it.
    pub fn decode(datagram: &[u8]) -> Option<Self> {
        let mut relays: Vec<Relay> = Vec::new();
        let mut data = datagram.to_vec();
        loop {
            let [found, rest @ ..] = data.as_slice() else { return None };
            if *found != kind::RELAY_FORW && *found != kind::RELAY_REPL {
                let transaction = rest.get(..3)?.try_into().ok()?;
                let message = Message { kind: *found, transaction, options: Options::decode(&rest[3..]) };
                return Some(Self { relays, message });
            }
            if relays.len() >= HOPS {
                return None;
            }
            let address =
                |at: usize| Some(Ipv6Addr::from(<[u8; 16]>::try_from(rest.get(at..at + 16)?).ok()?));
            let (hops, link, peer) = (*rest.first()?, address(1)?, address(17)?);
            let mut options = Options::decode(rest.get(33..)?);
            let at = options.0.iter().position(|(code, _)| *code == code::RELAY_MESSAGE)?;
            data = options.0.remove(at).1;
            relays.push(Relay { hops, link, peer, options });
        }
    }

    /// The answer as it goes to whom the packet came from: each relay is told what it said of the client's place
    /// (RFC 8415 §19.3).
    pub fn answer(&self, message: &Message) -> Vec<u8> {
        let mut bytes = message.encode();
        for relay in self.relays.iter().rev() {
            let mut options = Options::default();
            if let Some(id) = relay.options.get(code::INTERFACE_ID) {
                options.add(code::INTERFACE_ID, id);
            }
            options.add(code::RELAY_MESSAGE, bytes);
            bytes = vec![kind::RELAY_REPL, relay.hops];
            bytes.extend(relay.link.octets());
            bytes.extend(relay.peer.octets());
            bytes.extend(options.encode());
        }
        bytes
    }
}

/// Names in the form of the DNS, without compression (RFC 8415 §10).
pub(crate) fn domain(name: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    for label in name.trim_end_matches('.').split('.') {
        let length = u8::try_from(label.len()).ok().filter(|n| (1..=63).contains(n))?;
        bytes.push(length);
        bytes.extend(label.as_bytes());
    }
    bytes.push(0);
    (bytes.len() <= 255).then_some(bytes)
}
