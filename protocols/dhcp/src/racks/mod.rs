//! Several servers of one link that answer as one: who answers first, who may give which address, and when an address
//! may have another holder. `docs/decisions/0007-dhcp-on-n-racks.md` has the argument; in short:
//!
//! - Each dynamic address is in a [`Block`] that the regions granted to one rack, its *owner*. Only the owner gives it to
//!   somebody new.
//! - Every rack learns who holds what, and may *extend* a lease that it knows for the client that has it.
//! - No rack's clock ends a lease. A rack keeps an address for its last client until the regions say otherwise, and they
//!   do so only when every rack that could extend the lease has durably promised not to, or cannot act any more
//!   ([`Row`], [`Terms`]).
//! - A rack that hears no region stops extending others' leases first, and giving and extending its own later; then the
//!   regions wait one longest lease more before they count on it.
//!
//! What holds: whatever the network loses, delays, repeats or reorders, and whichever of racks and regions stop, pause or
//! lose what they had not synced, no address has two holders. What is assumed: the database's clock is not stepped
//! forward, and a rack's clock goes wrong by less than [`Terms::margin_seconds`] while no region hears it.
//!
//! Left out: a rack that talks to another. Everything passes through the regions' database.

mod block;
mod learn;
mod member;
mod record;
mod row;
mod split;

pub use block::{Block, Terms};
pub use learn::{Batch, Word};
pub use member::{Answer, Member};
pub use record::Record;
pub use row::{Next, Row, RowState};
pub use split::{RackId, Split, responsible};

#[cfg(test)]
mod tests;
