//! The peer's figures, as they were measured elsewhere.
//!
//! Source: Rackwright's notes on MAAS's read side (MAAS 3.8.0a1's own code with its own sample data, Python 3.13,
//! PostgreSQL 15 with fsync off, authorization stubbed, a 2-core Debian 12 box). Another box, so ratios only.

/// Where the figures come from, in one line.
pub const SOURCE: &str = "MAAS 3.8.0a1, measured elsewhere on a 2-core box; compare as ratios only";

/// REST 2.0 list of 1,000 machines, median, milliseconds.
pub const LIST_1000_MS: f64 = 33_000.0;
/// SQL statements of that list.
pub const LIST_1000_STATEMENTS: u64 = 13_125;
/// REST 2.0 list of 100 machines, median, milliseconds.
pub const LIST_100_MS: f64 = 4_100.0;
/// SQL statements of that list.
pub const LIST_100_STATEMENTS: u64 = 1_418;
/// Bytes of the list of 1,000.
pub const LIST_1000_BYTES: u64 = 42_700_000;
/// One machine, median, milliseconds.
pub const SHOW_MS: f64 = 293.0;
/// SQL statements of one machine.
pub const SHOW_STATEMENTS: u64 = 430;
/// About the bytes of a machine's record in compact JSON (6 disks, 5 interfaces, events).
pub const RECORD_BYTES: u64 = 20_000;
/// Lists of 100 per second with four clients at once, over HTTP.
pub const PARALLEL_LISTS_PER_SECOND: f64 = 0.25;
/// Resident memory after lists of 1,000, MiB.
pub const RESIDENT_MIB: f64 = 695.0;
