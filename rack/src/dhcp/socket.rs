//! One interface's UDP socket, and its packet socket for clients that have no address yet.
//!
//! A client without an address cannot answer ARP, so the kernel would never send it an ordinary datagram. Such replies
//! are whole Ethernet frames. The packet socket has protocol 0, which makes it receive nothing.

use std::io::{self, IoSliceMut};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::os::fd::AsRawFd;

use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, MultiHeaders, RecvMsg, SockaddrIn, recvmmsg, sendto, setsockopt, sockopt,
};
use rackwright_dhcp::Destination;
use tokio::io::Interest;
use tokio::net::UdpSocket;

use super::interface::Interface;

const SERVER_PORT: u16 = 67;
const CLIENT_PORT: u16 = 68;

/// Datagrams read with one call of the kernel at most.
const AT_ONCE: usize = 32;
/// Bytes of the kernel that may wait to be read: a room full of machines asks at once, and each message counts as 2 KiB.
const WAITING: usize = 16 << 20;
/// The longest message that is read; Ethernet has no longer ones.
const LONGEST: usize = 2048;

/// Where datagrams are read to, one each.
pub(super) type Buffers = Vec<Vec<u8>>;

/// What [`Socket::receive`] wants, to be used again and again.
pub(super) fn buffers() -> Buffers {
    vec![vec![0; LONGEST]; AT_ONCE]
}

/// A datagram and where it was sent to.
#[derive(Debug)]
pub(super) struct Datagram {
    /// UDP payload.
    pub(super) bytes: Vec<u8>,
    /// Destination in the IP header.
    pub(super) destination: Ipv4Addr,
    /// The address of ours that the kernel would answer with.
    pub(super) local: Ipv4Addr,
}

/// The two sockets of an interface.
#[derive(Debug)]
pub(super) struct Socket {
    interface: Interface,
    udp: UdpSocket,
    packet: Option<socket2::Socket>,
}

impl Socket {
    /// Opens both; the packet socket only where there is Ethernet. The port is ours alone on this interface, so that
    /// another DHCP server is an error at the start and not a riddle later.
    pub(super) fn open(interface: &Interface) -> io::Result<Socket> {
        let udp = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None)?;
        udp.set_broadcast(true)?;
        udp.set_nonblocking(true)?;
        udp.bind_device(Some(interface.name.as_bytes()))?;
        setsockopt(&udp, sockopt::Ipv4PacketInfo, &true)?;
        enlarge(&udp);
        udp.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, SERVER_PORT)).into())?;
        let packet = match interface.link {
            Some(_) => {
                let packet = socket2::Socket::new(socket2::Domain::PACKET, socket2::Type::RAW, None)?;
                packet.set_nonblocking(true)?;
                Some(packet)
            }
            None => None,
        };
        Ok(Socket { interface: interface.clone(), udp: UdpSocket::from_std(udp.into())?, packet })
    }

    /// The interface's name.
    pub(super) fn interface_name(&self) -> &str {
        &self.interface.name
    }

    /// The next datagrams, as many as there are.
    pub(super) async fn receive(&self, buffers: &mut Buffers) -> io::Result<Vec<Datagram>> {
        self.udp.async_io(Interest::READABLE, || receive_now(&self.udp, buffers)).await
    }

    /// Sends a reply from `server`. Sending never waits: a full queue loses the reply, and the client asks again.
    pub(super) fn send(&self, payload: &[u8], to: Destination, server: Ipv4Addr) -> io::Result<()> {
        match to {
            Destination::Link { mac, address } => self.send_frame(payload, mac.0, address, server),
            Destination::Broadcast => self.send_frame(payload, [0xff; 6], Ipv4Addr::BROADCAST, server),
            Destination::Relay(relay) => self.send_datagram(payload, relay, SERVER_PORT),
            Destination::Address(client) => self.send_datagram(payload, client, CLIENT_PORT),
        }
    }

    fn send_datagram(&self, payload: &[u8], to: Ipv4Addr, port: u16) -> io::Result<()> {
        socket2::SockRef::from(&self.udp).send_to(payload, &SocketAddrV4::new(to, port).into()).map(drop)
    }

    fn send_frame(&self, payload: &[u8], mac: [u8; 6], to: Ipv4Addr, server: Ipv4Addr) -> io::Result<()> {
        let (Some(packet), Some(link), Some(own)) =
            (&self.packet, &self.interface.link, self.interface.mac())
        else {
            return self.send_datagram(payload, Ipv4Addr::BROADCAST, CLIENT_PORT);
        };
        let builder = etherparse::PacketBuilder::ethernet2(own, mac)
            .ipv4(server.octets(), to.octets(), 64)
            .udp(SERVER_PORT, CLIENT_PORT);
        let mut frame = Vec::with_capacity(builder.size(payload.len()));
        builder.write(&mut frame, payload).map_err(io::Error::other)?;
        sendto(packet.as_raw_fd(), &frame, link, MsgFlags::empty())?;
        Ok(())
    }
}

/// Without CAP_NET_ADMIN the system's limit (`net.core.rmem_max`) holds.
fn enlarge(udp: &socket2::Socket) {
    if setsockopt(udp, sockopt::RcvBufForce, &WAITING).is_err()
        && let Err(error) = udp.set_recv_buffer_size(WAITING)
    {
        tracing::debug!(%error, "DHCP: the receive buffer stays as it is");
    }
}

fn receive_now(udp: &UdpSocket, buffers: &mut Buffers) -> io::Result<Vec<Datagram>> {
    let control = nix::cmsg_space!(nix::libc::in_pktinfo);
    let mut headers = MultiHeaders::<SockaddrIn>::preallocate(AT_ONCE, Some(control));
    let mut parts: Vec<_> = buffers.iter_mut().map(|buffer| [IoSliceMut::new(buffer)]).collect();
    let received = recvmmsg(udp.as_raw_fd(), &mut headers, parts.iter_mut(), MsgFlags::MSG_DONTWAIT, None)?;
    let heads = received.map(|message| Ok((message.bytes, destination(&message)?)));
    let heads: Vec<_> = heads.collect::<io::Result<_>>()?;
    let address = |a: nix::libc::in_addr| Ipv4Addr::from(u32::from_be(a.s_addr));
    let datagram = |(buffer, (length, info)): (&Vec<u8>, (usize, nix::libc::in_pktinfo))| Datagram {
        bytes: buffer[..length].to_vec(),
        destination: address(info.ipi_addr),
        local: address(info.ipi_spec_dst),
    };
    Ok(buffers.iter().zip(heads).map(datagram).collect())
}

fn destination(message: &RecvMsg<'_, '_, SockaddrIn>) -> io::Result<nix::libc::in_pktinfo> {
    let info = message.cmsgs()?.find_map(|c| match c {
        ControlMessageOwned::Ipv4PacketInfo(info) => Some(info),
        _ => None,
    });
    info.ok_or_else(|| io::Error::other("no destination with the datagram"))
}
