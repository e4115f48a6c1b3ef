use super::*;
use crate::message::{Edns, MAX_UDP};
use crate::record::Data;
use crate::reply::Reply;
use crate::zone::Record;
use proptest::prelude::*;

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn record(owner: &str, kind: RecordType, text: &str) -> Record {
    Record { name: name(owner), ttl: 60, data: Data::parse(kind, text).unwrap() }
}

fn zones() -> Zones {
    let mut records = vec![
        record("lab", RecordType::NS, "ns.lab"),
        record("ns.lab", RecordType::A, "10.0.0.1"),
        record("node-1.lab", RecordType::A, "10.0.0.5"),
        record("node-1.lab", RecordType::AAAA, "fd00::5"),
        record("eth1.node-2.lab", RecordType::A, "10.0.1.6"),
        record("www.lab", RecordType::CNAME, "node-1.lab"),
        record("out.lab", RecordType::CNAME, "example.org"),
        record("a.lab", RecordType::CNAME, "b.lab"),
        record("b.lab", RecordType::CNAME, "a.lab"),
        record("*.web.lab", RecordType::A, "10.0.0.7"),
        record("sub.lab", RecordType::NS, "ns.sub.lab"),
        record("ns.sub.lab", RecordType::A, "10.0.0.9"),
        record("lab", RecordType::MX, "10 node-1.lab"),
    ];
    records.extend((0..200).map(|n| record("many.lab", RecordType::A, &format!("10.9.0.{n}"))));
    Zones::from_iter([Zone::new(name("lab"), 7, 30, records).unwrap()])
}

fn ask(owner: &str, kind: RecordType, edns: Option<Edns>) -> Vec<u8> {
    let mut buffer = Vec::new();
    let mut writer = Writer::begin(&mut buffer, 77, flag::RD, 512);
    writer.ask(name(owner).wire(), kind, class::IN);
    writer.finish(edns);
    buffer
}

/// Flags without QR and RD, and the records of the answer as text.
fn asked(owner: &str, kind: RecordType) -> (u16, Vec<String>) {
    let query = ask(owner, kind, None);
    let query = Query::parse(&query).unwrap();
    let mut buffer = Vec::new();
    let answer = zones().answer(&query, &mut buffer, 4096);
    assert_eq!(answer.rest, Rest::Done, "{owner}");
    answer.message.finish(query.edns);
    (flags(&buffer), shown(&buffer))
}

fn flags(message: &[u8]) -> u16 {
    u16::from_be_bytes([message[2], message[3]]) & !(flag::QR | flag::RD)
}

fn shown(message: &[u8]) -> Vec<String> {
    let (_, mut at) = crate::message::read_name(message, 12).unwrap();
    at += 4;
    let mut lines = Vec::new();
    while at < message.len() {
        let record = crate::message::Record::read(message, at).unwrap();
        let data = Data { kind: record.kind, wire: message[record.data.clone()].into() };
        lines.push(format!("{} {} {data}", record.name, record.kind));
        at = record.end;
    }
    lines
}

#[test]
fn a_name_is_answered_with_authority() {
    assert_eq!(asked("node-1.lab", RecordType::A), (flag::AA, vec!["node-1.lab A 10.0.0.5".into()]));
    assert_eq!(asked("node-1.lab", RecordType::AAAA), (flag::AA, vec!["node-1.lab AAAA fd00::5".into()]));
}

#[test]
fn an_alias_is_followed_to_its_end() {
    let expected = vec!["www.lab CNAME node-1.lab".to_owned(), "node-1.lab A 10.0.0.5".into()];
    assert_eq!(asked("www.lab", RecordType::A), (flag::AA, expected));
}

#[test]
fn what_is_not_there_is_denied_with_the_start_of_authority() {
    let (flags, lines) = asked("nobody.lab", RecordType::A);
    assert_eq!((flags, lines.len()), (flag::AA | rcode::NO_SUCH_NAME, 1));
    assert!(lines[0].starts_with("lab SOA"), "{lines:?}");
    let (flags, lines) = asked("node-1.lab", RecordType::TXT);
    assert_eq!((flags, lines.len()), (flag::AA, 1), "the name is there");
    assert_eq!(asked("node-2.lab", RecordType::A).0, flag::AA, "a name is below it, so it exists");
}

#[test]
fn a_wildcard_stands_for_names_that_are_not_there() {
    assert_eq!(asked("x.web.lab", RecordType::A).1, ["x.web.lab A 10.0.0.7"]);
    assert_eq!(asked("x.y.web.lab", RecordType::A).1, ["x.y.web.lab A 10.0.0.7"]);
    assert_eq!(asked("web.lab", RecordType::A).0, flag::AA);
}

#[test]
fn what_others_have_is_referred_to_them_with_their_addresses() {
    let (flags, lines) = asked("host.sub.lab", RecordType::A);
    assert_eq!((flags, lines), (0, vec!["sub.lab NS ns.sub.lab".to_owned(), "ns.sub.lab A 10.0.0.9".into()]));
}

#[test]
fn mail_goes_with_addresses_and_any_gets_little() {
    let (_, lines) = asked("lab", RecordType::MX);
    assert_eq!(lines[0], "lab MX 10 node-1.lab");
    assert!(lines.contains(&"node-1.lab A 10.0.0.5".to_owned()));
    assert_eq!(asked("many.lab", RecordType::ANY).1.len(), 1);
}

#[test]
fn aliases_in_a_circle_end() {
    assert_eq!(asked("a.lab", RecordType::A).0 & 15, rcode::SERVER_FAILURE);
}

