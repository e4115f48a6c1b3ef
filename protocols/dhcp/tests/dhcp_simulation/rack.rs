//! A rack's process and its disk: one log, written in groups, of which a crash leaves any beginning.

use std::collections::HashMap;
use std::net::Ipv4Addr;

use rackwright_dhcp::racks::{Block, Member, RackId, Record, Terms};
use rackwright_dhcp::{
    Action, Arrival, Boot, ClientKey, Config, LeaseState, Limits, MessageType, Packet, Reply, Subnet,
};

use crate::Bug;
use crate::database::{Down, Up};

/// Records told in one message at most.
const TELL: usize = 60;
/// The log is written anew at a start when it is longer, records.
const COMPACT: usize = 40;

/// Something that came in.
#[derive(Debug, Clone)]
pub enum Input {
    Dhcp { packet: Box<Packet>, broadcast: bool },
    Down(Box<Down>),
}

#[derive(Debug)]
pub struct Rack {
    pub number: usize,
    pub address: Ipv4Addr,
    terms: Terms,
    bug: Bug,
    /// The process, when it runs.
    pub member: Option<Member>,
    /// Raised with each start of the process.
    pub life: u32,
    boot: u128,
    /// Until then it is stopped (SIGSTOP), milliseconds.
    pub paused_until: u64,
    pub inbox: Vec<Input>,
    /// A sync ended while it was stopped.
    pub synced_meanwhile: bool,
    /// How wrong its clock is, milliseconds.
    pub clock_error: i64,
    disk: Vec<Record>,
    /// Those records of the log that regions are told, also when the log was written anew.
    reports: Vec<Record>,
    blocks: Vec<Block>,
    unsynced: Vec<Record>,
    /// How many of `unsynced` the sync that runs now covers.
    syncing: usize,
    /// Replies, and how long the log has to be for each.
    waiting: Vec<(usize, Reply)>,
    /// What of the reports no region has acknowledged begins here,
    untold: usize,
    /// as they have acknowledged up to this number.
    stored: u64,
    /// Who was given each address last, by the log that is on the disk: a lease that it drops in the same breath is told to
    /// the regions all the same.
    durable: HashMap<Ipv4Addr, ClientKey>,
    /// When it sent the last message that a region answered, in true time; none since it started.
    pub heard: Option<u64>,
    low: bool,
}

/// What a rack does about something.
#[derive(Debug, Default)]
pub struct Effects {
    pub send: Vec<Reply>,
    /// A sync is to begin.
    pub sync: bool,
}

impl Rack {
    pub fn new(number: usize, terms: Terms, bug: Bug) -> Rack {
        Rack {
            number,
            address: Ipv4Addr::new(10, 0, 0, number as u8 + 1),
            terms,
            bug,
            member: None,
            life: 0,
            boot: 0,
            paused_until: 0,
            inbox: Vec::new(),
            synced_meanwhile: false,
            clock_error: 0,
            disk: Vec::new(),
            reports: Vec::new(),
            blocks: Vec::new(),
            unsynced: Vec::new(),
            syncing: 0,
            waiting: Vec::new(),
            untold: 0,
            stored: 0,
            durable: HashMap::new(),
            heard: None,
            low: false,
        }
    }

    /// Its clock, seconds.
    pub fn clock(&self, now: u64) -> u64 {
        (1_000_000_000 + now as i64 + self.clock_error) as u64 / 1000
    }

    /// The process starts; after its box, unless `same_boot`.
    pub fn start(&mut self, same_boot: bool, now: u64) {
        self.boot += u128::from(!same_boot && self.bug != Bug::TrustsItsDisk);
        let clock = self.clock(now);
        let lost = |r: &&Record| self.bug == Bug::DropsAreNotKept && matches!(r, Record::Dropped { .. });
        let records = self.disk.iter().filter(|r| !lost(r)).cloned();
        let mut terms = self.terms;
        if self.bug == Bug::ActsUnheard {
            (terms.own_seconds, terms.others_seconds) = (u64::MAX, u64::MAX);
        }
        let mut member = Member::restore(self.number as RackId, terms, records, self.boot, clock);
        if self.disk.len() > COMPACT {
            self.disk = member.records().collect();
        }
        member.configure(config(self.terms), self.blocks.clone());
        self.member = Some(member);
        self.life += 1;
        (self.heard, self.low) = (None, false);
    }

    /// The process ends; `written` of what it had not synced is on the disk all the same.
    pub fn crash(&mut self, written: usize) {
        self.unsynced.truncate(written);
        self.syncing = self.unsynced.len();
        self.finish_sync();
        self.member = None;
        self.waiting.clear();
        self.inbox.clear();
        self.unsynced.clear();
        (self.syncing, self.paused_until, self.untold, self.stored) = (0, 0, 0, 0);
        self.synced_meanwhile = false;
    }

    pub fn unsynced(&self) -> usize {
        self.unsynced.len()
    }

