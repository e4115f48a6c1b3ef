//! Whole zones and differences as messages (RFC 5936, RFC 1995), each signed.

use crate::message::{Query, Writer, flag};
use crate::name::Name;
use crate::record::RecordType;
use crate::tsig::{self, Signer};
use crate::zone::{Record, Zone};

/// Bytes of one message: enough that there are few, and small enough for receivers with small buffers.
const MESSAGE: usize = 16_000;

/// What changed in a zone since a serial.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Difference {
    /// The serial that the asker has.
    pub since: u32,
    /// No longer in it.
    pub removed: Vec<Record>,
    /// New in it.
    pub added: Vec<Record>,
}

/// One record of a transfer.
type Line<'a> = (&'a Name, RecordType, u32, &'a [u8]);

/// The whole zone as answer to a query.
pub fn whole(query: &Query<'_>, zone: &Zone, signer: &mut Signer, now: u64) -> Vec<Vec<u8>> {
    let soa = soa(zone, &zone.soa().wire);
    write(query, std::iter::once(soa).chain(zone.records()).chain(std::iter::once(soa)), signer, now)
}

/// The differences as answer to a query; the start of authority alone when there are none.
pub fn difference(
    query: &Query<'_>,
    zone: &Zone,
    difference: Option<&Difference>,
    signer: &mut Signer,
    now: u64,
) -> Vec<Vec<u8>> {
    let present = soa(zone, &zone.soa().wire);
    let Some(difference) = difference else {
        return write(query, std::iter::once(present), signer, now);
    };
    let before = zone.soa_with(difference.since);
    let lines: Vec<Line<'_>> = [present, soa(zone, &before)]
        .into_iter()
        .chain(difference.removed.iter().map(line))
        .chain([present])
        .chain(difference.added.iter().map(line))
        .chain([present])
        .collect();
    write(query, lines.into_iter(), signer, now)
}

fn line(record: &Record) -> Line<'_> {
    (&record.name, record.data.kind, record.ttl, &record.data.wire)
}

fn soa<'a>(zone: &'a Zone, data: &'a [u8]) -> Line<'a> {
    (zone.origin(), RecordType::SOA, zone.minimum(), data)
}

fn write<'a>(
    query: &Query<'_>,
    lines: impl Iterator<Item = Line<'a>>,
    signer: &mut Signer,
    now: u64,
) -> Vec<Vec<u8>> {
    let room = tsig::room(signer);
    let mut messages = Vec::new();
    let mut lines = lines.peekable();
    while lines.peek().is_some() {
        let mut buffer = Vec::with_capacity(MESSAGE + room);
        let mut writer = Writer::respond(query, &mut buffer, MESSAGE);
        writer.set(flag::AA);
        let mut some = false;
        while let Some((name, kind, ttl, data)) = lines.peek() {
            if some && writer.room() < name.wire().len() + 10 + data.len() {
                break;
            }
            // A record longer than a message should be has one of its own.
            writer.record_alone(name.wire(), *kind, *ttl, data);
            some = true;
            lines.next();
        }
        writer.finish(query.edns);
        signer.sign(&mut buffer, now);
        messages.push(buffer);
    }
    messages
}
