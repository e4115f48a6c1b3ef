//! What another server answered, taken apart so that it can be kept and told again.

use crate::message::{HEADER, Query, Record, Section, Writer, class, flag, rcode, read_name};
use crate::name::Name;
use crate::record::RecordType;

/// A message from another server that may be the answer to a question of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// The whole answer.
    Whole(UsableReply),
    /// It did not fit: to be asked for by TCP.
    Cut,
}

/// An answer to pass on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsableReply {
    /// Its code.
    pub code: u16,
    /// How long it holds, seconds: as long as the first of its records, or as its start of authority says when there is
    /// nothing (RFC 2308 section 5).
    pub lifetime: u32,
    records: Vec<Kept>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Kept {
    section: u8,
    name: Name,
    kind: RecordType,
    ttl: u32,
    data: Box<[u8]>,
}

/// Sections by number, as kept.
const SECTIONS: [Section; 3] = [Section::Answer, Section::Authority, Section::Additional];

impl Reply {
    /// Reads an answer to the question `name`, `kind` that was asked under `id`; none when it is not one.
    pub fn read(message: &[u8], id: u16, name: &Name, kind: RecordType) -> Option<Self> {
        let word = |at: usize| message.get(at..at + 2).map(|b| u16::from_be_bytes([b[0], b[1]]));
        let flags = word(2)?;
        if word(0)? != id || flags & flag::QR == 0 || flags >> 11 & 15 != 0 || word(4)? != 1 {
            return None;
        }
        let (asked, mut at) = read_name(message, HEADER)?;
        if asked != *name || word(at)? != kind.0 || word(at + 2)? != class::IN {
            return None;
        }
        if flags & flag::TC != 0 {
            return Some(Self::Cut);
        }
        at += 4;
        let mut reply = UsableReply { code: flags & 15, lifetime: u32::MAX, records: Vec::new() };
        let mut denied = None;
        for (number, count) in [word(6)?, word(8)?, word(10)?].into_iter().enumerate() {
            for _ in 0..count {
                let record = Record::read(message, at)?;
                at = record.end;
                if record.class != class::IN || matches!(record.kind, RecordType::OPT | RecordType::TSIG) {
                    continue;
                }
                let data = whole(message, &record)?;
                if record.kind == RecordType::SOA && number == 1 && data.len() >= 4 {
                    let minimum = data.last_chunk::<4>().map_or(0, |b| u32::from_be_bytes(*b));
                    denied = Some(record.ttl.min(minimum));
                }
                reply.lifetime = reply.lifetime.min(record.ttl);
                let (name, kind, ttl) = (record.name, record.kind, record.ttl);
                reply.records.push(Kept {
                    section: u8::try_from(number).unwrap_or(2),
                    name,
                    kind,
                    ttl,
                    data,
                });
            }
        }
        let answers = reply.records.iter().any(|r| r.section == 0 && r.kind == kind);
        if !answers || reply.code != rcode::NO_ERROR {
            reply.lifetime = reply.lifetime.min(denied.unwrap_or(0));
        }
        Some(Self::Whole(reply))
    }

    /// A query to another server, without recursion of ours: the question, recursion wished for, EDNS.
    pub fn ask(id: u16, name: &Name, kind: RecordType, dnssec: bool, unchecked: bool) -> Vec<u8> {
        let mut buffer = Vec::with_capacity(64);
        let flags = flag::RD | if unchecked { flag::CD } else { 0 };
        let mut message = Writer::begin(&mut buffer, id, flags, 512);
        message.ask(name.wire(), kind, class::IN);
        message.finish(Some(crate::Edns { size: 1232, version: 0, dnssec }));
        buffer
    }
}

impl UsableReply {
    /// Bytes that it takes in memory, about.
    pub fn size(&self) -> usize {
        self.records.iter().map(|r| 96 + r.name.wire().len() + r.data.len()).sum::<usize>() + 96
    }

    /// Writes it as the answer to a query, `age` seconds after it came.
    pub fn answer<'b>(
        &self,
        query: &Query<'_>,
        age: u32,
        buffer: &'b mut Vec<u8>,
        limit: usize,
    ) -> Writer<'b> {
        let mut message = Writer::respond(query, buffer, limit);
        message.code(self.code);
        self.write(&mut message, age, &SECTIONS);
        message
    }

    /// Adds it behind an answer that led to its name.
    pub fn follow(&self, message: &mut Writer<'_>, age: u32) {
        message.code(self.code);
        self.write(message, age, &SECTIONS[..2]);
    }

    fn write(&self, message: &mut Writer<'_>, age: u32, sections: &[Section]) {
        for record in &self.records {
            let Some(section) = sections.get(usize::from(record.section)) else { continue };
            let ttl = record.ttl.saturating_sub(age);
            if !message.record(*section, record.name.wire(), record.kind, ttl, &record.data) {
                return;
            }
        }
    }
}

/// The data of a record without pointers, which types of RFC 1035 may have inside.
fn whole(message: &[u8], record: &Record) -> Option<Box<[u8]>> {
    let (start, end) = (record.data.start, record.data.end);
    let (fixed, names) = match record.kind {
        RecordType::NS | RecordType::CNAME | RecordType::PTR => (0, 1),
        RecordType::MX => (2, 1),
        RecordType::SRV => (6, 1),
        RecordType::SOA => (0, 2),
        _ => return Some(message.get(start..end)?.into()),
    };
    let mut at = start + fixed;
    let mut data = message.get(start..at).filter(|_| at <= end)?.to_vec();
    for _ in 0..names {
        let (name, next) = read_name(message, at)?;
        data.extend_from_slice(name.wire());
        at = next;
    }
    data.extend_from_slice(message.get(at..end)?);
    Some(data.into())
}
