//! ARP for IPv4 over Ethernet (RFC 826), and the questions of an active scan.

use super::{Mac, word};
use std::net::Ipv4Addr;

/// The sender's two addresses, of a question or an answer alike; none of a probe (RFC 5227 §2.1.1).
pub fn read(packet: &[u8]) -> Option<(Mac, Ipv4Addr)> {
    let header = packet.get(..8)?;
    if header[..6] != [0, 1, 8, 0, 6, 4] || !matches!(word(packet, 6)?, 1 | 2) {
        return None;
    }
    let mac: Mac = packet.get(8..14)?.try_into().ok()?;
    let address = Ipv4Addr::from(<[u8; 4]>::try_from(packet.get(14..18)?).ok()?);
    let real = !address.is_unspecified() && !address.is_multicast() && !address.is_broadcast();
    (real && !address.is_loopback() && mac[0] & 1 == 0 && mac != [0; 6]).then_some((mac, address))
}

/// The frame that asks everybody who has `target`, from a host that has `address`.
pub fn question(mac: Mac, address: Ipv4Addr, target: Ipv4Addr) -> Vec<u8> {
    let mut frame = vec![0xff; 6];
    frame.extend(mac);
    frame.extend([8, 6, 0, 1, 8, 0, 6, 4, 0, 1]);
    frame.extend(mac);
    frame.extend(address.octets());
    frame.extend([0; 6]);
    frame.extend(target.octets());
    frame
}
