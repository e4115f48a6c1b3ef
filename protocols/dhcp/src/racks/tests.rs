use std::net::Ipv4Addr;

use super::*;
use crate::tests::*;
use crate::*;

const OWN: RackId = 1;
const OTHER: RackId = 2;
const FIXED: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 20);
const OWN_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 100);
const OTHERS_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 200);

fn block(epoch: u64, since: u64) -> Block {
    Block { pool: pool([10, 77, 0, 100], [10, 77, 0, 100]), epoch, since }
}

fn new_rack(records: Vec<Record>, boot: u128, now: u64) -> Member {
    let mut rack = Member::restore(OWN, Terms::default(), records, boot, now);
    rack.configure(config_with(vec![host(mac(9), &[FIXED])]), vec![block(1, 1)]);
    rack
}

/// A rack with a block of one address, heard at [`NOW`].
fn rack() -> Member {
    let mut rack = new_rack(vec![], 1, NOW);
    rack.learn(NOW, &[block(1, 1)], &batch(0, 1, vec![]));
    rack
}

fn batch(after: u64, upto: u64, words: Vec<Word>) -> Batch {
    Batch { after, upto, whole: false, stored: u64::MAX, words }
}

fn keep(address: Ipv4Addr, last: u8) -> Word {
    Word::Keep { address, client: ClientKey::ethernet(mac(last)) }
}

fn ask(rack: &mut Member, packet: &Packet, now: u64) -> Action {
    rack.respond(packet, arrival(), now).outcome.action
}

fn discover(rack: &mut Member, last: u8, now: u64) -> Option<Ipv4Addr> {
    match ask(rack, &message(MessageType::Discover, mac(last)), now) {
        Action::Offer(reply) => Some(reply.packet.yiaddr),
        Action::Silent(_) => None,
        other => panic!("{other:?}"),
    }
}

