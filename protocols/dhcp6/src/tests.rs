//! The server against messages as clients write them, and against anything.

use crate::{
    Arrival, Boot, Config, Declined, Host, Link, Message, Options, Packet, Step, Subnet, code, kind,
};
use proptest::prelude::*;
use std::collections::HashMap;
use std::net::Ipv6Addr;

const MAC: [u8; 6] = [0x52, 0x54, 0, 0, 0, 7];

fn config() -> Config {
    let subnet = Subnet {
        network: "fd00:77::/64".parse().unwrap(),
        ranges: vec![("fd00:77::1:0:0:0".parse().unwrap(), "fd00:77::1:ffff:ffff:ffff".parse().unwrap())],
        fixed: HashMap::from([([0x52, 0x54, 0, 0, 0, 9], "fd00:77::9".parse().unwrap())]),
        dns_servers: vec!["fd00:77::1".parse().unwrap()],
        ntp_servers: Vec::new(),
        domain: Some("lab.example".into()),
        valid: 600,
        boot_archs: None,
        ipxe_archs: None,
    };
    let link = Link { id: 3, subnets: vec![subnet], own: Some("fd00:77::1".parse().unwrap()) };
    let loaders = HashMap::from([(7, ("snponly.efi".to_owned(), Some("shimx64.efi".to_owned())))]);
    let boot = Boot { loaders, script: "/boot/ipxe?mac={mac}".into(), http_port: 5248, strangers: false };
    let hosts = HashMap::from([(MAC, Host { signed: false, http: true })]);
    Config { links: vec![link], hosts, uuids: HashMap::new(), boot }
}

fn duid(mac: [u8; 6]) -> Vec<u8> {
    [&[0, 3, 0, 1], &mac[..]].concat()
}

fn ia(address: Option<Ipv6Addr>) -> Vec<u8> {
    let mut bytes = [&7u32.to_be_bytes()[..], &[0; 8]].concat();
    if let Some(address) = address {
        let mut inner = Options::default();
        inner.add(code::IA_ADDRESS, [&address.octets()[..], &[0; 8]].concat());
        bytes.extend(inner.encode());
    }
    bytes
}

fn message(
    asked: u8,
    mac: [u8; 6],
    server: bool,
    address: Option<Ipv6Addr>,
    more: &[(u16, &[u8])],
) -> Vec<u8> {
    let mut options = Options::default();
    options.add(code::CLIENT_ID, duid(mac));
    if server {
        options.add(code::SERVER_ID, config().links[0].duid());
    }
    options.add(code::IA_NA, ia(address));
    for (code, value) in more {
        options.add(*code, *value);
    }
    Message { kind: asked, transaction: [1, 2, 3], options }.encode()
}

fn arrival() -> Arrival {
    Arrival { link: Some(3), from: "fe80::1".parse().unwrap(), multicast: true }
}

fn ask(datagram: &[u8], declined: &mut Declined) -> Option<crate::Answer> {
    config().respond(datagram, arrival(), declined)
}

/// Kind, and addresses with their valid life times.
fn read(bytes: &[u8]) -> (u8, Vec<(Ipv6Addr, u32)>) {
    let message = Packet::decode(bytes).unwrap().message;
    let mut found = Vec::new();
    for value in message.options.all(code::IA_NA) {
        for address in Options::decode(&value[12..]).all(code::IA_ADDRESS) {
            let valid = u32::from_be_bytes(address[20..24].try_into().unwrap());
            found.push((<[u8; 16]>::try_from(&address[..16]).unwrap().into(), valid));
        }
    }
    (message.kind, found)
}

#[test]
fn every_server_gives_a_client_the_same_address_and_extends_what_another_gave() {
    let (mut one, mut other) = (Declined::default(), Declined::default());
    let offer = ask(&message(kind::SOLICIT, MAC, false, None, &[]), &mut one).unwrap();
    let (said, offered) = read(&offer.bytes);
    assert_eq!((said, offer.step, offered.len()), (kind::ADVERTISE, Step::Offered, 1));
    let address = offered[0].0;
    let given = ask(&message(kind::REQUEST, MAC, true, Some(address), &[]), &mut other).unwrap();
    assert_eq!(read(&given.bytes), (kind::REPLY, vec![(address, 600)]));
    assert_eq!((given.step, given.address, given.mac), (Step::Given, Some(address), Some(MAC)));
    for (asked, named) in [(kind::RENEW, true), (kind::REBIND, false)] {
        let again = ask(&message(asked, MAC, named, Some(address), &[]), &mut Declined::default()).unwrap();
        assert_eq!(read(&again.bytes), (kind::REPLY, vec![(address, 600)]));
    }
}

