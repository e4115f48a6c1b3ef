//! Clients behind a relay, and several subnets on one link.

use super::*;

fn far() -> Subnet {
    Subnet {
        network: "10.88.0.0/24".parse().unwrap(),
        segment: 2,
        pools: vec![pool([10, 88, 0, 50], [10, 88, 0, 59])],
        ..subnet()
    }
}

fn two_links() -> Config {
    Config::new(vec![subnet(), far()], vec![], boot_table(), Limits::default())
}

const RELAY: Ipv4Addr = Ipv4Addr::new(10, 88, 0, 1);

fn relayed(mut packet: Packet) -> Packet {
    (packet.giaddr, packet.hops) = (RELAY, 1);
    packet
}

fn ask(server: &mut Server, packet: &Packet) -> Outcome {
    respond(packet, Arrival { server: SERVER, broadcast: false }, &server.config, &mut server.leases, NOW)
}

#[test]
fn the_relays_address_selects_the_subnet_and_gets_the_reply() {
    let mut server = Server::new(two_links());
    let reply = sent(ask(&mut server, &relayed(message(MessageType::Discover, mac(1)))));
    assert_eq!(reply.to, Destination::Relay(RELAY));
    assert!(far().is_dynamic(reply.packet.yiaddr));
    assert_eq!((reply.packet.giaddr, reply.packet.hops), (RELAY, 0));
    assert_eq!(reply.packet.options.address(code::SERVER_ID), Some(SERVER));
    let request = relayed(selecting(mac(1), reply.packet.yiaddr));
    assert_eq!(sent(ask(&mut server, &request)).to, Destination::Relay(RELAY));
    // It renews past the relay, by its own address.
    let renewed = sent(ask(&mut server, &renewing(mac(1), reply.packet.yiaddr)));
    assert_eq!(renewed.to, Destination::Address(reply.packet.yiaddr));
    assert_eq!(renewed.packet.yiaddr, reply.packet.yiaddr);
}

#[test]
fn relay_information_comes_back_as_the_last_option() {
    let mut packet = relayed(message(MessageType::Discover, mac(1)));
    let info = [1, 4, b'p', b'o', b'r', b't', 2, 2, 9, 9, 200, 1, 0];
    packet.options.set(code::RELAY_INFO, info);
    let bytes = sent(ask(&mut Server::new(two_links()), &packet)).encode();
    let tail = [&[82, 13][..], &info, &[255]].concat();
    let end = bytes.iter().rposition(|b| *b != 0).unwrap();
    assert_eq!(bytes[end + 1 - tail.len()..=end], tail);
}

#[test]
fn link_selection_beats_giaddr_and_the_server_identifier_can_be_the_relays() {
    let mut packet = message(MessageType::Discover, mac(1));
    packet.giaddr = Ipv4Addr::new(192, 0, 2, 1);
    packet.options.set(code::RELAY_INFO, [5, 4, 10, 88, 0, 0, 11, 4, 192, 0, 2, 1]);
    let mut server = Server::new(two_links());
    let reply = sent(ask(&mut server, &packet));
    assert!(far().is_dynamic(reply.packet.yiaddr));
    assert_eq!(reply.to, Destination::Relay(packet.giaddr));
    assert_eq!(reply.packet.options.address(code::SERVER_ID), Some(packet.giaddr));

    let mut request = packet.clone();
    request.options.set(code::MESSAGE_TYPE, [MessageType::Request as u8]);
    request.options.set(code::REQUESTED_ADDRESS, reply.packet.yiaddr.octets());
    request.options.set(code::SERVER_ID, packet.giaddr.octets());
    assert!(matches!(ask(&mut server, &request).action, Action::Ack(_)));
}

#[test]
fn a_relay_of_an_unknown_network_is_not_answered() {
    let mut packet = message(MessageType::Discover, mac(1));
    packet.giaddr = Ipv4Addr::new(192, 0, 2, 1);
    assert_eq!(Server::new(two_links()).silent(&packet), Reason::NoSubnet);
}

#[test]
fn a_refusal_through_a_relay_asks_it_to_broadcast() {
    let mut server = Server::new(two_links());
    let reply = sent(ask(&mut server, &relayed(init_reboot(mac(1), Ipv4Addr::new(10, 77, 0, 101)))));
    assert_eq!(reply.packet.options.message_type(), Some(MessageType::Nak));
    assert_eq!(reply.to, Destination::Relay(RELAY));
    assert!(reply.packet.wants_broadcast());
}

#[test]
fn a_link_with_two_subnets_uses_both() {
    let second = Subnet { segment: 1, pools: vec![pool([10, 88, 0, 50], [10, 88, 0, 50])], ..far() };
    let mut server =
        Server::new(Config::new(vec![subnet(), second], vec![], boot_table(), Limits::default()));
    let given: std::collections::BTreeSet<Ipv4Addr> = (1..=5).map(|n| server.bind(mac(n))).collect();
    assert_eq!(given.len(), 5);
    assert!(given.contains(&Ipv4Addr::new(10, 88, 0, 50)));
    assert_eq!(server.silent(&message(MessageType::Discover, mac(6))), Reason::PoolEmpty);
}
