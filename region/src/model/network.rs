//! The network as users see and change it: fabric > VLAN > subnet > ranges, reservations, leases.

use super::Timestamp;
use ipnet::IpNet;
use rackwright_common::{Hostname, Mac, MachineId};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// Layer 2 that belongs together: VLAN numbers mean the same everywhere in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Fabric {
    /// Number.
    pub id: i64,
    /// Name.
    pub name: String,
}

/// A fabric to make, or its new name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewFabric {
    /// Name, 1 to 100 characters.
    pub name: String,
}

/// A broadcast domain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Vlan {
    /// Number of the row.
    pub id: i64,
    /// Its fabric.
    pub fabric: i64,
    /// 802.1Q number; 0 for untagged.
    pub vid: i32,
    /// Name.
    pub name: String,
    /// MTU, bytes.
    pub mtu: i32,
    /// Racks serve DHCP here.
    pub dhcp: bool,
}

/// A VLAN to make or to change into.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewVlan {
    /// Its fabric.
    pub fabric: i64,
    /// 802.1Q number, 0 (untagged) to 4094.
    pub vid: i32,
    /// Name, 1 to 100 characters.
    pub name: String,
    /// MTU, bytes; 1500 when absent.
    #[serde(default = "mtu")]
    pub mtu: i32,
    /// Racks serve DHCP here.
    #[serde(default)]
    pub dhcp: bool,
}

fn mtu() -> i32 {
    1500
}

/// An IP network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Subnet {
    /// Number.
    pub id: i64,
    /// Its VLAN.
    pub vlan: i64,
    /// Name.
    pub name: String,
    /// The network.
    #[schema(value_type = String, example = "10.77.0.0/24")]
    pub cidr: IpNet,
    /// Default route of its machines.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub gateway: Option<IpAddr>,
    /// Name servers of its machines; the rack when there are none.
    #[schema(value_type = Vec<String>)]
    pub dns_servers: Vec<IpAddr>,
    /// Domain name of its machines.
    #[serde(default)]
    pub domain: Option<String>,
    /// Lease time of dynamic addresses, seconds.
    pub lease_seconds: i32,
}

/// A subnet to make or to change into.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewSubnet {
    /// Its VLAN.
    pub vlan: i64,
    /// Name; the network itself when absent.
    #[serde(default)]
    pub name: String,
    /// The network, without host bits.
    #[schema(value_type = String, example = "10.77.0.0/24")]
    pub cidr: IpNet,
    /// Default route of its machines.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub gateway: Option<IpAddr>,
    /// Name servers of its machines; the rack when there are none.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    pub dns_servers: Vec<IpAddr>,
    /// Domain name of its machines.
    #[serde(default)]
    pub domain: Option<String>,
    /// Lease time of dynamic addresses, 60 to 604800 seconds; 600 when absent.
    #[serde(default = "lease_seconds")]
    pub lease_seconds: i32,
}

fn lease_seconds() -> i32 {
    600
}

/// How the addresses of a subnet are used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Utilisation {
    /// Addresses that hosts can have; the highest 64-bit number for large IPv6 networks.
    pub addresses: u64,
    /// In dynamic ranges.
    pub dynamic: u64,
    /// In reserved ranges.
    pub reserved: u64,
    /// Fixed addresses of machines.
    pub machines: u64,
    /// Fixed addresses of other things.
    pub reservations: u64,
    /// Dynamic addresses in use.
    pub leased: u64,
    /// Neither in a range nor fixed.
    pub free: u64,
}

/// What a range is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RangeKind {
    /// DHCP gives these to whoever asks.
    Dynamic,
    /// Rackwright keeps its hands off.
    Reserved,
}

impl RangeKind {
    /// As stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dynamic => "dynamic",
            Self::Reserved => "reserved",
        }
    }
}

/// A run of addresses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct IpRange {
    /// Number.
    pub id: i64,
    /// In which subnet.
    pub subnet: i64,
    /// What for.
    pub kind: RangeKind,
    /// First address.
    #[schema(value_type = String)]
    pub first: IpAddr,
    /// Last address, included.
    #[schema(value_type = String)]
    pub last: IpAddr,
    /// For people.
    pub comment: String,
}

/// A range to make.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewIpRange {
    /// In which subnet.
    pub subnet: i64,
    /// What for.
    pub kind: RangeKind,
    /// First address.
    #[schema(value_type = String)]
    pub first: IpAddr,
    /// Last address, included.
    #[schema(value_type = String)]
    pub last: IpAddr,
    /// For people.
    #[serde(default)]
    pub comment: String,
}

/// A fixed address for something that is not a machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Reservation {
    /// Number.
    pub id: i64,
    /// In which subnet.
    pub subnet: i64,
    /// Hardware address.
    pub mac: Mac,
    /// The address it always gets.
    #[schema(value_type = String)]
    pub address: IpAddr,
    /// Name told to the client.
    #[serde(default)]
    pub hostname: Option<String>,
    /// Since when.
    pub created_at: Timestamp,
}

/// A reservation to make.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewReservation {
    /// Hardware address.
    pub mac: Mac,
    /// The address it shall get; its subnet is found by it.
    #[schema(value_type = String)]
    pub address: IpAddr,
    /// Name told to the client.
    #[serde(default)]
    pub hostname: Option<Hostname>,
}

/// A dynamic address in use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Lease {
    /// The address.
    #[schema(value_type = String)]
    pub address: IpAddr,
    /// Who has it.
    pub mac: Mac,
    /// What the client calls itself.
    #[serde(default)]
    pub hostname: Option<String>,
    /// The machine with that MAC.
    #[serde(default)]
    pub machine: Option<MachineId>,
    /// The rack that gave it.
    pub rack: String,
    /// Until when.
    pub expires_at: Timestamp,
}

/// What kind of group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupKind {
    /// Resource pools: who may use machines.
    Pool,
    /// Zones: where machines are.
    Zone,
}

impl GroupKind {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pool => "pool",
            Self::Zone => "zone",
        }
    }
}

/// A resource pool or a zone: a named group of machines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// Lower-case letters, digits and hyphens.
    pub name: String,
    /// For people.
    #[serde(default)]
    pub description: String,
    /// Machines in it; not for input.
    #[serde(default)]
    #[schema(read_only)]
    pub machines: i64,
}

/// Which parts of the network.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct SubnetQuery {
    /// Of this subnet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subnet: Option<i64>,
}
