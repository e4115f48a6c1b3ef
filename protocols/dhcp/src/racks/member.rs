//! One rack among the racks of its links.
//!
//! In the table of leases a dynamic address that has a client ends at [`u64::MAX`]: this rack's clock never frees it.
//! What the core below does by the clock is put right after each message.

use std::collections::HashMap;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use super::block::{Block, Terms};
use super::record::Record;
use super::split::{RackId, Split};
use crate::client::Client;
use crate::config::{Config, Pool, Subnet};
use crate::lease::{Lease, LeaseState, Leases};
use crate::mac::MacAddr;
use crate::options::{MessageType, code};
use crate::packet::Packet;
use crate::server::{Action, Arrival, Outcome, Reason, respond};

/// What came of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// What to send, and what changed as people are told of it.
    pub outcome: Outcome,
    /// What has to be durable, in order, before the reply is sent.
    pub records: Vec<Record>,
}

/// All that a rack knows and decides about addresses. Its clock, `now`, is in seconds since the Unix epoch; while the
/// process runs it should follow a clock that is never set.
#[derive(Debug, Clone)]
pub struct Member {
    terms: Terms,
    boot: u128,
    /// The configuration, with the blocks that may be given from as pools.
    config: Config,
    /// The same without pools: for a rack that may not act on dynamic addresses now.
    fixed_only: Config,
    pub(super) blocks: Vec<Block>,
    pub(super) leases: Leases,
    /// Leases of fixed addresses given meanwhile.
    aside: Leases,
    /// The number of this rack's last report of each dynamic address.
    pub(super) numbers: HashMap<Ipv4Addr, u64>,
    next_number: u64,
    pub(super) learned: u64,
    /// When a region last heard this rack, by this rack's clock. `None`: act on nothing dynamic.
    contact: Option<u64>,
    contact_recorded: u64,
    /// Who answers first.
    pub split: Split,
}

/// What a rack may do with dynamic addresses at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Standing {
    /// Nothing.
    Cut,
    /// Give and extend what is in its own blocks.
    Own,
    /// That, and extend what is in others'.
    All,
}

impl Member {
    /// A rack with what it recorded before. `boot` names the run of its box, such as Linux's boot id: if no region has
    /// heard the rack in this one, it may have been fenced by switching it off, and acts on nothing dynamic until a
    /// region answers ([`Member::learn`]).
    pub fn restore(
        own: RackId,
        terms: Terms,
        records: impl IntoIterator<Item = Record>,
        boot: u128,
        now: u64,
    ) -> Member {
        let mut member = Member {
            terms,
            boot,
            config: Config::default(),
            fixed_only: Config::default(),
            blocks: Vec::new(),
            leases: Leases::new(),
            aside: Leases::new(),
            numbers: HashMap::new(),
            next_number: 1,
            learned: 0,
            contact: None,
            contact_recorded: 0,
            split: Split::new(own),
        };
        records.into_iter().for_each(|record| member.replay(record));
        // A contact in the future means that the clock was set back.
        member.contact = member.contact.filter(|at| *at <= now);
        member
    }

    fn replay(&mut self, record: Record) {
        if let Some(number) = record.number() {
            self.next_number = self.next_number.max(number + 1);
        }
        match record {
            Record::Lease { number, lease, dynamic: true, .. } => {
                self.numbers.insert(lease.address, number);
                self.leases.insert(Lease { expires: u64::MAX, ..lease });
            }
            Record::Lease { lease, dynamic: false, .. } => self.leases.insert(lease),
            Record::Kept { address, client } => {
                self.numbers.remove(&address);
                self.leases.insert(Lease { address, client, state: LeaseState::Bound, expires: u64::MAX });
            }
            Record::Dropped { address } => {
                self.numbers.remove(&address);
                self.leases.remove(address);
            }
            Record::CaughtUp { change, .. } => self.learned = change,
            Record::Contact { at, boot } if boot == self.boot => {
                (self.contact, self.contact_recorded) = (Some(at), at);
            }
            Record::Contact { .. } => {}
        }
    }

