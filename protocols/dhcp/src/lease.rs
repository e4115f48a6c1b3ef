//! Who has which address until when.
//!
//! One entry per address, live or ended: an ended lease is remembered so that a client gets its old address again.
//! What holds: an address has one entry, so at most one holder. Time is in seconds since the Unix epoch and is the
//! caller's; a clock that runs backwards only makes leases longer.

use std::collections::{BTreeMap, HashMap};
use std::net::Ipv4Addr;

use crate::config::{Config, Limits, Subnet};
use crate::mac::{ClientKey, MacAddr};

/// One address and its holder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The address.
    pub address: Ipv4Addr,
    /// Whose it is or was.
    pub client: ClientKey,
    /// What kind of hold.
    pub state: LeaseState,
    /// The hold ends at this second.
    pub expires: u64,
}

/// What kind of hold an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LeaseState {
    /// Offered, the request has not come.
    Offered,
    /// Acknowledged. Only these, and what ends them, have to be durable.
    Bound,
    /// The client gave it back.
    Released,
    /// A client found it in use by something else: nobody gets it until it expires.
    Declined,
}

impl Lease {
    /// Whether nobody else may get the address now.
    pub fn is_live(&self, now: u64) -> bool {
        self.state != LeaseState::Released && self.expires > now
    }

    /// Whether `client` holds it now.
    pub fn is_held_by(&self, client: &ClientKey, now: u64) -> bool {
        self.client == *client && self.state != LeaseState::Declined && self.is_live(now)
    }
}

/// All leases of one server.
#[derive(Debug, Clone, Default)]
pub struct Leases {
    entries: BTreeMap<Ipv4Addr, Lease>,
    by_client: HashMap<ClientKey, Vec<Ipv4Addr>>,
    tokens: Option<Tokens>,
    offers_held: bool,
}

/// The bucket that bounds how fast unknown clients are given addresses.
#[derive(Debug, Clone, Copy)]
struct Tokens {
    left: u32,
    at: u64,
}

/// Why there is no address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoAddress {
    /// The pools have none, or there are no pools.
    PoolEmpty,
    /// Too many new clients.
    RateLimited,
}

impl Leases {
    /// No leases.
    pub fn new() -> Leases {
        Leases::default()
    }

    /// The entry of an address.
    pub fn get(&self, address: Ipv4Addr) -> Option<&Lease> {
        self.entries.get(&address)
    }

    /// All entries in the order of their addresses.
    pub fn iter(&self) -> impl Iterator<Item = &Lease> {
        self.entries.values()
    }

    /// How many entries there are, live and ended.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Puts an entry in place of the one its address has: when leases are read back from disk, or learned from
    /// another server.
    pub fn insert(&mut self, lease: Lease) {
        self.remove(lease.address);
        self.by_client.entry(lease.client.clone()).or_default().push(lease.address);
        self.entries.insert(lease.address, lease);
    }

    /// Forgets an address.
    pub fn remove(&mut self, address: Ipv4Addr) -> Option<Lease> {
        let lease = self.entries.remove(&address)?;
        if let Some(addresses) = self.by_client.get_mut(&lease.client) {
            addresses.retain(|a| *a != address);
            if addresses.is_empty() {
                self.by_client.remove(&lease.client);
            }
        }
        Some(lease)
    }

    /// The entries of a client, live and ended.
    pub fn of_client(&self, client: &ClientKey) -> impl Iterator<Item = &Lease> {
        self.by_client.get(client).into_iter().flatten().filter_map(|address| self.entries.get(address))
    }

    /// Live addresses in the pools of a subnet, and all of its pools' addresses: what a usage display shows.
    pub fn usage(&self, subnet: &Subnet, now: u64) -> (usize, usize) {
        let runs = || subnet.pools.iter().filter(|pool| pool.first <= pool.last);
        let size = |first: Ipv4Addr, last: Ipv4Addr| (u32::from(last) - u32::from(first)) as usize + 1;
        let live =
            runs().flat_map(|p| self.entries.range(p.first..=p.last)).filter(|(_, l)| l.is_live(now)).count();
        (live, runs().map(|p| size(p.first, p.last)).sum())
    }

    /// Whether a client that holds an address outside of the pools is offered it again: set where other racks' leases
    /// are in the table, and may be extended.
    pub(crate) fn offer_held(&mut self, offer: bool) {
        self.offers_held = offer;
    }

    /// Whether somebody other than `client` holds the address.
    pub(crate) fn held_by_other(&self, address: Ipv4Addr, client: &ClientKey, now: u64) -> bool {
        self.entries.get(&address).is_some_and(|l| l.is_live(now) && !l.is_held_by(client, now))
    }

