//! The networks as pictures: which fabric has which VLANs and subnets, and which racks and machines are on them; and what
//! each address of a subnet is for. Drawn as SVG by the region, without scripts; every box and dot has its words too.

use super::Tone;
use askama::Template;
use askama::filters::HtmlSafe;
use ipnet::{IpNet, Ipv4Net};
use rackwright_region::model::controller::Rack;
use rackwright_region::model::discovery::Discovery;
use rackwright_region::model::machine::MachineSummary;
use rackwright_region::model::network::{RangeKind, Subnet};
use std::net::{IpAddr, Ipv4Addr};

use super::network::Sources;

const ROW: u32 = 58;
const HEIGHT: u32 = 44;
/// Left edge and width of the columns: fabric, VLAN, subnet, racks.
const COLUMNS: [(u32, u32); 4] = [(0, 150), (190, 170), (400, 190), (630, 150)];
const MACHINES: u32 = 810;
const ACROSS: u32 = 12;
/// Dots of a subnet; the others are a number.
const DOTS: usize = 36;
/// Cells of a strip.
const CELLS: u32 = 256;

/// What is there beside the model of the network.
#[derive(Debug, Default)]
pub struct Inhabitants {
    /// Racks.
    pub racks: Vec<Rack>,
    /// Machines.
    pub machines: Vec<MachineSummary>,
    /// Who was heard and is not known.
    pub unknown: Vec<Discovery>,
}

/// A box with two lines of text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Left.
    pub x: u32,
    /// Top.
    pub y: u32,
    /// Width.
    pub width: u32,
    /// Height.
    pub height: u32,
    /// CSS class.
    pub class: &'static str,
    /// First line.
    pub title: String,
    /// Second line.
    pub detail: String,
}

/// A machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dot {
    /// Middle.
    pub x: u32,
    /// Middle.
    pub y: u32,
    /// Colour.
    pub tone: Tone,
    /// Its page.
    pub href: String,
    /// Name, status, address.
    pub title: String,
}

/// A run of addresses of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// Left, of 256.
    pub x: u32,
    /// Width, of 256.
    pub width: u32,
    /// What for.
    pub kind: Use,
    /// In words.
    pub title: String,
}

/// What an address is for; of several, the last one counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Use {
    /// Nothing.
    Free,
    /// DHCP gives it to whoever asks.
    Dynamic,
    /// Rackwright keeps its hands off.
    Reserved,
    /// A machine, a lease, a reservation, a rack or the gateway has it.
    Used,
    /// Somebody has it whom nobody knows.
    Unknown,
}

impl Use {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Free, Self::Dynamic, Self::Reserved, Self::Used, Self::Unknown];

    /// CSS class.
    pub fn class(&self) -> &'static str {
        match self {
            Self::Free => "free",
            Self::Dynamic => "dynamic",
            Self::Reserved => "reserved",
            Self::Used => "used",
            Self::Unknown => "unknown",
        }
    }

    /// For people.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Unknown => "seen, unknown",
            other => other.class(),
        }
    }
}

/// The addresses of a subnet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Strip {
    /// The subnet.
    pub cidr: String,
    /// From left to right, without gaps.
    pub segments: Vec<Segment>,
    /// How many addresses are what.
    pub counts: Vec<(Use, usize)>,
}

/// All pictures.
#[derive(Debug, Clone, Default, PartialEq, Eq, Template)]
#[template(path = "network_map.html")]
pub struct NetworkMap {
    /// Height of the map.
    pub height: u32,
    /// Boxes.
    pub nodes: Vec<Node>,
    /// Lines between boxes: x1, y1, x2, y2.
    pub links: Vec<(u32, u32, u32, u32)>,
    /// Machines.
    pub dots: Vec<Dot>,
    /// Numbers of machines that have no dot: x, y, text.
    pub more: Vec<(u32, u32, String)>,
    /// Strips.
    pub strips: Vec<Strip>,
}

impl HtmlSafe for NetworkMap {}

