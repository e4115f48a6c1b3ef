//! The nouns of the network: fabrics, VLANs, subnets, ranges, reservations, leases; pools and zones.

mod discovery;
mod fabric;
mod group;
mod ip_range;
mod lease;
mod reservation;
mod subnet;
mod vlan;

pub use discovery::{DiscoveryCommand, WiringCommand};
pub use fabric::FabricCommand;
pub use group::GroupCommand;
pub use ip_range::IpRangeCommand;
pub use lease::LeaseCommand;
pub use reservation::ReservationCommand;
pub use subnet::SubnetCommand;
pub use vlan::VlanCommand;
