//! IPMI LAN messages (§13.8): request and response with their two checksums.

use crate::error::{DecodeError, Reader};

/// The BMC's address on its own bus.
pub const BMC_ADDRESS: u8 = 0x20;
/// The address remote consoles use.
pub const CONSOLE_ADDRESS: u8 = 0x81;

/// A command to a BMC: network function (even), command number, data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Network function, 0..=0x3e, even.
    pub netfn: u8,
    /// Command number within the network function.
    pub command: u8,
    /// Request data without addresses and checksums.
    pub data: Vec<u8>,
}

impl Request {
    /// A command with its data.
    pub fn new(netfn: u8, command: u8, data: impl Into<Vec<u8>>) -> Self {
        Self { netfn, command, data: data.into() }
    }
}

/// A request as it stands in a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestMessage {
    /// The command.
    pub request: Request,
    /// Sequence number chosen by the requester, 0..=63.
    pub rq_seq: u8,
    /// The requester's address, echoed by the answer.
    pub requester: u8,
}

/// A response as it stands in a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResponseMessage {
    /// Network function of the request (even).
    pub netfn: u8,
    /// Command number of the request.
    pub command: u8,
    /// Sequence number of the request.
    pub rq_seq: u8,
    /// Completion code, 0 for success (table 5-2).
    pub completion: u8,
    /// Response data after the completion code.
    pub data: Vec<u8>,
}

/// Two's complement checksum: bytes and checksum add up to zero.
pub fn checksum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte)).wrapping_neg()
}

fn frame(head: [u8; 2], tail: &[u8]) -> Vec<u8> {
    let mut out = vec![head[0], head[1], checksum(&head)];
    out.extend(tail);
    out.push(checksum(tail));
    out
}

/// Splits off and checks the two checksums: the two head bytes and the rest without the last.
fn unframe(bytes: &[u8]) -> Result<([u8; 2], &[u8]), DecodeError> {
    const WHAT: &str = "LAN message";
    let mut reader = Reader::new(WHAT, bytes);
    let head: [u8; 2] = reader.array()?;
    let head_sum = reader.u8()?;
    let (tail_sum, tail) = reader.rest().split_last().ok_or(DecodeError::TooShort { what: WHAT })?;
    if checksum(&head) != head_sum || checksum(tail) != *tail_sum {
        return Err(DecodeError::Checksum { what: WHAT });
    }
    Ok((head, tail))
}

impl RequestMessage {
    /// The message's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut tail = vec![self.requester, self.rq_seq << 2, self.request.command];
        tail.extend(&self.request.data);
        frame([BMC_ADDRESS, self.request.netfn << 2], &tail)
    }

    /// Reads a request; the BMC's side.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let (head, tail) = unframe(bytes)?;
        let mut reader = Reader::new("LAN request", tail);
        let requester = reader.u8()?;
        let rq_seq = reader.u8()? >> 2;
        let command = reader.u8()?;
        let netfn = head[1] >> 2;
        if netfn & 1 != 0 {
            return Err(DecodeError::Value { what: "request network function", value: netfn.into() });
        }
        Ok(Self { request: Request::new(netfn, command, reader.rest()), rq_seq, requester })
    }
}

impl ResponseMessage {
    /// The message's bytes, addressed to `requester`.
    pub fn encode(&self, requester: u8) -> Vec<u8> {
        let mut tail = vec![BMC_ADDRESS, self.rq_seq << 2, self.command, self.completion];
        tail.extend(&self.data);
        frame([requester, (self.netfn | 1) << 2], &tail)
    }

    /// Reads a response; the console's side.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let (head, tail) = unframe(bytes)?;
        let mut reader = Reader::new("LAN response", tail);
        reader.u8()?;
        let rq_seq = reader.u8()? >> 2;
        let command = reader.u8()?;
        let completion = reader.u8()?;
        let netfn = head[1] >> 2;
        if netfn & 1 == 0 {
            return Err(DecodeError::Value { what: "response network function", value: netfn.into() });
        }
        Ok(Self { netfn: netfn & !1, command, rq_seq, completion, data: reader.rest().to_vec() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn get_device_id_has_the_bytes_every_trace_shows() {
        let message =
            RequestMessage { request: Request::new(6, 1, []), rq_seq: 1, requester: CONSOLE_ADDRESS };
        assert_eq!(message.encode(), [0x20, 0x18, 0xc8, 0x81, 0x04, 0x01, 0x7a]);
        assert_eq!(RequestMessage::decode(&message.encode()).unwrap(), message);
    }

    #[test]
    fn response_survives_the_round_trip_and_a_damaged_one_is_refused() {
        let message =
            ResponseMessage { netfn: 0, command: 1, rq_seq: 63, completion: 0xc1, data: vec![1, 2, 3] };
        let bytes = message.encode(CONSOLE_ADDRESS);
        assert_eq!(ResponseMessage::decode(&bytes).unwrap(), message);
        for index in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[index] ^= 0x10;
            assert!(ResponseMessage::decode(&damaged).is_err());
        }
    }
}
