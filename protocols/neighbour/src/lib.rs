//! What the frames on a cable tell of who is there: ARP (RFC 826), neighbour discovery (RFC 4861), multicast DNS (RFC
//! 6762) and LLDP (IEEE 802.1AB). Bytes in, sightings out; no sockets, and no bytes whatever make it panic.
//!
//! A sighting is what a sender says of itself. Questions about others, probes of addresses that nobody has yet (RFC
//! 5227) and duplicate-address detection say nothing and give nothing.

pub mod arp;
pub mod filter;
pub mod lldp;
pub mod mdns;
pub mod nd;

pub use lldp::Lldp;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An Ethernet address.
pub type Mac = [u8; 6];

const ARP: u16 = 0x0806;
const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
const VLAN: u16 = 0x8100;
const UDP: u8 = 17;
const ICMPV6: u8 = 58;

/// Somebody said something of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// Who.
    pub mac: Mac,
    /// An address that it has.
    pub address: Option<IpAddr>,
    /// What it calls itself in multicast DNS, without `.local`.
    pub hostname: Option<String>,
    /// It is the other end of this cable.
    pub lldp: Option<Lldp>,
}

/// What an Ethernet frame says; a VLAN tag is stepped over.
pub fn read(frame: &[u8]) -> Option<Sighting> {
    let sender: Mac = frame.get(6..12)?.try_into().ok()?;
    if sender[0] & 1 == 1 || sender == [0; 6] {
        return None;
    }
    let (kind, payload) = match word(frame, 12)? {
        VLAN => (word(frame, 16)?, frame.get(18..)?),
        kind => (kind, frame.get(14..)?),
    };
    let plain = |mac, address| Sighting { mac, address: Some(address), hostname: None, lldp: None };
    match kind {
        ARP => arp::read(payload).map(|(mac, address)| plain(mac, address.into())),
        lldp::ETHERTYPE => lldp::read(payload).map(|l| Sighting {
            mac: sender,
            address: None,
            hostname: None,
            lldp: Some(l),
        }),
        IPV4 => {
            let source = Ipv4Addr::from(<[u8; 4]>::try_from(payload.get(12..16)?).ok()?);
            let header = usize::from(payload.first()? & 15) * 4;
            let udp = payload.get(header..).filter(|_| header >= 20 && payload[9] == UDP)?;
            named(sender, source.into(), udp)
        }
        IPV6 => {
            let source = Ipv6Addr::from(<[u8; 16]>::try_from(payload.get(8..24)?).ok()?);
            let rest = payload.get(40..)?;
            match *payload.get(6)? {
                // A receiver ignores what has passed a router (RFC 4861 §7.1).
                ICMPV6 if payload.get(7) == Some(&255) => {
                    nd::read(source, rest).map(|(mac, address)| plain(mac.unwrap_or(sender), address.into()))
                }
                UDP => named(sender, source.into(), rest),
                _ => None,
            }
        }
        _ => None,
    }
}

/// An answer of multicast DNS in a UDP datagram that names its own sender.
fn named(mac: Mac, source: IpAddr, udp: &[u8]) -> Option<Sighting> {
    if word(udp, 0)? != mdns::PORT || word(udp, 2)? != mdns::PORT {
        return None;
    }
    let hostname = mdns::name_of(udp.get(8..)?, source)?;
    Some(Sighting { mac, address: Some(source), hostname: Some(hostname), lldp: None })
}

/// Two bytes, most significant first.
fn word(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at.checked_add(2)?)?.try_into().ok()?))
}

#[cfg(test)]
mod tests;
