//! DHCPv4 for network boot, without sockets, clocks or files.
//!
//! Four layers, each usable alone:
//! - [`Packet`] and [`Options`]: the wire format (RFC 951, 2131, 2132, 3396). Decoding is lenient: one malformed
//!   option is set aside and never costs the others, because firmware in the field sends strange things.
//! - [`Client`]: what a packet says about the machine behind it (architecture, iPXE, UEFI HTTP boot, UUID).
//! - [`respond`]: the server. A pure function of packet, configuration, leases and time that says what to send and
//!   where, and which leases have to be durable before it is sent.
//! - [`racks`]: several such servers on one link that never give one address to two clients.
//!
//! What holds: no bytes from the network make this crate panic or allocate without bound; an address is held from the
//! moment it is offered; one address never has two holders while the clock does not run backwards.
//!
//! Left out: DHCPv6, authentication (RFC 3118), leasequery; dynamic addresses for BOOTP, which never gives one back. The
//! conflict probe before an offer is the caller's: it sends, waits, and on an answer lets the client decline
//! ([`Packet::decline`]).

mod client;
mod config;
mod lease;
mod mac;
mod options;
mod pace;
mod packet;
pub mod racks;
mod relay;
mod server;

pub use client::{Arch, BootKind, Client, uuid_from_smbios, uuid_to_smbios};
pub use config::{Boot, BootFile, Config, Details, Host, HostBoot, Limits, Mode, Pool, Subnet};
pub use lease::{Lease, LeaseState, Leases};
pub use mac::{ClientKey, MacAddr, ParseMacError};
pub use options::{MessageType, Options, code};
pub use pace::Pace;
pub use packet::{DecodeError, Packet};
pub use relay::RelayInfo;
pub use server::{Action, Arrival, Destination, Outcome, Preview, Reason, Reply, preview, respond};

#[cfg(test)]
mod tests;
