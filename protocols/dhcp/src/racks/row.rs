//! What the regions' database says of one dynamic address, and the only ways in which that changes.
//!
//! `held → ending → freed → (no row)`. Each change has a number, higher than all before it in the segment, and goes to
//! the racks in that order. A report of a new lease leads back to `held` from anywhere. Time is the database's.

use std::net::Ipv4Addr;

use super::block::Terms;
use super::learn::Word;
use crate::mac::ClientKey;

/// The row of an address; an address without one is held by nobody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Who has or had it.
    pub client: ClientKey,
    /// When the lease ends: the second at which its report was stored, and its length. Never too early.
    pub expires: u64,
    /// How far it is on the way to the next client.
    pub state: RowState,
    /// The number of the last change.
    pub change: u64,
}

/// How far an address is on the way to the next client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RowState {
    /// Every rack may extend the lease.
    Held,
    /// The lease is over as far as the database knows. Racks that do not own the block are to forget it.
    Ending,
    /// They all have, and the owner knows that it is the owner: what it extended before it was is reported. It is to
    /// forget the lease too, and may then give the address to anybody.
    Freed,
}

/// What is to happen to a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Nothing now.
    Stay,
    /// It takes this state, with a new change number.
    Become(RowState),
    /// It goes.
    Remove,
}

impl Row {
    /// A rack reports that it gave `client` the address until `until`. `None`: the report changes nothing.
    ///
    /// `by_owner`: the block is the rack's in the epoch in which it gave the lease. Only the owner gives an address to
    /// somebody new. Anybody else's word about an address without a row, or on its way to the owner, or with another
    /// client's, is of a lease that is over by now: the rack was not asked any more, or its block moved.
    pub fn reported(
        row: Option<&Row>,
        by_owner: bool,
        client: &ClientKey,
        until: u64,
        change: u64,
    ) -> Option<Row> {
        let expires = match row {
            Some(row) if row.client == *client && (by_owner || row.state != RowState::Freed) => {
                until.max(row.expires)
            }
            Some(_) | None if by_owner => until,
            Some(_) | None => return None,
        };
        Some(Row { client: client.clone(), expires, state: RowState::Held, change })
    }

    /// The next state. `owner` and `others` are the changes that the owner, and the least advanced of the other racks
    /// that count, have caught up with; `None` when there is no such rack.
    pub fn next(&self, now: u64, terms: &Terms, owner: Option<u64>, others: Option<u64>) -> Next {
        let caught_up = |with: Option<u64>| with.is_none_or(|change| change >= self.change);
        match self.state {
            RowState::Held if self.expires.saturating_add(terms.late_answer_seconds) < now => {
                Next::Become(RowState::Ending)
            }
            RowState::Ending if caught_up(others) && caught_up(owner) => Next::Become(RowState::Freed),
            RowState::Freed if caught_up(owner) => Next::Remove,
            RowState::Held | RowState::Ending | RowState::Freed => Next::Stay,
        }
    }

    /// What a rack is told of it.
    pub fn word(&self, address: Ipv4Addr, to_owner: bool) -> Word {
        match self.state {
            RowState::Held => Word::Keep { address, client: self.client.clone() },
            RowState::Ending if to_owner => Word::Keep { address, client: self.client.clone() },
            RowState::Ending | RowState::Freed => Word::Drop { address },
        }
    }
}
