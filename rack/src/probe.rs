//! Asks on the wire who has an address: ARP probes (RFC 5227 §2.1.1), which nobody takes for a claim, as their sender has no
//! address. Whoever has it answers within milliseconds; a lost packet is asked again once.
//!
//! Left out: IPv6, whose hosts find duplicates by themselves.

use std::collections::HashMap;
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;
use std::time::Duration;

use ipnet::Ipv4Net;
use nix::ifaddrs::getifaddrs;
use nix::sys::socket::{LinkAddr, MsgFlags, sendto};
use rackwright_common::Mac;
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::time::Instant;

/// How long each of two questions waits.
const PATIENCE: Duration = Duration::from_millis(700);
/// ARP's EtherType.
const ARP: u16 = 0x0806;
/// An Ethernet header and an ARP packet of IPv4.
const FRAME: usize = 42;

/// Those of the addresses for which somebody answers, and who. Addresses in no network of these interfaces are nobody's.
pub async fn ask(interfaces: &[String], addresses: &[Ipv4Addr]) -> Vec<(Ipv4Addr, Mac)> {
    let mut answered = Vec::new();
    for (name, link, networks) in links(interfaces) {
        let here: Vec<Ipv4Addr> =
            addresses.iter().copied().filter(|a| networks.iter().any(|n| n.contains(a))).collect();
        if here.is_empty() {
            continue;
        }
        match Prober::open(link) {
            Ok(prober) => answered.extend(prober.ask(&here, PATIENCE).await),
            Err(error) => tracing::warn!(interface = name, %error, "addresses cannot be asked about"),
        }
    }
    answered
}

fn links(interfaces: &[String]) -> Vec<(String, LinkAddr, Vec<Ipv4Net>)> {
    let Ok(entries) = getifaddrs() else { return Vec::new() };
    let entries: Vec<_> = entries.collect();
    let of = |name: &String| {
        let own = entries.iter().filter(|e| e.interface_name == *name);
        let link = own.clone().find_map(|e| e.address.as_ref()?.as_link_addr().copied())?;
        let networks = own.filter_map(|e| {
            let ip = e.address.as_ref()?.as_sockaddr_in()?.ip();
            Ipv4Net::with_netmask(ip, e.netmask.as_ref()?.as_sockaddr_in()?.ip()).ok()
        });
        link.addr().filter(|mac| *mac != [0; 6])?;
        Some((name.clone(), link, networks.collect()))
    };
    interfaces.iter().filter_map(of).collect()
}

/// A socket that speaks ARP on one interface.
pub(crate) struct Prober {
    socket: UdpSocket,
    link: LinkAddr,
    own: [u8; 6],
}

impl Prober {
    /// Opens it; this needs CAP_NET_RAW.
    pub(crate) fn open(link: LinkAddr) -> io::Result<Prober> {
        let own = link.addr().ok_or_else(|| io::Error::other("not Ethernet"))?;
        let protocol = socket2::Protocol::from(i32::from(ARP.to_be()));
        let socket = socket2::Socket::new(socket2::Domain::PACKET, socket2::Type::RAW, Some(protocol))?;
        // The address says which interface, and no protocol, so that the socket's own stays.
        nix::sys::socket::bind(socket.as_raw_fd(), &link)?;
        socket.set_nonblocking(true)?;
        // Receiving works on a packet socket as on a UDP socket.
        Ok(Prober { socket: UdpSocket::from_std(socket.into())?, link, own })
    }

    /// Asks twice at most, and stops as soon as somebody has answered for each.
    pub(crate) async fn ask(&self, addresses: &[Ipv4Addr], patience: Duration) -> Vec<(Ipv4Addr, Mac)> {
        let mut answered: HashMap<Ipv4Addr, Mac> = HashMap::new();
        for _ in 0..2 {
            for address in addresses.iter().filter(|a| !answered.contains_key(a)) {
                if let Err(error) = self.send(*address) {
                    tracing::warn!(%address, %error, "an address could not be asked about");
                }
            }
            let end = Instant::now() + patience;
            while answered.len() < addresses.len() {
                let Ok(received) = tokio::time::timeout_at(end, self.receive()).await else { break };
                let Ok(received) = received else { break };
                let Some((address, mac)) = received else { continue };
                if addresses.contains(&address) && mac.0 != self.own {
                    answered.insert(address, mac);
                }
            }
        }
        answered.into_iter().collect()
    }

    pub(crate) fn send(&self, address: Ipv4Addr) -> io::Result<()> {
        let mut frame = Vec::with_capacity(FRAME);
        frame.extend_from_slice(&[0xff; 6]);
        frame.extend_from_slice(&self.own);
        frame.extend_from_slice(&ARP.to_be_bytes());
        // Ethernet, IPv4, their lengths, request.
        frame.extend_from_slice(&[0, 1, 8, 0, 6, 4, 0, 1]);
        frame.extend_from_slice(&self.own);
        frame.extend_from_slice(&[0; 4]);
        frame.extend_from_slice(&[0; 6]);
        frame.extend_from_slice(&address.octets());
        sendto(self.socket.as_raw_fd(), &frame, &self.link, MsgFlags::empty())?;
        Ok(())
    }

    /// The next ARP packet; `None` when it is not one of IPv4 over Ethernet.
    pub(crate) async fn receive(&self) -> io::Result<Option<(Ipv4Addr, Mac)>> {
        let mut frame = [0; 128];
        let length = self
            .socket
            .async_io(Interest::READABLE, || {
                let socket = self.socket.as_raw_fd();
                nix::sys::socket::recv(socket, &mut frame, MsgFlags::empty()).map_err(Into::into)
            })
            .await?;
        Ok(sender(&frame[..length.min(frame.len())]))
    }
}

/// Who says in an ARP packet that it has which address. A probe says nothing: its sender has none yet.
fn sender(frame: &[u8]) -> Option<(Ipv4Addr, Mac)> {
    let arp = frame.get(14..FRAME)?;
    if frame[12..14] != ARP.to_be_bytes()
        || arp[..6] != [0, 1, 8, 0, 6, 4]
        || !matches!(arp[6..8], [0, 1 | 2])
    {
        return None;
    }
    let mac: [u8; 6] = arp[8..14].try_into().ok()?;
    let address: [u8; 4] = arp[14..18].try_into().ok()?;
    let address = Ipv4Addr::from(address);
    (!address.is_unspecified()).then_some((address, Mac(mac)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_names_its_sender_and_a_probe_nobody() {
        let mut frame = vec![0; FRAME];
        frame[12..22].copy_from_slice(&[8, 6, 0, 1, 8, 0, 6, 4, 0, 2]);
        frame[22..28].copy_from_slice(&[2, 0, 0, 0, 0, 9]);
        assert_eq!(sender(&frame), None);
        frame[28..32].copy_from_slice(&[10, 0, 0, 9]);
        assert_eq!(sender(&frame), Some(([10, 0, 0, 9].into(), Mac([2, 0, 0, 0, 0, 9]))));
        for length in 0..FRAME {
            assert_eq!(sender(&frame[..length]), None);
        }
        frame[12] = 9;
        assert_eq!(sender(&frame), None);
    }
}
