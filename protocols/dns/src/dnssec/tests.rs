use super::*;
use crate::{Query, Rest, Zones};

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn record(owner: &str, kind: &str, data: &str) -> Record {
    let data = Data::parse(kind.parse().unwrap(), data).unwrap();
    Record { name: name(owner), ttl: 60, data }
}

fn records() -> Vec<Record> {
    vec![
        record("lab", "NS", "ns.lab"),
        record("ns.lab", "A", "10.0.0.1"),
        record("www.lab", "A", "10.0.0.2"),
        record("www.lab", "A", "10.0.0.3"),
        record("alias.lab", "CNAME", "www.lab"),
        record("deep.er.lab", "A", "10.0.0.4"),
        record("*.wild.lab", "TXT", "any"),
        record("sub.lab", "NS", "ns.sub.lab"),
        record("ns.sub.lab", "A", "10.0.0.5"),
    ]
}

fn key(number: u8) -> ZoneKey {
    ZoneKey::from_seed(&[number; SEED]).unwrap()
}

const NOW: u64 = 1_800_000_000;

fn signed_zone(serial: u32, plain: Vec<Record>, keys: &[ZoneKey], before: Option<&Zone>) -> Zone {
    let zone = Zone::new(name("lab"), serial, 30, plain.clone()).unwrap();
    let window = Window::at(&name("lab"), NOW);
    let added = sign(&zone, keys, window, before);
    Zone::new(name("lab"), serial, 30, plain.into_iter().chain(added)).unwrap()
}

/// Owner and type of each record of the answer, by section; and the code.
fn ask(zone: &Zone, owner: &str, kind: RecordType, dnssec: bool) -> (u16, Vec<String>) {
    let zones: Zones = [zone.clone()].into_iter().collect();
    let mut bytes = Vec::new();
    let mut writer = crate::Writer::begin(&mut bytes, 7, 0, 512);
    writer.ask(name(owner).wire(), kind, 1);
    writer.finish(Some(crate::Edns { size: 1232, version: 0, dnssec }));
    let query = Query::parse(&bytes).unwrap();
    let mut answer = Vec::new();
    let found = zones.answer(&query, &mut answer, 4000);
    assert_eq!(found.rest, Rest::Done);
    found.message.finish(query.edns);
    let word = |at: usize| usize::from(answer[at]) << 8 | usize::from(answer[at + 1]);
    let (mut at, mut lines) = (12 + name(owner).wire().len() + 4, Vec::new());
    for (section, count) in [(' ', word(6)), ('!', word(8)), ('+', word(10))] {
        for _ in 0..count {
            let record = crate::message::Record::read(&answer, at).unwrap();
            at = record.end;
            if record.kind == RecordType::OPT {
                assert_eq!(record.ttl & 0x8000 != 0, dnssec, "DO is said back");
                continue;
            }
            let covers = if record.kind == RecordType::RRSIG {
                let covers = word(record.data.start);
                format!("({})", RecordType(u16::try_from(covers).unwrap()))
            } else {
                String::new()
            };
            lines.push(format!("{section}{} {}{covers}", record.name, record.kind).trim().to_owned());
        }
    }
    assert_eq!(answer[3] & 0x20, 0, "an authority checks nothing, so AD is not set");
    (u16::from(answer[3] & 15), lines)
}

#[test]
fn the_key_and_its_digest_are_those_of_rfc_8080() {
    // Section 6.1: private key, DNSKEY, DS of example.com.
    let seed = [
        0x38, 0x32, 0x32, 0x36, 0x30, 0x33, 0x38, 0x34, 0x36, 0x32, 0x38, 0x30, 0x38, 0x30, 0x31, 0x32, 0x32,
        0x36, 0x34, 0x35, 0x31, 0x39, 0x30, 0x32, 0x30, 0x34, 0x31, 0x34, 0x32, 0x32, 0x36, 0x32,
    ];
    let key = ZoneKey::from_seed(&seed).unwrap();
    assert_eq!(tag(key.public()), 3613);
    let ds = above(&name("example.com"), key.public()).to_string();
    assert_eq!(ds, "\\# 36 0e1d0f023aa5ab37efce57f737fc1627013fee07bdf241bd10f3b1964ab55c78e79a304b");
}

#[test]
fn without_do_nobody_notices_that_the_zone_is_signed() {
    let zone = signed_zone(1, records(), &[key(1)], None);
    assert_eq!(
        ask(&zone, "www.lab", RecordType::A, false),
        (0, vec!["www.lab A".into(), "www.lab A".into()])
    );
    assert_eq!(ask(&zone, "no.lab", RecordType::A, false), (3, vec!["!lab SOA".into()]));
}