#[test]
fn a_declined_address_is_not_offered_again_and_one_of_another_link_is_over() {
    let mut declined = Declined::default();
    let first =
        read(&ask(&message(kind::SOLICIT, MAC, false, None, &[]), &mut declined).unwrap().bytes).1[0].0;
    ask(&message(kind::DECLINE, MAC, true, Some(first), &[]), &mut declined).unwrap();
    let second =
        read(&ask(&message(kind::SOLICIT, MAC, false, None, &[]), &mut declined).unwrap().bytes).1[0].0;
    assert_ne!(first, second);
    // A server that does not know of it extends the second one all the same.
    let kept = ask(&message(kind::RENEW, MAC, true, Some(second), &[]), &mut Declined::default()).unwrap();
    assert_eq!(read(&kept.bytes).1, [(second, 600)]);

    let foreign: Ipv6Addr = "fd00:88::5".parse().unwrap();
    let moved = ask(&message(kind::RENEW, MAC, true, Some(foreign), &[]), &mut Declined::default()).unwrap();
    assert_eq!(read(&moved.bytes).1, [(first, 600), (foreign, 0)]);
    let confirm = |address| ask(&message(kind::CONFIRM, MAC, false, address, &[]), &mut Declined::default());
    let status = |answer: crate::Answer| {
        Packet::decode(&answer.bytes).unwrap().message.options.get(code::STATUS).map(<[u8]>::to_vec)
    };
    assert_eq!(status(confirm(Some(foreign)).unwrap()), Some(vec![0, 4]), "NotOnLink");
    assert_eq!(status(confirm(Some(first)).unwrap()), Some(vec![0, 0]));
    assert_eq!(confirm(None), None);
}

#[test]
fn reservations_rapid_commit_and_information_only() {
    let mut declined = Declined::default();
    let fixed = [0x52, 0x54, 0, 0, 0, 9];
    let rapid = ask(&message(kind::SOLICIT, fixed, false, None, &[(code::RAPID_COMMIT, &[])]), &mut declined)
        .unwrap();
    assert_eq!(read(&rapid.bytes), (kind::REPLY, vec![("fd00:77::9".parse().unwrap(), 600)]));
    let mut options = Options::default();
    options.add(code::OPTION_REQUEST, [0, 23, 0, 24]);
    let asked = Message { kind: kind::INFORMATION_REQUEST, transaction: [9; 3], options }.encode();
    let told = Packet::decode(&ask(&asked, &mut declined).unwrap().bytes).unwrap().message;
    assert_eq!(
        told.options.get(code::DNS_SERVERS),
        Some(&"fd00:77::1".parse::<Ipv6Addr>().unwrap().octets()[..])
    );
    assert_eq!(told.options.get(code::DOMAIN_SEARCH), Some(&b"\x03lab\x07example\0"[..]));
    assert_eq!(told.options.get(code::IA_NA), None);
}

#[test]
fn firmware_gets_its_loader_and_ipxe_its_script() {
    let class = |name: &str| [&[0, 0, 1, 87, 0, name.len() as u8], name.as_bytes()].concat();
    let boot = |more: &[(u16, &[u8])]| {
        ask(&message(kind::SOLICIT, MAC, false, None, more), &mut Declined::default()).unwrap().boot
    };
    let arch: (u16, &[u8]) = (code::CLIENT_ARCHITECTURE, &[0, 7]);
    let (pxe, http) = (class("PXEClient:Arch:00007"), class("HTTPClient:Arch:00016"));
    assert_eq!(boot(&[arch, (code::VENDOR_CLASS, &pxe)]).as_deref(), Some("tftp://[fd00:77::1]/snponly.efi"));
    assert_eq!(
        boot(&[arch, (code::VENDOR_CLASS, &http)]).as_deref(),
        Some("http://[fd00:77::1]:5248/boot/snponly.efi")
    );
    let script = boot(&[arch, (code::VENDOR_CLASS, &pxe), (code::USER_CLASS, b"\0\x04iPXE")]);
    assert_eq!(script.as_deref(), Some("http://[fd00:77::1]:5248/boot/ipxe?mac=52:54:00:00:00:07"));
    assert_eq!(boot(&[]), None);
    let stranger = ask(
        &message(kind::SOLICIT, [2; 6], false, None, &[arch, (code::VENDOR_CLASS, &pxe)]),
        &mut Declined::default(),
    );
    assert_eq!(stranger.unwrap().boot, None, "strangers do not boot here");
}

