use rackwright_common::clock::FixedClock;
use rackwright_dhcp::{ClientKey, Lease, LeaseState, MacAddr};

use super::*;

const MEMORY: Uuid = Uuid::from_u128(7);

fn lease(number: u64, last: u8, client: u8, seconds: u64) -> Record {
    let lease = Lease {
        address: Ipv4Addr::new(10, 0, 0, last),
        client: ClientKey::ethernet(MacAddr([2, 0, 0, 0, 0, client])),
        state: LeaseState::Bound,
        expires: 9,
    };
    Record::Lease { number, lease, seconds, dynamic: true, epoch: Some(1) }
}

fn open(untold: &[Record]) -> (LeaseExchange, mpsc::Receiver<LeaseNews>) {
    let exchange = LeaseExchange::default();
    let clock = Steady::new(Arc::new(FixedClock::at(1_000)));
    let news = exchange.open((MEMORY, 3), untold, 5, clock);
    (exchange, news)
}

fn numbers(exchange: &LeaseExchange) -> Vec<u64> {
    exchange.report().unwrap().facts.iter().map(|f| f.number).collect()
}

fn news(life: u64, stored: u64) -> LeaseNews {
    LeaseNews {
        rack: 1,
        memory: MEMORY,
        life,
        sent_at: 1_000,
        blocks: None,
        after: 5,
        upto: 5,
        whole: false,
        stored,
        words: vec![],
        live: vec![],
    }
}

#[test]
fn nothing_is_told_before_dhcp_is_served() {
    assert!(LeaseExchange::default().report().is_none());
}

#[test]
fn what_is_durable_is_told_until_a_region_has_stored_it() {
    let (exchange, mut worker) = open(&[lease(4, 1, 1, 600)]);
    exchange.publish(&[lease(6, 2, 2, 600), Record::CaughtUp { number: 7, change: 8 }], 8);
    let report = exchange.report().unwrap();
    assert_eq!((report.life, report.sent_at, report.after, report.learned), (3, 1_000, 0, 8));
    assert_eq!(numbers(&exchange), [4, 6, 7]);
    assert!(exchange.take(news(3, 6)), "7 is left");
    assert_eq!((numbers(&exchange), exchange.report().unwrap().after), (vec![7], 6));
    assert_eq!(worker.try_recv().unwrap().stored, 6);
    assert!(!exchange.take(news(2, 7)));
    assert_eq!(numbers(&exchange), [7], "that answer was for an earlier start");
    assert!(worker.try_recv().is_err());
}

#[test]
fn a_renewal_makes_the_report_before_needless_unless_a_promise_stands_between() {
    let (exchange, _worker) = open(&[]);
    exchange.publish(&[lease(1, 1, 1, 600), lease(2, 1, 1, 600)], 5);
    assert_eq!(numbers(&exchange), [2]);
    exchange
        .publish(&[Record::CaughtUp { number: 3, change: 6 }, lease(4, 1, 1, 600), lease(5, 1, 1, 60)], 6);
    assert_eq!(numbers(&exchange), [2, 3, 4, 5], "a shorter one does not say it all");
    exchange.publish(&[lease(6, 1, 2, 600)], 6);
    assert_eq!(numbers(&exchange), [2, 3, 4, 5, 6], "nor does another client's");
}

#[test]
fn records_that_are_no_reports_are_not_told() {
    let (exchange, _worker) = open(&[]);
    let Record::Lease { lease: fixed, .. } = lease(1, 1, 1, 600) else { panic!("a lease") };
    let fixed = Record::Lease { number: 1, lease: fixed, seconds: 60, dynamic: false, epoch: None };
    exchange.publish(&[fixed, Record::Dropped { address: [10, 0, 0, 1].into() }], 5);
    assert!(numbers(&exchange).is_empty());
}
