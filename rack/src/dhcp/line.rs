//! The lines of the lease file: one JSON object each.

use std::net::Ipv4Addr;

use rackwright_dhcp::racks::{Block, Record};
use rackwright_dhcp::{ClientKey, Lease, LeaseState, Pool};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What a line says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Entry {
    /// Which memory this file is, and the start on it that wrote what follows.
    Memory { id: Uuid, life: u64 },
    /// The rack's number in the region.
    Rack(i64),
    /// The rack's blocks.
    Blocks(Vec<Block>),
    /// Regions have stored the reports up to this number.
    Stored(u64),
    /// It happened.
    Happened(Record),
    /// It is so, when the file was written anew: no report.
    State(Record),
    /// It happened before what the file now begins with, and is still to be told; it says nothing of the present.
    Tell(Record),
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "line")]
enum Line {
    Memory {
        id: Uuid,
        life: u64,
    },
    Rack {
        id: i64,
    },
    Blocks {
        blocks: Vec<BlockLine>,
    },
    Stored {
        number: u64,
    },
    Lease {
        #[serde(default, skip_serializing_if = "Use::is_both")]
        r#use: Use,
        number: u64,
        #[serde(flatten)]
        lease: LeaseLine,
        seconds: u64,
        dynamic: bool,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        epoch: Option<u64>,
    },
    Kept {
        address: Ipv4Addr,
        client: String,
    },
    Dropped {
        address: Ipv4Addr,
    },
    CaughtUp {
        #[serde(default, skip_serializing_if = "Use::is_both")]
        r#use: Use,
        number: u64,
        change: u64,
    },
    Contact {
        at: u64,
        boot: Uuid,
    },
}

/// What a line of a record counts for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Use {
    #[default]
    Both,
    State,
    Tell,
}

impl Use {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
    fn is_both(&self) -> bool {
        *self == Self::Both
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct BlockLine {
    first: Ipv4Addr,
    last: Ipv4Addr,
    epoch: u64,
    since: u64,
}

/// Also a whole line of the version before.
#[derive(Debug, Serialize, Deserialize)]
struct LeaseLine {
    address: Ipv4Addr,
    /// The key's bytes, hexadecimal.
    client: String,
    state: State,
    expires: u64,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum State {
    Offered,
    Bound,
    Released,
    Declined,
}

/// Appends a line.
pub(super) fn write(text: &mut Vec<u8>, entry: &Entry) {
    serde_json::to_writer(&mut *text, &Line::of(entry)).expect("a line is made of plain values");
    text.push(b'\n');
}

/// Reads a line; `None` when it makes no sense.
pub(super) fn read(line: &[u8]) -> Option<Entry> {
    serde_json::from_slice::<Line>(line).ok()?.entry()
}

/// Reads a line as the version before wrote them: a lease that ends by this rack's clock.
pub(super) fn read_former(line: &[u8]) -> Option<Lease> {
    serde_json::from_slice::<LeaseLine>(line).ok()?.lease()
}

impl Line {
    fn of(entry: &Entry) -> Line {
        match entry {
            Entry::Memory { id, life } => Line::Memory { id: *id, life: *life },
            Entry::Rack(id) => Line::Rack { id: *id },
            Entry::Blocks(blocks) => Line::Blocks { blocks: blocks.iter().map(BlockLine::of).collect() },
            Entry::Stored(number) => Line::Stored { number: *number },
            Entry::Happened(record) => Line::of_record(record, Use::Both),
            Entry::State(record) => Line::of_record(record, Use::State),
            Entry::Tell(record) => Line::of_record(record, Use::Tell),
        }
    }

    fn of_record(record: &Record, r#use: Use) -> Line {
        match record {
            Record::Lease { number, lease, seconds, dynamic, epoch } => Line::Lease {
                r#use,
                number: *number,
                lease: LeaseLine::of(lease),
                seconds: *seconds,
                dynamic: *dynamic,
                epoch: *epoch,
            },
            Record::Kept { address, client } => {
                Line::Kept { address: *address, client: hex::encode(client.as_bytes()) }
            }
            Record::Dropped { address } => Line::Dropped { address: *address },
            Record::CaughtUp { number, change } => Line::CaughtUp { r#use, number: *number, change: *change },
            Record::Contact { at, boot } => Line::Contact { at: *at, boot: Uuid::from_u128(*boot) },
        }
    }

    fn entry(self) -> Option<Entry> {
        let (r#use, record) = match self {
            Line::Memory { id, life } => return Some(Entry::Memory { id, life }),
            Line::Rack { id } => return Some(Entry::Rack(id)),
            Line::Blocks { blocks } => {
                return Some(Entry::Blocks(blocks.iter().map(BlockLine::block).collect()));
            }
            Line::Stored { number } => return Some(Entry::Stored(number)),
            Line::Lease { r#use, number, lease, seconds, dynamic, epoch } => {
                (r#use, Record::Lease { number, lease: lease.lease()?, seconds, dynamic, epoch })
            }
            Line::Kept { address, client } => {
                (Use::Both, Record::Kept { address, client: client_key(&client)? })
            }
            Line::Dropped { address } => (Use::Both, Record::Dropped { address }),
            Line::CaughtUp { r#use, number, change } => (r#use, Record::CaughtUp { number, change }),
            Line::Contact { at, boot } => (Use::Both, Record::Contact { at, boot: boot.as_u128() }),
        };
        Some(match r#use {
            Use::Both => Entry::Happened(record),
            Use::State => Entry::State(record),
            Use::Tell => Entry::Tell(record),
        })
    }
}

impl BlockLine {
    fn of(block: &Block) -> BlockLine {
        let Block { pool, epoch, since } = block;
        BlockLine { first: pool.first, last: pool.last, epoch: *epoch, since: *since }
    }

    fn block(&self) -> Block {
        let pool = Pool { first: self.first, last: self.last };
        Block { pool, epoch: self.epoch, since: self.since }
    }
}

impl LeaseLine {
    fn of(lease: &Lease) -> LeaseLine {
        let state = match lease.state {
            LeaseState::Offered => State::Offered,
            LeaseState::Bound => State::Bound,
            LeaseState::Released => State::Released,
            LeaseState::Declined => State::Declined,
        };
        LeaseLine {
            address: lease.address,
            client: hex::encode(lease.client.as_bytes()),
            state,
            expires: lease.expires,
        }
    }

    fn lease(&self) -> Option<Lease> {
        let state = match self.state {
            State::Offered => LeaseState::Offered,
            State::Bound => LeaseState::Bound,
            State::Released => LeaseState::Released,
            State::Declined => LeaseState::Declined,
        };
        let client = client_key(&self.client)?;
        Some(Lease { address: self.address, client, state, expires: self.expires })
    }
}

/// A client's key from its hexadecimal text.
pub(super) fn client_key(text: &str) -> Option<ClientKey> {
    ClientKey::from_bytes(&hex::decode(text).ok()?)
}
