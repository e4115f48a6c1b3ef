//! DHCPv6 (RFC 8415) for network boot, without sockets, clocks or files.
//!
//! - [`Message`] and [`Packet`]: the wire format, with relays in one another.
//! - [`Client`]: what a message says about the machine behind it.
//! - [`Config::respond`]: the server.
//!
//! What holds: the answer is a function of message and configuration. A client's address is computed from its identifier
//! (RFC 7943 does likewise), so all servers with the same configuration are one server: they have one DUID, give the same
//! addresses, and extend what another has given; there is nothing that one could lose. What cannot be excluded is that two
//! clients have the same address computed; a client looks for that by itself (RFC 4862 §5.4), declines, and gets the next of
//! [`CANDIDATES`]. No bytes from the network make this crate panic or allocate without bound.
//!
//! Left out: temporary addresses and delegated prefixes (refused by their status), reconfiguration, authentication.

mod client;
mod config;
mod server;
mod wire;

pub use client::{BootKind, Client};
pub use config::{Boot, CANDIDATES, Config, Declined, Host, Link, Subnet};
pub use server::{Answer, Arrival, Step};
pub use wire::{Message, Options, Packet, Relay, code, kind};

/// A hardware address of Ethernet.
pub type MacAddr = [u8; 6];

#[cfg(test)]
mod tests;
