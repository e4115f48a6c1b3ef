//! The network as users see and change it: fabric > VLAN > subnet > ranges, reservations, leases.

use super::Timestamp;
use rackwright_common::dhcp_option::DhcpOption;
use rackwright_common::{Mac, MachineId};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

pub use super::subnet::{
    BootArchitecture, IpRange, NewIpRange, NewReservation, NewSubnet, RangeKind, RangeUse, Reservation,
    ReverseDns, Subnet, Utilisation,
};

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
    /// What serving means.
    #[serde(default)]
    pub dhcp_mode: DhcpMode,
    /// The VLAN whose racks answer what a relay passes on from here.
    #[serde(default)]
    pub relay: Option<i64>,
    /// The space it belongs to.
    #[serde(default)]
    pub space: Option<i64>,
    /// Options for all clients of the VLAN.
    #[serde(default)]
    pub dhcp_options: Vec<DhcpOption>,
    /// DHCP servers seen here in the last day that are not Rackwright's.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    pub foreign_dhcp: Vec<IpAddr>,
}

/// What racks do where DHCP is on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DhcpMode {
    /// They give addresses.
    #[default]
    Serve,
    /// They listen beside the present server, answer nothing, and report what they would have answered.
    Shadow,
    /// They give boot information only; addresses come from the present server.
    Proxy,
}

impl DhcpMode {
    /// As stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Serve => "serve",
            Self::Shadow => "shadow",
            Self::Proxy => "proxy",
        }
    }

    /// The mode of that name; serving for what a newer version stored.
    pub fn of(text: &str) -> Self {
        match text {
            "shadow" => Self::Shadow,
            "proxy" => Self::Proxy,
            _ => Self::Serve,
        }
    }
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
    /// What serving means.
    #[serde(default)]
    pub dhcp_mode: DhcpMode,
    /// The VLAN whose racks answer what a relay passes on from here; it is not relayed itself.
    #[serde(default)]
    pub relay: Option<i64>,
    /// The space it belongs to.
    #[serde(default)]
    pub space: Option<i64>,
    /// Options for all clients of the VLAN.
    #[serde(default)]
    pub dhcp_options: Vec<DhcpOption>,
}

fn mtu() -> i32 {
    1500
}

/// A dynamic address in use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Lease {
    /// The address.
    #[schema(value_type = String)]
    pub address: IpAddr,
    /// Who has it; absent where the client of an IPv6 address does not tell.
    #[serde(default)]
    pub mac: Option<Mac>,
    /// The identifier of an IPv6 address's client (DUID, RFC 8415 section 11), hexadecimal.
    #[serde(default)]
    pub duid: Option<String>,
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
