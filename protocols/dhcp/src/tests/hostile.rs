//! Floods, garbage and any order of anything: nothing panics, memory is bounded, no address has two holders.

use std::collections::HashMap;

use super::*;

/// xorshift64*: the tests need many numbers fast, and the same each time.
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() >> 33) as usize % bound
    }
}

/// Changes some bytes, and sometimes the length.
pub(crate) fn mutate(bytes: &mut Vec<u8>, numbers: &mut Numbers) {
    for _ in 0..numbers.below(8) {
        // Most changes are in the options, where decoding branches.
        let from = if numbers.below(3) == 0 { 0 } else { 240.min(bytes.len() - 1) };
        let at = from + numbers.below(bytes.len() - from);
        bytes[at] = [0, 1, 255, 82, 52, numbers.next() as u8][numbers.below(6)];
    }
    match numbers.below(10) {
        0 => bytes.truncate(1 + numbers.below(bytes.len())),
        1 => bytes.extend((0..numbers.below(300)).map(|_| numbers.next() as u8)),
        _ => {}
    }
}

#[test]
fn a_quarter_of_a_million_damaged_packets_do_no_damage() {
    let seeds = [
        captured(include_str!("packets/ipxe-bios-discover.hex")),
        captured(include_str!("packets/ovmf-pxe-discover.hex")),
        captured(include_str!("packets/udhcpc-discover.hex")),
        selecting(mac(1), Ipv4Addr::new(10, 77, 0, 101)).encode(548),
        renewing(mac(1), Ipv4Addr::new(10, 77, 0, 101)).encode(548),
    ];
    let mut server = Server::new(config_with(vec![host(mac(1), &[Ipv4Addr::new(10, 77, 0, 20)])]));
    let mut numbers = Numbers(0x5eed);
    let mut answers = 0;
    for round in 0..250_000usize {
        let mut bytes = seeds[round % seeds.len()].clone();
        mutate(&mut bytes, &mut numbers);
        let Ok(packet) = Packet::decode(&bytes) else { continue };
        server.now += u64::from(round % 64 == 0);
        let outcome = server.ask(&packet);
        if let Action::Offer(reply) | Action::Ack(reply) | Action::Nak(reply, _) = outcome.action {
            answers += 1;
            let encoded = reply.encode();
            assert!((300..=1472).contains(&encoded.len()));
            assert_eq!(
                Packet::decode(&encoded).unwrap().options.message_type(),
                reply.packet.options.message_type()
            );
        }
    }
    assert!(answers > 10_000, "the damage left too little to answer: {answers}");
    assert!(server.leases.len() <= 4 + 1);
}

#[test]
fn a_flood_of_made_up_clients_is_bounded_in_memory_and_rate() {
    let big = Subnet {
        network: "10.0.0.0/8".parse().unwrap(),
        pools: vec![pool([10, 0, 0, 2], [10, 255, 255, 254])],
        ..subnet()
    };
    let limits = Limits { leases: 1000, ..Limits::default() };
    let mut server = Server::new(Config::new(vec![big], vec![host(mac(1), &[])], boot_table(), limits));
    let mine = server.bind(mac(1));
    let mut offers = 0;
    for n in 0..100_000u32 {
        let [a, b, c, d] = n.to_be_bytes();
        server.now = NOW + u64::from(n / 1000);
        let outcome = server.ask(&message(MessageType::Discover, MacAddr([2, 1, a, b, c, d])));
        offers += u32::from(matches!(outcome.action, Action::Offer(_)));
    }
    assert!(offers <= 512 + 64 * 100, "{offers}");
    assert!(server.leases.len() <= 1000);
    assert_eq!(server.acknowledged(&renewing(mac(1), mine)), mine);
}

/// Clients that believe every acknowledgement, as real ones do.
#[test]
fn no_address_ever_has_two_holders() {
    for seed in 1..40u64 {
        let mut numbers = Numbers(seed * 0x9e37_79b9);
        let fixed = |n: u8, last| host(mac(n), &[Ipv4Addr::new(10, 77, 0, last)]);
        let configs = [
            config(),
            config_with(vec![fixed(1, 101), fixed(2, 20)]),
            config_with(vec![fixed(3, 101), fixed(4, 101)]),
        ];
        let mut server = Server::new(configs[0].clone());
        let mut durable = Leases::new();
        let mut held: HashMap<MacAddr, (Ipv4Addr, u64)> = HashMap::new();
        for _ in 0..3000 {
            let who = mac(1 + numbers.below(8) as u8);
            let address = Ipv4Addr::new(10, 77, 0, [20, 99, 100, 101, 102, 103][numbers.below(6)]);
            let mut gives_back = message(MessageType::Release, who);
            let packet = match numbers.below(12) {
                0..4 => message(MessageType::Discover, who),
                4 | 5 => selecting(who, address),
                6 => init_reboot(who, address),
                7 | 8 => match held.get(&who) {
                    Some((address, until)) if *until > server.now => renewing(who, *address),
                    _ => continue,
                },
                9 => {
                    let Some((address, _)) = held.remove(&who) else { continue };
                    gives_back.ciaddr = address;
                    gives_back
                }
                10 => {
                    server.now += numbers.below(400) as u64;
                    server.config = configs[numbers.below(3)].clone();
                    continue;
                }
                _ => {
                    // Killed and started again: what was durable is all it knows.
                    server.leases = durable.clone();
                    continue;
                }
            };
            let outcome = server.ask(&packet);
            outcome.changes.into_iter().for_each(|lease| durable.insert(lease));
            match outcome.action {
                Action::Ack(reply) => {
                    let until = server.now + u64::from(reply.packet.options.long(code::LEASE_TIME).unwrap());
                    held.insert(who, (reply.packet.yiaddr, until));
                    let mut holders =
                        held.iter().filter(|(_, (a, t))| *a == reply.packet.yiaddr && *t > server.now);
                    assert_eq!(holders.by_ref().count(), 1, "seed {seed}: {:?}", reply.packet.yiaddr);
                }
                Action::Nak(..) => drop(held.remove(&who)),
                Action::Offer(_) | Action::Silent(_) => {}
            }
        }
    }
}