    /// Finds a pool address on the link of `subnets`: the one the client has or had, the one it wishes, one that was
    /// never used, the one that ended first.
    pub(crate) fn find_dynamic(
        &mut self,
        config: &Config,
        subnets: &[&Subnet],
        (client, mac): (&ClientKey, Option<MacAddr>),
        wish: Option<Ipv4Addr>,
        server: Ipv4Addr,
        now: u64,
    ) -> Result<Ipv4Addr, NoAddress> {
        let free = |address: Ipv4Addr| {
            address != server
                && !config.fixed_to_other(address, mac)
                && !self.held_by_other(address, client, now)
        };
        let allowed = |address: Ipv4Addr| free(address) && subnets.iter().any(|s| s.is_dynamic(address));
        let may_stay = |lease: &Lease| {
            self.offers_held
                && lease.state == LeaseState::Bound
                && lease.is_held_by(client, now)
                && subnets.iter().any(|s| s.has_client_address(lease.address))
                && free(lease.address)
        };
        let mut own: Vec<&Lease> =
            self.of_client(client).filter(|l| allowed(l.address) || may_stay(l)).collect();
        own.sort_by_key(|l| {
            (std::cmp::Reverse(l.is_live(now)), Some(l.address) != wish, std::cmp::Reverse(l.expires))
        });
        if let Some(lease) = own.first() {
            return Ok(lease.address);
        }
        let found = wish
            .filter(|a| allowed(*a))
            .or_else(|| self.find_unused(subnets, client, &allowed))
            .or_else(|| self.find_ended(subnets, &allowed))
            .ok_or(NoAddress::PoolEmpty)?;
        if self.admit(&config.limits, now) { Ok(found) } else { Err(NoAddress::RateLimited) }
    }

    /// An address without an entry. The search begins at a place that depends on the client, so that a server that
    /// forgot an offer makes the same one again, and racing clients do not meet.
    fn find_unused(
        &self,
        subnets: &[&Subnet],
        client: &ClientKey,
        allowed: &impl Fn(Ipv4Addr) -> bool,
    ) -> Option<Ipv4Addr> {
        let free = |number: &u32| {
            let address = Ipv4Addr::from(*number);
            !self.entries.contains_key(&address) && allowed(address)
        };
        subnets.iter().flat_map(|s| &s.pools).find_map(|pool| {
            let (first, last) = (u32::from(pool.first), u32::from(pool.last));
            let size = u64::from(last.checked_sub(first)?) + 1;
            let start = first + (hash(client) % size) as u32;
            (start..=last).chain(first..start).take(SEARCH).find(free).map(Ipv4Addr::from)
        })
    }

    /// The address whose lease ended first.
    fn find_ended(&self, subnets: &[&Subnet], allowed: &impl Fn(Ipv4Addr) -> bool) -> Option<Ipv4Addr> {
        let pools = subnets.iter().flat_map(|s| &s.pools).filter(|pool| pool.first <= pool.last);
        let entries = pools.flat_map(|pool| self.entries.range(pool.first..=pool.last));
        entries.filter(|(a, _)| allowed(**a)).min_by_key(|(_, lease)| lease.expires).map(|(a, _)| *a)
    }

    /// Whether one more client that has nothing yet may be given a pool address now.
    pub(crate) fn admit(&mut self, limits: &Limits, now: u64) -> bool {
        let full = Tokens { left: limits.new_clients_burst, at: now };
        let tokens = self.tokens.get_or_insert(full);
        let gained = now.saturating_sub(tokens.at).saturating_mul(u64::from(limits.new_clients_per_second));
        let left = u64::from(tokens.left).saturating_add(gained).min(u64::from(limits.new_clients_burst));
        *tokens = Tokens { left: left.saturating_sub(1) as u32, at: now };
        left > 0
    }

    /// Holds an address. The caller has checked that nobody else does.
    pub(crate) fn hold(&mut self, lease: Lease, limits: &Limits, now: u64) -> Lease {
        self.insert(lease.clone());
        if self.entries.len() > limits.leases.max(1) {
            self.forget_oldest(lease.address, now);
        }
        lease
    }

    /// Makes room: forgets ended entries, a tenth of all at once so that this is rare, else the offer that ends first.
    fn forget_oldest(&mut self, keep: Ipv4Addr, now: u64) {
        let others = self.entries.values().filter(|l| l.address != keep);
        let mut ended: Vec<(u64, Ipv4Addr)> =
            others.clone().filter(|l| !l.is_live(now)).map(|l| (l.expires, l.address)).collect();
        ended.sort_unstable();
        ended.truncate(self.entries.len() / 10 + 1);
        if ended.is_empty() {
            let offers = others.filter(|l| l.state == LeaseState::Offered);
            ended.extend(offers.map(|l| (l.expires, l.address)).min());
        }
        for (_, address) in ended {
            self.remove(address);
        }
    }
}

/// Addresses looked at in one pool before the search is given up and ended leases are taken.
const SEARCH: usize = 1 << 16;

/// FNV-1a: the same in every process, which the standard hasher is not.
fn hash(client: &ClientKey) -> u64 {
    client
        .as_bytes()
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x100_0000_01b3))
}
