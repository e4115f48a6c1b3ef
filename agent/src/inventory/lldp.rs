//! Listening to what switches say of themselves (LLDP, IEEE 802.1AB), from the agent's start on, so that an inventory
//! rarely has to wait for it.

use crate::sys;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rackwright_common::inventory::LldpNeighbour;
use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

const ETHERTYPE: u16 = 0x88cc;
/// Nearest bridge, nearest non-TPMR bridge, nearest customer bridge.
const GROUPS: [[u8; 6]; 3] =
    [[1, 0x80, 0xc2, 0, 0, 0x0e], [1, 0x80, 0xc2, 0, 0, 0x03], [1, 0x80, 0xc2, 0, 0, 0]];
/// How long after the start an inventory may still wait for a neighbour.
const PATIENCE: Duration = Duration::from_secs(3);

/// The neighbours heard so far, by interface.
#[derive(Clone)]
pub struct Listener(Arc<Shared>);

struct Shared {
    heard: Mutex<HashMap<String, LldpNeighbour>>,
    news: Condvar,
    started: Instant,
}

impl Listener {
    /// Starts listening; without the right to it, nothing is ever heard.
    pub fn start(interfaces: &[String]) -> Self {
        let shared = Shared { heard: Mutex::default(), news: Condvar::new(), started: Instant::now() };
        let listener = Self(Arc::new(shared));
        match open(interfaces) {
            Ok((socket, indices)) => {
                let worker = listener.clone();
                std::thread::spawn(move || worker.listen(&socket, &indices));
            }
            Err(error) => eprintln!("rackwright-agent: cannot listen to LLDP: {error}"),
        }
        listener
    }

    /// A listener that hears nothing.
    pub fn silent() -> Self {
        let started = Instant::now();
        Self(Arc::new(Shared { heard: Mutex::default(), news: Condvar::new(), started }))
    }

    /// The neighbours of these interfaces; waits for missing ones for what is left of three seconds since the start.
    pub fn neighbours(&self, wanted: &[String]) -> HashMap<String, LldpNeighbour> {
        let left = PATIENCE.saturating_sub(self.0.started.elapsed());
        let heard = self.0.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let missing =
            |heard: &mut HashMap<String, LldpNeighbour>| wanted.iter().any(|name| !heard.contains_key(name));
        let (heard, _) =
            self.0.news.wait_timeout_while(heard, left, missing).unwrap_or_else(PoisonError::into_inner);
        heard.clone()
    }

