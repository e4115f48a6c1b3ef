//! The database that the regions share: reports in, changes out, each call one transaction. What it decides about an
//! address is [`Row`]'s; this model keeps the rows, the blocks and how far each rack is.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use rackwright_dhcp::Pool;
use rackwright_dhcp::racks::{Batch, Block, Next, RackId, Record, Row, RowState, Terms};

use crate::Bug;

/// Free addresses that a rack keeps when it is asked for a block.
pub const SPARE: usize = 1;

/// From a rack to a region: everything it has to say, each time.
#[derive(Debug, Clone)]
pub struct Up {
    pub rack: usize,
    /// The run of the rack's process.
    pub life: u32,
    /// When it was sent, by the rack's clock.
    pub sent_at: u64,
    /// The same, by no clock that anybody in here can read.
    pub truly_sent_at: u64,
    /// The records leave out nothing that matters after this number.
    pub after: u64,
    /// Durable records that no region has acknowledged.
    pub records: Vec<Record>,
    /// The changes it has caught up with.
    pub learned: u64,
    /// Its blocks have no free address.
    pub low: bool,
}

/// The answer.
#[derive(Debug, Clone)]
pub struct Down {
    pub life: u32,
    pub sent_at: u64,
    pub truly_sent_at: u64,
    pub blocks: Vec<Block>,
    pub batch: Batch,
    pub live: Vec<RackId>,
}

/// A rack as the database has it.
#[derive(Debug, Clone, Default)]
struct RackRow {
    life: u32,
    stored: u64,
    caught_up: u64,
    /// It counts from the first time on.
    heard: Option<u64>,
    /// The others' addresses are freed without asking it.
    muted: bool,
    /// What it has learned up to here does not count: it was not asked meanwhile.
    floor: u64,
    fenced: Option<u64>,
}

#[derive(Debug, Clone)]
struct BlockRow {
    pool: Pool,
    epoch: u64,
    since: u64,
    owner: Option<usize>,
    /// Its owner is to give it back: it is told of the block no more from this change on.
    recalled: Option<u64>,
}

/// What is asked of the database.
#[derive(Debug, Clone)]
pub enum Call {
    Exchange(Box<Up>),
    Sweep,
    Fence(usize),
}

#[derive(Debug)]
pub struct Database {
    terms: Terms,
    bug: Bug,
    racks: Vec<RackRow>,
    blocks: Vec<BlockRow>,
    rows: BTreeMap<Ipv4Addr, Row>,
    change: u64,
    pub moves: u64,
    pub recalls: u64,
    /// Every call with its time and its answer, when somebody wants to repeat them elsewhere.
    pub calls: Option<Vec<Called>>,
}

/// A call, its time, its answer.
pub type Called = (u64, Call, Option<Down>);

impl Database {
    /// Each rack has the block of its number; what is left is nobody's.
    pub fn new(terms: Terms, racks: usize, pools: Vec<Pool>, bug: Bug) -> Database {
        let blocks = pools.into_iter().enumerate().map(|(number, pool)| BlockRow {
            pool,
            epoch: 1,
            since: 1,
            owner: Some(number).filter(|n| *n < racks),
            recalled: None,
        });
        Database {
            terms,
            bug,
            racks: vec![RackRow::default(); racks],
            blocks: blocks.collect(),
            rows: BTreeMap::new(),
            change: 1,
            moves: 0,
            recalls: 0,
            calls: None,
        }
    }

    /// One exchange with a rack.
    pub fn exchange(&mut self, up: &Up, now: u64) -> Option<Down> {
        let down = self.answer(up, now);
        self.note(now, || Call::Exchange(Box::new(up.clone())), &down);
        down
    }

