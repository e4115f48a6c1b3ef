//! Which names there are: a pure function of machines, networks, controllers and what people entered.
//!
//! Holds: a machine is `HOSTNAME.DOMAIN`, its interfaces are `INTERFACE.HOSTNAME.DOMAIN`; racks and regions are found as
//! `rack`, `region` and by their own names in the default domain, and as `rack.SUBNET` those on one subnet. What people
//! entered stands beside it; an alias that they entered wins. Clients with dynamic addresses have the names by which they call
//! themselves in the default domain, where nothing else has them. Each address of a served network has one reverse name.

use super::reverse;
use crate::db::name_source::{Controller, Sources};
use rackwright_common::names::RecordView;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::IpAddr;

/// What a zone holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// How long it holds that something is not there, seconds.
    pub minimum: u32,
    /// All records but the start of authority.
    pub records: BTreeSet<RecordView>,
}

/// All zones by name.
pub fn zones(sources: &Sources) -> BTreeMap<String, Content> {
    let mut names = Names::begin(sources);
    names.enter_machines();
    names.enter_reservations();
    names.enter_controllers();
    names.enter_records();
    names.enter_clients();
    names.enter_reverse();
    names.enter_servers();
    names.zones
}

struct Names<'a> {
    sources: &'a Sources,
    /// The default domain and its time to live.
    default: (String, u32),
    /// Names that people made aliases.
    aliases: HashSet<&'a str>,
    zones: BTreeMap<String, Content>,
    /// The name by which an address is known.
    reverse: HashMap<IpAddr, String>,
}

impl<'a> Names<'a> {
    fn begin(sources: &'a Sources) -> Self {
        let ttl = |ttl: i32| u32::try_from(ttl).unwrap_or(60);
        let default = sources.domains.iter().find(|d| d.is_default).or(sources.domains.first());
        let zones = sources
            .domains
            .iter()
            .map(|d| (d.name.clone(), Content { minimum: ttl(d.ttl), records: BTreeSet::new() }));
        Self {
            sources,
            default: default.map_or_else(|| (String::new(), 60), |d| (d.name.clone(), ttl(d.ttl))),
            aliases: sources.records.iter().filter(|r| r.kind == "CNAME").map(|r| r.name.as_str()).collect(),
            zones: zones.collect(),
            reverse: HashMap::new(),
        }
    }

    /// Enters a record into the nearest zone that its name lies in, if one does.
    fn enter(&mut self, name: String, kind: &str, ttl: Option<u32>, data: String) {
        let mut zone = name.as_str();
        while !self.zones.contains_key(zone) {
            match zone.split_once('.') {
                Some((_, above)) => zone = above,
                None => return,
            }
        }
        let zone = zone.to_owned();
        if let Some(content) = self.zones.get_mut(&zone) {
            let ttl = ttl.unwrap_or(content.minimum);
            content.records.insert(RecordView { name, kind: kind.to_owned(), ttl, data });
        }
    }

    /// Enters the address of something, unless people made its name an alias.
    fn enter_address(&mut self, name: String, address: IpAddr) {
        if self.aliases.contains(name.as_str()) || name.len() > 253 {
            return;
        }
        let kind = if address.is_ipv4() { "A" } else { "AAAA" };
        self.enter(name, kind, None, address.to_string());
    }

    fn enter_machines(&mut self) {
        let mut last = "";
        for interface in &self.sources.interfaces {
            let domain = interface.domain.as_ref().unwrap_or(&self.default.0);
            let host = format!("{}.{domain}", interface.hostname);
            // The first one of a machine is the one that it boots through, or the bond or bridge that this is part of.
            let first = last != interface.hostname;
            last = &interface.hostname;
            let own = label(&interface.name).map(|label| format!("{label}.{host}"));
            if first {
                self.reverse.insert(interface.address, host.clone());
                self.enter_address(host, interface.address);
            } else if let Some(own) = &own {
                self.reverse.insert(interface.address, own.clone());
            }
            if let Some(own) = own {
                self.enter_address(own, interface.address);
            }
        }
    }

    fn enter_reservations(&mut self) {
        for (hostname, address) in &self.sources.reservations {
            let Some(label) = label(hostname) else { continue };
            let name = format!("{label}.{}", self.default.0);
            self.reverse.entry(*address).or_insert_with(|| name.clone());
            self.enter_address(name, *address);
        }
    }

