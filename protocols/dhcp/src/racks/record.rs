//! What a rack has to find again after a crash, in the order in which it happened.

use std::net::Ipv4Addr;

use crate::lease::Lease;
use crate::mac::ClientKey;

/// One durable fact. Those with a number are told to the regions as well, in the order of the numbers and only when they
/// are durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// This rack acknowledged a lease, or heard that the address is in use by something else (`Declined`).
    Lease {
        /// Counts up; never used twice by this rack, except for a record that was lost before anybody heard of it.
        number: u64,
        /// The lease, ending by this rack's clock.
        lease: Lease,
        /// For how long it is from now: what the regions count by.
        seconds: u64,
        /// The address is dynamic, so the regions decide when it is free.
        dynamic: bool,
        /// The epoch of this rack's block with the address; `None` when it extended another's lease.
        epoch: Option<u64>,
    },
    /// Another rack, or this one before it lost its memory, gave the address to that client.
    Kept {
        /// Which.
        address: Ipv4Addr,
        /// To whom.
        client: ClientKey,
    },
    /// The address is no longer that client's.
    Dropped {
        /// Which.
        address: Ipv4Addr,
    },
    /// All changes up to `change` are taken: this rack's promise that it acts on nothing older.
    CaughtUp {
        /// See [`Record::Lease`].
        number: u64,
        /// The regions' number.
        change: u64,
    },
    /// A region heard this rack.
    Contact {
        /// Seconds since the Unix epoch, by this rack's clock.
        at: u64,
        /// In which run of its box. What was heard before its box was off does not count: a rack is fenced by
        /// switching it off.
        boot: u128,
    },
}

impl Record {
    /// The number by which it is told to the regions; `None` when it is this rack's own affair.
    pub fn number(&self) -> Option<u64> {
        match self {
            Record::Lease { number, .. } | Record::CaughtUp { number, .. } => Some(*number),
            Record::Kept { .. } | Record::Dropped { .. } | Record::Contact { .. } => None,
        }
    }
}