#[test]
fn answers_carry_signatures_and_what_is_not_there_is_proven() {
    let zone = signed_zone(1, records(), &[key(1)], None);
    let soa = ["!lab SOA", "!lab RRSIG(SOA)"];
    for (owner, kind, code, lines) in [
        ("www.lab", RecordType::A, 0, vec!["www.lab A", "www.lab A", "www.lab RRSIG(A)"]),
        (
            "alias.lab",
            RecordType::A,
            0,
            vec!["alias.lab CNAME", "alias.lab RRSIG(CNAME)", "www.lab A", "www.lab A", "www.lab RRSIG(A)"],
        ),
        ("alias.lab", RecordType::NSEC, 0, vec!["alias.lab NSEC", "alias.lab RRSIG(NSEC)"]),
        ("lab", RecordType::SOA, 0, vec!["lab SOA", "lab RRSIG(SOA)"]),
        ("lab", RecordType::DNSKEY, 0, vec!["lab DNSKEY", "lab RRSIG(DNSKEY)"]),
        ("lab", RecordType::NS, 0, vec!["lab NS", "lab RRSIG(NS)", "+ns.lab A", "+ns.lab RRSIG(A)"]),
        ("www.lab", RecordType::AAAA, 0, vec![soa[0], soa[1], "!www.lab NSEC", "!www.lab RRSIG(NSEC)"]),
        // A name that has nothing but names below it: the one before it spans it.
        ("er.lab", RecordType::A, 0, vec![soa[0], soa[1], "!alias.lab NSEC", "!alias.lab RRSIG(NSEC)"]),
        (
            "no.lab",
            RecordType::A,
            3,
            vec![
                soa[0],
                soa[1],
                "!deep.er.lab NSEC",
                "!deep.er.lab RRSIG(NSEC)",
                "!lab NSEC",
                "!lab RRSIG(NSEC)",
            ],
        ),
        (
            "x.wild.lab",
            RecordType::TXT,
            0,
            vec!["x.wild.lab TXT", "x.wild.lab RRSIG(TXT)", "!*.wild.lab NSEC", "!*.wild.lab RRSIG(NSEC)"],
        ),
        ("x.wild.lab", RecordType::A, 0, vec![soa[0], soa[1], "!*.wild.lab NSEC", "!*.wild.lab RRSIG(NSEC)"]),
        // Given away, and without a key that we know.
        (
            "a.sub.lab",
            RecordType::A,
            0,
            vec!["!sub.lab NS", "!sub.lab NSEC", "!sub.lab RRSIG(NSEC)", "+ns.sub.lab A"],
        ),
        ("sub.lab", RecordType::DS, 0, vec![soa[0], soa[1], "!sub.lab NSEC", "!sub.lab RRSIG(NSEC)"]),
    ] {
        let (got, seen) = ask(&zone, owner, kind, true);
        let seen: Vec<&str> = seen.iter().map(String::as_str).collect();
        assert_eq!((got, seen), (code, lines), "{owner} {kind}");
    }
}

#[test]
fn what_has_not_changed_is_not_signed_again_and_another_week_signs_all() {
    let before = signed_zone(1, records(), &[key(1)], None);
    let mut plain = records();
    plain.push(record("new.lab", "A", "10.0.0.9"));
    let zone = Zone::new(name("lab"), 2, 30, plain).unwrap();
    let window = Window::at(&name("lab"), NOW);
    let lines = |records: Vec<Record>| -> BTreeSet<Record> { records.into_iter().collect() };
    let anew = lines(sign(&zone, &[key(1)], window, None));
    assert_eq!(anew, lines(sign(&zone, &[key(1)], window, Some(&before))), "the same bytes either way");
    let old: BTreeSet<Record> =
        lines(sign(&Zone::new(name("lab"), 1, 30, records()).unwrap(), &[key(1)], window, None));
    // The start of authority; the new name, its link and the link that now leads to it; each link with its signature.
    assert_eq!((anew.difference(&old).count(), old.difference(&anew).count()), (6, 3));
    let later = Window::at(&name("lab"), NOW + PERIOD);
    let resigned = lines(sign(&zone, &[key(1)], later, Some(&before)));
    let kept = resigned.intersection(&anew).filter(|r| r.data.kind == RecordType::RRSIG).count();
    assert_eq!(kept, 0);
}

#[test]
fn signatures_hold_for_two_weeks_at_any_time_and_from_a_day_ago() {
    for zone in ["lab", "lab.example", "0.77.10.in-addr.arpa"] {
        for hours in 0..400 {
            let now = NOW + hours * 3600;
            let window = Window::at(&name(zone), now);
            assert!(window.inception + DAY <= now && now + 14 * DAY < window.expiration, "{zone} {hours}");
        }
    }
}

#[test]
fn while_keys_change_both_sign() {
    let zone = signed_zone(1, records(), &[key(1), key(2)], None);
    let (_, lines) = ask(&zone, "www.lab", RecordType::A, true);
    assert_eq!(lines.iter().filter(|line| line.contains("RRSIG")).count(), 2);
    let (_, lines) = ask(&zone, "lab", RecordType::DNSKEY, true);
    assert_eq!(lines, ["lab DNSKEY", "lab DNSKEY", "lab RRSIG(DNSKEY)", "lab RRSIG(DNSKEY)"]);
}
