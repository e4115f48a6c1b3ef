//! Frames as hosts and switches send them.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use super::*;

const MAC: Mac = [0x52, 0x54, 0, 0xaa, 0, 7];

fn frame(kind: u16, payload: &[u8]) -> Vec<u8> {
    [&[0xff; 6][..], &MAC, &kind.to_be_bytes(), payload].concat()
}

fn tlv(kind: u8, value: &[u8]) -> Vec<u8> {
    [&[kind << 1 | (value.len() >> 8) as u8, value.len() as u8][..], value].concat()
}

fn lldp_frame() -> Vec<u8> {
    let pdu = [
        tlv(1, &[4, 2, 0, 0, 0, 0, 1]),
        tlv(2, b"\x05Ethernet1/7"),
        tlv(3, &[0, 120]),
        tlv(4, b"to rack 12"),
        tlv(5, b"leaf-12a"),
        tlv(127, &[0, 0x80, 0xc2, 1, 0, 100]),
        tlv(127, &[0, 0x12, 0x0f, 1, 3]),
        tlv(0, &[]),
    ];
    frame(lldp::ETHERTYPE, &pdu.concat())
}

fn ipv6(next: u8, hops: u8, source: Ipv6Addr, payload: &[u8]) -> Vec<u8> {
    let head = [0x60, 0, 0, 0, 0, payload.len() as u8, next, hops];
    frame(IPV6, &[&head[..], &source.octets(), &[0xff; 16], payload].concat())
}

/// An answer of a printer: a PTR of a service first, then its address under a name that is compressed.
fn mdns_frame() -> Vec<u8> {
    let mut dns = vec![0, 0, 0x84, 0, 0, 0, 0, 2, 0, 0, 0, 0];
    dns.extend(b"\x04_ipp\x04_tcp\x05local\0");
    dns.extend([0, 12, 0, 1, 0, 0, 0, 120, 0, 2, 0xc0, 12]);
    dns.extend(b"\x07Printer\xc0\x16");
    dns.extend([0, 1, 0x80, 1, 0, 0, 0, 120, 0, 4, 10, 77, 0, 9]);
    let udp = [&[0x14, 0xe9, 0x14, 0xe9, 0, 0, 0, 0][..], &dns].concat();
    let head = [0x45, 0, 0, 0, 0, 0, 0, 0, 255, 17, 0, 0, 10, 77, 0, 9, 224, 0, 0, 251];
    frame(IPV4, &[&head[..], &udp].concat())
}

#[test]
fn arp_tells_of_its_sender_and_a_probe_of_nobody() {
    let asks = arp::question(MAC, Ipv4Addr::new(10, 77, 0, 9), Ipv4Addr::new(10, 77, 0, 1));
    let seen = read(&asks).unwrap();
    assert_eq!((seen.mac, seen.address), (MAC, Some("10.77.0.9".parse().unwrap())));
    let probe = arp::question(MAC, Ipv4Addr::UNSPECIFIED, Ipv4Addr::new(10, 77, 0, 9));
    assert_eq!(read(&probe), None);
}

#[test]
fn neighbour_discovery_tells_of_its_sender() {
    let source: Ipv6Addr = "fe80::7".parse().unwrap();
    let target = [0xff; 16];
    let solicit = [&[135, 0, 0, 0, 0, 0, 0, 0][..], &target, &[1, 1], &MAC].concat();
    let seen = read(&ipv6(58, 255, source, &solicit)).unwrap();
    assert_eq!((seen.mac, seen.address), (MAC, Some(source.into())));
    assert_eq!(read(&ipv6(58, 64, source, &solicit)), None, "it came through a router");
    assert_eq!(
        read(&ipv6(58, 255, Ipv6Addr::UNSPECIFIED, &solicit)),
        None,
        "it only looks whether it is free"
    );
    let own: Ipv6Addr = "2001:db8::7".parse().unwrap();
    let advertise =
        [&[136, 0, 0, 0, 0x60, 0, 0, 0][..], &own.octets(), &[2, 1, 0x52, 0x54, 0, 1, 2, 3]].concat();
    let seen = read(&ipv6(58, 255, source, &advertise)).unwrap();
    assert_eq!((seen.mac, seen.address), ([0x52, 0x54, 0, 1, 2, 3], Some(own.into())));
}

#[test]
fn a_printer_tells_its_name() {
    let seen = read(&mdns_frame()).unwrap();
    assert_eq!(
        (seen.hostname.as_deref(), seen.address),
        (Some("printer"), Some("10.77.0.9".parse().unwrap()))
    );
    let mut of_another = mdns_frame();
    *of_another.last_mut().unwrap() = 10;
    assert_eq!(read(&of_another), None, "what it says of another address is not taken");
}

#[test]
fn a_switch_names_itself() {
    let seen = read(&lldp_frame()).unwrap();
    let neighbour = seen.lldp.unwrap();
    assert_eq!((neighbour.chassis.as_str(), neighbour.port.as_str()), ("02:00:00:00:00:01", "Ethernet1/7"));
    assert_eq!(neighbour.system.as_deref(), Some("leaf-12a"));
    assert_eq!(neighbour.description.as_deref(), Some("to rack 12"));
    assert_eq!(neighbour.vlan, Some(100));
    assert_eq!(lldp::read_frame(&lldp_frame()).unwrap(), neighbour);
}

#[test]
fn identifiers_come_in_several_kinds() {
    assert_eq!(lldp::identifier(&[5, 1, 10, 0, 0, 9], 4, 5).as_deref(), Some("10.0.0.9"));
    assert_eq!(lldp::identifier(&[7, 0xff, 0x00], 3, 4).as_deref(), Some("ff:00"));
    assert_eq!(lldp::identifier(&[], 3, 4), None);
}

#[test]
fn no_bytes_whatever_make_it_panic() {
    let asks = arp::question(MAC, Ipv4Addr::new(10, 77, 0, 9), Ipv4Addr::new(10, 77, 0, 1));
    let solicit = [&[135, 0, 0, 0, 0, 0, 0, 0][..], &[0xff; 16], &[1, 1], &MAC].concat();
    let nd = ipv6(58, 255, "fe80::7".parse().unwrap(), &solicit);
    for good in [asks, nd, mdns_frame(), lldp_frame()] {
        for cut in 0..good.len() {
            let _ = read(&good[..cut]);
            for value in 0..=255 {
                let mut bytes = good.clone();
                bytes[cut] = value;
                let _ = read(&bytes);
            }
        }
    }
    // Bytes of a fixed generator behind headers that lead deep.
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    for _ in 0..200_000 {
        let mut bytes = mdns_frame();
        for byte in &mut bytes[42..] {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            *byte = state as u8 & [0xff, 0x3f, 0x07][usize::from((state >> 8) as u8) % 3];
        }
        let _ = read(&bytes);
    }
}