    /// Records that [`Member::restore`] makes the same rack of: what a log that has grown long is replaced by. They are
    /// no reports; offers are not among them.
    pub fn records(&self) -> impl Iterator<Item = Record> {
        let bound = self.leases.iter().filter(|lease| lease.state != LeaseState::Offered);
        let leases = bound.map(|lease| {
            let (address, dynamic) = (lease.address, lease.expires == u64::MAX);
            match (dynamic, self.numbers.get(&address)) {
                (true, None) => Record::Kept { address, client: lease.client.clone() },
                (_, number) => {
                    let number = number.copied().unwrap_or(0);
                    Record::Lease { number, lease: lease.clone(), seconds: 0, dynamic, epoch: None }
                }
            }
        });
        let contact = self.contact.map(|at| Record::Contact { at, boot: self.boot });
        let number = self.next_number - 1;
        leases.chain([Record::CaughtUp { number, change: self.learned }]).chain(contact)
    }

    /// Takes a configuration, whose pools do not count, and the blocks that belong to it.
    pub fn configure(&mut self, config: Config, blocks: Vec<Block>) {
        self.fixed_only = config.clone();
        self.fixed_only.set_pools(|_| Vec::new());
        self.config = config;
        self.blocks = blocks;
        self.choose_pools();
    }

    /// The firmware with this MAC gets the signed loader, or the usual one, from now on.
    pub fn set_signed(&mut self, mac: MacAddr, signed: bool) {
        for config in [&mut self.config, &mut self.fixed_only] {
            if signed {
                config.signed.insert(mac);
            } else {
                config.signed.remove(&mac);
            }
        }
    }

    /// The leases, this rack's and those it learned; dynamic ones end at [`u64::MAX`].
    pub fn leases(&self) -> &Leases {
        &self.leases
    }

    /// The changes that this rack has caught up with.
    pub fn learned(&self) -> u64 {
        self.learned
    }

    /// Networks in which few of this rack's addresses are free: a quarter at most, or fewer than four.
    pub fn low(&self, now: u64) -> Vec<Ipv4Net> {
        let few = |subnet: &&Subnet| {
            let (held, all) = self.leases.usage(subnet, now);
            let free = all - held;
            free < 4 || free * 4 <= all
        };
        self.config.subnets().iter().filter(few).map(|subnet| subnet.network).collect()
    }

    /// What to do about a message.
    pub fn respond(&mut self, packet: &Packet, arrival: Arrival, now: u64) -> Answer {
        let kind = packet.options.message_type();
        if packet.op == 1 && kind == Some(MessageType::Discover) && !self.split.answers(packet) {
            return silent(packet, Reason::OtherRack);
        }
        let renewing = is_renewal(packet);
        let standing = self.standing(now);
        let had: Vec<Ipv4Addr> = packet.client_key().map_or(Vec::new(), |client| {
            self.leases.of_client(&client).filter(|l| l.expires == u64::MAX).map(|l| l.address).collect()
        });
        let mut outcome = if self.needed(packet).is_some_and(|needed| standing >= needed) {
            self.leases.offer_held(standing == Standing::All);
            if renewing {
                self.take_back_decline(packet);
            }
            respond(packet, arrival, &self.config, &mut self.leases, now)
        } else {
            respond(packet, arrival, &self.fixed_only, &mut self.aside, now)
        };
        if standing == Standing::Cut && outcome.action == Action::Silent(Reason::PoolEmpty) {
            outcome.action = Action::Silent(Reason::Unheard);
        }
        if let (true, Action::Nak(_, reason)) = (renewing, &outcome.action)
            && *reason != Reason::WrongNetwork
        {
            // It believes that it has the address. Where that is right, another rack knows.
            outcome.action = Action::Silent(*reason);
        }
        let records = self.settle(&outcome, &had, now);
        Answer { outcome, records }
    }

    fn standing(&self, now: u64) -> Standing {
        let Some(contact) = self.contact else { return Standing::Cut };
        match now.saturating_sub(contact) {
            silence if silence < self.terms.others_seconds => Standing::All,
            silence if silence < self.terms.own_seconds => Standing::Own,
            _ => Standing::Cut,
        }
    }

    /// What a rack must be allowed in order to act on the address that a message is about; `None` when it may not
    /// at all, as the address is another rack's and it knows no lease of it.
    fn needed(&self, packet: &Packet) -> Option<Standing> {
        let named = packet.options.address(code::REQUESTED_ADDRESS).filter(|a| !a.is_unspecified());
        let address = named.unwrap_or(packet.ciaddr);
        match packet.options.message_type() {
            Some(MessageType::Inform) => Some(Standing::Cut),
            Some(MessageType::Discover) | None => Some(Standing::Own),
            Some(_) if self.config.is_fixed(address) || self.is_own(address) => Some(Standing::Own),
            Some(_) => self.dynamic_entry(address).map(|_| Standing::All),
        }
    }

