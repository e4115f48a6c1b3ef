//! What every part of Rackwright shares: names, the life cycle, the hardware inventory, and the messages
//! between region, rack and agent.
//!
//! Nothing here opens a socket, runs SQL or serves HTTP. Wire types grow by optional fields only, because
//! version N and N + 1 of the controllers run side by side.

pub mod agent;
pub mod bmc;
pub mod clock;
pub mod console;
pub mod dhcp_option;
pub mod discovery;
pub mod id;
pub mod inventory;
pub mod lease;
pub mod lifecycle;
pub mod link;
pub mod names;
pub mod net;
pub mod network;
pub mod newer;
pub mod ntp;
pub mod script;
pub mod secret;
pub mod snapshot;
pub mod storage;
pub mod switch;

pub use id::{MachineId, OperationId};
pub use lifecycle::Status;
pub use net::{Hostname, Mac};
pub use secret::Secret;
