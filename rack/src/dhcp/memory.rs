//! This rack among the racks of its links, with its memory: what the core decides is durable before it counts, and told
//! to the regions only then.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;

use ipnet::Ipv4Net;
use rackwright_common::clock::Clock;
use rackwright_common::lease::LeaseNews;
use rackwright_common::snapshot::{BlockView, Snapshot};
use rackwright_dhcp::racks::{Answer, Batch, Block, Member, RackId, Record, Split, Terms, Word};
use rackwright_dhcp::{Arrival, Config, Lease, LeaseState, MacAddr, Packet, Pool};
use tokio::sync::mpsc;
use uuid::Uuid;

use super::exchange::LeaseExchange;
use super::lease_file::{self, Found, LeaseFile, LeaseFileError};
use super::line::{self, Entry};
use super::steady::Steady;

/// Linux's name for this run of the box.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// What the rack knows of leases, and the file that it survives in.
pub(super) struct Memory {
    id: Uuid,
    life: u64,
    clock: Steady,
    member: Member,
    /// What follows from this start is on the disk. Before, nothing is told to regions, so that they answer nothing.
    begun: bool,
    file: LeaseFile,
    /// What regions said and could not be written: it comes first when there is room. Leases are not among it, as
    /// nobody was told of them.
    owed: Vec<Entry>,
    /// What was untold when the file was opened.
    untold: Vec<Record>,
    rack: Option<RackId>,
    blocks: Vec<Block>,
    live: HashMap<Ipv4Net, Vec<RackId>>,
    exchange: LeaseExchange,
    news: Option<mpsc::Receiver<LeaseNews>>,
}

impl Memory {
    /// What the folder has, or a new memory.
    pub(super) async fn open(
        directory: &Path,
        exchange: LeaseExchange,
        wall: Arc<dyn Clock>,
        config: &Config,
        snapshot: &Snapshot,
    ) -> Result<Memory, LeaseFileError> {
        let (found, file) = lease_file::open(directory).await?;
        let clock = Steady::new(wall);
        let (id, life) = found.memory.map_or_else(|| (Uuid::new_v4(), 1), |(id, life)| (id, life + 1));
        let told = snapshot.subnets.iter().flat_map(|s| &s.blocks).map(block).collect();
        let Found { rack, blocks, mut records, mut untold, former, .. } = found;
        let blocks: Vec<Block> = blocks.unwrap_or(told);
        let converted = convert(&former, config, &blocks, clock.now());
        untold.extend(converted.iter().filter(|r| lease_file::is_told(r)).cloned());
        records.extend(converted);
        let terms = Terms::default();
        let mut member = Member::restore(rack.unwrap_or(0), terms, records, boot_id(), clock.now());
        member.configure(config.clone(), blocks.clone());
        let mut memory = Memory {
            id,
            life,
            clock,
            member,
            begun: false,
            file,
            owed: Vec::new(),
            untold,
            rack,
            blocks,
            live: HashMap::new(),
            exchange,
            news: None,
        };
        if let Err(error) = memory.begin().await {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "DHCP: the lease file cannot be written; only fixed addresses are given"
            );
        }
        Ok(memory)
    }

    /// Makes this start durable, and opens the line to the regions.
    async fn begin(&mut self) -> Result<(), LeaseFileError> {
        if self.begun {
            return Ok(());
        }
        self.file.rewrite(&self.whole(0, &self.untold)).await?;
        self.begun = true;
        let (untold, learned) = (std::mem::take(&mut self.untold), self.member.learned());
        self.news = Some(self.exchange.open((self.id, self.life), &untold, learned, self.clock.clone()));
        Ok(())
    }

    /// The file as it would be now.
    fn whole(&self, stored: u64, untold: &[Record]) -> Vec<Entry> {
        let mut entries = vec![Entry::Memory { id: self.id, life: self.life }, Entry::Stored(stored)];
        entries.extend(self.rack.map(Entry::Rack));
        entries.push(Entry::Blocks(self.blocks.clone()));
        let state = self.member.records().map(|record| match record {
            Record::Lease { .. } | Record::CaughtUp { .. } => Entry::State(record),
            Record::Kept { .. } | Record::Dropped { .. } | Record::Contact { .. } => Entry::Happened(record),
        });
        entries.extend(state);
        entries.extend(untold.iter().cloned().map(Entry::Tell));
        entries
    }

    /// Takes a configuration; blocks are the regions' answers'.
    pub(super) fn configure(&mut self, config: Config) {
        self.member.configure(config, self.blocks.clone());
    }

    /// The firmware with this MAC gets the signed loader, or the usual one, from now on.
    pub(super) fn set_signed(&mut self, mac: MacAddr, signed: bool) {
        self.member.set_signed(mac, signed);
    }

    /// What to do about a message from a network.
    pub(super) fn respond(&mut self, packet: &Packet, arrival: Arrival, network: Option<Ipv4Net>) -> Answer {
        let live = network.and_then(|network| self.live.get(&network));
        self.member.split.set_live(live.into_iter().flatten().copied());
        self.member.respond(packet, arrival, self.clock.now())
    }

    /// Whether somebody has the address, and was not only offered it.
    pub(super) fn is_bound(&self, address: Ipv4Addr) -> bool {
        self.member.leases().get(address).is_some_and(|lease| lease.state == LeaseState::Bound)
    }

    /// The next answer of a region.
    pub(super) async fn news(&mut self) -> LeaseNews {
        if let Some(news) = &mut self.news
            && let Some(news) = news.recv().await
        {
            return news;
        }
        // The line was opened anew by another worker, or is not open yet.
        std::future::pending().await
    }

    /// Takes a region's answer.
    pub(super) async fn learn(&mut self, news: &LeaseNews) -> Result<(), LeaseFileError> {
        // What it learned before has to be on the disk before it learns more.
        self.write(Vec::new()).await?;
        let Some(batch) = batch(news) else {
            tracing::error!(
                "DHCP: a region's answer makes no sense and is ignored: is it of a newer version?"
            );
            return Ok(());
        };
        let before = self.member.learned();
        let blocks = match &news.blocks {
            Some(blocks) => blocks.iter().map(block).collect(),
            None => self.blocks.clone(),
        };
        let records = self.member.learn(news.sent_at, &blocks, &batch);
        if batch.upto < before || (!batch.whole && batch.after > before) {
            return Ok(());
        }
        let mut entries = Vec::new();
        if self.rack != Some(news.rack) {
            self.rack = Some(news.rack);
            self.member.split = Split::new(news.rack);
            entries.push(Entry::Rack(news.rack));
        }
        if blocks != self.blocks {
            entries.push(Entry::Blocks(blocks.clone()));
            self.blocks = blocks;
        }
        self.live = news.live.iter().map(|l| (l.network.trunc(), l.racks.clone())).collect();
        if records.iter().any(|r| matches!(r, Record::Contact { .. })) {
            entries.push(Entry::Stored(news.stored));
        }
        entries.extend(records.into_iter().map(Entry::Happened));
        self.append(entries).await
    }

    /// Makes records durable and has the regions told of them.
    pub(super) async fn write(&mut self, records: Vec<Record>) -> Result<(), LeaseFileError> {
        self.append(records.into_iter().map(Entry::Happened).collect()).await
    }

    async fn append(&mut self, entries: Vec<Entry>) -> Result<(), LeaseFileError> {
        let mut all = std::mem::take(&mut self.owed);
        all.extend(entries);
        if all.is_empty() && self.begun {
            return Ok(());
        }
        let written = match self.begin().await {
            Ok(()) if all.is_empty() => Ok(()),
            Ok(()) => self.file.append(&all).await,
            Err(error) => Err(error),
        };
        if let Err(error) = written {
            all.retain(|entry| !matches!(entry, Entry::Happened(Record::Lease { .. })));
            self.owed = all;
            return Err(error);
        }
        let records = all.iter().filter_map(|entry| match entry {
            Entry::Happened(record) => Some(record),
            _ => None,
        });
        self.exchange.publish(records, self.member.learned());
        self.compact().await;
        Ok(())
    }

    /// Writes the file anew when it has grown long.
    async fn compact(&mut self) {
        if !self.file.is_long(self.member.leases().len() + self.exchange.untold_len()) {
            return;
        }
        let (stored, untold) = self.exchange.untold();
        let entries = self.whole(stored, &untold);
        if let Err(error) = self.file.rewrite(&entries).await {
            let error = &error as &dyn std::error::Error;
            tracing::error!(error, "DHCP: the lease file could not be written anew");
        }
    }

    /// What is to be done now and then: writes what could not be written, and looks where addresses run low.
    pub(super) async fn care(&mut self, snapshot: &Snapshot) -> Result<(), LeaseFileError> {
        let low = self.member.low(self.clock.now());
        let number = |network: &Ipv4Net| snapshot.subnets.iter().find(|s| s.cidr.trunc() == *network);
        self.exchange.set_low(low.iter().filter_map(number).map(|s| s.id).collect());
        self.write(Vec::new()).await
    }
}