    fn answer(&mut self, up: &Up, now: u64) -> Option<Down> {
        let rack = up.rack;
        if up.life < self.racks[rack].life {
            return None; // Its stream ended with that run.
        }
        self.advance_all(now);
        if self.racks[rack].heard.is_none() {
            self.change += 1;
            self.racks[rack].floor = self.change;
        }
        let row = &mut self.racks[rack];
        (row.life, row.heard, row.fenced) = (up.life, Some(now), None);
        let gap = up.after > self.racks[rack].stored;
        for record in up.records.iter().filter(|_| !gap) {
            if let Some(number) = record.number().filter(|number| *number > self.racks[rack].stored) {
                self.racks[rack].stored = number;
                self.store(rack, record, now);
            }
        }
        if up.low {
            self.grant(rack, now);
        }
        self.advance_all(now);
        let whole = self.racks[rack].muted || up.learned < self.racks[rack].floor;
        self.racks[rack].muted = false;
        let words = self.rows.iter().filter(|(_, row)| whole || row.change > up.learned);
        let words = words.map(|(address, row)| row.word(*address, self.owner(*address) == Some(rack)));
        let stored = self.racks[rack].stored;
        let batch = Batch { after: up.learned, upto: self.change, whole, stored, words: words.collect() };
        let own = self.blocks.iter().filter(|b| b.owner == Some(rack) && b.recalled.is_none());
        let blocks = own.map(|b| Block { pool: b.pool, epoch: b.epoch, since: b.since }).collect();
        let live = (0..self.racks.len()).filter(|r| self.is_live(*r, now));
        Some(Down {
            life: up.life,
            sent_at: up.sent_at,
            truly_sent_at: up.truly_sent_at,
            blocks,
            batch,
            live: live.map(|r| r as RackId).collect(),
        })
    }

    fn note(&mut self, now: u64, call: impl FnOnce() -> Call, down: &Option<Down>) {
        if let Some(calls) = &mut self.calls {
            calls.push((now, call(), down.clone()));
        }
    }

    fn is_live(&self, rack: usize, now: u64) -> bool {
        self.racks[rack].heard.is_some_and(|heard| now < heard + 12)
    }

    fn store(&mut self, rack: usize, record: &Record, now: u64) {
        match record {
            Record::Lease { lease, seconds, dynamic: true, epoch, .. } => {
                let block = self.blocks.iter().find(|b| b.pool.contains(lease.address));
                let by_owner = block.is_some_and(|b| b.owner == Some(rack) && Some(b.epoch) == *epoch);
                let row = self.rows.get(&lease.address);
                let until = now + seconds;
                if let Some(row) = Row::reported(row, by_owner, &lease.client, until, self.change + 1) {
                    self.change += 1;
                    self.rows.insert(lease.address, row);
                }
            }
            Record::CaughtUp { change, .. } => {
                self.racks[rack].caught_up = self.racks[rack].caught_up.max(*change);
            }
            _ => {}
        }
    }

    /// What every region does now and then, and before it answers.
    pub fn sweep(&mut self, now: u64) {
        self.advance_all(now);
        self.note(now, || Call::Sweep, &None);
    }

    fn advance_all(&mut self, now: u64) {
        let terms = self.terms;
        let fenced = |rack: &RackRow| rack.fenced.is_some_and(|at| now >= terms.out_after_fence(at));
        for rack in &mut self.racks {
            let silent = rack.heard.is_some_and(|heard| now >= terms.mute_at(heard));
            if !rack.muted && (silent || fenced(rack)) {
                self.change += 1;
                (rack.muted, rack.floor) = (true, self.change);
            }
        }
        for block in 0..self.blocks.len() {
            let Some(owner) = self.blocks[block].owner else { continue };
            let row = &self.racks[owner];
            let hasty = self.bug == Bug::BlockMovesAtOnce && row.heard.is_some_and(|heard| now >= heard + 15);
            let out = fenced(row) || hasty || row.heard.is_some_and(|heard| now >= terms.out_at(heard));
            let given_back = self.blocks[block].recalled.is_some_and(|change| row.caught_up >= change);
            if out || given_back {
                self.free(block);
            }
        }
        let addresses: Vec<Ipv4Addr> = self.rows.keys().copied().collect();
        for address in addresses {
            self.advance(address, now);
        }
    }

