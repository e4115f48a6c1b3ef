//! A packet socket that hears the protocols of neighbours on one interface, and sends the questions of a scan.

use super::sys;
use nix::ifaddrs::getifaddrs;
use nix::sys::socket::{LinkAddr, MsgFlags, bind, recvfrom, sendto};
use rackwright_neighbour::filter::PROGRAM;
use socket2::{Domain, Protocol, SockFilter, Type};
use std::io;
use std::os::fd::AsRawFd;
use tokio::io::Interest;
use tokio::net::UdpSocket;

/// `ETH_P_ALL` in network order.
const EVERYTHING: i32 = 0x0003_u16.to_be() as i32;

/// See the module.
pub(super) struct Socket {
    /// Waiting works on a packet socket as on a UDP socket.
    packet: UdpSocket,
    link: LinkAddr,
}

impl Socket {
    /// Opens it. The filter is there before the interface is chosen; what came from elsewhere meanwhile is left out by
    /// [`Self::receive`].
    pub(super) fn open(interface: &str) -> io::Result<Self> {
        let entries = getifaddrs()?.filter(|e| e.interface_name == interface);
        let link = entries.filter_map(|e| e.address.as_ref().and_then(|a| a.as_link_addr()).copied()).next();
        let link = link.ok_or_else(|| io::Error::other("there is no such Ethernet interface"))?;
        let packet = socket2::Socket::new(Domain::PACKET, Type::RAW, Some(Protocol::from(EVERYTHING)))?;
        packet.set_nonblocking(true)?;
        let filter = PROGRAM.map(|(code, yes, no, value)| SockFilter::new(code, yes, no, value));
        packet.attach_filter(&filter)?;
        bind(packet.as_raw_fd(), &link)?;
        sys::hear_all_multicast(&packet, u32::try_from(link.ifindex()).unwrap_or(0))?;
        Ok(Self { packet: UdpSocket::from_std(packet.into())?, link })
    }

    /// The interface's own Ethernet address.
    pub(super) fn mac(&self) -> Option<[u8; 6]> {
        self.link.addr()
    }

    /// Waits until there may be a frame.
    pub(super) async fn readable(&self) -> io::Result<()> {
        self.packet.readable().await
    }

    /// The next frame that somebody else sent on this interface; none when there is none now.
    pub(super) fn receive(&self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        loop {
            let fd = self.packet.as_raw_fd();
            let received = self.packet.try_io(Interest::READABLE, || Ok(recvfrom::<LinkAddr>(fd, buffer)?));
            let (length, from) = match received {
                Ok(received) => received,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let ours = buffer.get(6..12) == self.mac().as_ref().map(|m| m.as_slice());
            if !ours && from.is_some_and(|f| f.ifindex() == self.link.ifindex()) {
                return Ok(Some(length));
            }
        }
    }

    /// Sends a frame. A full queue loses it: who is there will be heard anyway.
    pub(super) fn send(&self, frame: &[u8]) -> io::Result<()> {
        match sendto(self.packet.as_raw_fd(), frame, &self.link, MsgFlags::empty()) {
            Ok(_) | Err(nix::errno::Errno::EAGAIN | nix::errno::Errno::ENOBUFS) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}
