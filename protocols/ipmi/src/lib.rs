//! IPMI 2.0 over LAN: the console's half and the BMC's half of RMCP+, without sockets and without a clock.
//!
//! What holds: nothing that arrives can make this crate panic, block, or answer a request with another request's data; every
//! request ends by its deadline. Spoken are cipher suites 3 and 17, always encrypted and authenticated. Left out: IPMI 1.5
//! sessions, weaker suites, OEM payloads, bridging to satellite controllers.
//!
//! - [`client`]: the console's session as a state machine.
//! - [`command`]: commands as types, for LAN sessions and for `/dev/ipmi0` alike.
//! - [`server`]: a BMC as a state machine, for tests and for the lab.
//! - [`blocking`] and [`sim`]: thin socket loops around the two.
//! - [`wire`], [`crypto`]: the bytes.

pub mod blocking;
pub mod client;
pub mod command;
pub mod crypto;
mod error;
#[cfg(test)]
mod fuzz;
mod secret;
pub mod server;
pub mod sim;
pub mod wire;

pub use error::DecodeError;
pub use secret::{Entropy, OsEntropy, Secret};
pub use wire::message::Request;
pub use wire::rakp::Privilege;
