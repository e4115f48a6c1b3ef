//! What regions grant to a rack, and for how long a rack may act on it unheard.

use crate::config::Pool;

/// A run of dynamic addresses granted to one rack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// The addresses.
    pub pool: Pool,
    /// Raised with each grant of the block.
    pub epoch: u64,
    /// The rack gives nothing from it before it has taken the changes up to this number: what it has to know of the
    /// block's earlier owner is among them.
    pub since: u64,
}

/// Times that racks and regions have to agree on, seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// For so long after it last heard a region a rack gives and extends addresses of its own blocks.
    pub own_seconds: u64,
    /// For so long it extends leases of other racks' blocks. Shorter, as a dead rack holds up the reuse of addresses
    /// for this time.
    pub others_seconds: u64,
    /// No lease is longer.
    pub longest_lease_seconds: u64,
    /// How wrong a rack's clock may go while no region hears it.
    pub margin_seconds: u64,
    /// For so long after its request a client may still take the answer, and count its lease from then: clients in the
    /// field do, although RFC 2131 §4.4.1 has them count from the request.
    pub late_answer_seconds: u64,
}

impl Default for Terms {
    fn default() -> Terms {
        Terms {
            own_seconds: 24 * 3600,
            others_seconds: 3600,
            longest_lease_seconds: 24 * 3600,
            margin_seconds: 900,
            late_answer_seconds: 60,
        }
    }
}

impl Terms {
    /// From here on no lease that the rack extended for others is valid, unless the regions know of it. `heard` is when
    /// a region last heard the rack, by the database's clock.
    pub fn mute_at(&self, heard: u64) -> u64 {
        self.after(heard, self.others_seconds)
    }

    /// From here on no lease at all is valid that the rack gave and the regions do not know: its blocks may move.
    pub fn out_at(&self, heard: u64) -> u64 {
        self.after(heard, self.own_seconds)
    }

    /// The same for a rack whose box was powered off for certain at `fenced`: it gave its last lease before.
    pub fn out_after_fence(&self, fenced: u64) -> u64 {
        self.after(fenced, 0)
    }

    fn after(&self, start: u64, seconds: u64) -> u64 {
        start
            .saturating_add(seconds)
            .saturating_add(self.longest_lease_seconds)
            .saturating_add(self.margin_seconds)
            .saturating_add(self.late_answer_seconds)
    }
}