#[test]
fn a_relay_names_the_link_and_gets_back_what_it_said() {
    let mut outer = Options::default();
    outer.add(code::INTERFACE_ID, *b"port 4");
    outer.add(code::CLIENT_LINK_ADDRESS, [&[0, 1], &[0x52, 0x54, 0, 0, 0, 9][..]].concat());
    outer.add(code::RELAY_MESSAGE, message(kind::SOLICIT, MAC, false, None, &[]));
    let mut datagram = vec![kind::RELAY_FORW, 0];
    datagram.extend("fd00:77::fe".parse::<Ipv6Addr>().unwrap().octets());
    datagram.extend("fe80::5".parse::<Ipv6Addr>().unwrap().octets());
    datagram.extend(outer.encode());
    let from = Arrival { link: None, from: "fd00:1::1".parse().unwrap(), multicast: false };
    let answer = config().respond(&datagram, from, &mut Declined::default()).unwrap();
    let packet = Packet::decode(&answer.bytes).unwrap();
    assert_eq!(answer.bytes[0], kind::RELAY_REPL);
    assert_eq!(packet.relays[0].options.get(code::INTERFACE_ID), Some(&b"port 4"[..]));
    assert_eq!(packet.relays[0].peer, "fe80::5".parse::<Ipv6Addr>().unwrap());
    assert_eq!(answer.address, Some("fd00:77::9".parse().unwrap()), "the relay says whose it is");
    datagram[2..18].copy_from_slice(&"fd00:99::1".parse::<Ipv6Addr>().unwrap().octets());
    assert_eq!(
        config().respond(&datagram, from, &mut Declined::default()),
        None,
        "a network that nobody knows"
    );
}

#[test]
fn who_is_not_meant_does_not_answer() {
    let mut declined = Declined::default();
    let quiet = |datagram: &[u8], declined: &mut Declined| assert_eq!(ask(datagram, declined), None);
    quiet(&message(kind::REQUEST, MAC, false, None, &[]), &mut declined);
    quiet(&message(kind::REQUEST, MAC, false, None, &[(code::SERVER_ID, b"another")]), &mut declined);
    quiet(&message(kind::SOLICIT, MAC, true, None, &[]), &mut declined);
    quiet(&message(kind::REPLY, MAC, true, None, &[]), &mut declined);
    let unicast = Arrival { multicast: false, ..arrival() };
    assert_eq!(
        config().respond(&message(kind::SOLICIT, MAC, false, None, &[]), unicast, &mut declined),
        None
    );
    let elsewhere = Arrival { link: Some(4), ..arrival() };
    assert_eq!(
        config().respond(&message(kind::SOLICIT, MAC, false, None, &[]), elsewhere, &mut declined),
        None
    );
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..300), asked in 0u8..15) {
        if let Some(first) = bytes.first_mut() {
            *first = asked;
        }
        drop(ask(&bytes, &mut Declined::default()));
    }

    #[test]
    fn a_damaged_message_costs_no_more_than_itself(at in 0usize..60, byte: u8) {
        let mut bytes = message(kind::REQUEST, MAC, true, Some("fd00:77::5".parse().unwrap()), &[(code::OPTION_REQUEST, &[0, 23])]);
        let at = at % bytes.len();
        bytes[at] = byte;
        if let Some(answer) = ask(&bytes, &mut Declined::default()) {
            prop_assert!(Packet::decode(&answer.bytes).is_some());
        }
    }
}
