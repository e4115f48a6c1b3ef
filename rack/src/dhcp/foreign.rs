//! Looks for DHCP servers that are not Rackwright's: asks as a client would, every ten minutes, and tells who answers. The
//! question names itself (option 60), so that racks do not answer each other.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::Arc;
use std::time::Duration;

use rackwright_common::link::Fact;
use rackwright_common::snapshot::Snapshot;
use rackwright_dhcp::{MessageType, Packet, code};
use tokio::net::UdpSocket;
use tokio::time::Instant;

use super::DhcpWorld;
use super::interface::Interface;

/// What the question calls itself.
pub(super) const CLASS: &str = "rackwright-watch";
/// A rack that has just started serves first.
const FIRST_AFTER: Duration = Duration::from_secs(3);
const EVERY: Duration = Duration::from_secs(600);
/// Servers that check an address before they offer it take a second or two.
const PATIENCE: Duration = Duration::from_secs(3);
const SERVER_PORT: u16 = 67;
const CLIENT_PORT: u16 = 68;

/// Whether a message is a rack's question.
pub(super) fn is_question(packet: &Packet) -> bool {
    packet.options.get(code::VENDOR_CLASS) == Some(CLASS.as_bytes())
}

/// Looks on one interface until dropped.
pub(super) async fn watch<W: DhcpWorld>(interface: Interface, world: Arc<W>) {
    let mut pause = FIRST_AFTER;
    loop {
        tokio::time::sleep(pause).await;
        pause = EVERY;
        let servers = match ask(&interface).await {
            Ok(servers) => servers,
            Err(error) => {
                tracing::debug!(interface = interface.name, %error, "foreign DHCP servers were not looked for");
                continue;
            }
        };
        let snapshot = world.snapshot();
        for server in servers.into_iter().filter(|s| !is_ours(*s, &interface, &snapshot)) {
            tracing::warn!(interface = interface.name, %server, "a DHCP server that is not Rackwright's answers");
            if let Some(subnet) = place(server, &interface, &snapshot) {
                world.record(Fact::DhcpServer { subnet, server });
            }
        }
    }
}

fn is_ours(server: Ipv4Addr, interface: &Interface, snapshot: &Snapshot) -> bool {
    let address = |rack: &String| rack.rsplit_once(':').and_then(|(host, _)| host.parse::<Ipv4Addr>().ok());
    interface.has(server) || snapshot.racks.iter().filter_map(address).any(|a| a == server)
}

/// The subnet that the server is in, or that the interface is in where it answers from far.
fn place(server: Ipv4Addr, interface: &Interface, snapshot: &Snapshot) -> Option<i64> {
    let with = |address: Ipv4Addr| snapshot.subnets.iter().find(|s| s.cidr.contains(&address)).map(|s| s.id);
    with(server).or_else(|| interface.addresses.iter().find_map(|net| with(net.addr())))
}

/// Asks once; the servers that answered.
async fn ask(interface: &Interface) -> io::Result<Vec<Ipv4Addr>> {
    let mac = interface.mac().ok_or_else(|| io::Error::other("not Ethernet"))?;
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None)?;
    socket.set_broadcast(true)?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind_device(Some(interface.name.as_bytes()))?;
    socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, CLIENT_PORT)).into())?;
    let socket = UdpSocket::from_std(socket.into())?;
    let question = question(mac, rand::random());
    let all = SocketAddrV4::new(Ipv4Addr::BROADCAST, SERVER_PORT);
    socket.send_to(&question.encode(question.reply_limit()), all).await?;
    let end = Instant::now() + PATIENCE;
    let mut servers = Vec::new();
    let mut buffer = [0; 2048];
    while let Ok(received) = tokio::time::timeout_at(end, socket.recv_from(&mut buffer)).await {
        let (length, from) = received?;
        let Some(server) = offered_by(&buffer[..length], question.xid, from) else { continue };
        if !servers.contains(&server) {
            servers.push(server);
        }
    }
    Ok(servers)
}

fn question(mac: [u8; 6], xid: u32) -> Packet {
    let mut packet = Packet::decode(&[0; 236]).expect("the fixed part is enough for a message");
    (packet.op, packet.htype, packet.hlen, packet.xid) = (1, 1, 6, xid);
    packet.flags = 0x8000;
    packet.chaddr[..6].copy_from_slice(&mac);
    packet.options.set(code::MESSAGE_TYPE, [MessageType::Discover as u8]);
    packet.options.set(code::VENDOR_CLASS, CLASS);
    packet.options.set(code::PARAMETER_LIST, [code::SUBNET_MASK, code::ROUTERS]);
    packet
}

/// The server that a datagram is an offer of, when it answers this question.
fn offered_by(bytes: &[u8], xid: u32, from: SocketAddr) -> Option<Ipv4Addr> {
    let packet = Packet::decode(bytes).ok()?;
    if packet.op != 2 || packet.xid != xid || packet.options.message_type() != Some(MessageType::Offer) {
        return None;
    }
    let source = match from {
        SocketAddr::V4(v4) => *v4.ip(),
        SocketAddr::V6(_) => return None,
    };
    Some(packet.options.address(code::SERVER_ID).unwrap_or(source))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offer_to_the_question_names_its_server_and_nothing_else_does() {
        let asked = question([2, 0, 0, 0, 0, 1], 7);
        assert!(is_question(&asked));
        let from: SocketAddr = "10.0.0.66:67".parse().unwrap();
        let mut offer = asked.reply();
        offer.options.set(code::MESSAGE_TYPE, [MessageType::Offer as u8]);
        let bytes = |packet: &Packet| packet.encode(1472);
        assert_eq!(offered_by(&bytes(&offer), 7, from), Some([10, 0, 0, 66].into()));
        offer.options.set(code::SERVER_ID, [10, 0, 0, 67]);
        assert_eq!(offered_by(&bytes(&offer), 7, from), Some([10, 0, 0, 67].into()));
        assert_eq!(offered_by(&bytes(&offer), 8, from), None);
        assert_eq!(offered_by(&bytes(&asked), 7, from), None);
        assert_eq!(offered_by(&[1, 2, 3], 7, from), None);
    }
}
