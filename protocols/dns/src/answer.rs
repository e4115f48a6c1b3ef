//! Answers from zones (RFC 1034 section 4.3.2).

use crate::message::{Query, Section, Writer, class, flag, opcode, rcode};
use crate::name::Name;
use crate::record::{Data, RecordType};
use crate::zone::{Found, RecordSet, Zone, Zones};

/// Names that one name may lead to.
const ALIASES: usize = 8;
/// For how long the answer to ANY holds, seconds.
const ANY_TTL: u32 = 3600;
/// HINFO `RFC8482` with nothing more: the answer to ANY.
const ANY_DATA: &[u8] = b"\x07RFC8482\x00";

/// What is left to do for an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rest {
    /// Nothing.
    Done,
    /// Everything: the name lies in none of the zones.
    Elsewhere,
    /// The answer so far leads to this name, which lies in none of the zones.
    Follow(Name),
}

/// An answer being written.
#[derive(Debug)]
pub struct Answer<'b> {
    /// What is there so far. [`Writer::finish`] ends it.
    pub message: Writer<'b>,
    /// What is missing.
    pub rest: Rest,
}

/// The code with which a query is refused before anybody looks for its name, if it is.
pub fn refusal(query: &Query<'_>) -> Option<u16> {
    if query.opcode() != opcode::QUERY {
        return Some(rcode::NOT_IMPLEMENTED);
    }
    if query.edns.is_some_and(|edns| edns.version > 0) {
        return Some(rcode::BAD_VERSION);
    }
    let transfer = matches!(query.kind, RecordType::AXFR | RecordType::IXFR);
    (query.class != class::IN || transfer).then_some(rcode::REFUSED)
}

impl Zones {
    /// Answers a query, as far as these zones go.
    pub fn answer<'b>(&self, query: &Query<'_>, buffer: &'b mut Vec<u8>, limit: usize) -> Answer<'b> {
        let mut message = Writer::respond(query, buffer, limit);
        let rest = self.write(query, &mut message);
        Answer { message, rest }
    }

    fn write(&self, query: &Query<'_>, message: &mut Writer<'_>) -> Rest {
        let mut alias: Option<Name> = None;
        for _ in 0..=ALIASES {
            let name = alias.as_ref().map_or(query.name.wire(), Name::wire);
            let Some(zone) = self.holding(name) else {
                return alias.map_or(Rest::Elsewhere, Rest::Follow);
            };
            match zone.find(name, query.kind) {
                Found::Alias(set) => {
                    message.set(flag::AA);
                    add(message, Section::Answer, name, set, 0);
                    let Some(next) = set.data.first().map(|wire| Name::from_wire(wire)) else {
                        return Rest::Done;
                    };
                    alias = Some(next);
                    continue;
                }
                Found::Set(set) => {
                    message.set(flag::AA);
                    add(message, Section::Answer, name, set, usize::from(query.id));
                    self.add_addresses(message, set);
                }
                Found::Exists => {
                    message.set(flag::AA);
                    message.record(Section::Answer, name, RecordType::HINFO, ANY_TTL, ANY_DATA);
                }
                Found::Delegated(owner, set) => {
                    add(message, Section::Authority, owner.wire(), set, 0);
                    self.add_addresses(message, set);
                }
                Found::NoData => {
                    message.set(flag::AA);
                    if query.kind == RecordType::SOA && name == zone.origin().wire() {
                        let data = &zone.soa().wire;
                        message.record(Section::Answer, name, RecordType::SOA, zone.minimum(), data);
                    } else {
                        add_soa(message, zone);
                    }
                }
                Found::NoName => {
                    message.set(flag::AA);
                    message.code(rcode::NO_SUCH_NAME);
                    add_soa(message, zone);
                }
            }
            return Rest::Done;
        }
        // Names that lead round in a circle.
        message.code(rcode::SERVER_FAILURE);
        Rest::Done
    }

    /// The addresses of the names that a set points to go along, while there is room.
    fn add_addresses(&self, message: &mut Writer<'_>, set: &RecordSet) {
        if !matches!(set.kind, RecordType::NS | RecordType::MX | RecordType::SRV) {
            return;
        }
        for wire in &set.data {
            let target = Data { kind: set.kind, wire: wire.clone() }.target();
            let Some(target) = target else { continue };
            let Some(zone) = self.holding(target.wire()) else { continue };
            for addresses in zone.addresses(target.wire()) {
                add(message, Section::Additional, target.wire(), addresses, 0);
            }
        }
    }
}

/// Adds a set, beginning with another of its records each time.
fn add(message: &mut Writer<'_>, section: Section, name: &[u8], set: &RecordSet, turn: usize) {
    let count = set.data.len();
    for number in 0..count {
        let data = &set.data[(number + turn) % count];
        if !message.record(section, name, set.kind, set.ttl, data) {
            return;
        }
    }
}

fn add_soa(message: &mut Writer<'_>, zone: &Zone) {
    let name = zone.origin().wire();
    message.record(Section::Authority, name, RecordType::SOA, zone.minimum(), &zone.soa().wire);
}

#[cfg(test)]
mod tests;