impl NetworkMap {
    /// Of the whole network and who is on it.
    pub fn new(sources: &Sources, there: &Inhabitants) -> Self {
        let mut map = Self::default();
        let mut row = 0;
        for fabric in &sources.fabrics {
            let first = row;
            let vlans: Vec<_> = sources.vlans.iter().filter(|v| v.fabric == fabric.id).collect();
            for vlan in &vlans {
                let begins = row;
                let subnets = sources.subnets.iter().map(|(s, _)| s).filter(|s| s.vlan == vlan.id);
                for subnet in subnets {
                    map.subnet(row, subnet, there);
                    map.link(1, begins, 2, row);
                    row += 1;
                }
                row = row.max(begins + 1);
                let number = if vlan.vid == 0 { "untagged".into() } else { format!("VLAN {}", vlan.vid) };
                let detail = if vlan.dhcp { format!("{number}, DHCP") } else { number };
                map.node(1, begins, "vlan", vlan.name.clone(), detail);
                map.link(0, first, 1, begins);
            }
            row = row.max(first + 1);
            map.node(0, first, "fabric", fabric.name.clone(), format!("{} VLANs", vlans.len()));
        }
        map.height = row * ROW;
        map.strips = sources.subnets.iter().filter_map(|(s, _)| strip(s, sources, there)).collect();
        map
    }

    fn node(&mut self, column: usize, row: u32, class: &'static str, title: String, detail: String) {
        let (x, width) = COLUMNS[column];
        self.nodes.push(Node { x, y: row * ROW + 4, width, height: HEIGHT, class, title, detail });
    }

    fn link(&mut self, from: usize, from_row: u32, to: usize, to_row: u32) {
        let middle = |row: u32| row * ROW + 4 + HEIGHT / 2;
        let (x, width) = COLUMNS[from];
        self.links.push((x + width, middle(from_row), COLUMNS[to].0, middle(to_row)));
    }

    fn subnet(&mut self, row: u32, subnet: &Subnet, there: &Inhabitants) {
        let cidr = subnet.cidr.to_string();
        let detail = if subnet.name == cidr { String::new() } else { subnet.name.clone() };
        self.node(2, row, "subnet", cidr, detail);
        let on = |r: &&Rack| r.addresses.iter().any(|a| subnet.cidr.contains(&IpAddr::V4(a.network.addr())));
        let racks: Vec<_> = there.racks.iter().filter(on).collect();
        if let Some(first) = racks.first() {
            let alive = racks.iter().filter(|r| r.connected).count();
            let class = if alive == racks.len() { "rack" } else { "rack trouble" };
            let title = if racks.len() == 1 { first.name.clone() } else { format!("{} racks", racks.len()) };
            self.node(3, row, class, title, format!("{alive} of {} alive", racks.len()));
            self.link(2, row, 3, row);
        }
        let here: Vec<_> = there
            .machines
            .iter()
            .filter_map(|m| Some((m, m.addresses.iter().find(|a| subnet.cidr.contains(*a))?)))
            .collect();
        for ((m, address), i) in here.iter().take(DOTS).zip(0..) {
            self.dots.push(Dot {
                x: MACHINES + i % ACROSS * 16 + 6,
                y: row * ROW + 11 + i / ACROSS * 15,
                tone: Tone::of_status(m.status),
                href: format!("/machines/{}", m.id),
                title: format!("{}, {}, {address}", m.hostname, m.status.label()),
            });
        }
        if here.len() > DOTS {
            let text = format!("+{}", here.len() - DOTS);
            self.more.push((MACHINES + ACROSS * 16 + 4, row * ROW + 30, text));
        }
    }
}

