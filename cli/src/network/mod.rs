//! The nouns of the network: spaces, fabrics, VLANs, subnets, ranges, reservations, devices, routes, leases; pools and
//! zones; tags.

mod device;
mod discovery;
mod fabric;
mod group;
mod ip_range;
mod lease;
mod reservation;
mod space;
mod static_route;
mod subnet;
mod switch;
mod tag;
mod vlan;

pub use device::DeviceCommand;
pub use discovery::{DiscoveryCommand, WiringCommand};
pub use fabric::FabricCommand;
pub use group::GroupCommand;
pub use ip_range::IpRangeCommand;
pub use lease::LeaseCommand;
pub use reservation::ReservationCommand;
pub use space::SpaceCommand;
pub use static_route::StaticRouteCommand;
pub use subnet::SubnetCommand;
pub use switch::SwitchCommand;
pub use tag::TagCommand;
pub use vlan::VlanCommand;
