//! Two servers on one link that never talk to each other: each has blocks of its own, both know the same machines.

use std::collections::HashMap;

use super::hostile::Numbers;
use super::*;

const OTHER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);
const FIXED: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 20);

/// A server, its address, and what of it would survive a crash.
struct Rack {
    address: Ipv4Addr,
    config: Config,
    leases: Leases,
    durable: Leases,
}

impl Rack {
    fn new(address: Ipv4Addr, block: Pool) -> Rack {
        let subnet = Subnet { pools: vec![block], ..subnet() };
        let config = Config::new(vec![subnet], vec![host(mac(1), &[FIXED])], boot_table(), Limits::default());
        Rack { address, config, leases: Leases::new(), durable: Leases::new() }
    }

    fn ask(&mut self, packet: &Packet, now: u64) -> Action {
        let arrival = Arrival { server: self.address, broadcast: true };
        let outcome = respond(packet, arrival, &self.config, &mut self.leases, now);
        outcome.changes.into_iter().for_each(|lease| self.durable.insert(lease));
        outcome.action
    }
}

fn racks() -> [Rack; 2] {
    [
        Rack::new(SERVER, pool([10, 77, 0, 100], [10, 77, 0, 101])),
        Rack::new(OTHER, pool([10, 77, 0, 102], [10, 77, 0, 103])),
    ]
}

#[test]
fn both_offer_a_known_machine_its_address_and_it_keeps_it_when_its_server_dies() {
    let [mut a, mut b] = racks();
    let discover = message(MessageType::Discover, mac(1));
    for rack in [&mut a, &mut b] {
        let Action::Offer(reply) = rack.ask(&discover, NOW) else { panic!("no offer") };
        assert_eq!(reply.packet.yiaddr, FIXED);
    }
    let request = selecting(mac(1), FIXED);
    assert!(matches!(a.ask(&request, NOW), Action::Ack(_)));
    assert_eq!(b.ask(&request, NOW), Action::Silent(Reason::OtherServer));
    assert!(matches!(b.ask(&renewing(mac(1), FIXED), NOW + 550), Action::Ack(_)), "rebinding, by broadcast");
}

#[test]
fn neither_refuses_what_the_other_gave() {
    let [mut a, mut b] = racks();
    let Action::Offer(reply) = a.ask(&message(MessageType::Discover, mac(2)), NOW) else {
        panic!("no offer")
    };
    let given = reply.packet.yiaddr;
    a.ask(&selecting(mac(2), given), NOW);
    assert_eq!(b.ask(&renewing(mac(2), given), NOW + 1), Action::Silent(Reason::NotOurs));
    assert_eq!(b.ask(&init_reboot(mac(2), given), NOW + 1), Action::Silent(Reason::NotOurs));
}

#[test]
fn with_losses_and_crashes_no_address_has_two_holders() {
    for seed in 1..60u64 {
        let mut numbers = Numbers(seed * 0x9e37_79b9);
        let mut racks = racks();
        let mut held: HashMap<MacAddr, (Ipv4Addr, u64)> = HashMap::new();
        let mut now = NOW;
        for _ in 0..1500 {
            now += numbers.below(60) as u64;
            if numbers.below(20) == 0 {
                let rack = &mut racks[numbers.below(2)];
                rack.leases = rack.durable.clone();
            }
            let who = mac(1 + numbers.below(6) as u8);
            let alive = held.get(&who).filter(|(_, until)| *until > now).map(|(address, _)| *address);
            let request = match alive {
                Some(address) => renewing(who, address),
                None => match discover(&mut racks, &mut numbers, who, now) {
                    Some(request) => request,
                    None => continue,
                },
            };
            for rack in &mut racks {
                if numbers.below(4) == 0 {
                    continue; // lost on the way there
                }
                match rack.ask(&request, now) {
                    Action::Ack(reply) if numbers.below(5) > 0 => {
                        let until = now + u64::from(reply.packet.options.long(code::LEASE_TIME).unwrap());
                        held.insert(who, (reply.packet.yiaddr, until));
                    }
                    Action::Nak(..) => drop(held.remove(&who)),
                    Action::Ack(_) | Action::Offer(_) | Action::Silent(_) => {} // or on the way back
                }
            }
            let mut live: Vec<Ipv4Addr> = held.values().filter(|(_, t)| *t > now).map(|(a, _)| *a).collect();
            let holders = live.len();
            live.sort();
            live.dedup();
            assert_eq!(live.len(), holders, "seed {seed}: {held:?}");
        }
    }
}

/// DISCOVER to both, and the request for one of the offers that arrive.
fn discover(racks: &mut [Rack; 2], numbers: &mut Numbers, who: MacAddr, now: u64) -> Option<Packet> {
    let mut offers = Vec::new();
    for rack in racks {
        let lost = numbers.below(4) == 0;
        if let Action::Offer(reply) = rack.ask(&message(MessageType::Discover, who), now)
            && !lost
        {
            let mut request = selecting(who, reply.packet.yiaddr);
            request.options.set(code::SERVER_ID, rack.address.octets());
            offers.push(request);
        }
    }
    (!offers.is_empty()).then(|| offers.swap_remove(numbers.below(offers.len())))
}