/// What each address of a subnet is for; of IPv4 networks from /16 on.
fn strip(subnet: &Subnet, sources: &Sources, there: &Inhabitants) -> Option<Strip> {
    let IpNet::V4(net) = subnet.cidr else { return None };
    if net.prefix_len() < 16 || net.prefix_len() > 30 {
        return None;
    }
    let first = u32::from(net.network());
    let mut uses = vec![Use::Free; 1 << (32 - net.prefix_len())];
    let mut set = |from: Ipv4Addr, to: Ipv4Addr, kind: Use| {
        let place = |a: Ipv4Addr| (u32::from(a).saturating_sub(first) as usize).min(uses_len(net));
        for one in &mut uses[place(from)..=place(to)] {
            *one = kind.max(*one);
        }
    };
    for range in sources.ranges.iter().filter(|r| r.subnet == subnet.id) {
        if let (IpAddr::V4(from), IpAddr::V4(to)) = (range.first, range.last) {
            let kind = if range.kind == RangeKind::Dynamic { Use::Dynamic } else { Use::Reserved };
            set(from, to, kind);
        }
    }
    let used = (subnet.gateway.into_iter())
        .chain(sources.reservations.iter().map(|r| r.address))
        .chain(sources.leases.iter().map(|l| l.address))
        .chain(there.machines.iter().flat_map(|m| m.addresses.iter().copied()))
        .chain(there.racks.iter().flat_map(|r| &r.addresses).map(|a| IpAddr::V4(a.network.addr())));
    let unknown = there.unknown.iter().filter_map(|d| d.address);
    // A lease is known, whoever has it: only what nobody gave out is a riddle.
    let marks = unknown.map(|a| (a, Use::Unknown)).chain(used.map(|a| (a, Use::Used)));
    for (address, kind) in marks {
        if let IpAddr::V4(address) = address
            && net.contains(&address)
        {
            let place = (u32::from(address) - first) as usize;
            uses[place] = if kind == Use::Used { Use::Used } else { kind };
        }
    }
    let counts = Use::ALL.map(|kind| (kind, uses.iter().filter(|u| **u == kind).count())).to_vec();
    Some(Strip { cidr: net.to_string(), segments: segments(net, &uses), counts })
}

/// The place of a network's last address.
fn uses_len(net: Ipv4Net) -> usize {
    (1 << (32 - net.prefix_len())) - 1
}

/// Cells of one kind beside each other as one. A cell that stands for several addresses shows what stands out most.
fn segments(net: Ipv4Net, uses: &[Use]) -> Vec<Segment> {
    let cells = (uses.len() as u32).min(CELLS);
    let each = uses.len() as u32 / cells;
    let width = CELLS / cells;
    let address = |place: u32| Ipv4Addr::from(u32::from(net.network()) + place);
    let mut found: Vec<(u32, u32, Use)> = Vec::new();
    for (cell, part) in (0..cells).zip(uses.chunks(each as usize)) {
        let kind = part.iter().copied().max().unwrap_or(Use::Free);
        match found.last_mut() {
            Some((_, cells, last)) if *last == kind => *cells += 1,
            _ => found.push((cell, 1, kind)),
        }
    }
    found
        .into_iter()
        .map(|(cell, cells, kind)| {
            let (from, to) = (address(cell * each), address((cell + cells) * each - 1));
            let place = if from == to { from.to_string() } else { format!("{from} – {to}") };
            Segment {
                x: cell * width,
                width: cells * width,
                kind,
                title: format!("{place}: {}", kind.label()),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::sample;

    #[test]
    fn a_strip_shows_every_address_once() {
        let there = Inhabitants { unknown: sample::discoveries(), ..Inhabitants::default() };
        let map = NetworkMap::new(&sample::network(), &there);
        let strip = &map.strips[0];
        assert_eq!(strip.segments.iter().map(|s| s.width).sum::<u32>(), 256);
        let titles: Vec<_> = strip.segments.iter().map(|s| s.title.as_str()).collect();
        assert_eq!(
            titles,
            [
                "10.77.0.0: free",
                "10.77.0.1: used",
                "10.77.0.2 – 10.77.0.4: free",
                "10.77.0.5: used",
                "10.77.0.6 – 10.77.0.8: free",
                "10.77.0.9: seen, unknown",
                "10.77.0.10 – 10.77.0.99: free",
                "10.77.0.100: dynamic",
                "10.77.0.101: used",
                "10.77.0.102 – 10.77.0.199: dynamic",
                "10.77.0.200 – 10.77.0.255: free",
            ]
        );
        assert_eq!(strip.counts.iter().map(|(_, n)| n).sum::<usize>(), 256);
    }

    #[test]
    fn the_map_has_a_box_for_fabric_vlan_and_subnet() {
        let map = NetworkMap::new(&sample::network(), &Inhabitants::default());
        let mut classes: Vec<_> = map.nodes.iter().map(|n| n.class).collect();
        classes.sort_unstable();
        assert_eq!((classes, map.links.len(), map.height), (vec!["fabric", "subnet", "vlan"], 2, ROW));
    }
}
