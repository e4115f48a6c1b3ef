//! Port 547 of one interface, with the groups that clients and relays send to (RFC 8415 §7.1).

use super::Sender;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrIn6, recvmsg, setsockopt, sockopt};
use std::io::{self, IoSliceMut};
use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::fd::AsRawFd;
use tokio::io::Interest;
use tokio::net::UdpSocket;

const SERVER_PORT: u16 = 547;
/// All relays and servers of the link, all servers of the site.
const GROUPS: [Ipv6Addr; 2] =
    [Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 1, 2), Ipv6Addr::new(0xff05, 0, 0, 0, 0, 0, 1, 3)];
/// A message with a few relays around it.
const RECEIVE_MAX: usize = 4096;

/// A datagram.
#[derive(Debug)]
pub(super) struct Datagram {
    /// UDP payload.
    pub(super) bytes: Vec<u8>,
    /// Who sent it.
    pub(super) from: Sender,
    /// It was sent to a group.
    pub(super) multicast: bool,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Socket(UdpSocket);

impl Socket {
    /// The port is ours alone on this interface, so that another server is an error and not a riddle.
    pub(super) fn open(interface: &str) -> io::Result<Self> {
        let index = nix::net::if_::if_nametoindex(interface)?;
        let socket = socket2::Socket::new(socket2::Domain::IPV6, socket2::Type::DGRAM, None)?;
        socket.set_only_v6(true)?;
        socket.set_nonblocking(true)?;
        socket.bind_device(Some(interface.as_bytes()))?;
        setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?;
        for group in GROUPS {
            socket.join_multicast_v6(&group, index)?;
        }
        socket.bind(&SocketAddr::from((Ipv6Addr::UNSPECIFIED, SERVER_PORT)).into())?;
        Ok(Self(UdpSocket::from_std(socket.into())?))
    }

    /// The next datagram.
    pub(super) async fn receive(&self) -> io::Result<Datagram> {
        self.0.async_io(Interest::READABLE, || receive_now(&self.0)).await
    }

    /// Sends a reply.
    pub(super) async fn send(&self, payload: &[u8], to: Sender) -> io::Result<()> {
        self.0.send_to(payload, SocketAddr::V6(to)).await.map(drop)
    }
}

fn receive_now(udp: &UdpSocket) -> io::Result<Datagram> {
    let mut bytes = vec![0; RECEIVE_MAX];
    let mut control = nix::cmsg_space!(nix::libc::in6_pktinfo);
    let mut parts = [IoSliceMut::new(&mut bytes)];
    let message = recvmsg::<SockaddrIn6>(udp.as_raw_fd(), &mut parts, Some(&mut control), MsgFlags::empty())?;
    let length = message.bytes;
    let multicast = message.cmsgs()?.any(|c| match c {
        ControlMessageOwned::Ipv6PacketInfo(info) => Ipv6Addr::from(info.ipi6_addr.s6_addr).is_multicast(),
        _ => false,
    });
    let from = message.address.ok_or_else(|| io::Error::other("no sender with the datagram"))?;
    let from = SocketAddrV6::new(from.ip(), from.port(), 0, from.scope_id());
    bytes.truncate(length);
    Ok(Datagram { bytes, from, multicast })
}
