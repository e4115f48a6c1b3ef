//! Clients that ask for an address on a network of machines, one after the other, all along.
//!
//! What holds: each asks as RFC 2131 sections 3.1 and 4.1 have it: DISCOVER, and the same once more each second, with the seconds
//! since it began, until a server offers something. Nobody takes what is offered, so it is free again when the offer ends;
//! the clients are few and come again, so that they hold few addresses.
//! Left out: a rack on this very box, which this box cannot hear on its own interface.

use anyhow::{Context, Result, ensure};
use rackwright_dhcp::{MacAddr, MessageType, Options, Packet, code};
use serde::Serialize;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use uuid::Uuid;

/// So many clients: whatever rack answers whom first, each has some.
const CLIENTS: u8 = 16;
/// Between two clients.
const PAUSE: Duration = Duration::from_millis(100);
/// Between two tries of one client.
const TRY: Duration = Duration::from_secs(1);
/// A client gives up.
const TRIES: u16 = 15;

/// What clients noticed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Offered {
    /// Clients that asked.
    pub clients: usize,
    /// Those that were offered nothing within 15 s.
    pub unanswered: usize,
    /// How long one had to wait for an offer, at the worst, seconds.
    pub longest_wait: f64,
}

/// Asks until it is ended.
pub struct Asking {
    waits: Arc<Mutex<Vec<(f64, bool)>>>,
    asking: JoinHandle<()>,
}

impl Asking {
    /// Begins on an interface of this box, where somebody offers addresses.
    pub async fn start(interface: &str) -> Result<Self> {
        let socket = open(interface).with_context(|| {
            format!("cannot ask for addresses on {interface}; is it there, and are you root?")
        })?;
        let (_, offered) = client(&socket, 0).await.with_context(|| interface.to_owned())?;
        ensure!(
            offered,
            "no rack offers an address on {interface}: is it on the network of machines, and no rack on this box?"
        );
        let waits = Arc::<Mutex<Vec<_>>>::default();
        let kept = waits.clone();
        let asking = tokio::spawn(async move {
            for number in (1..CLIENTS).chain(std::iter::once(0)).cycle() {
                match client(&socket, number).await {
                    Ok(waited) => kept.lock().unwrap_or_else(PoisonError::into_inner).push(waited),
                    Err(error) => tracing::warn!(%error, "a client could not ask for an address"),
                }
                tokio::time::sleep(PAUSE).await;
            }
        });
        Ok(Self { waits, asking })
    }

    /// Ends, and tells.
    pub fn end(self) -> Offered {
        self.asking.abort();
        let waits = self.waits.lock().unwrap_or_else(PoisonError::into_inner);
        Offered {
            clients: waits.len(),
            unanswered: waits.iter().filter(|(_, offered)| !offered).count(),
            longest_wait: waits.iter().map(|(waited, _)| *waited).fold(0.0, f64::max),
        }
    }
}

fn open(interface: &str) -> io::Result<UdpSocket> {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None)?;
    // A client of this box may have the port as well; both hear what is said to all.
    socket.set_reuse_address(true)?;
    socket.set_broadcast(true)?;
    socket.set_nonblocking(true)?;
    socket.bind_device(Some(interface.as_bytes()))?;
    socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, 68)).into())?;
    UdpSocket::from_std(socket.into())
}

/// One client: how long it waited, seconds, and whether it was offered something.
async fn client(socket: &UdpSocket, number: u8) -> io::Result<(f64, bool)> {
    let xid = Uuid::new_v4().as_fields().0;
    let began = Instant::now();
    for secs in 0..TRIES {
        let message = discover(number, xid, secs).encode(576);
        socket.send_to(&message, (Ipv4Addr::BROADCAST, 67)).await?;
        let until = TRY * u32::from(secs + 1);
        if timeout(until.saturating_sub(began.elapsed()), offer(socket, xid)).await.is_ok() {
            return Ok((began.elapsed().as_secs_f64(), true));
        }
    }
    Ok((began.elapsed().as_secs_f64(), false))
}

/// Waits for the offer to this client; whatever else comes is somebody else's.
async fn offer(socket: &UdpSocket, xid: u32) {
    let mut bytes = [0; 1500];
    loop {
        let Ok(length) = socket.recv(&mut bytes).await else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        if Packet::decode(&bytes[..length]).is_ok_and(|packet| is_offer(&packet, xid)) {
            return;
        }
    }
}

fn is_offer(packet: &Packet, xid: u32) -> bool {
    packet.op == 2 && packet.xid == xid && packet.options.message_type() == Some(MessageType::Offer)
}

fn discover(number: u8, xid: u32, secs: u16) -> Packet {
    // Locally administered; the same in each drill.
    let mac = MacAddr([0x02, 0x52, 0x57, 0, 0, number]);
    let mut chaddr = [0; 16];
    chaddr[..6].copy_from_slice(&mac.0);
    let mut options = Options::new();
    options.set(code::MESSAGE_TYPE, [MessageType::Discover as u8]);
    options.set(code::PARAMETER_LIST, [code::SUBNET_MASK, code::ROUTERS]);
    Packet {
        op: 1,
        htype: 1,
        hlen: 6,
        hops: 0,
        xid,
        secs,
        // The answer is to be sent to all: this box has not that address.
        flags: 0x8000,
        ciaddr: Ipv4Addr::UNSPECIFIED,
        yiaddr: Ipv4Addr::UNSPECIFIED,
        siaddr: Ipv4Addr::UNSPECIFIED,
        giaddr: Ipv4Addr::UNSPECIFIED,
        chaddr,
        sname: [0; 64],
        file: [0; 128],
        options,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offer_is_known_by_its_number() {
        let asked = Packet::decode(&discover(3, 77, 2).encode(576)).unwrap();
        assert_eq!((asked.mac(), asked.secs), (Some("02:52:57:00:00:03".parse().unwrap()), 2));
        assert!(asked.wants_broadcast() && asked.options.message_type() == Some(MessageType::Discover));
        let mut reply = asked.reply();
        assert!(!is_offer(&reply, 77));
        reply.options.set(code::MESSAGE_TYPE, [MessageType::Offer as u8]);
        assert!(is_offer(&reply, 77) && !is_offer(&reply, 78));
    }
}