    /// A DHCP message: what was decided, and what follows at once.
    pub fn take_dhcp(&mut self, packet: &Packet, broadcast: bool, now: u64) -> (Option<Action>, Effects) {
        let clock = self.clock(now);
        let arrival = Arrival { server: self.address, broadcast };
        let Some(member) = &mut self.member else { return (None, Effects::default()) };
        let answer = member.respond(packet, arrival, clock);
        let mut effects = Effects::default();
        let empty = matches!(answer.outcome.action, Action::Silent(rackwright_dhcp::Reason::PoolEmpty));
        self.low |= empty;
        let depends = !answer.records.is_empty();
        effects.sync = self.write(answer.records);
        if let Action::Offer(reply) | Action::Ack(reply) | Action::Nak(reply, _) = &answer.outcome.action {
            if depends && self.bug != Bug::AckBeforeSync {
                self.waiting.push((self.disk.len() + self.unsynced.len(), reply.clone()));
            } else {
                effects.send.push(reply.clone());
            }
        }
        (Some(answer.outcome.action), effects)
    }

    /// A region's answer.
    pub fn take_down(&mut self, down: &Down) -> Effects {
        let Some(member) = &mut self.member else { return Effects::default() };
        if down.life != self.life {
            return Effects::default();
        }
        let before = member.learned();
        let records = member.learn(down.sent_at, &down.blocks, &down.batch);
        let taken = down.batch.upto >= before && (down.batch.whole || down.batch.after <= before);
        if !taken {
            return Effects::default();
        }
        member.split.set_live(down.live.iter().copied());
        // As a snapshot is: on the disk before it is used.
        self.blocks = down.blocks.clone();
        self.heard = self.heard.max(Some(down.truly_sent_at));
        let stored = down.batch.stored;
        self.stored = self.stored.max(stored);
        let told = |record: &Record| record.number().is_none_or(|number| number <= stored);
        while self.reports.get(self.untold).is_some_and(told) {
            self.untold += 1;
        }
        Effects { sync: self.write(records), ..Effects::default() }
    }

    /// What it tells a region now.
    pub fn up(&mut self, now: u64) -> Option<Up> {
        let clock = self.clock(now);
        let member = self.member.as_ref()?;
        let records = self.reports[self.untold..].iter().take(TELL).cloned().collect();
        let low = std::mem::take(&mut self.low);
        Some(Up {
            rack: self.number,
            life: self.life,
            sent_at: clock,
            truly_sent_at: now,
            after: self.stored,
            records,
            learned: member.learned(),
            low,
        })
    }

    /// Appends to the log; whether a sync is to begin.
    fn write(&mut self, records: Vec<Record>) -> bool {
        let idle = self.syncing == 0;
        self.unsynced.extend(records);
        if idle {
            self.syncing = self.unsynced.len();
        }
        idle && self.syncing > 0
    }

    /// The sync that runs is done; what may be sent now, and whether the next one begins.
    pub fn finish_sync(&mut self) -> Effects {
        let synced: Vec<Record> = self.unsynced.drain(..self.syncing).collect();
        for record in synced {
            if let Record::Lease { lease, .. } = &record {
                self.durable.insert(lease.address, lease.client.clone());
            }
            if record.number().is_some() {
                let needless = self.needless_by(&record);
                drop(needless.map(|at| self.reports.remove(at)));
                self.reports.push(record.clone());
            }
            self.disk.push(record);
        }
        let length = self.disk.len();
        let (ready, waiting) = std::mem::take(&mut self.waiting).into_iter().partition(|(l, _)| *l <= length);
        self.waiting = waiting;
        self.syncing = self.unsynced.len();
        let send = Vec::into_iter(ready).map(|(_, reply)| reply).collect();
        Effects { send, sync: self.syncing > 0 }
    }

    /// The report that a newer one says as well: of the same lease, and with no promise between.
    fn needless_by(&self, newer: &Record) -> Option<usize> {
        let Record::Lease { lease, seconds, epoch, .. } = newer else { return None };
        for at in (self.untold..self.reports.len()).rev() {
            match &self.reports[at] {
                Record::Lease { lease: older, seconds: before, epoch: then, .. }
                    if older.address == lease.address =>
                {
                    let same = older.client == lease.client && then == epoch && seconds >= before;
                    return Some(at).filter(|_| same);
                }
                Record::CaughtUp { .. } => return None,
                _ => {}
            }
        }
        None
    }

    /// Whether this acknowledgement would be known after a power cut now.
    pub fn is_durable(&self, ack: &Packet) -> bool {
        self.durable.get(&ack.yiaddr) == ack.client_key().as_ref()
    }

    /// Whether it has the address down as this client's.
    pub fn knows(&self, address: Ipv4Addr, client: &ClientKey) -> bool {
        let lease = self.member.as_ref().and_then(|m| m.leases().get(address));
        lease.is_some_and(|l| l.client == *client && l.state != LeaseState::Offered)
    }
}

/// 10.0.0.0/24, leases as long as allowed.
fn config(terms: Terms) -> Config {
    let subnet = Subnet {
        network: "10.0.0.0/24".parse().expect("it is one"),
        segment: 1,
        routers: vec![],
        dns_servers: vec![],
        ntp_servers: vec![],
        domain: None,
        mtu: None,
        pools: vec![],
        lease_seconds: terms.longest_lease_seconds as u32,
        authoritative: true,
        more: Default::default(),
    };
    let limits = Limits { offer_seconds: 10, quarantine_seconds: 40, ..Limits::default() };
    Config::new(vec![subnet], vec![], Boot::default(), limits)
}

pub fn is_ack(packet: &Packet) -> bool {
    packet.options.message_type() == Some(MessageType::Ack)
}
