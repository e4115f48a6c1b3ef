//! The outermost layers of a datagram: RMCP header (§13.1.3) and session header (§13.6).
//!
//! Three kinds are told apart: ASF presence pings, IPMI 1.5 packets without a session (some clients ask for the channel's
//! capabilities that way) and RMCP+ packets. IPMI 1.5 sessions are left out.

use crate::crypto::{Keys, same};
use crate::error::{DecodeError, Reader};

const RMCP: [u8; 3] = [0x06, 0x00, 0xff];
const CLASS_ASF: u8 = 0x06;
const CLASS_IPMI: u8 = 0x07;
const AUTH_TYPE_PLUS: u8 = 0x06;
const NEXT_HEADER: u8 = 0x07;
/// Bytes from the auth type to the payload length.
const PLUS_HEADER: usize = 12;

/// Payload types (table 13-16).
pub mod payload {
    /// An IPMI LAN message.
    pub const IPMI: u8 = 0x00;
    /// Serial over LAN.
    pub const SOL: u8 = 0x01;
    /// RMCP+ Open Session Request.
    pub const OPEN_REQUEST: u8 = 0x10;
    /// RMCP+ Open Session Response.
    pub const OPEN_RESPONSE: u8 = 0x11;
    /// RAKP Message 1.
    pub const RAKP1: u8 = 0x12;
    /// RAKP Message 2.
    pub const RAKP2: u8 = 0x13;
    /// RAKP Message 3.
    pub const RAKP3: u8 = 0x14;
    /// RAKP Message 4.
    pub const RAKP4: u8 = 0x15;
}

/// One received datagram, told apart but not yet trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Datagram<'a> {
    /// An ASF message (presence ping or pong), RMCP header removed.
    Asf(&'a [u8]),
    /// An IPMI 1.5 packet outside a session: the LAN message.
    Lan(&'a [u8]),
    /// An RMCP+ packet.
    Plus(Plus<'a>),
}

/// An RMCP+ packet before its authentication code has been checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plus<'a> {
    /// Payload type without its two flag bits.
    pub payload_type: u8,
    /// The payload is encrypted.
    pub encrypted: bool,
    /// The packet carries an authentication code.
    pub authenticated: bool,
    /// The receiver's session id; 0 outside a session.
    pub session_id: u32,
    /// Session sequence number; 0 outside a session.
    pub sequence: u32,
    /// The payload as sent, perhaps encrypted.
    pub payload: &'a [u8],
    /// Everything after the RMCP header.
    body: &'a [u8],
}

impl<'a> Datagram<'a> {
    /// Reads the headers of a datagram.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new("RMCP header", bytes);
        let version = reader.u8()?;
        if version != RMCP[0] {
            return Err(DecodeError::Value { what: "RMCP version", value: version.into() });
        }
        reader.take(2)?;
        let class = reader.u8()?;
        let body = reader.rest();
        match class {
            CLASS_ASF => Ok(Self::Asf(body)),
            CLASS_IPMI => match body.first() {
                Some(&AUTH_TYPE_PLUS) => Plus::decode(body).map(Self::Plus),
                Some(0) => decode_lan(body).map(Self::Lan),
                Some(&other) => Err(DecodeError::Value { what: "authentication type", value: other.into() }),
                None => Err(DecodeError::TooShort { what: "session header" }),
            },
            other => Err(DecodeError::Value { what: "RMCP class", value: other.into() }),
        }
    }
}

fn decode_lan(body: &[u8]) -> Result<&[u8], DecodeError> {
    let mut reader = Reader::new("IPMI 1.5 session header", body);
    reader.take(9)?;
    let length = reader.u8()?;
    reader.take(length.into())
}

impl<'a> Plus<'a> {
    fn decode(body: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new("RMCP+ session header", body);
        reader.take(1)?;
        let kind = reader.u8()?;
        if kind & 0x3f == 2 {
            // OEM explicit: six more bytes before the session id. Nobody sends them to us.
            return Err(DecodeError::Value { what: "payload type", value: 2 });
        }
        let session_id = reader.u32()?;
        let sequence = reader.u32()?;
        let length = reader.u16()?;
        let payload = reader.take(length.into())?;
        Ok(Self {
            payload_type: kind & 0x3f,
            encrypted: kind & 0x80 != 0,
            authenticated: kind & 0x40 != 0,
            session_id,
            sequence,
            payload,
            body,
        })
    }