    /// A client that renews an address has not found it in use by something else, whatever a late DECLINE says.
    fn take_back_decline(&mut self, packet: &Packet) {
        let client = packet.client_key();
        let entry = self.dynamic_entry(packet.ciaddr).filter(|l| l.state == LeaseState::Declined);
        if let Some(lease) = entry.filter(|l| Some(&l.client) == client.as_ref()).cloned() {
            self.leases.insert(Lease { state: LeaseState::Bound, ..lease });
        }
    }

    /// Makes dynamic leases last until the regions' word, and notes what has to be durable.
    ///
    /// A RELEASE frees nothing early: one that was late on the way cannot be told from a new one, and meanwhile the
    /// client may have the address again. It shows in `changes` only.
    fn settle(&mut self, outcome: &Outcome, had: &[Ipv4Addr], now: u64) -> Vec<Record> {
        let mut records = Vec::new();
        for lease in &outcome.changes {
            let dynamic = !self.config.is_fixed(lease.address);
            if dynamic && lease.state == LeaseState::Released {
                // What was only offered is free.
                if had.contains(&lease.address) {
                    let kept = Lease { state: LeaseState::Bound, expires: u64::MAX, ..lease.clone() };
                    self.leases.insert(kept);
                }
                continue;
            }
            let number = self.take_number();
            if dynamic {
                self.leases.insert(Lease { expires: u64::MAX, ..lease.clone() });
                self.numbers.insert(lease.address, number);
            }
            let seconds = lease.expires.saturating_sub(now);
            let epoch = self.own_block(lease.address).map(|block| block.epoch);
            records.push(Record::Lease { number, lease: lease.clone(), seconds, dynamic, epoch });
        }
        records
    }

    /// A region heard what this rack sent at `sent_at`.
    pub(super) fn hear(&mut self, sent_at: u64, records: &mut Vec<Record>) {
        let contact = self.contact.map_or(sent_at, |before| before.max(sent_at));
        self.contact = Some(contact);
        // Each record costs a write to the disk, so that one in a while has to do: an older one errs to the safe side.
        let enough = self.terms.others_seconds / 16;
        if contact >= self.contact_recorded.saturating_add(enough) || contact < self.contact_recorded {
            self.contact_recorded = contact;
            records.push(Record::Contact { at: contact, boot: self.boot });
        }
    }

    /// Blocks that it has caught up for become pools.
    pub(super) fn choose_pools(&mut self) {
        let learned = self.learned;
        let usable: Vec<Pool> = self.blocks.iter().filter(|b| b.since <= learned).map(|b| b.pool).collect();
        self.config.set_pools(|subnet| {
            usable.iter().filter(|p| subnet.network.contains(&p.first)).copied().collect()
        });
    }

    pub(super) fn take_number(&mut self) -> u64 {
        let number = self.next_number;
        self.next_number += 1;
        number
    }

    /// Whether the address is in a block of this rack.
    pub(super) fn is_own(&self, address: Ipv4Addr) -> bool {
        self.own_block(address).is_some()
    }

    fn own_block(&self, address: Ipv4Addr) -> Option<&Block> {
        self.blocks.iter().find(|block| block.since <= self.learned && block.pool.contains(address))
    }

    /// Whether the regions, which have this rack's reports up to number `stored`, know what it did with the address.
    pub(super) fn is_reported(&self, address: Ipv4Addr, stored: u64) -> bool {
        self.numbers.get(&address).is_none_or(|number| *number <= stored)
    }

    pub(super) fn dynamic_entry(&self, address: Ipv4Addr) -> Option<&Lease> {
        self.leases.get(address).filter(|lease| lease.expires == u64::MAX)
    }

    pub(super) fn dynamic_entries(&self) -> impl Iterator<Item = &Lease> {
        self.leases.iter().filter(|lease| lease.expires == u64::MAX)
    }
}

/// A client that has an address and wants to keep it (RFC 2131 §4.3.2: RENEWING and REBINDING).
fn is_renewal(packet: &Packet) -> bool {
    packet.options.message_type() == Some(MessageType::Request)
        && packet.options.address(code::SERVER_ID).is_none()
        && !packet.ciaddr.is_unspecified()
}

fn silent(packet: &Packet, reason: Reason) -> Answer {
    let outcome = Outcome {
        action: Action::Silent(reason),
        changes: Vec::new(),
        client: Client::of(packet),
        boot_denied: false,
    };
    Answer { outcome, records: Vec::new() }
}
