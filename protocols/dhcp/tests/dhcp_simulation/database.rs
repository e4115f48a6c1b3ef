//! The database that the regions share: reports in, changes out, each call one transaction. What it decides about an
//! address is [`Row`]'s; this model keeps the rows, the blocks and how far each rack is.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use rackwright_dhcp::Pool;
use rackwright_dhcp::racks::{Batch, Block, Next, RackId, Record, Row, RowState, Terms};

use crate::Bug;

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
    heard: u64,
    /// The others' addresses are freed without asking it.
    muted: bool,
    /// What it has learned up to here does not count: it was not asked meanwhile.
    floor: u64,
    fenced: Option<u64>,
    blocks_moved: bool,
}

#[derive(Debug, Clone)]
struct BlockRow {
    pool: Pool,
    epoch: u64,
    since: u64,
    owner: Option<usize>,
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
}

impl Database {
    /// Each rack has the block of its number; what is left is nobody's.
    pub fn new(terms: Terms, racks: usize, pools: Vec<Pool>, bug: Bug) -> Database {
        let blocks = pools.into_iter().enumerate().map(|(number, pool)| BlockRow {
            pool,
            epoch: 1,
            since: 1,
            owner: Some(number).filter(|n| *n < racks),
        });
        let new = RackRow { floor: 1, ..RackRow::default() };
        Database {
            terms,
            bug,
            racks: vec![new; racks],
            blocks: blocks.collect(),
            rows: BTreeMap::new(),
            change: 1,
            moves: 0,
        }
    }

    /// One exchange with a rack.
    pub fn exchange(&mut self, up: &Up, now: u64) -> Option<Down> {
        let rack = up.rack;
        if up.life < self.racks[rack].life {
            return None; // Its stream ended with that run.
        }
        let fenced_run = self.racks[rack].fenced.is_some() && up.life == self.racks[rack].life;
        if fenced_run {
            return None;
        }
        self.sweep(now);
        let row = &mut self.racks[rack];
        (row.life, row.heard, row.fenced, row.blocks_moved) = (up.life, now, None, false);
        for record in &up.records {
            if record.number().is_some_and(|number| number == self.racks[rack].stored + 1) {
                self.store(rack, record, now);
            }
        }
        if up.low {
            self.grant(rack);
        }
        self.sweep(now);
        let whole = self.racks[rack].muted || up.learned < self.racks[rack].floor;
        self.racks[rack].muted = false;
        let words = self.rows.iter().filter(|(_, row)| whole || row.change > up.learned);
        let words = words.map(|(address, row)| row.word(*address, self.owner(*address) == Some(rack)));
        let stored = self.racks[rack].stored;
        let batch = Batch { after: up.learned, upto: self.change, whole, stored, words: words.collect() };
        let own = self.blocks.iter().filter(|b| b.owner == Some(rack));
        let blocks = own.map(|b| Block { pool: b.pool, epoch: b.epoch, since: b.since }).collect();
        let live = (0..self.racks.len()).filter(|r| now.saturating_sub(self.racks[*r].heard) < 12);
        Some(Down {
            life: up.life,
            sent_at: up.sent_at,
            truly_sent_at: up.truly_sent_at,
            blocks,
            batch,
            live: live.map(|r| r as RackId).collect(),
        })
    }

    fn store(&mut self, rack: usize, record: &Record, now: u64) {
        self.racks[rack].stored += 1;
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
        let (change, terms) = (self.change, self.terms);
        for rack in &mut self.racks {
            let fenced = rack.fenced.is_some_and(|at| now >= terms.out_after_fence(at));
            if !rack.muted && (fenced || now >= terms.mute_at(rack.heard)) {
                (rack.muted, rack.floor) = (true, change + 1);
                self.change = change + 1;
            }
        }
        for rack in 0..self.racks.len() {
            let row = &self.racks[rack];
            let fenced = row.fenced.is_some_and(|at| now >= terms.out_after_fence(at));
            let hasty = self.bug == Bug::BlockMovesAtOnce && now >= row.heard + 15;
            if !row.blocks_moved && (fenced || hasty || now >= terms.out_at(row.heard)) {
                self.move_blocks(rack, now);
            }
        }
        let addresses: Vec<Ipv4Addr> = self.rows.keys().copied().collect();
        for address in addresses {
            self.advance(address, now);
        }
    }

    fn advance(&mut self, address: Ipv4Addr, now: u64) {
        let owner = self.owner(address);
        let asked = (0..self.racks.len()).filter(|r| Some(*r) != owner && !self.racks[*r].muted);
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

    /// The blocks of a rack that cannot act any more go to others that are heard.
    fn move_blocks(&mut self, rack: usize, now: u64) {
        let heard: Vec<usize> =
            (0..self.racks.len()).filter(|r| *r != rack && now < self.racks[*r].heard + 12).collect();
        if heard.is_empty() {
            return;
        }
        self.racks[rack].blocks_moved = true;
        let mine: Vec<usize> =
            (0..self.blocks.len()).filter(|b| self.blocks[*b].owner == Some(rack)).collect();
        for (turn, block) in mine.into_iter().enumerate() {
            self.give(block, heard[turn % heard.len()]);
            self.moves += 1;
        }
    }

    fn give(&mut self, block: usize, rack: usize) {
        self.change += 1;
        let block = &mut self.blocks[block];
        (block.owner, block.epoch, block.since) = (Some(rack), block.epoch + 1, self.change);
        for (_, row) in self.rows.range_mut(block.pool.first..=block.pool.last) {
            (row.state, row.change) = (RowState::Held, self.change);
        }
    }

    fn grant(&mut self, rack: usize) {
        if let Some(free) = self.blocks.iter().position(|b| b.owner.is_none()) {
            self.give(free, rack);
        }
    }

    /// The rack's box is off for certain.
    pub fn fence(&mut self, rack: usize, now: u64) {
        self.racks[rack].fenced = Some(now);
    }

    fn owner(&self, address: Ipv4Addr) -> Option<usize> {
        self.blocks.iter().find(|b| b.pool.contains(address))?.owner
    }

    /// Addresses that are somebody's, or not yet anybody's again.
    pub fn rows(&self) -> impl Iterator<Item = (&Ipv4Addr, &Row)> {
        self.rows.iter()
    }
}