    fn enter_controllers(&mut self) {
        let sources = self.sources;
        let domain = self.default.0.clone();
        let own = |c: &Controller| label(&c.name).map(|label| format!("{label}.{domain}"));
        for (noun, controllers) in [("rack", &sources.racks), ("region", &sources.regions)] {
            for controller in controllers {
                for address in &controller.addresses {
                    if let Some(name) = own(controller) {
                        self.reverse.entry(*address).or_insert_with(|| name.clone());
                        self.enter_address(name, *address);
                    }
                    if controller.alive {
                        self.enter_address(format!("{noun}.{domain}"), *address);
                    }
                }
            }
        }
        for subnet in &sources.subnets {
            let Some(label) = label(&subnet.name) else { continue };
            let racks = sources.racks.iter().filter(|r| r.alive).flat_map(|r| &r.addresses);
            for address in racks.filter(|a| subnet.cidr.contains(*a)) {
                self.enter_address(format!("rack.{label}.{domain}"), *address);
            }
        }
    }

    fn enter_records(&mut self) {
        for record in &self.sources.records {
            let ttl = record.ttl.and_then(|ttl| u32::try_from(ttl).ok());
            if matches!(record.kind.as_str(), "A" | "AAAA")
                && !record.name.starts_with('*')
                && let Ok(address) = record.data.parse()
            {
                self.reverse.entry(address).or_insert_with(|| record.name.clone());
            }
            self.enter(record.name.clone(), &record.kind, ttl, record.data.clone());
        }
    }

    /// After all others: a client never has a name that something else has, or that lies in what is handed to others.
    fn enter_clients(&mut self) {
        let domain = self.default.0.clone();
        let Some(zone) = self.zones.get(&domain) else { return };
        let taken: HashSet<String> = zone.records.iter().map(|r| r.name.clone()).collect();
        for client in &self.sources.clients {
            let name = format!("{}.{domain}", client.hostname);
            if taken.contains(&name) || self.zones.contains_key(&name) {
                continue;
            }
            let address = IpAddr::V4(client.address);
            self.reverse.entry(address).or_insert_with(|| name.clone());
            self.enter_address(name, address);
        }
    }

    fn enter_reverse(&mut self) {
        let content = Content { minimum: self.default.1, records: BTreeSet::new() };
        let served: Vec<_> = self.sources.subnets.iter().filter(|s| s.reverse != "off").collect();
        for subnet in &served {
            let zones = reverse::zones(subnet.cidr, &subnet.reverse);
            for origin in zones.origins.into_iter().chain(zones.delegated) {
                self.zones.entry(origin).or_insert_with(|| content.clone());
            }
        }
        let mut addresses: Vec<_> = std::mem::take(&mut self.reverse).into_iter().collect();
        addresses.sort_unstable();
        for (address, name) in addresses {
            let Some(subnet) = served.iter().find(|s| s.cidr.contains(&address)) else { continue };
            let direct = reverse::name(address);
            match reverse::zones(subnet.cidr, &subnet.reverse).delegated {
                Some(zone) => {
                    let first = direct.split('.').next().unwrap_or_default();
                    let there = format!("{first}.{zone}");
                    self.enter(direct, "CNAME", None, there.clone());
                    self.enter(there, "PTR", None, name);
                }
                None => self.enter(direct, "PTR", None, name),
            }
        }
    }

    /// The regions are the name servers of every zone.
    fn enter_servers(&mut self) {
        let domain = &self.default.0;
        let serving = self.sources.regions.iter().filter(|r| !r.addresses.is_empty());
        let mut servers: Vec<_> =
            serving.filter_map(|r| label(&r.name)).map(|label| format!("{label}.{domain}")).collect();
        if servers.is_empty() {
            servers.push(format!("region.{domain}"));
        }
        let origins: Vec<_> = self.zones.keys().cloned().collect();
        for origin in origins {
            for server in &servers {
                self.enter(origin.clone(), "NS", None, server.clone());
            }
        }
    }
}

/// A name as one label of a host name; none when nothing of it can be.
fn label(text: &str) -> Option<String> {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let label: String = text.chars().map(plain).take(63).collect();
    let label = label.trim_matches('-');
    (!label.is_empty()).then(|| label.to_owned())
}

#[cfg(test)]
mod tests;