    fn listen(&self, socket: &OwnedFd, indices: &HashMap<u32, String>) {
        let mut buffer = [0; 2048];
        loop {
            let mut ready = [PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
            if poll(&mut ready, PollTimeout::NONE).is_err() {
                continue;
            }
            let received = sys::receive_frame(socket, &mut buffer);
            let Ok((length, index)) = received else {
                // An interface that goes down is an error on the socket; there is no hurry.
                std::thread::sleep(Duration::from_millis(100));
                continue;
            };
            if let (Some(name), Some(neighbour)) = (indices.get(&index), parse_frame(&buffer[..length])) {
                self.0.heard.lock().unwrap_or_else(PoisonError::into_inner).insert(name.clone(), neighbour);
                self.0.news.notify_all();
            }
        }
    }
}

fn open(interfaces: &[String]) -> io::Result<(OwnedFd, HashMap<u32, String>)> {
    let socket = sys::packet_socket(ETHERTYPE)?;
    let mut indices = HashMap::new();
    for name in interfaces {
        let Ok(index) = nix::net::if_::if_nametoindex(name.as_str()) else { continue };
        for group in GROUPS {
            sys::join_multicast(&socket, index, group)?;
        }
        indices.insert(index, name.clone());
    }
    Ok((socket, indices))
}

/// A neighbour from an Ethernet frame, which may carry a VLAN tag.
pub fn parse_frame(frame: &[u8]) -> Option<LldpNeighbour> {
    let kind = |at: usize| Some(u16::from_be_bytes(frame.get(at..at + 2)?.try_into().ok()?));
    match kind(12)? {
        ETHERTYPE => parse(frame.get(14..)?),
        0x8100 if kind(16)? == ETHERTYPE => parse(frame.get(18..)?),
        _ => None,
    }
}

/// A neighbour from the TLVs of one LLDPDU; none without the chassis and port that every one must begin with.
pub fn parse(mut data: &[u8]) -> Option<LldpNeighbour> {
    let mut neighbour = LldpNeighbour::default();
    // Seven bits of type, nine of length (802.1AB §8.4).
    while let [first, second, rest @ ..] = data {
        let length = usize::from(first & 1) << 8 | usize::from(*second);
        let Some(value) = rest.get(..length) else { break };
        match first >> 1 {
            0 => break,
            1 => neighbour.chassis = identifier(value, 4, 5)?,
            2 => neighbour.port = identifier(value, 3, 4)?,
            4 => neighbour.description = shown(value),
            5 => neighbour.system = shown(value),
            127 => {
                if let [0x00, 0x80, 0xc2, 1, high, low] = value {
                    neighbour.vlan =
                        Some(u16::from_be_bytes([*high, *low]) & 0xfff).filter(|vlan| *vlan != 0);
                }
            }
            _ => {}
        }
        data = &rest[length..];
    }
    (!neighbour.chassis.is_empty() && !neighbour.port.is_empty()).then_some(neighbour)
}

/// A chassis or port identifier: a subtype, then a MAC, a network address or text.
fn identifier(value: &[u8], mac: u8, address: u8) -> Option<String> {
    let (subtype, id) = value.split_first()?;
    let hex = || id.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":");
    match (*subtype, id) {
        (subtype, _) if subtype == mac && id.len() == 6 => Some(hex()),
        (subtype, [1, a, b, c, d]) if subtype == address => Some(format!("{a}.{b}.{c}.{d}")),
        _ => shown(id).or_else(|| (!id.is_empty()).then(hex)),
    }
}

/// Text for people; none when there is nothing to show.
fn shown(bytes: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(bytes).ok()?.trim_matches(|c: char| c.is_whitespace() || c == '\0');
    (!text.is_empty() && !text.chars().any(char::is_control)).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tlv(kind: u8, value: &[u8]) -> Vec<u8> {
        let mut bytes = vec![kind << 1 | (value.len() >> 8) as u8, value.len() as u8];
        bytes.extend(value);
        bytes
    }

    fn frame() -> Vec<u8> {
        [
            vec![1, 0x80, 0xc2, 0, 0, 0x0e, 2, 0, 0, 0, 0, 1, 0x88, 0xcc],
            tlv(1, &[4, 2, 0, 0, 0, 0, 1]),
            tlv(2, b"\x05Ethernet1/7"),
            tlv(3, &[0, 120]),
            tlv(4, b"to rack 12"),
            tlv(5, b"leaf-12a"),
            tlv(127, &[0, 0x80, 0xc2, 1, 0, 100]),
            tlv(127, &[0, 0x12, 0x0f, 1, 3]),
            tlv(0, &[]),
        ]
        .concat()
    }

    #[test]
    fn a_switch_names_itself() {
        let neighbour = parse_frame(&frame()).unwrap();
        assert_eq!(neighbour.chassis, "02:00:00:00:00:01");
        assert_eq!(neighbour.port, "Ethernet1/7");
        assert_eq!(neighbour.system.as_deref(), Some("leaf-12a"));
        assert_eq!(neighbour.description.as_deref(), Some("to rack 12"));
        assert_eq!(neighbour.vlan, Some(100));
    }

    #[test]
    fn identifiers_come_in_several_kinds() {
        assert_eq!(identifier(&[5, 1, 10, 0, 0, 9], 4, 5).as_deref(), Some("10.0.0.9"));
        assert_eq!(identifier(&[7, 0xff, 0x00], 3, 4).as_deref(), Some("ff:00"));
        assert_eq!(identifier(&[], 3, 4), None);
    }

    #[test]
    fn no_bytes_whatever_make_it_panic() {
        let good = frame();
        for cut in 0..good.len() {
            parse_frame(&good[..cut]);
            for value in [0, 1, 0x7f, 0xff] {
                let mut bytes = good.clone();
                bytes[cut] = value;
                parse_frame(&bytes);
            }
        }
    }
}
