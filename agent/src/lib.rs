//! The program that runs inside the ephemeral environment of a machine: it says hello to a rack, asks for work, does it
//! and reports, until it is told to restart or to switch off.
//!
//! What holds: every request may be repeated, any rack may answer the next one, and the agent never gives up reporting.
//! Work is refused when its fence is older than one already seen. Nothing here trusts the hardware: parsers of firmware
//! tables, of LLDP and of BMC answers take any bytes. Left out: TLS (the token is bound to machine and boot), and every
//! decision about *what* is to be done, which is the region's.

pub mod batch;
pub mod blob;
pub mod command;
pub mod config;
pub mod dhcp6;
pub mod erase;
pub mod error;
pub mod identity;
pub mod install;
pub mod inventory;
pub mod item;
pub mod link;
pub mod network;
pub mod power;
pub mod report;
pub mod rescue;
pub mod script;
pub mod sys;
pub mod toolbox;
pub mod work;

pub use error::{Error, Result};
