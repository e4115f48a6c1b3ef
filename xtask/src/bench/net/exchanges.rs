//! Load for a DHCP server: four messages for each exchange, as a relay passes them on, from one thread that never waits.
//!
//! Why our own: perfdhcp fights with the server for the processors and has not gone beyond 10,000 exchanges a second here. It
//! stays beside this one in the benchmark, and it is what shows that a server answers others' clients.
//! Exchanges begin at an even rate, whatever comes back (an open loop). One is lost that has no ACK [`LATE`] after the end.
//! Left out: options that a server only copies, and saying a thing again.

use super::{CLIENTS, LOAD, dhcp};
use crate::arguments::Arguments;
use anyhow::{Context, Result, ensure};
use nix::sys::socket::{setsockopt, sockopt};
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// How long the last answers are waited for, as perfdhcp is told to.
const LATE: Duration = Duration::from_millis(500);
/// Exchanges that begin before answers are read again.
const AT_ONCE: u64 = 16;
/// Bytes of the kernel that may wait to be read, so that what is lost is not lost here.
const WAITING: usize = 32 << 20;
const PORT: u16 = 67;
/// Where a BOOTP header has what changes (RFC 951 §3), and where options begin (RFC 2131 §3).
const XID: usize = 4;
const YIADDR: usize = 16;
const GIADDR: usize = 24;
const CHADDR: usize = 28;
const OPTIONS: usize = 236;
const COOKIE: [u8; 4] = [99, 130, 83, 99];
/// Message types (RFC 2132 §9.6).
const DISCOVER: u8 = 1;
const OFFER: u8 = 2;
const REQUEST: u8 = 3;
const ACK: u8 = 5;
/// Mask, routers, names' servers, the domain and the lease's time are asked for.
const WANTED: [u8; 7] = [55, 5, 1, 3, 6, 15, 51];

/// What came of it, as the other end of the pipe reads it.
#[derive(Debug, PartialEq)]
pub(super) struct Told {
    /// Exchanges that came to their end, per second.
    pub(super) rate: f64,
    /// Exchanges that did not, per cent.
    pub(super) lost: f64,
}

impl Told {
    fn line(&self) -> String {
        format!("{} {}", self.rate, self.lost)
    }

    pub(super) fn read(line: &str) -> Option<Told> {
        let (rate, lost) = line.trim().split_once(' ')?;
        Some(Told { rate: rate.parse().ok()?, lost: lost.parse().ok()? })
    }
}

/// The word that calls [`run`].
pub const NAME: &str = "dhcp-exchanges";

/// `bench dhcp-exchanges SERVER RATE SECONDS`: run by `bench net` on the host that the load comes from.
pub fn run(mut arguments: Arguments) -> Result<ExitCode> {
    let server: Ipv4Addr = arguments.required("the server's address")?.parse()?;
    let rate: u32 = arguments.required("exchanges per second")?.parse()?;
    let seconds: u32 = arguments.required("seconds")?.parse()?;
    arguments.done()?;
    ensure!(rate > 0 && seconds > 0, "nothing to do");
    println!("{}", exchange(server, rate, seconds)?.line());
    Ok(ExitCode::SUCCESS)
}

fn exchange(server: Ipv4Addr, rate: u32, seconds: u32) -> Result<Told> {
    let relay: Ipv4Addr = LOAD.parse()?;
    let socket = UdpSocket::bind((relay, PORT)).with_context(|| format!("port {PORT} of {relay}"))?;
    socket.set_nonblocking(true)?;
    setsockopt(&socket, sockopt::RcvBufForce, &WAITING).context("the receive buffer")?;
    let server = SocketAddrV4::new(server, PORT);
    let discover = discover(relay);
    let all = u64::from(rate) * u64::from(seconds);
    let mut state = State { ended: vec![false; usize::try_from(all)?], acknowledged: 0 };
    let mut buffer = [0; 2048];
    let (begin, mut begun, mut late) = (Instant::now(), 0, None);
    loop {
        let due = (begin.elapsed().as_secs_f64() * f64::from(rate)) as u64;
        for _ in 0..due.min(all).saturating_sub(begun).min(AT_ONCE) {
            send(&socket, &of_exchange(&discover, u32::try_from(begun)?), server)?;
            begun += 1;
        }
        while let Some(length) = receive(&socket, &mut buffer)? {
            if let Some(request) = state.take(&buffer[..length]) {
                send(&socket, &request, server)?;
            }
        }
        if begun == all {
            let since = late.get_or_insert_with(Instant::now);
            if state.acknowledged == all || since.elapsed() >= LATE {
                let lost = (all - state.acknowledged) as f64 * 100.0 / all as f64;
                let took = since.duration_since(begin).as_secs_f64();
                return Ok(Told { rate: state.acknowledged as f64 / took, lost });
            }
        }
    }
}

/// Exchanges by their number, which is their transaction's.
struct State {
    ended: Vec<bool>,
    acknowledged: u64,
}

