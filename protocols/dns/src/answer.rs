//! Answers from zones (RFC 1034 section 4.3.2).

use crate::message::{Query, Section, Writer, class, flag, opcode, rcode};
use crate::name::Name;
use crate::record::{Data, RecordType};
use crate::zone::{self, Found, Node, RecordSet, Zone, Zones};

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
        let wanted = query.edns.is_some_and(|edns| edns.dnssec);
        let mut alias: Option<Name> = None;
        for _ in 0..=ALIASES {
            let name = alias.as_ref().map_or(query.name.wire(), Name::wire);
            let Some(zone) = self.answering(name, query.kind) else {
                return alias.map_or(Rest::Elsewhere, Rest::Follow);
            };
            let lookup = zone.find(name, query.kind);
            let node = lookup.node;
            let mut part = Part { zone, proven: wanted && zone.is_signed(), message };
            if !matches!(lookup.found, Found::Delegated(..)) {
                part.message.set(flag::AA);
            }
            match lookup.found {
                Found::Alias(set) => {
                    part.add(Section::Answer, name, set, node, 0);
                    part.prove_wildcard(name, lookup.encloser);
                    let Some(next) = set.data.first().map(|wire| Name::from_wire(wire)) else {
                        return Rest::Done;
                    };
                    alias = Some(next);
                    continue;
                }
                Found::Set(set) => {
                    part.add(Section::Answer, name, set, node, usize::from(query.id));
                    part.prove_wildcard(name, lookup.encloser);
                    self.add_addresses(message, set, wanted);
                }
                Found::Exists => {
                    message.record(Section::Answer, name, RecordType::HINFO, ANY_TTL, ANY_DATA);
                }
                Found::Delegated(owner, set) => {
                    part.delegate(owner, set, node);
                    self.add_addresses(message, set, wanted);
                }
                Found::NoData if query.kind == RecordType::SOA && name == zone.origin().wire() => {
                    part.add_soa(Section::Answer);
                }
                Found::NoData => {
                    part.add_soa(Section::Authority);
                    part.deny(name, lookup.encloser);
                }
                Found::NoName => {
                    part.message.code(rcode::NO_SUCH_NAME);
                    part.add_soa(Section::Authority);
                    part.deny(name, lookup.encloser);
                }
            }
            return Rest::Done;
        }
        // Names that lead round in a circle.
        message.code(rcode::SERVER_FAILURE);
        Rest::Done
    }

    /// The addresses of the names that a set points to go along, while there is room.
    fn add_addresses(&self, message: &mut Writer<'_>, set: &RecordSet, proven: bool) {
        if !matches!(set.kind, RecordType::NS | RecordType::MX | RecordType::SRV) {
            return;
        }
        for wire in &set.data {
            let target = Data { kind: set.kind, wire: wire.clone() }.target();
            let Some(target) = target else { continue };
            let Some(zone) = self.holding(target.wire()) else { continue };
            let mut part = Part { zone, proven: proven && zone.is_signed(), message };
            let node = zone.node(target.wire());
            for addresses in zone.addresses(target.wire()) {
                part.add(Section::Additional, target.wire(), addresses, node, 0);
            }
        }
    }
}

/// What one zone has to say in a message.
struct Part<'a, 'b> {
    zone: &'a Zone,
    /// With signatures.
    proven: bool,
    message: &'a mut Writer<'b>,
}

impl Part<'_, '_> {
    /// Adds a set, beginning with another of its records each time; and what signs it.
    fn add(&mut self, section: Section, name: &[u8], set: &RecordSet, node: Option<&Node>, turn: usize) {
        add(self.message, section, name, set, turn);
        if self.proven
            && let Some(signatures) = node.and_then(|node| zone::signatures(node, set.kind))
        {
            add(self.message, section, name, signatures, 0);
        }
    }

    fn add_soa(&mut self, section: Section) {
        let (zone, name) = (self.zone, self.zone.origin().wire());
        self.message.record(section, name, RecordType::SOA, zone.minimum(), &zone.soa().wire);
        let signatures = zone.node(name).and_then(|node| zone::signatures(node, RecordType::SOA));
        if let Some(signatures) = signatures.filter(|_| self.proven) {
            add(self.message, section, name, signatures, 0);
        }
    }

    /// Other servers have it: their names, and the key by which they are known, or that they have none (RFC 4035
    /// section 3.1.4).
    fn delegate(&mut self, owner: &Name, servers: &RecordSet, node: Option<&Node>) {
        self.add(Section::Authority, owner.wire(), servers, None, 0);
        if !self.proven {
            return;
        }
        match self.zone.set(owner.wire(), RecordType::DS) {
            Some(set) => self.add(Section::Authority, owner.wire(), set, node, 0),
            None => self.add_links(&[owner.wire()]),
        }
    }

    /// That a name is not there which a wildcard stands for (RFC 4035 section 3.1.3.3).
    fn prove_wildcard(&mut self, name: &[u8], encloser: Option<&[u8]>) {
        if self.proven && encloser.is_some() {
            self.add_links(&[name]);
        }
    }

    /// That a name, or what is asked of it, is not there, and no wildcard that would stand for it (RFC 4035 section 3.1.3).
    fn deny(&mut self, name: &[u8], encloser: Option<&[u8]>) {
        if !self.proven {
            return;
        }
        match encloser {
            Some(encloser) => self.add_links(&[name, &zone::wildcard(encloser)]),
            None => self.add_links(&[name]),
        }
    }

    /// The links of the chain at or before these names, each once.
    fn add_links(&mut self, names: &[&[u8]]) {
        let zone = self.zone;
        let mut last = None;
        for name in names {
            let Some(link) = zone.link(name).filter(|link| last != Some(*link)) else { continue };
            last = Some(link);
            if let Some(set) = zone.set(link.wire(), RecordType::NSEC) {
                self.add(Section::Authority, link.wire(), set, zone.node(link.wire()), 0);
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

#[cfg(test)]
mod tests;