fn is_acknowledged(rack: &mut Member, packet: &Packet, now: u64) -> bool {
    match ask(rack, packet, now) {
        Action::Ack(_) => true,
        Action::Silent(_) => false,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_hash_is_pearsons_and_the_racks_share_the_clients_evenly() {
    let mut values: Vec<u8> = (0..=255).map(|byte| split::bucket(&[byte])).collect();
    values.sort_unstable();
    assert_eq!(values, (0..=255).collect::<Vec<u8>>(), "the table is a permutation");
    assert_eq!(split::bucket(&[]), 0, "RFC 3074 §6 begins with the length");
    assert_eq!(split::bucket(&[1]), 251, "and looks up its exclusive or with the last byte");
    let mut served = [0; 3];
    for number in 0..3000u32 {
        let [_, _, high, low] = number.to_be_bytes();
        let client = ClientKey::ethernet(MacAddr([0x52, 0x54, 0, 0x12, high, low]));
        let rack = responsible(&client, &[4, 7, 9]).unwrap();
        served[[4, 7, 9].iter().position(|r| *r == rack).unwrap()] += 1;
    }
    assert!(served.iter().all(|clients| (800..1200).contains(clients)), "{served:?}");
}

#[test]
fn one_rack_answers_first_and_the_other_steps_in() {
    let mut racks = [Split::new(OWN), Split::new(OTHER)];
    racks.iter_mut().for_each(|rack| rack.set_live([OTHER, OWN]));
    for last in 0..50 {
        let mut first = message(MessageType::Discover, mac(last));
        first.xid = u32::from(last);
        let answers = racks.each_mut().map(|rack| rack.answers(&first));
        assert_eq!(answers.iter().filter(|a| **a).count(), 1, "one answers client {last} first");
        assert!(racks.iter_mut().all(|rack| rack.answers(&first)), "both answer a repeated xid");
        let mut late = message(MessageType::Discover, mac(last));
        (late.xid, late.secs) = (1000 + u32::from(last), 3);
        assert!(racks.iter_mut().all(|rack| rack.answers(&late)), "both answer after three seconds");
        let mut alone = Split::new(OWN);
        alone.set_live([]);
        assert!(alone.answers(&first), "a rack whose fellows are dead answers all");
    }
}

#[test]
fn a_rack_that_no_region_has_heard_serves_fixed_addresses_only() {
    let mut rack = new_rack(vec![], 1, NOW);
    assert_eq!(discover(&mut rack, 9, NOW), Some(FIXED));
    assert_eq!(discover(&mut rack, 1, NOW), None);
    assert!(!is_acknowledged(&mut rack, &renewing(mac(1), OWN_ADDRESS), NOW), "nor does it refuse");
    rack.learn(NOW, &[block(1, 1)], &batch(0, 1, vec![]));
    assert_eq!(discover(&mut rack, 1, NOW), Some(OWN_ADDRESS));
}

#[test]
fn it_says_where_its_free_addresses_run_low_and_why_it_gives_none() {
    let mut rack = new_rack(vec![], 1, NOW);
    let ten = Block { pool: pool([10, 77, 0, 100], [10, 77, 0, 109]), epoch: 1, since: 1 };
    let asked = message(MessageType::Discover, mac(1));
    assert_eq!(ask(&mut rack, &asked, NOW), Action::Silent(Reason::Unheard));
    rack.learn(NOW, &[ten], &batch(0, 1, vec![]));
    assert_eq!(rack.low(NOW).len(), rack_networks() - 1, "those without a block");
    for last in 1..=7 {
        assert!(is_acknowledged(&mut rack, &selecting(mac(last), Ipv4Addr::new(10, 77, 0, 99 + last)), NOW));
    }
    assert_eq!(rack.low(NOW).len(), rack_networks(), "three of ten are free");
}

fn rack_networks() -> usize {
    config_with(vec![]).subnets().len()
}

#[test]
fn it_extends_what_it_learned_of_others_and_offers_it_again() {
    let mut rack = rack();
    let renewal = renewing(mac(1), OTHERS_ADDRESS);
    assert!(!is_acknowledged(&mut rack, &renewal, NOW), "it does not know the lease");
    rack.learn(NOW, &[block(1, 1)], &batch(1, 2, vec![keep(OTHERS_ADDRESS, 1)]));
    assert!(is_acknowledged(&mut rack, &renewal, NOW));
    assert!(is_acknowledged(&mut rack, &init_reboot(mac(1), OTHERS_ADDRESS), NOW));
    assert_eq!(discover(&mut rack, 1, NOW), Some(OTHERS_ADDRESS));
    assert!(!is_acknowledged(&mut rack, &renewing(mac(2), OTHERS_ADDRESS), NOW), "it is not this client's");
}

#[test]
fn unheard_it_stops_for_others_first_and_then_for_its_own() {
    let mut rack = rack();
    rack.learn(NOW, &[block(1, 1)], &batch(1, 2, vec![keep(OTHERS_ADDRESS, 1)]));
    assert!(is_acknowledged(&mut rack, &selecting(mac(2), OWN_ADDRESS), NOW));
    let (own, others) = (renewing(mac(2), OWN_ADDRESS), renewing(mac(1), OTHERS_ADDRESS));
    let Terms { own_seconds, others_seconds, .. } = Terms::default();
    assert!(is_acknowledged(&mut rack, &others, NOW + others_seconds - 1));
    assert!(!is_acknowledged(&mut rack, &others, NOW + others_seconds));
    assert!(is_acknowledged(&mut rack, &own, NOW + own_seconds - 1));
    assert!(!is_acknowledged(&mut rack, &own, NOW + own_seconds));
    rack.learn(NOW + own_seconds, &[block(1, 1)], &batch(2, 2, vec![]));
    assert!(is_acknowledged(&mut rack, &own, NOW + own_seconds));
    assert!(is_acknowledged(&mut rack, &others, NOW + own_seconds));
}

#[test]
fn an_address_whose_lease_ran_out_waits_for_the_regions_word() {
    let mut rack = rack();
    assert!(is_acknowledged(&mut rack, &selecting(mac(1), OWN_ADDRESS), NOW));
    assert_eq!(discover(&mut rack, 2, NOW + 1200), None, "another rack may have extended it");
    assert_eq!(discover(&mut rack, 1, NOW + 1200), Some(OWN_ADDRESS), "its client gets it at any time");
    rack.learn(NOW, &[block(1, 1)], &batch(1, 2, vec![Word::Drop { address: OWN_ADDRESS }]));
    assert_eq!(discover(&mut rack, 2, NOW + 1200), Some(OWN_ADDRESS));
}

#[test]
fn a_release_frees_nothing_before_the_lease_is_over() {
    let mut rack = rack();
    assert!(is_acknowledged(&mut rack, &selecting(mac(1), OWN_ADDRESS), NOW));
    let mut release = message(MessageType::Release, mac(1));
    release.ciaddr = OWN_ADDRESS;
    let answer = rack.respond(&release, arrival(), NOW + 1);
    assert_eq!(answer.outcome.action, Action::Silent(Reason::Released));
    assert_eq!(answer.records, vec![]);
    assert_eq!(discover(&mut rack, 2, NOW + 2), None);
    assert!(
        is_acknowledged(&mut rack, &renewing(mac(1), OWN_ADDRESS), NOW + 3),
        "the release was an old one"
    );
}

#[test]
fn a_drop_that_did_not_know_of_the_newest_lease_is_void() {
    let mut rack = rack();
    let request = selecting(mac(1), OWN_ADDRESS);
    let answer = rack.respond(&request, arrival(), NOW);
    let number = answer.records.iter().find_map(Record::number).unwrap();
    let drop_it =
        |upto, stored| Batch { stored, ..batch(1, upto, vec![Word::Drop { address: OWN_ADDRESS }]) };
    rack.learn(NOW, &[block(1, 1)], &drop_it(2, number - 1));
    assert_eq!(discover(&mut rack, 2, NOW), None);
    rack.learn(NOW, &[block(1, 1)], &drop_it(3, number));
    assert_eq!(discover(&mut rack, 2, NOW), Some(OWN_ADDRESS));
}

#[test]
fn a_block_gives_nothing_before_the_rack_has_caught_up_for_it() {
    let mut rack = new_rack(vec![], 1, NOW);
    rack.learn(NOW, &[block(2, 5)], &batch(0, 4, vec![]));
    assert_eq!(discover(&mut rack, 1, NOW), None);
    rack.learn(NOW, &[block(2, 5)], &batch(4, 5, vec![keep(OWN_ADDRESS, 1)]));
    assert_eq!(discover(&mut rack, 2, NOW), None);
    assert_eq!(discover(&mut rack, 1, NOW), Some(OWN_ADDRESS));
}

#[test]
fn answers_with_gaps_or_from_the_past_change_nothing() {
    let mut rack = rack();
    assert_eq!(rack.learn(NOW, &[], &batch(2, 3, vec![keep(OTHERS_ADDRESS, 1)])), vec![], "2 is missing");
    rack.learn(NOW, &[block(1, 1)], &batch(1, 4, vec![]));
    assert_eq!(rack.learn(NOW, &[], &batch(1, 3, vec![keep(OTHERS_ADDRESS, 1)])), vec![], "older than 4");
    assert_eq!(rack.learned(), 4);
    assert_eq!(discover(&mut rack, 2, NOW), Some(OWN_ADDRESS), "the block is still its");
}

#[test]
fn a_whole_batch_leaves_only_what_it_names_and_what_the_rack_itself_gave_unheard() {
    let mut rack = rack();
    rack.learn(NOW, &[block(1, 1)], &batch(1, 2, vec![keep(OTHERS_ADDRESS, 1)]));
    let answer = rack.respond(&selecting(mac(2), OWN_ADDRESS), arrival(), NOW);
    let number = answer.records.iter().find_map(Record::number).unwrap();
    let whole = |upto, stored| Batch { whole: true, stored, ..batch(0, upto, vec![]) };
    rack.learn(NOW, &[block(1, 1)], &whole(3, number - 1));
    assert!(!is_acknowledged(&mut rack, &renewing(mac(1), OTHERS_ADDRESS), NOW));
    assert!(is_acknowledged(&mut rack, &renewing(mac(2), OWN_ADDRESS), NOW));
    let mut moved = rack.clone();
    moved.learn(NOW, &[block(3, 4)], &whole(4, number - 1));
    assert_eq!(discover(&mut moved, 1, NOW), Some(OWN_ADDRESS), "the block was another's meanwhile");
    rack.learn(NOW, &[block(1, 1)], &whole(4, number + 9));
    assert_eq!(
        discover(&mut rack, 1, NOW),
        Some(OWN_ADDRESS),
        "the regions know the lease, and that it is over"
    );
}

#[test]
fn it_goes_on_from_its_records_unless_its_box_was_off() {
    let mut rack = new_rack(vec![], 1, NOW);
    let mut records = rack.learn(NOW, &[block(1, 1)], &batch(0, 1, vec![keep(OTHERS_ADDRESS, 1)]));
    records.extend(rack.respond(&selecting(mac(2), OWN_ADDRESS), arrival(), NOW).records);
    let own = renewing(mac(2), OWN_ADDRESS);
    let mut again = new_rack(records.clone(), 1, NOW + 60);
    assert_eq!(again.learned(), 1);
    assert!(is_acknowledged(&mut again, &own, NOW + 60));
    assert!(is_acknowledged(&mut again, &renewing(mac(1), OTHERS_ADDRESS), NOW + 60));
    let number = again.respond(&own, arrival(), NOW + 61).records.iter().find_map(Record::number);
    assert!(number > records.iter().filter_map(Record::number).max(), "numbers are not used again");
    let mut rebooted = new_rack(records.clone(), 2, NOW + 60);
    assert!(!is_acknowledged(&mut rebooted, &own, NOW + 60), "it may have been fenced");
    let mut set_back = new_rack(records, 1, NOW - 60);
    assert!(!is_acknowledged(&mut set_back, &own, NOW - 60), "its clock is wrong");
}

#[test]
fn its_records_written_anew_make_the_same_rack() {
    let mut rack = rack();
    rack.learn(NOW, &[block(1, 1)], &batch(1, 2, vec![keep(OTHERS_ADDRESS, 1)]));
    for packet in [selecting(mac(2), OWN_ADDRESS), selecting(mac(9), FIXED)] {
        assert!(is_acknowledged(&mut rack, &packet, NOW));
    }
    let again = Member::restore(OWN, Terms::default(), rack.records(), 1, NOW);
    assert_eq!(again.leases().iter().collect::<Vec<_>>(), rack.leases().iter().collect::<Vec<_>>());
    assert_eq!(again.records().collect::<Vec<_>>(), rack.records().collect::<Vec<_>>());
    assert_eq!((again.learned(), rack.leases().len()), (2, 3));
}

#[test]
fn damaged_packets_do_no_damage() {
    let seeds = [
        ipxe_bios().encode(548),
        selecting(mac(1), OWN_ADDRESS).encode(548),
        renewing(mac(1), OTHERS_ADDRESS).encode(548),
        init_reboot(mac(1), OTHERS_ADDRESS).encode(548),
    ];
    let mut rack = rack();
    rack.learn(NOW, &[block(1, 1)], &batch(1, 2, vec![keep(OTHERS_ADDRESS, 1)]));
    let mut numbers = hostile::Numbers(0x5eed);
    let mut answers = 0;
    for round in 0..50_000usize {
        let mut bytes = seeds[round % seeds.len()].clone();
        hostile::mutate(&mut bytes, &mut numbers);
        let Ok(packet) = Packet::decode(&bytes) else { continue };
        let answer = rack.respond(&packet, arrival(), NOW + round as u64 / 64);
        answers += usize::from(!matches!(answer.outcome.action, Action::Silent(_)));
    }
    assert!(answers > 1_000, "the damage left too little to answer: {answers}");
    assert!(rack.leases().len() <= 3, "{:?}", rack.leases());
    assert!(rack.leases().get(OTHERS_ADDRESS).is_some_and(|l| l.client == ClientKey::ethernet(mac(1))));
}

#[test]
fn a_row_goes_round_step_by_step() {
    let terms = Terms::default();
    let client = ClientKey::ethernet(mac(1));
    let held = Row::reported(None, true, &client, NOW, 7).unwrap();
    let late = NOW + terms.late_answer_seconds;
    assert_eq!(held.next(late, &terms, Some(9), Some(9)), Next::Stay);
    assert_eq!(held.next(late + 1, &terms, None, None), Next::Become(RowState::Ending));
    let ending = Row { state: RowState::Ending, change: 8, ..held.clone() };
    assert_eq!(ending.next(late, &terms, Some(8), Some(7)), Next::Stay, "another rack may extend it");
    assert_eq!(ending.next(late, &terms, Some(7), Some(8)), Next::Stay, "so may one that now owns the block");
    assert_eq!(ending.next(late, &terms, Some(8), Some(8)), Next::Become(RowState::Freed));
    let freed = Row { state: RowState::Freed, change: 9, ..held.clone() };
    assert_eq!(freed.next(late, &terms, Some(8), None), Next::Stay);
    assert_eq!(freed.next(late, &terms, Some(9), None), Next::Remove);
    let to = |row: &Row, owner| matches!(row.word(OWN_ADDRESS, owner), Word::Keep { .. });
    assert_eq!([&held, &ending, &freed].map(|row| to(row, true)), [true, true, false]);
    assert_eq!([&held, &ending, &freed].map(|row| to(row, false)), [true, false, false]);
}

#[test]
fn only_the_owner_reports_something_new() {
    let (one, two) = (ClientKey::ethernet(mac(1)), ClientKey::ethernet(mac(2)));
    assert_eq!(Row::reported(None, false, &one, NOW, 7), None);
    let held = Row::reported(None, true, &one, NOW, 7).unwrap();
    let extended = Row::reported(Some(&held), false, &one, NOW + 50, 8).unwrap();
    assert_eq!((extended.expires, extended.change), (NOW + 50, 8));
    assert_eq!(
        Row::reported(Some(&extended), false, &one, NOW, 9).unwrap().expires,
        NOW + 50,
        "never shorter"
    );
    assert_eq!(Row::reported(Some(&held), false, &two, NOW, 9), None);
    assert_eq!(Row::reported(Some(&held), true, &two, NOW, 9).unwrap().client, two);
    let ending = Row { state: RowState::Ending, ..held.clone() };
    assert_eq!(Row::reported(Some(&ending), false, &one, NOW, 9).unwrap().state, RowState::Held);
    let freed = Row { state: RowState::Freed, ..held };
    assert_eq!(Row::reported(Some(&freed), false, &one, NOW, 9), None, "the owner may have given it away");
}