impl State {
    /// Takes an answer; the REQUEST that follows an OFFER.
    fn take(&mut self, answer: &[u8]) -> Option<Vec<u8>> {
        if answer.len() < OPTIONS + COOKIE.len() || answer[OPTIONS..OPTIONS + COOKIE.len()] != COOKIE {
            return None;
        }
        let number = u32::from_be_bytes(answer[XID..XID + 4].try_into().ok()?);
        let ended = self.ended.get_mut(number as usize)?;
        match option(answer, 53)? {
            [OFFER] if !*ended => Some(request(answer, option(answer, 54)?)),
            [ACK] if !std::mem::replace(ended, true) => {
                self.acknowledged += 1;
                None
            }
            _ => None,
        }
    }
}

/// A DISCOVER of nobody yet.
fn discover(relay: Ipv4Addr) -> Vec<u8> {
    let mut message = vec![0; OPTIONS];
    // A client's message, over Ethernet, that went through one relay.
    message[..4].copy_from_slice(&[1, 1, 6, 1]);
    message[GIADDR..GIADDR + 4].copy_from_slice(&relay.octets());
    message.extend(COOKIE);
    message.extend([53, 1, DISCOVER]);
    message.extend(WANTED);
    message.push(255);
    message
}

/// The same as the client of this exchange says it. Clients take turns.
fn of_exchange(discover: &[u8], number: u32) -> Vec<u8> {
    let mut message = discover.to_vec();
    message[XID..XID + 4].copy_from_slice(&number.to_be_bytes());
    message[CHADDR..CHADDR + 6].copy_from_slice(&dhcp::mac(number % CLIENTS));
    message
}

/// What the client says to an offer, whose header has all but its own kind.
fn request(offer: &[u8], server: &[u8]) -> Vec<u8> {
    let mut message = offer[..OPTIONS].to_vec();
    message[..4].copy_from_slice(&[1, 1, 6, 1]);
    let address = message[YIADDR..YIADDR + 4].to_vec();
    message[12..GIADDR].fill(0);
    message.extend(COOKIE);
    message.extend([53, 1, REQUEST, 50, 4]);
    message.extend(address);
    message.extend([54, 4]);
    message.extend(server);
    message.extend(WANTED);
    message.push(255);
    message
}

/// The content of the first option of this code.
fn option(message: &[u8], wanted: u8) -> Option<&[u8]> {
    let mut rest = message.get(OPTIONS + COOKIE.len()..)?;
    loop {
        match rest {
            [0, after @ ..] => rest = after,
            [255, ..] | [] | [_] => return None,
            [code, length, after @ ..] => {
                let (content, after) = after.split_at_checked(usize::from(*length))?;
                if *code == wanted {
                    return Some(content);
                }
                rest = after;
            }
        }
    }
}

/// A full queue loses the message, as a network would.
fn send(socket: &UdpSocket, message: &[u8], to: SocketAddrV4) -> Result<()> {
    match socket.send_to(message, to) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
        Err(error) => Err(error).context("sending"),
    }
}

fn receive(socket: &UdpSocket, buffer: &mut [u8]) -> Result<Option<usize>> {
    match socket.recv(buffer) {
        Ok(length) => Ok(Some(length)),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error).context("receiving"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rackwright_dhcp::{MacAddr, MessageType, Packet};

    #[test]
    fn its_messages_are_messages() {
        let relay = Ipv4Addr::new(10, 64, 0, 9);
        let first = of_exchange(&discover(relay), 7);
        let packet = Packet::decode(&first).unwrap();
        assert_eq!(packet.options.message_type(), Some(MessageType::Discover));
        assert_eq!((packet.xid, packet.giaddr), (7, relay));
        assert_eq!(packet.mac(), Some(MacAddr(dhcp::mac(7))));
    }

    #[test]
    fn an_offer_is_asked_for_and_an_acknowledgement_counts_once() {
        let mut state = State { ended: vec![false; 8], acknowledged: 0 };
        let mut offer = of_exchange(&discover(Ipv4Addr::new(10, 64, 0, 9)), 7);
        offer[YIADDR..YIADDR + 4].copy_from_slice(&[10, 64, 1, 7]);
        offer.truncate(OPTIONS + 4);
        let answer = |kind| [&offer[..], &[0, 53, 1, kind, 54, 4, 10, 64, 0, 1, 255]].concat();
        let request = Packet::decode(&state.take(&answer(OFFER)).unwrap()).unwrap();
        assert_eq!(request.options.message_type(), Some(MessageType::Request));
        assert_eq!(request.options.address(50), Some(Ipv4Addr::new(10, 64, 1, 7)));
        assert_eq!(request.options.address(54), Some(Ipv4Addr::new(10, 64, 0, 1)));
        assert!(request.yiaddr.is_unspecified());
        for _ in 0..2 {
            assert_eq!(state.take(&answer(ACK)), None);
            assert_eq!(state.acknowledged, 1);
        }
        assert_eq!(state.take(&answer(OFFER)), None, "it has ended");
        assert_eq!(state.take(b"nonsense"), None);
    }

    #[test]
    fn what_it_tells_is_read() {
        let told = Told { rate: 9000.25, lost: 0.5 };
        assert_eq!(Told::read(&told.line()), Some(told));
        assert_eq!(Told::read("no"), None);
    }
}