    fn advance(&mut self, address: Ipv4Addr, now: u64) {
        let owner = self.owner(address);
        let counts = |rack: &RackRow| rack.heard.is_some() && !rack.muted;
        let asked = (0..self.racks.len()).filter(|r| Some(*r) != owner && counts(&self.racks[*r]));
        let mut others = asked.map(|r| self.racks[r].caught_up).min();
        if self.bug == Bug::ReuseWithoutCatchUp {
            others = None;
        }
        let owner = owner.map(|r| self.racks[r].caught_up);
        let Some(row) = self.rows.get_mut(&address) else { return };
        match row.next(now, &self.terms, owner, others) {
            Next::Stay => {}
            Next::Become(state) => {
                self.change += 1;
                (row.state, row.change) = (state, self.change);
            }
            Next::Remove => drop(self.rows.remove(&address)),
        }
    }

    /// The block is nobody's: its owner cannot act any more, or has given it back. Whoever was told of a row as the
    /// owner is told of it again as one of the others.
    fn free(&mut self, block: usize) {
        self.change += 1;
        let block = &mut self.blocks[block];
        (block.owner, block.recalled) = (None, None);
        for (_, row) in self.rows.range_mut(block.pool.first..=block.pool.last) {
            (row.state, row.change) = (RowState::Held, self.change);
        }
        self.moves += 1;
    }

    /// A block that is nobody's goes to the rack. If there is none, one is called back from whoever has plenty.
    fn grant(&mut self, rack: usize, now: u64) {
        let Some(free) = self.blocks.iter().position(|b| b.owner.is_none()) else {
            return self.recall(rack, now);
        };
        self.change += 1;
        let block = &mut self.blocks[free];
        (block.owner, block.epoch, block.since) = (Some(rack), self.change, self.change);
        for (_, row) in self.rows.range_mut(block.pool.first..=block.pool.last) {
            (row.state, row.change) = (RowState::Held, self.change);
        }
    }

    /// The emptiest block of another rack that keeps free addresses without it. One at a time.
    fn recall(&mut self, rack: usize, now: u64) {
        if self.blocks.iter().any(|b| b.recalled.is_some()) {
            return;
        }
        let free = |b: &BlockRow| {
            let size = u32::from(b.pool.last) - u32::from(b.pool.first) + 1;
            size as usize - self.rows.range(b.pool.first..=b.pool.last).count()
        };
        let spares = |number: &usize| {
            let owner = self.blocks[*number].owner;
            let others = (0..self.blocks.len()).filter(|b| b != number && self.blocks[*b].owner == owner);
            owner.is_some_and(|o| o != rack && self.is_live(o, now))
                && others.map(|b| free(&self.blocks[b])).sum::<usize>() >= SPARE
        };
        let candidates = (0..self.blocks.len()).filter(|b| free(&self.blocks[*b]) > 0).filter(spares);
        if let Some(emptiest) = candidates.min_by_key(|b| (Reverse(free(&self.blocks[*b])), *b)) {
            self.change += 1;
            self.blocks[emptiest].recalled = Some(self.change);
            self.recalls += 1;
        }
    }

    /// The rack's box is off for certain.
    pub fn fence(&mut self, rack: usize, now: u64) {
        self.racks[rack].fenced = Some(now);
        self.note(now, || Call::Fence(rack), &None);
    }

    fn owner(&self, address: Ipv4Addr) -> Option<usize> {
        self.blocks.iter().find(|b| b.pool.contains(address))?.owner
    }

    /// Addresses that are somebody's, or not yet anybody's again.
    pub fn rows(&self) -> impl Iterator<Item = (&Ipv4Addr, &Row)> {
        self.rows.iter()
    }
}
