//! Zones in memory, whole, and how a name is looked up in them (RFC 1034 section 4.3.2, RFC 4592).

use crate::name::{self, Name};
use crate::record::{Data, RecordType};
use std::collections::HashMap;
use std::sync::Arc;

/// A record of a zone.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Record {
    /// Owner.
    pub name: Name,
    /// Time to live, seconds.
    pub ttl: u32,
    /// Type and data.
    pub data: Data,
}

/// The records make no zone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ZoneError {
    /// A record's name lies elsewhere.
    #[error("{name} does not lie in {zone}")]
    Outside {
        /// The name.
        name: Name,
        /// The zone.
        zone: Name,
    },
}

/// The records of one name and type.
#[derive(Debug, Clone)]
pub(crate) struct RecordSet {
    pub(crate) kind: RecordType,
    pub(crate) ttl: u32,
    pub(crate) data: Vec<Box<[u8]>>,
}

impl RecordSet {
    /// Signatures of one set are a set of their own: they hold as long as what they sign.
    fn holds(&self, kind: RecordType, data: &[u8]) -> bool {
        self.kind == kind
            && (kind != RecordType::RRSIG || self.data.iter().all(|d| d.get(..2) == data.get(..2)))
    }

    /// Whether these are the signatures of the set of this type.
    fn signs(&self, kind: RecordType) -> bool {
        self.holds(RecordType::RRSIG, &kind.0.to_be_bytes())
    }
}

/// What a name has; nothing for one that only has names below it.
pub(crate) type Node = Vec<RecordSet>;

/// A zone.
#[derive(Debug, Clone)]
pub struct Zone {
    origin: Name,
    serial: u32,
    minimum: u32,
    soa: Data,
    nodes: HashMap<Name, Node>,
    /// Whether some names are given to other servers.
    cuts: bool,
    /// Names that say which one is next (NSEC), in order; none of a zone that is not signed.
    chain: Vec<Name>,
}

/// What was found at a name, and where.
#[derive(Debug)]
pub(crate) struct Lookup<'z, 'n> {
    pub(crate) found: Found<'z>,
    /// What the name has that answers.
    pub(crate) node: Option<&'z Node>,
    /// The nearest name above that is there, when the name itself is not.
    pub(crate) encloser: Option<&'n [u8]>,
}