impl Drop for Memory {
    /// DHCP is not served any more.
    fn drop(&mut self) {
        if self.begun {
            self.exchange.close();
        }
    }
}

fn boot_id() -> u128 {
    let read = std::fs::read_to_string(BOOT_ID).ok();
    // Without a name this run of the box is like no other: the rack waits for a region.
    read.and_then(|text| text.trim().parse().ok()).unwrap_or_else(Uuid::new_v4).as_u128()
}

fn block(view: &BlockView) -> Block {
    let number = |signed: i64| u64::try_from(signed).unwrap_or(0);
    let pool = Pool { first: view.first, last: view.last };
    Block { pool, epoch: number(view.epoch), since: number(view.since) }
}

/// The changes in an answer; `None` when one of them cannot be read, as leaving it out would be a gap.
fn batch(news: &LeaseNews) -> Option<Batch> {
    let word = |address: Ipv4Addr, client: Option<&String>| {
        Some(match client {
            Some(client) => Word::Keep { address, client: line::client_key(client)? },
            None => Word::Drop { address },
        })
    };
    let words: Option<Vec<Word>> = news.words.iter().map(|w| word(w.address, w.client.as_ref())).collect();
    Some(Batch { after: news.after, upto: news.upto, whole: news.whole, stored: news.stored, words: words? })
}

/// Leases that the version before wrote become records and are told to the regions as leases of this rack's blocks.
/// What is over by this rack's clock is over: it was nobody else's to extend.
fn convert(former: &[Lease], config: &Config, blocks: &[Block], now: u64) -> Vec<Record> {
    let lasts = |l: &&Lease| l.expires > now && matches!(l.state, LeaseState::Bound | LeaseState::Declined);
    let record = |(number, lease): (u64, &Lease)| {
        let block = blocks.iter().find(|block| block.pool.contains(lease.address));
        Record::Lease {
            number,
            lease: lease.clone(),
            seconds: lease.expires - now,
            dynamic: !config.is_fixed(lease.address),
            epoch: block.map(|block| block.epoch),
        }
    };
    (1..).zip(former.iter().filter(lasts)).map(record).collect()
}

#[cfg(test)]
mod tests;
