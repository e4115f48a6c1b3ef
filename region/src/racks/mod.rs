//! The region's side of the racks: streams, snapshots, tasks, journals, consoles.

pub mod complaint;
pub mod console;
pub mod journal;
pub mod leases;
pub mod restored;
pub mod service;
pub mod session;
pub mod snapshot;
pub mod switches;
pub mod tasks;

pub use service::RackService;
