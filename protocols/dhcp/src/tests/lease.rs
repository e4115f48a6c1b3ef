//! Who gets which address.

use super::*;

fn at(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 77, 0, last)
}

#[test]
fn an_offer_is_exact_to_the_byte() {
    let fixed = Host { boot: HostBoot::Never, ..host(udhcpc().mac().unwrap(), &[at(20)]) };
    let outcome = Server::new(config_with(vec![fixed])).ask(&udhcpc());
    assert_eq!(outcome.changes, []);
    let reply = sent(outcome);
    assert_eq!(reply.to, Destination::Link { mac: udhcpc().mac().unwrap(), address: at(20) });
    let mut expected = vec![2, 1, 6, 0, 0xc1, 0x66, 0xe4, 0x46, 0, 0, 0, 0, 0, 0, 0, 0, 10, 77, 0, 20];
    expected.resize(28, 0);
    expected.extend_from_slice(&[2, 0, 0, 0x77, 0, 0x10]);
    expected.resize(236, 0);
    expected.extend_from_slice(&[99, 130, 83, 99, 53, 1, 2, 54, 4, 10, 77, 0, 1]);
    expected.extend_from_slice(&[51, 4, 0, 0, 2, 88, 58, 4, 0, 0, 1, 44, 59, 4, 0, 0, 2, 13]);
    expected
        .extend_from_slice(&[1, 4, 255, 255, 255, 0, 3, 4, 10, 77, 0, 1, 6, 8, 10, 77, 0, 1, 10, 77, 0, 2]);
    expected.extend_from_slice(b"\x0c\x06node-1\x0f\x0blab.example\x2a\x04\x0a\x4d\x00\x03");
    expected.extend_from_slice(&[61, 7, 1, 2, 0, 0, 0x77, 0, 0x10, 255]);
    expected.resize(expected.len().max(300), 0);
    assert_eq!(reply.encode(), expected);
}

#[test]
fn replies_have_the_length_of_bootp_at_least() {
    let mut server = Server::new(config());
    let nak = sent(server.ask(&init_reboot(mac(1), Ipv4Addr::new(192, 0, 2, 9))));
    assert_eq!(nak.encode().len(), 300);
}

#[test]
fn an_offered_address_is_held_until_its_time_is_over() {
    let mut server = Server::new(config());
    let offered: std::collections::BTreeSet<Ipv4Addr> = (1..=4).map(|n| server.offer(mac(n))).collect();
    assert_eq!(offered.into_iter().collect::<Vec<_>>(), [at(100), at(101), at(102), at(103)]);
    assert_eq!(server.silent(&message(MessageType::Discover, mac(5))), Reason::PoolEmpty);
    server.now += 119;
    assert_eq!(server.silent(&message(MessageType::Discover, mac(5))), Reason::PoolEmpty);
    server.now += 1;
    server.offer(mac(5));
}

#[test]
fn a_client_is_offered_the_same_address_again() {
    let mut server = Server::new(config());
    let first = server.offer(mac(1));
    assert_eq!(server.offer(mac(1)), first, "while the offer stands");
    server.now += 500;
    assert_eq!(server.offer(mac(1)), first, "after it ended");
    assert_eq!(Server::new(config()).offer(mac(1)), first, "from a server that lost its memory");
}

#[test]
fn racing_clients_do_not_meet() {
    let mut server = Server::new(config());
    let (a, b) = (server.offer(mac(1)), server.offer(mac(2)));
    assert_ne!(a, b);
    assert_eq!(server.acknowledged(&selecting(mac(2), b)), b);
    assert_eq!(server.acknowledged(&selecting(mac(1), a)), a);
}

#[test]
fn an_acknowledged_lease_is_what_has_to_be_durable() {
    let mut server = Server::new(config());
    let address = server.offer(mac(1));
    let outcome = server.ask(&selecting(mac(1), address));
    let lease =
        Lease { address, client: ClientKey::ethernet(mac(1)), state: LeaseState::Bound, expires: NOW + 600 };
    assert_eq!(outcome.changes, std::slice::from_ref(&lease));
    let mut restarted = Server::new(config());
    restarted.leases.insert(lease);
    assert_eq!(restarted.acknowledged(&renewing(mac(1), address)), address);
    assert_eq!(restarted.refused(&init_reboot(mac(2), address)), Reason::Taken);
}

#[test]
fn the_longest_ended_lease_is_reused_when_no_address_is_fresh() {
    let mut server = Server::new(config());
    let mut order = Vec::new();
    for n in 1..=4 {
        server.now += 1;
        order.push(server.bind(mac(n)));
    }
    server.now += 700;
    assert_eq!(server.bind(mac(9)), order[0]);
    assert_eq!(server.bind(mac(3)), order[2], "and a client that returns gets its own");
}