/// What a zone knows of a name.
#[derive(Debug)]
pub(crate) enum Found<'z> {
    /// Records of the wanted type.
    Set(&'z RecordSet),
    /// It has another name.
    Alias(&'z RecordSet),
    /// Other servers have it: the name from which on, and their names.
    Delegated(&'z Name, &'z RecordSet),
    /// The name is there, the type is not.
    NoData,
    /// There is no such name.
    NoName,
    /// The name is there, and everything of it is wanted.
    Exists,
}

impl Zone {
    /// A zone of these records, which have no SOA among them. Its first server by name is the one in the SOA; negative
    /// answers hold for `minimum` seconds.
    pub fn new(
        origin: Name,
        serial: u32,
        minimum: u32,
        records: impl IntoIterator<Item = Record>,
    ) -> Result<Self, ZoneError> {
        let mut nodes: HashMap<Name, Node> = HashMap::from([(origin.clone(), Node::new())]);
        let mut cuts = false;
        for record in records {
            if !record.name.is_under(&origin) {
                return Err(ZoneError::Outside { name: record.name, zone: origin });
            }
            cuts |= record.data.kind == RecordType::NS && record.name != origin;
            // Names between this one and the origin exist, be it without records.
            let mut above = record.name.parent();
            while let Some(name) = above.filter(|name| name.is_under(&origin) && !nodes.contains_key(name)) {
                above = name.parent();
                nodes.insert(name, Node::new());
            }
            let node = nodes.entry(record.name).or_default();
            match node.iter_mut().find(|set| set.holds(record.data.kind, &record.data.wire)) {
                // One time to live for the whole set (RFC 2181 section 5.2).
                Some(set) if set.data.contains(&record.data.wire) => set.ttl = set.ttl.min(record.ttl),
                Some(set) => {
                    set.ttl = set.ttl.min(record.ttl);
                    set.data.push(record.data.wire);
                }
                None => node.push(RecordSet {
                    kind: record.data.kind,
                    ttl: record.ttl,
                    data: vec![record.data.wire],
                }),
            }
        }
        let servers = nodes.get(&origin).and_then(|node| node.iter().find(|s| s.kind == RecordType::NS));
        let server = servers.and_then(|set| set.data.iter().min()).map(|wire| Name::from_wire(wire));
        let soa = Data::soa(server.as_ref().unwrap_or(&origin), &origin, serial, minimum);
        let links = |node: &Node| node.iter().any(|set| set.kind == RecordType::NSEC);
        let mut chain: Vec<Name> = Vec::new();
        if nodes.get(&origin).is_some_and(links) {
            chain.extend(nodes.iter().filter(|(_, node)| links(node)).map(|(name, _)| name.clone()));
            chain.sort_by(|one, other| name::canonical(one.wire(), other.wire()));
        }
        Ok(Self { origin, serial, minimum, soa, nodes, cuts, chain })
    }

    /// Its name.
    pub fn origin(&self) -> &Name {
        &self.origin
    }

    /// Its serial.
    pub fn serial(&self) -> u32 {
        self.serial
    }

    /// Its start of authority.
    pub fn soa(&self) -> &Data {
        &self.soa
    }

    /// Its start of authority as it was under another serial.
    pub(crate) fn soa_with(&self, serial: u32) -> Vec<u8> {
        let mut wire = self.soa.wire.to_vec();
        // Serial, refresh, retry, expire, minimum are the last 20 bytes.
        let at = wire.len().saturating_sub(20);
        if let Some(place) = wire.get_mut(at..at + 4) {
            place.copy_from_slice(&serial.to_be_bytes());
        }
        wire
    }

    /// For how long the start of authority and negative answers hold, seconds.
    pub fn minimum(&self) -> u32 {
        self.minimum
    }

    /// All records but the start of authority, in no order.
    pub fn records(&self) -> impl Iterator<Item = (&Name, RecordType, u32, &[u8])> {
        self.nodes.iter().flat_map(|(name, node)| {
            node.iter()
                .flat_map(move |set| set.data.iter().map(move |data| (name, set.kind, set.ttl, &**data)))
        })
    }

    /// How many records, without the start of authority.
    pub fn len(&self) -> usize {
        self.nodes.values().flatten().map(|set| set.data.len()).sum()
    }

    /// Whether it has nothing but its start of authority.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Names with what they have.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = (&Name, &Node)> {
        self.nodes.iter()
    }

    /// What one name has.
    pub(crate) fn node(&self, name: &[u8]) -> Option<&Node> {
        self.nodes.get(name)
    }

    /// What one name has of one type.
    pub(crate) fn set(&self, name: &[u8], kind: RecordType) -> Option<&RecordSet> {
        self.nodes.get(name)?.iter().find(|set| set.kind == kind)
    }

    /// Whether it is signed.
    pub fn is_signed(&self) -> bool {
        !self.chain.is_empty()
    }

    /// The name at or before this one that says which one is next.
    pub(crate) fn link(&self, name: &[u8]) -> Option<&Name> {
        let after = self.chain.partition_point(|link| name::canonical(link.wire(), name).is_le());
        self.chain.get(after.checked_sub(1)?)
    }

    /// What is known of a name of this zone.
    pub(crate) fn find<'n>(&self, name: &'n [u8], kind: RecordType) -> Lookup<'_, 'n> {
        // The key of a zone that others have is said by the zone above it (RFC 4035 section 3.1.4.1).
        let below = if kind == RecordType::DS { name::parent(name) } else { Some(name) };
        if self.cuts
            && let Some((owner, set)) = below.and_then(|name| self.cut_above(name))
        {
            let node = self.nodes.get(owner);
            return Lookup { found: Found::Delegated(owner, set), node, encloser: None };
        }
        if let Some(node) = self.nodes.get(name) {
            return Lookup { found: self.in_node(node, kind), node: Some(node), encloser: None };
        }
        // The nearest name above that is there decides whether there is a wildcard for this one.
        let mut above = name::parent(name);
        while let Some(encloser) = above {
            if self.nodes.contains_key(encloser) {
                let node = self.nodes.get(&wildcard(encloser)[..]);
                let found = node.map_or(Found::NoName, |node| self.in_node(node, kind));
                return Lookup { found, node, encloser: Some(encloser) };
            }
            above = name::parent(encloser);
        }
        Lookup { found: Found::NoName, node: None, encloser: None }
    }

    fn in_node<'z>(&self, node: &'z Node, kind: RecordType) -> Found<'z> {
        if kind == RecordType::ANY
            && let Some(first) = node.first()
        {
            // One set with its signature (RFC 8482 section 4.1): what is made up could not be proven.
            return if self.is_signed() { Found::Set(first) } else { Found::Exists };
        }
        let of = |kind| node.iter().find(move |set| set.kind == kind);
        let alias = || of(RecordType::CNAME).map(Found::Alias);
        of(kind).map(Found::Set).or_else(alias).unwrap_or(Found::NoData)
    }

    /// The highest cut at or above the name, below the origin.
    pub(crate) fn cut_above(&self, name: &[u8]) -> Option<(&Name, &RecordSet)> {
        let mut found = None;
        let mut here = Some(name);
        while let Some(name) = here.filter(|name| name.len() > self.origin.wire().len()) {
            if let Some((owner, node)) = self.nodes.get_key_value(name)
                && let Some(set) = node.iter().find(|set| set.kind == RecordType::NS)
            {
                found = Some((owner, set));
            }
            here = name::parent(name);
        }
        found
    }

    /// Addresses of a name, which go along with what points to it.
    pub(crate) fn addresses(&self, name: &[u8]) -> impl Iterator<Item = &RecordSet> {
        let sets = self.nodes.get(name).into_iter().flatten();
        sets.filter(|set| matches!(set.kind, RecordType::A | RecordType::AAAA))
    }
}

