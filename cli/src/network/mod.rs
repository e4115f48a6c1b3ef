//! The nouns of the network: fabrics, VLANs, subnets, ranges, reservations, leases; pools, zones and tags.

mod fabric;
mod group;
mod ip_range;
mod lease;
mod reservation;
mod subnet;
mod tag;
mod vlan;

pub use fabric::FabricCommand;
pub use group::GroupCommand;
pub use ip_range::IpRangeCommand;
pub use lease::LeaseCommand;
pub use reservation::ReservationCommand;
pub use subnet::SubnetCommand;
pub use tag::TagCommand;
pub use vlan::VlanCommand;
