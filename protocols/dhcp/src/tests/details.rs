//! What subnets and hosts say besides addresses; BOOTP; proxy and shadow mode; what a conflict before an offer does.

use super::*;

const PRINTER: u8 = 9;

fn with(more: Details, hosts: Vec<Host>) -> Server {
    Server::new(Config::new(vec![Subnet { more, ..subnet() }], hosts, boot_table(), Limits::default()))
}

fn asking_for(mut packet: Packet, codes: &[u8]) -> Packet {
    packet.options.set(code::PARAMETER_LIST, codes);
    packet
}

#[test]
fn options_of_the_subnet_and_of_the_host_go_to_who_asks() {
    let more = Details { options: vec![(224, b"far".to_vec()), (225, vec![7])], ..Details::default() };
    let own = Host { options: vec![(224, b"near".to_vec())], ..host(mac(PRINTER), &[]) };
    let mut server = with(more, vec![own]);
    let reply = sent(server.ask(&asking_for(message(MessageType::Discover, mac(PRINTER)), &[224, 225])));
    assert_eq!(reply.packet.options.get(224), Some(b"near".as_slice()));
    assert_eq!(reply.packet.options.get(225), Some([7].as_slice()));
    let reply = sent(server.ask(&asking_for(message(MessageType::Discover, mac(1)), &[224])));
    assert_eq!(reply.packet.options.get(224), Some(b"far".as_slice()));
    assert_eq!(reply.packet.options.get(225), None, "it was not asked for");
}

#[test]
fn static_routes_come_with_the_default_route_as_rfc_3442_has_them() {
    let routes = vec![("10.200.0.0/15".parse().unwrap(), [10, 77, 0, 9].into())];
    let mut server = with(Details { routes, ..Details::default() }, vec![]);
    let reply = sent(server.ask(&asking_for(message(MessageType::Discover, mac(1)), &[3, 121])));
    let expected = [15, 10, 200, 10, 77, 0, 9, 0, 10, 77, 0, 1];
    assert_eq!(reply.packet.options.get(code::CLASSLESS_ROUTES), Some(expected.as_slice()));
    let reply = sent(server.ask(&asking_for(message(MessageType::Discover, mac(1)), &[3])));
    assert_eq!(reply.packet.options.get(code::CLASSLESS_ROUTES), None);
}

#[test]
fn an_architecture_that_may_not_boot_here_gets_an_address_and_no_file() {
    let file_of = |firmware: &[u16], ipxe: &[u16], asked: &Packet| {
        let (boot_archs, ipxe_archs) = (Some(firmware.to_vec()), Some(ipxe.to_vec()));
        let mut server = with(Details { boot_archs, ipxe_archs, ..Details::default() }, vec![]);
        sent(server.ask(asked)).packet.options.text(code::BOOT_FILE)
    };
    assert_eq!(file_of(&[0], &[0, 7], &ovmf_pxe()), None);
    assert!(file_of(&[7], &[], &ovmf_pxe()).is_some());
    assert!(file_of(&[16], &[0], &ipxe_bios()).is_some());
    assert_eq!(file_of(&[0], &[7], &ipxe_bios()), None);
}

#[test]
fn bootp_gets_the_fixed_address_and_nobody_elses() {
    let fixed = Ipv4Addr::new(10, 77, 0, 20);
    let mut server = with(Details::default(), vec![host(mac(PRINTER), &[fixed])]);
    let bootp = |from| {
        let mut packet = message(MessageType::Discover, from);
        packet.options.remove(code::MESSAGE_TYPE);
        packet
    };
    let reply = sent(server.ask(&bootp(mac(PRINTER)))).packet;
    assert_eq!((reply.op, reply.yiaddr), (2, fixed));
    assert_eq!(reply.options.get(code::MESSAGE_TYPE), None);
    assert_eq!(reply.options.address(code::SUBNET_MASK), Some([255, 255, 255, 0].into()));
    assert_eq!(reply.options.get(code::LEASE_TIME), None, "it is for ever");
    assert_eq!(server.silent(&bootp(mac(1))), Reason::Bootp);
    assert!(server.leases.is_empty());
}

#[test]
fn a_proxy_offers_a_file_and_no_address_to_who_boots_only() {
    let mut server = with(Details { mode: Mode::Proxy, ..Details::default() }, vec![]);
    let reply = sent(server.ask(&ovmf_pxe()));
    let packet = &reply.packet;
    assert_eq!(
        (packet.yiaddr, packet.siaddr, reply.to),
        (Ipv4Addr::UNSPECIFIED, SERVER, Destination::Broadcast)
    );
    assert_eq!(packet.options.text(code::BOOT_FILE).as_deref(), Some("snponly.efi"));
    assert_eq!(packet.options.text(code::VENDOR_CLASS).as_deref(), Some("PXEClient"));
    assert_eq!(packet.options.get(code::VENDOR_SPECIFIC), Some([6, 1, 8, 255].as_slice()), "no port 4011");
    for absent in [code::LEASE_TIME, code::SUBNET_MASK, code::ROUTERS] {
        assert_eq!(packet.options.get(absent), None);
    }
    assert_eq!(server.silent(&udhcpc()), Reason::Proxy);
    let theirs = selecting(mac(1), Ipv4Addr::new(10, 77, 0, 100));
    assert_eq!(server.silent(&theirs), Reason::Proxy);
    assert!(server.leases.is_empty());
}

#[test]
fn in_shadow_mode_nothing_is_answered_or_held_and_what_would_be_is_known() {
    let fixed = Ipv4Addr::new(10, 77, 0, 20);
    let known = ovmf_pxe().mac().unwrap();
    let mut server = with(Details { mode: Mode::Shadow, ..Details::default() }, vec![host(known, &[fixed])]);
    assert_eq!(server.silent(&ovmf_pxe()), Reason::Shadow);
    assert!(server.leases.is_empty());
    let found = preview(&ovmf_pxe(), arrival(), &server.config, NOW).unwrap();
    assert_eq!(found.fixed, Some(fixed));
    assert_eq!(found.boot_file.as_deref(), Some("snponly.efi"));
    let stranger = preview(&udhcpc(), arrival(), &server.config, NOW).unwrap();
    assert_eq!((stranger.fixed, stranger.boot_file), (None, None));
}

#[test]
fn an_address_that_is_found_in_use_before_its_offer_is_set_aside_and_another_is_offered() {
    let mut server = Server::new(config());
    let discover = message(MessageType::Discover, mac(1));
    let first = server.offer(mac(1));
    let outcome = server.ask(&discover.decline(first, SERVER));
    assert_eq!(outcome.action, Action::Silent(Reason::Declined));
    assert_eq!(outcome.changes[0].state, LeaseState::Declined);
    let second = server.offer(mac(1));
    assert_ne!(second, first);
    let others: Vec<_> = (2..5).map(|n| server.ask(&message(MessageType::Discover, mac(n))).action).collect();
    assert!(!others.iter().any(|a| matches!(a, Action::Offer(reply) if reply.packet.yiaddr == first)));
}