/// The signatures of what a name has of one type.
pub(crate) fn signatures(node: &Node, kind: RecordType) -> Option<&RecordSet> {
    node.iter().find(|set| set.signs(kind))
}

/// `*` below a name.
pub(crate) fn wildcard(encloser: &[u8]) -> Vec<u8> {
    [b"\x01*", encloser].concat()
}

/// All zones of a server, by name.
#[derive(Debug, Clone, Default)]
pub struct Zones(HashMap<Name, Arc<Zone>>);

impl Zones {
    /// The zone that a name lies in; the nearest, where zones lie within each other.
    pub(crate) fn holding(&self, name: &[u8]) -> Option<&Arc<Zone>> {
        let mut here = Some(name);
        while let Some(name) = here {
            if let Some(zone) = self.0.get(name) {
                return Some(zone);
            }
            here = name::parent(name);
        }
        None
    }

    /// The zone that answers: of the key of a zone (DS) it is the one above, if that is here and has given the zone away.
    pub(crate) fn answering(&self, name: &[u8], kind: RecordType) -> Option<&Arc<Zone>> {
        let zone = self.holding(name)?;
        if kind != RecordType::DS || zone.origin().wire() != name {
            return Some(zone);
        }
        let above = name::parent(name).and_then(|above| self.holding(above));
        Some(above.filter(|above| above.set(name, RecordType::NS).is_some()).unwrap_or(zone))
    }

    /// Whether the question is for the key (DS) of a zone that is here, while the zone above, which has it, is not.
    pub fn is_asked_above(&self, name: &Name, kind: RecordType) -> bool {
        let here = kind == RecordType::DS && self.0.contains_key(name);
        here && name.parent().is_none_or(|above| self.holding(above.wire()).is_none())
    }

    /// The zone of this name.
    pub fn get(&self, origin: &Name) -> Option<&Arc<Zone>> {
        self.0.get(origin)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Zone>> {
        self.0.values()
    }

    /// Puts a zone in the place of the one of its name.
    pub fn insert(&mut self, zone: Arc<Zone>) {
        self.0.insert(zone.origin().clone(), zone);
    }

    /// Takes a zone away.
    pub fn remove(&mut self, origin: &Name) {
        self.0.remove(origin);
    }
}

impl FromIterator<Zone> for Zones {
    fn from_iter<T: IntoIterator<Item = Zone>>(zones: T) -> Self {
        Self(zones.into_iter().map(|zone| (zone.origin().clone(), Arc::new(zone))).collect())
    }
}