#[test]
fn a_known_machine_always_gets_its_fixed_address_and_nobody_else_does() {
    let inside_the_pool = at(101);
    let mut server = Server::new(config_with(vec![host(mac(1), &[inside_the_pool])]));
    assert_eq!(server.bind(mac(1)), inside_the_pool);
    let others: Vec<Ipv4Addr> = (2..=4).map(|n| server.bind(mac(n))).collect();
    assert!(!others.contains(&inside_the_pool));
    assert_eq!(server.silent(&message(MessageType::Discover, mac(5))), Reason::PoolEmpty);
    server.now += 10_000;
    assert_eq!(server.refused(&init_reboot(mac(6), inside_the_pool)), Reason::Taken);
}

#[test]
fn a_fixed_address_that_another_client_still_holds_is_not_given_twice() {
    let mut server = Server::new(config());
    let address = server.bind(mac(2));
    server.config = config_with(vec![host(mac(1), &[address])]);
    let meanwhile = server.bind(mac(1));
    assert_ne!(meanwhile, address);
    assert_eq!(server.refused(&renewing(mac(2), address)), Reason::Taken, "the holder has to move");
    server.now += 601;
    assert_eq!(server.bind(mac(1)), address);
}

#[test]
fn a_machine_that_became_known_moves_at_its_next_boot_and_not_while_it_runs() {
    let mut server = Server::new(config());
    let dynamic = server.bind(mac(1));
    server.config = config_with(vec![host(mac(1), &[at(20)])]);
    assert_eq!(server.acknowledged(&renewing(mac(1), dynamic)), dynamic);
    assert_eq!(server.acknowledged(&selecting(mac(1), dynamic)), dynamic);
    assert_eq!(server.refused(&init_reboot(mac(1), dynamic)), Reason::HasFixed);
    assert_eq!(server.bind(mac(1)), at(20));
    assert_eq!(server.leases.get(dynamic).unwrap().state, LeaseState::Released, "one address a link");
}

#[test]
fn a_request_for_another_server_frees_our_offer() {
    let mut server = Server::new(config());
    let offered = server.offer(mac(1));
    let mut other = selecting(mac(1), Ipv4Addr::new(10, 77, 0, 200));
    other.options.set(code::SERVER_ID, [10, 77, 0, 9]);
    assert_eq!(server.silent(&other), Reason::OtherServer);
    assert_eq!(server.leases.get(offered), None);
}

#[test]
fn only_a_wrong_address_is_refused() {
    let mut server = Server::new(config());
    let elsewhere = Ipv4Addr::new(192, 168, 1, 5);
    assert_eq!(server.refused(&init_reboot(mac(1), elsewhere)), Reason::WrongNetwork);
    assert_eq!(server.refused(&renewing(mac(1), elsewhere)), Reason::WrongNetwork);
    assert_eq!(server.silent(&init_reboot(mac(1), at(50))), Reason::NotOurs, "another rack's block");
    assert_eq!(server.silent(&renewing(mac(1), at(50))), Reason::NotOurs);
    assert_eq!(server.acknowledged(&init_reboot(mac(1), at(102))), at(102), "ours, and free");
    let guest = Subnet { authoritative: false, ..subnet() };
    server.config = Config::new(vec![guest], vec![], boot_table(), Limits::default());
    assert_eq!(server.silent(&init_reboot(mac(1), elsewhere)), Reason::WrongNetwork);
}

#[test]
fn a_lease_outside_the_pools_is_extended_for_its_holder() {
    let mut server = Server::new(config());
    let learned = Lease {
        address: at(50),
        client: ClientKey::ethernet(mac(1)),
        state: LeaseState::Bound,
        expires: NOW + 9,
    };
    server.leases.insert(learned);
    assert_eq!(server.acknowledged(&renewing(mac(1), at(50))), at(50));
    assert_eq!(server.refused(&init_reboot(mac(2), at(50))), Reason::Taken);
}

#[test]
fn an_address_given_back_is_free_at_once_and_returns_to_its_last_holder() {
    let mut server = Server::new(config());
    let address = server.bind(mac(1));
    let mut release = message(MessageType::Release, mac(2));
    release.ciaddr = address;
    assert_eq!(server.silent(&release), Reason::NotOurs, "only the holder's word counts");
    release = message(MessageType::Release, mac(1));
    release.ciaddr = address;
    let outcome = server.ask(&release);
    assert_eq!(outcome.action, Action::Silent(Reason::Released));
    assert_eq!(outcome.changes[0].state, LeaseState::Released);
    assert_eq!(server.offer(mac(1)), address);
}

#[test]
fn a_declined_address_rests() {
    let mut server = Server::new(config());
    let address = server.bind(mac(1));
    let mut decline = selecting(mac(1), address);
    decline.options.set(code::MESSAGE_TYPE, [MessageType::Decline as u8]);
    assert_eq!(server.silent(&decline), Reason::Declined);
    assert_ne!(server.bind(mac(1)), address);
    assert_eq!(server.refused(&init_reboot(mac(1), address)), Reason::Taken);
    server.now += 600;
    assert_eq!(server.acknowledged(&init_reboot(mac(2), address)), address);
}

