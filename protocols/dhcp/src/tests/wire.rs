//! Bytes to packets and back.

use super::*;
use proptest::prelude::*;

#[test]
fn the_ipxe_rom_is_read_whole() {
    let packet = ipxe_bios();
    assert_eq!(packet.xid, 0x8792_ca31);
    assert_eq!(packet.secs, 4);
    assert!(!packet.wants_broadcast());
    assert_eq!(packet.mac().unwrap().to_string(), "52:54:00:77:00:01");
    assert_eq!(packet.reply_limit(), 1444);
    assert_eq!(packet.options.message_type(), Some(MessageType::Discover));
    assert_eq!(packet.options.get(code::USER_CLASS), Some(&b"iPXE"[..]));
    assert_eq!(packet.options.get(code::IPXE).map(<[u8]>::len), Some(48));
    assert_eq!(packet.options.malformed(), &[] as &[u8]);
    let codes: Vec<u8> = packet.options.iter().map(|(code, _)| code).collect();
    assert_eq!(codes, [53, 57, 93, 94, 60, 77, 55, 175, 61, 97]);
}

#[test]
fn every_capture_survives_a_round_trip() {
    for hex in [
        include_str!("packets/ipxe-bios-discover.hex"),
        include_str!("packets/ipxe-uefi-discover.hex"),
        include_str!("packets/ovmf-pxe-discover.hex"),
        include_str!("packets/ovmf-http-discover.hex"),
        include_str!("packets/udhcpc-discover.hex"),
        include_str!("packets/dhclient-discover.hex"),
    ] {
        let packet = Packet::decode(&captured(hex)).unwrap();
        assert_eq!(Packet::decode(&packet.encode(1472)).unwrap(), packet);
    }
}

#[test]
fn our_encoding_of_a_capture_is_the_capture() {
    let bytes = captured(include_str!("packets/udhcpc-discover.hex"));
    assert_eq!(Packet::decode(&bytes).unwrap().encode(548), bytes);
}

#[test]
fn one_bad_option_costs_no_other() {
    let mut bytes = message(MessageType::Discover, mac(1)).encode(548);
    bytes.truncate(240);
    // A host name that is not UTF-8, a lease time of two bytes, relay information cut short inside, then good ones.
    bytes.extend_from_slice(&[
        12, 2, 0xff, 0xfe, 51, 2, 0, 1, 82, 3, 1, 9, 0, 94, 0, 53, 1, 1, 50, 4, 10, 77, 0, 101,
    ]);
    // And one that runs past the end.
    bytes.extend_from_slice(&[60, 200, b'P', b'X']);
    let packet = Packet::decode(&bytes).unwrap();
    assert_eq!(packet.options.message_type(), Some(MessageType::Discover));
    assert_eq!(packet.options.address(code::REQUESTED_ADDRESS), Some(Ipv4Addr::new(10, 77, 0, 101)));
    assert_eq!(packet.options.text(code::HOSTNAME).as_deref(), Some("\u{fffd}\u{fffd}"));
    assert_eq!(packet.options.long(code::LEASE_TIME), None);
    assert_eq!(packet.options.malformed(), [60]);
}

#[test]
fn a_split_option_is_joined_and_a_long_one_split() {
    let long: Vec<u8> = (0..600u16).map(|n| n as u8).collect();
    let mut packet = message(MessageType::Discover, mac(1));
    packet.options.set(code::VENDOR_SPECIFIC, long.clone());
    let bytes = packet.encode(1472);
    let heads: Vec<u8> = [243, 243 + 257, 243 + 514].map(|at: usize| bytes[at + 1]).to_vec();
    assert_eq!(heads, [255, 255, 90]);
    assert_eq!(Packet::decode(&bytes).unwrap().options.get(code::VENDOR_SPECIFIC), Some(&long[..]));
}

#[test]
fn overloaded_fields_are_options_file_before_sname() {
    let mut packet = message(MessageType::Discover, mac(1));
    packet.options.set(code::OVERLOAD, [3]);
    packet.options.set(code::VENDOR_SPECIFIC, *b"a");
    packet.file[..6].copy_from_slice(&[43, 1, b'b', 0, 0, 255]);
    packet.sname[..8].copy_from_slice(&[43, 1, b'c', 12, 2, b'n', b'1', 255]);
    let read = Packet::decode(&packet.encode(548)).unwrap();
    assert_eq!(read.options.get(code::VENDOR_SPECIFIC), Some(&b"abc"[..]));
    assert_eq!(read.options.text(code::HOSTNAME).as_deref(), Some("n1"));
    assert_eq!((read.file, read.sname), ([0; 128], [0; 64]));
    assert_eq!(read.options.get(code::OVERLOAD), None);
}