    /// Checks the authentication code and decrypts. A packet without both is refused: our suites have both.
    pub fn open(&self, keys: &Keys) -> Result<Vec<u8>, DecodeError> {
        const WHAT: &str = "session packet";
        if !self.authenticated || !self.encrypted {
            return Err(DecodeError::Integrity { what: WHAT });
        }
        let code_at = self
            .body
            .len()
            .checked_sub(keys.suite().code_len())
            .filter(|at| *at >= PLUS_HEADER + self.payload.len())
            .ok_or(DecodeError::TooShort { what: "session trailer" })?;
        let (signed, code) = self.body.split_at(code_at);
        if !same(&keys.sign(signed), code) {
            return Err(DecodeError::Integrity { what: WHAT });
        }
        keys.decrypt(self.payload)
    }
}

/// A packet outside any session: RAKP messages and IPMI messages before a session exists.
pub fn encode_plain(payload_type: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![RMCP[0], RMCP[1], RMCP[2], CLASS_IPMI, AUTH_TYPE_PLUS, payload_type];
    out.extend([0; 8]);
    out.extend((payload.len() as u16).to_le_bytes());
    out.extend(payload);
    out
}

/// An IPMI 1.5 packet outside any session.
pub fn encode_lan(message: &[u8]) -> Vec<u8> {
    let mut out = vec![RMCP[0], RMCP[1], RMCP[2], CLASS_IPMI, 0];
    out.extend([0; 8]);
    out.push(message.len() as u8);
    out.extend(message);
    out
}

/// An ASF message with its RMCP header.
pub fn encode_asf(message: &[u8]) -> Vec<u8> {
    let mut out = vec![RMCP[0], RMCP[1], RMCP[2], CLASS_ASF];
    out.extend(message);
    out
}

/// Encrypts, signs and frames one payload of a session.
pub fn encode_sealed(
    keys: &Keys,
    iv: [u8; 16],
    payload_type: u8,
    session_id: u32,
    sequence: u32,
    payload: &[u8],
) -> Vec<u8> {
    let sealed = keys.encrypt(iv, payload);
    let mut body = vec![AUTH_TYPE_PLUS, payload_type | 0xc0];
    body.extend(session_id.to_le_bytes());
    body.extend(sequence.to_le_bytes());
    body.extend((sealed.len() as u16).to_le_bytes());
    body.extend(sealed);
    // Integrity pad so that the signed range is a multiple of four, then its length and the next header (§13.28.4).
    let pad = (4 - (body.len() + 2) % 4) % 4;
    body.extend(std::iter::repeat_n(0xff, pad));
    body.extend([pad as u8, NEXT_HEADER]);
    let code = keys.sign(&body);
    let mut out = vec![RMCP[0], RMCP[1], RMCP[2], CLASS_IPMI];
    out.extend(body);
    out.extend(code);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::Suite;

    #[test]
    fn plain_packet_has_the_specified_bytes() {
        let bytes = encode_plain(payload::OPEN_REQUEST, &[1, 2]);
        assert_eq!(bytes, [6, 0, 0xff, 7, 6, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 1, 2]);
        let Ok(Datagram::Plus(packet)) = Datagram::decode(&bytes) else { panic!("not RMCP+") };
        assert_eq!((packet.payload_type, packet.session_id, packet.payload), (0x10, 0, [1, 2].as_slice()));
    }

    #[test]
    fn sealed_packet_opens_with_the_same_keys_only() {
        for suite in [Suite::Three, Suite::Seventeen] {
            let keys = Keys::derive(suite, b"one");
            let bytes = encode_sealed(&keys, [3; 16], payload::IPMI, 0x11223344, 5, b"message");
            assert_eq!((bytes.len() - 4 - suite.code_len()) % 4, 0);
            let Ok(Datagram::Plus(packet)) = Datagram::decode(&bytes) else { panic!("not RMCP+") };
            assert_eq!((packet.session_id, packet.sequence), (0x11223344, 5));
            assert_eq!(packet.open(&keys).unwrap(), b"message");
            assert!(packet.open(&Keys::derive(suite, b"two")).is_err());
        }
    }

    #[test]
    fn every_flipped_bit_of_a_sealed_packet_is_noticed() {
        let keys = Keys::derive(Suite::Three, b"one");
        let bytes = encode_sealed(&keys, [3; 16], payload::IPMI, 1, 5, b"message");
        for bit in 32..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            if let Ok(Datagram::Plus(packet)) = Datagram::decode(&damaged) {
                assert!(packet.open(&keys).is_err(), "bit {bit}");
            }
        }
    }
}
