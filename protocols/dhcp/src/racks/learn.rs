//! What the regions tell a rack of the leases of its links.

use std::collections::HashSet;
use std::net::Ipv4Addr;

use super::block::Block;
use super::member::Member;
use super::record::Record;
use crate::lease::{Lease, LeaseState};
use crate::mac::ClientKey;

/// Changes in the regions' order, read from the database at one instant together with the rack's blocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// It holds every change after this number,
    pub after: u64,
    /// up to this one.
    pub upto: u64,
    /// It is all that there is, not only changes: an address not in it is nobody's. Needed by a new rack, and by one
    /// that the regions went on without.
    pub whole: bool,
    /// The number of this rack's last report ([`Record::number`]) that was stored at that instant.
    pub stored: u64,
    /// The changes, one for each address.
    pub words: Vec<Word>,
}

/// The state of one address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Word {
    /// It is that client's.
    Keep {
        /// Which.
        address: Ipv4Addr,
        /// Whose.
        client: ClientKey,
    },
    /// It was somebody's and is no longer: do not extend that lease.
    Drop {
        /// Which.
        address: Ipv4Addr,
    },
}

impl Member {
    /// Takes what a region answered to the message that this rack, in this run, sent at `sent_at`: its blocks and the
    /// changes. What it returns has to be durable, in order, before any number in it is told to a region.
    ///
    /// An answer that is older than what was taken before, or that leaves out changes, is ignored as a whole.
    pub fn learn(&mut self, sent_at: u64, blocks: &[Block], batch: &Batch) -> Vec<Record> {
        let gap = !batch.whole && batch.after > self.learned;
        if gap || batch.upto < self.learned {
            return Vec::new();
        }
        let before = std::mem::replace(&mut self.blocks, blocks.to_vec());
        let mut records = Vec::new();
        if batch.whole {
            self.drop_all_but(batch, &before, &mut records);
        }
        for word in &batch.words {
            match word {
                Word::Keep { address, client } => self.keep(*address, client, batch.stored, &mut records),
                Word::Drop { address } => {
                    if self.is_reported(*address, batch.stored) {
                        self.drop_address(*address, &mut records);
                    }
                }
            }
        }
        if batch.upto > self.learned {
            self.learned = batch.upto;
            records.push(Record::CaughtUp { number: self.take_number(), change: batch.upto });
        }
        self.hear(sent_at, &mut records);
        self.choose_pools();
        records
    }

    /// Forgets what is not in the batch, except leases of blocks that stayed this rack's, and of which the regions
    /// cannot know yet.
    fn drop_all_but(&mut self, batch: &Batch, before: &[Block], records: &mut Vec<Record>) {
        let kept: HashSet<Ipv4Addr> = batch
            .words
            .iter()
            .filter_map(|word| match word {
                Word::Keep { address, .. } => Some(*address),
                Word::Drop { .. } => None,
            })
            .collect();
        let stayed = |address| {
            let same = |b: &&Block| before.iter().any(|old| old.pool == b.pool && old.epoch == b.epoch);
            self.blocks.iter().filter(same).any(|b| b.pool.contains(address))
        };
        let gone: Vec<Ipv4Addr> = self
            .dynamic_entries()
            .map(|lease| lease.address)
            .filter(|a| !kept.contains(a))
            .filter(|a| !stayed(*a) || self.is_reported(*a, batch.stored))
            .collect();
        for address in gone {
            self.drop_address(address, records);
        }
    }

    fn keep(&mut self, address: Ipv4Addr, client: &ClientKey, stored: u64, records: &mut Vec<Record>) {
        if let Some(lease) = self.dynamic_entry(address) {
            // What it gave itself since, in a block of its own, is on the way to the regions.
            if lease.client == *client || (self.is_own(address) && !self.is_reported(address, stored)) {
                return;
            }
        }
        self.numbers.remove(&address);
        self.leases.insert(Lease {
            address,
            client: client.clone(),
            state: LeaseState::Bound,
            expires: u64::MAX,
        });
        records.push(Record::Kept { address, client: client.clone() });
    }

    fn drop_address(&mut self, address: Ipv4Addr, records: &mut Vec<Record>) {
        if self.dynamic_entry(address).is_some() {
            self.leases.remove(address);
            self.numbers.remove(&address);
            records.push(Record::Dropped { address });
        }
    }
}