#[test]
fn what_leads_out_of_the_zones_is_left_to_the_caller() {
    let mut buffer = Vec::new();
    let query = ask("out.lab", RecordType::A, None);
    let query = Query::parse(&query).unwrap();
    let answer = zones().answer(&query, &mut buffer, 512);
    assert_eq!(answer.rest, Rest::Follow(name("example.org")));
    let query = ask("example.org", RecordType::A, None);
    let query = Query::parse(&query).unwrap();
    assert_eq!(zones().answer(&query, &mut buffer, 512).rest, Rest::Elsewhere);
}

#[test]
fn what_does_not_fit_is_cut() {
    let mut buffer = Vec::new();
    let query = ask("many.lab", RecordType::A, Some(Edns { size: 4096, version: 0, dnssec: false }));
    let query = Query::parse(&query).unwrap();
    assert_eq!(query.udp_limit(), MAX_UDP);
    zones().answer(&query, &mut buffer, query.udp_limit()).message.finish(query.edns);
    assert_eq!(flags(&buffer) & flag::TC, flag::TC);
    assert!(buffer.len() < 100, "nothing but question and EDNS");
    zones().answer(&query, &mut buffer, 65535).message.finish(query.edns);
    assert_eq!((flags(&buffer) & flag::TC, shown(&buffer).len()), (0, 201));
}

#[test]
fn the_case_of_the_asker_is_kept() {
    let mut query = ask("node-1.lab", RecordType::A, None);
    query[13] = b'N';
    let query = Query::parse(&query).unwrap();
    let mut buffer = Vec::new();
    zones().answer(&query, &mut buffer, 512).message.finish(None);
    assert_eq!(&buffer[12..19], b"\x06Node-1");
    assert_eq!(shown(&buffer), ["node-1.lab A 10.0.0.5"]);
}

#[test]
fn what_another_server_said_is_read_and_told_again() {
    let query = ask("www.lab", RecordType::A, None);
    let query = Query::parse(&query).unwrap();
    let mut buffer = Vec::new();
    zones().answer(&query, &mut buffer, 512).message.finish(None);
    let Some(Reply::Whole(reply)) = Reply::read(&buffer, 77, &name("www.lab"), RecordType::A) else {
        panic!("not read")
    };
    assert_eq!(reply.lifetime, 60);
    let mut again = Vec::new();
    reply.answer(&query, 20, &mut again, 512).finish(None);
    assert_eq!(shown(&again), shown(&buffer));
    assert_eq!(Reply::read(&buffer, 78, &name("www.lab"), RecordType::A), None);
    assert_eq!(Reply::read(&buffer, 77, &name("xyz.lab"), RecordType::A), None);
}

#[test]
fn a_denial_holds_as_long_as_its_start_of_authority_says() {
    let query = ask("nobody.lab", RecordType::A, None);
    let query = Query::parse(&query).unwrap();
    let mut buffer = Vec::new();
    zones().answer(&query, &mut buffer, 512).message.finish(None);
    let Some(Reply::Whole(reply)) = Reply::read(&buffer, 77, &name("nobody.lab"), RecordType::A) else {
        panic!("not read")
    };
    assert_eq!((reply.code, reply.lifetime), (rcode::NO_SUCH_NAME, 30));
}

#[test]
fn odd_queries_are_refused() {
    let with = |kind, class, opcode: u16, version| {
        let mut buffer = Vec::new();
        let mut writer = Writer::begin(&mut buffer, 1, opcode << 11, 512);
        writer.ask(name("lab").wire(), kind, class);
        writer.finish(Some(Edns { size: 512, version: 0, dnssec: false }));
        let at = buffer.len() - 5;
        buffer[at] = version;
        refusal(&Query::parse(&buffer).unwrap())
    };
    assert_eq!(with(RecordType::A, 1, 0, 0), None);
    assert_eq!(with(RecordType::TXT, 3, 0, 0), Some(rcode::REFUSED), "CHAOS");
    assert_eq!(with(RecordType::AXFR, 1, 0, 0), Some(rcode::REFUSED));
    assert_eq!(with(RecordType::SOA, 1, 5, 0), Some(rcode::NOT_IMPLEMENTED), "UPDATE");
    assert_eq!(with(RecordType::A, 1, 0, 1), Some(rcode::BAD_VERSION));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let mut buffer = Vec::new();
        if let Ok(query) = Query::parse(&bytes) {
            let limit = query.udp_limit();
            zones_small().answer(&query, &mut buffer, limit).message.finish(query.edns);
            prop_assert!(buffer.len() <= limit.max(512));
        }
        Reply::read(&bytes, 0, &name("lab"), RecordType::A);
    }

    #[test]
    fn a_message_with_some_bytes_changed_makes_no_panic(at in 0usize..80, to: u8, cut in 0usize..120) {
        let query = ask("www.lab", RecordType::A, None);
        let parsed = Query::parse(&query).unwrap();
        let mut message = Vec::new();
        zones_small().answer(&parsed, &mut message, 512).message.finish(None);
        let at = at % message.len();
        message[at] = to;
        message.truncate(message.len().saturating_sub(cut % 40));
        Reply::read(&message, 77, &name("www.lab"), RecordType::A);
        message[2] &= 0x7f;
        if let Ok(query) = Query::parse(&message) {
            let mut buffer = Vec::new();
            zones_small().answer(&query, &mut buffer, 512).message.finish(query.edns);
        }
    }
}

fn zones_small() -> Zones {
    let records =
        [record("www.lab", RecordType::CNAME, "node-1.lab"), record("node-1.lab", RecordType::A, "10.0.0.5")];
    Zones::from_iter([Zone::new(name("lab"), 7, 30, records).unwrap()])
}