#[test]
fn what_does_not_fit_is_left_out_from_the_end_but_relay_information_stays() {
    let mut packet = message(MessageType::Discover, mac(1));
    for code in [60, 43, 66] {
        packet.options.set(code, vec![code; 200]);
    }
    packet.options.set(code::RELAY_INFO, [1, 1, 7]);
    let bytes = packet.encode(548);
    assert!(bytes.len() <= 548);
    let codes: Vec<u8> = Packet::decode(&bytes).unwrap().options.iter().map(|(code, _)| code).collect();
    assert_eq!(codes, [53, 60, 82]);
}

#[test]
fn what_is_no_message_is_an_error_and_bootp_has_no_options() {
    assert_eq!(Packet::decode(&[1; 235]), Err(DecodeError::Short(235)));
    let bootp = Packet::decode(&[1; 300]).unwrap();
    assert_eq!(bootp.options, Options::new());
    assert_eq!(bootp.hlen, 1);
}

#[test]
fn names_that_do_not_fit_their_field_are_refused() {
    let mut packet = message(MessageType::Discover, mac(1));
    assert!(packet.set_file(&"f".repeat(127)));
    assert!(!packet.set_file(&"f".repeat(128)));
    assert!(packet.set_sname(&"s".repeat(63)));
    assert!(!packet.set_sname(&"s".repeat(64)));
    assert_eq!((packet.file[126], packet.file[127], packet.sname[63]), (b'f', 0, 0));
}

#[test]
fn a_mac_reads_and_prints() {
    assert_eq!("52-54-00-AB-cd-01".parse::<MacAddr>().unwrap().to_string(), "52:54:00:ab:cd:01");
    for text in ["", "52:54:00:ab:cd", "52:54:00:ab:cd:01:02", "52:54:00:ab:cd:0g", "5254:00:ab:cd:01"] {
        assert!(text.parse::<MacAddr>().is_err(), "{text}");
    }
}

proptest! {
    #[test]
    fn any_bytes_decode_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..900)) {
        if let Ok(packet) = Packet::decode(&bytes) {
            prop_assert!(packet.encode(548).len() <= 548);
            Client::of(&packet);
        }
    }

    #[test]
    fn any_options_survive_a_round_trip(
        list in prop::collection::btree_map(
            (1u8..=254).prop_filter("fields of their own", |c| ![52, 53, 82].contains(c)),
            prop::collection::vec(any::<u8>(), 0..300), 0..4),
        fields in any::<([u8; 16], u32, u16, [u8; 4])>(),
    ) {
        let mut packet = message(MessageType::Request, mac(9));
        (packet.chaddr, packet.xid, packet.flags) = (fields.0, fields.1, fields.2);
        packet.yiaddr = fields.3.into();
        for (code, value) in list {
            packet.options.set(code, value);
        }
        prop_assert_eq!(Packet::decode(&packet.encode(1472)).unwrap(), packet);
    }
}

#[test]
fn a_client_names_itself_by_option_81_or_12_and_may_ask_for_silence() {
    let name = |fqdn: Option<&[u8]>| {
        let mut packet = message(MessageType::Request, mac(1));
        packet.options.set(code::HOSTNAME, "pc-1");
        if let Some(fqdn) = fqdn {
            packet.options.set(code::CLIENT_FQDN, fqdn);
        }
        Client::of(&packet).hostname
    };
    assert_eq!(name(None).as_deref(), Some("pc-1"));
    assert_eq!(name(Some(b"\x00\x00\x00desk.lab.example")).as_deref(), Some("desk.lab.example"));
    assert_eq!(name(Some(b"\x05\x00\x00\x04desk\x03lab\x00")).as_deref(), Some("desk"));
    assert_eq!(name(Some(b"\x08\x00\x00desk")), None, "the server is to enter nothing");
    for cut in [&b""[..], b"\x04", b"\x04\x00\x00", b"\x04\x00\x00\x3fshort", b"\x00\x00\x00"] {
        assert_eq!(name(Some(cut)).as_deref(), Some("pc-1"), "{cut:?}");
    }
}