#[test]
fn inform_gets_parameters_and_no_lease() {
    let mut server = Server::new(config());
    let mut inform = message(MessageType::Inform, mac(1));
    assert_eq!(server.silent(&inform), Reason::NoAddress);
    inform.ciaddr = at(7);
    let outcome = server.ask(&inform);
    assert!(server.leases.is_empty() && outcome.changes.is_empty());
    let reply = sent(outcome);
    assert_eq!(reply.to, Destination::Address(at(7)));
    assert_eq!((reply.packet.yiaddr, reply.packet.ciaddr), (Ipv4Addr::UNSPECIFIED, at(7)));
    assert_eq!(reply.packet.options.get(code::LEASE_TIME), None);
    assert_eq!(reply.packet.options.short(code::MTU), Some(9000));
}

#[test]
fn replies_go_where_the_client_can_hear_them() {
    let mut server = Server::new(config());
    let mut discover = message(MessageType::Discover, mac(1));
    let address = server.offer(mac(1));
    assert_eq!(sent(server.ask(&discover)).to, Destination::Link { mac: mac(1), address });
    discover.flags = 0x8000;
    assert_eq!(sent(server.ask(&discover)).to, Destination::Broadcast);
    (discover.flags, discover.htype) = (0, 6);
    assert_eq!(sent(server.ask(&discover)).to, Destination::Broadcast, "not Ethernet");
    server.acknowledged(&selecting(mac(1), address));
    assert_eq!(sent(server.ask(&renewing(mac(1), address))).to, Destination::Address(address));
    let nak = server.ask(&renewing(mac(1), Ipv4Addr::new(192, 0, 2, 1)));
    assert_eq!(sent(nak).to, Destination::Broadcast);
}

#[test]
fn a_client_may_ask_for_a_shorter_lease_but_not_for_a_longer_one() {
    for (asked, given) in [(120u32, 120u32), (1, 60), (u32::MAX, 600)] {
        let mut discover = message(MessageType::Discover, mac(1));
        discover.options.set(code::LEASE_TIME, asked.to_be_bytes());
        let reply = sent(Server::new(config()).ask(&discover)).packet;
        assert_eq!(reply.options.long(code::LEASE_TIME), Some(given));
    }
}

#[test]
fn new_clients_are_admitted_at_a_bounded_rate_and_old_ones_always() {
    let limits = Limits { new_clients_burst: 2, new_clients_per_second: 1, ..Limits::default() };
    let mut server = Server::new(Config::new(vec![subnet()], vec![], boot_table(), limits));
    let old = server.bind(mac(1));
    server.offer(mac(2));
    assert_eq!(server.silent(&message(MessageType::Discover, mac(3))), Reason::RateLimited);
    assert_eq!(server.silent(&init_reboot(mac(3), at(103))), Reason::RateLimited);
    assert_eq!(server.acknowledged(&renewing(mac(1), old)), old);
    server.now += 1;
    server.offer(mac(3));
}

#[test]
fn the_servers_the_routers_and_the_networks_own_addresses_are_never_given() {
    let wide = Subnet {
        network: "10.77.0.0/29".parse().unwrap(),
        routers: vec![at(2)],
        pools: vec![pool([10, 77, 0, 0], [10, 77, 0, 7])],
        ..subnet()
    };
    let mut server = Server::new(Config::new(vec![wide], vec![], boot_table(), Limits::default()));
    let given: std::collections::BTreeSet<Ipv4Addr> = (1..=4).map(|n| server.bind(mac(n))).collect();
    assert_eq!(given.into_iter().collect::<Vec<_>>(), [at(3), at(4), at(5), at(6)]);
    assert_eq!(server.silent(&message(MessageType::Discover, mac(9))), Reason::PoolEmpty);
}

#[test]
fn what_is_no_clients_message_is_not_answered() {
    let mut server = Server::new(config());
    assert_eq!(server.silent(&message(MessageType::Offer, mac(1))), Reason::NotFromClient);
    assert_eq!(
        server.silent(&Packet { op: 2, ..message(MessageType::Discover, mac(1)) }),
        Reason::NotFromClient
    );
    let mut bootp = message(MessageType::Discover, mac(1));
    bootp.options.remove(code::MESSAGE_TYPE);
    assert_eq!(server.silent(&bootp), Reason::Bootp);
    assert_eq!(server.silent(&message(MessageType::Discover, MacAddr([0; 6]))), Reason::NoClient);
}

#[test]
fn usage_counts_live_addresses() {
    let mut server = Server::new(config());
    server.bind(mac(1));
    server.offer(mac(2));
    assert_eq!(server.leases.usage(&subnet(), NOW), (2, 4));
    assert_eq!(server.leases.usage(&subnet(), NOW + 300), (1, 4));
}
