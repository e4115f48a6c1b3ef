//! Serial over LAN (§15.9): the packet, and one end of the stop-and-wait channel, which is the same for console and BMC.
//!
//! At most one data packet is unacknowledged per direction; numbers run 1..=15 and 0 means "acknowledgement only".

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::error::{DecodeError, Reader};

/// Status bit: the packet named by the acknowledgement was refused.
pub const NACK: u8 = 0x40;
/// Status bit from a BMC: it cannot move characters now (system off, serial port taken).
pub const UNAVAILABLE: u8 = 0x20;
/// Status bit from a BMC: the payload was deactivated.
pub const DEACTIVATED: u8 = 0x10;
/// Operation bit from a console: send a break.
pub const BREAK: u8 = 0x10;

const RETRY: Duration = Duration::from_millis(500);
const TRIES: u8 = 8;
/// Characters kept for sending; older ones are lost when the other side does not take them.
const BACKLOG: usize = 64 * 1024;

/// One SOL payload.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SolPacket {
    /// Number of this data packet, 0 when it carries none.
    pub sequence: u8,
    /// Number of the packet being acknowledged, 0 for none.
    pub acked: u8,
    /// How many characters of it were taken.
    pub accepted: u8,
    /// Operation (from the console) or status (from the BMC) bits.
    pub status: u8,
    /// Characters.
    pub data: Vec<u8>,
}

impl SolPacket {
    /// The payload's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![self.sequence, self.acked, self.accepted, self.status];
        out.extend(&self.data);
        out
    }

    /// Reads the payload.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new("SOL packet", bytes);
        let [sequence, acked, accepted, status] = reader.array()?;
        Ok(Self {
            sequence: sequence & 0x0f,
            acked: acked & 0x0f,
            accepted,
            status,
            data: reader.rest().to_vec(),
        })
    }
}

#[derive(Debug)]
struct Pending {
    sequence: u8,
    status: u8,
    data: Vec<u8>,
    resend_at: Instant,
    tries: u8,
}

/// One end of a SOL channel.
#[derive(Debug)]
pub struct SolChannel {
    waiting: VecDeque<u8>,
    pending: Option<Pending>,
    next_sequence: u8,
    /// Number and accepted count of the last data packet taken.
    last_taken: Option<(u8, u8)>,
    /// Largest number of characters in one packet.
    room: usize,
    send_break: bool,
}

impl SolChannel {
    /// A channel whose peer takes payloads of at most `payload_limit` bytes.
    pub fn new(payload_limit: u16) -> Self {
        let room = usize::from(payload_limit).saturating_sub(4).clamp(1, 255);
        Self {
            waiting: VecDeque::new(),
            pending: None,
            next_sequence: 1,
            last_taken: None,
            room,
            send_break: false,
        }
    }

    /// Queues characters for the other end.
    pub fn write(&mut self, data: &[u8]) {
        self.waiting.extend(data);
        let excess = self.waiting.len().saturating_sub(BACKLOG);
        self.waiting.drain(..excess);
    }

    /// Characters that wait for their packet; beyond 64 KiB the oldest would be lost.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Queues a serial break (console side).
    pub fn write_break(&mut self) {
        self.send_break = true;
    }

    /// Takes a packet in: the new characters, and the acknowledgement to send back if it carried any.
    pub fn receive(&mut self, now: Instant, packet: &SolPacket) -> (Vec<u8>, Option<SolPacket>) {
        if packet.acked != 0 {
            self.acknowledge(now, packet);
        }
        if packet.sequence == 0 {
            return (Vec::new(), None);
        }
        let accepted = packet.data.len().min(255) as u8;
        let already = match self.last_taken {
            Some((sequence, count)) if sequence == packet.sequence => usize::from(count),
            _ => 0,
        };
        let fresh = packet.data.get(already..usize::from(accepted)).unwrap_or_default().to_vec();
        self.last_taken = Some((packet.sequence, accepted));
        let ack = SolPacket { acked: packet.sequence, accepted, ..SolPacket::default() };
        (fresh, Some(ack))
    }

    fn acknowledge(&mut self, now: Instant, packet: &SolPacket) {
        let Some(pending) = self.pending.take_if(|pending| pending.sequence == packet.acked) else { return };
        let taken = usize::from(packet.accepted).min(pending.data.len());
        if packet.status & NACK != 0 && taken == 0 {
            // Refused for now: the same packet again, later.
            self.pending = Some(Pending { resend_at: now + RETRY, ..pending });
            return;
        }
        for byte in pending.data[taken..].iter().rev() {
            self.waiting.push_front(*byte);
        }
    }

    /// The next packet to send now, new or repeated.
    pub fn poll(&mut self, now: Instant) -> Option<SolPacket> {
        if let Some(pending) = &mut self.pending {
            if now < pending.resend_at {
                return None;
            }
            if pending.tries < TRIES {
                pending.tries += 1;
                pending.resend_at = now + RETRY;
                return Some(SolPacket {
                    sequence: pending.sequence,
                    status: pending.status,
                    data: pending.data.clone(),
                    ..SolPacket::default()
                });
            }
            self.pending = None;
        }
        if self.waiting.is_empty() && !self.send_break {
            return None;
        }
        let data: Vec<u8> = self.waiting.drain(..self.room.min(self.waiting.len())).collect();
        let status = if std::mem::take(&mut self.send_break) { BREAK } else { 0 };
        let sequence = self.next_sequence;
        self.next_sequence = if sequence == 15 { 1 } else { sequence + 1 };
        self.pending =
            Some(Pending { sequence, status, data: data.clone(), resend_at: now + RETRY, tries: 1 });
        Some(SolPacket { sequence, status, data, ..SolPacket::default() })
    }

    /// When [`SolChannel::poll`] wants to be called again; `None` when nothing is outstanding.
    pub fn deadline(&self) -> Option<Instant> {
        self.pending.as_ref().map(|pending| pending.resend_at)
    }

    /// Nothing is waiting for the other end.
    pub fn is_drained(&self) -> bool {
        self.pending.is_none() && self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lost_packets_and_lost_acknowledgements_neither_lose_nor_double_a_character() {
        let text: Vec<u8> = (0..5000u32).map(|n| n as u8).collect();
        let (mut left, mut right) = (SolChannel::new(64), SolChannel::new(64));
        left.write(&text);
        let mut now = Instant::now();
        let (mut got, mut count) = (Vec::new(), 0u32);
        while !left.is_drained() {
            if let Some(packet) = left.poll(now) {
                count += 1;
                if !count.is_multiple_of(5) {
                    let (fresh, ack) = right.receive(now, &packet);
                    got.extend(fresh);
                    if let Some(ack) = ack.filter(|_| !count.is_multiple_of(7)) {
                        left.receive(now, &ack);
                    }
                }
            }
            now += Duration::from_millis(100);
        }
        assert_eq!(got, text);
    }

    #[test]
    fn characters_not_taken_are_sent_again_under_a_new_number() {
        let now = Instant::now();
        let mut channel = SolChannel::new(100);
        channel.write(b"abcdef");
        assert_eq!(channel.poll(now).unwrap().sequence, 1);
        channel.receive(now, &SolPacket { acked: 1, accepted: 2, ..SolPacket::default() });
        let again = channel.poll(now).unwrap();
        assert_eq!((again.sequence, again.data.as_slice()), (2, b"cdef".as_slice()));
    }
}
