//! Interfaces of machines: addresses besides the first, interfaces made of others, and what a deployment will make of all
//! of them.

use ipnet::IpNet;
use rackwright_common::Mac;
use rackwright_common::network::{BondSettings, BridgeSettings};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// How an address gets to an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AddressMode {
    /// One that is free in the subnet is chosen when the machine is deployed, and goes with its release.
    Auto,
    /// The one that is named.
    Static,
    /// By DHCP.
    Dhcp,
}

impl AddressMode {
    /// As stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Static => "static",
            Self::Dhcp => "dhcp",
        }
    }
}

/// An address of an interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct InterfaceAddress {
    /// How it gets there.
    pub mode: AddressMode,
    /// Its subnet.
    #[serde(default)]
    pub subnet: Option<i64>,
    /// The address, once there is one.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub address: Option<IpAddr>,
}

/// An address to give to an interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewInterfaceAddress {
    /// How it gets there.
    pub mode: AddressMode,
    /// For `auto`: from which subnet.
    #[serde(default)]
    pub subnet: Option<i64>,
    /// For `static`: which.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub address: Option<IpAddr>,
}

/// What an interface is made of, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum VirtualKind {
    /// A tagged VLAN on another interface, its only parent.
    Vlan {
        /// Number of the VLAN's row.
        vlan: i64,
    },
    /// Several physical interfaces as one.
    Bond {
        /// How.
        #[serde(default)]
        settings: BondSettings,
    },
    /// A bridge whose ports are its parents.
    Bridge {
        /// How.
        #[serde(default)]
        settings: BridgeSettings,
    },
}

impl VirtualKind {
    /// As stored and shown.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Vlan { .. } => "vlan",
            Self::Bond { .. } => "bond",
            Self::Bridge { .. } => "bridge",
        }
    }
}

/// An interface that the installed system makes of others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct VirtualInterface {
    /// Number; other interfaces of machines have others.
    pub id: i64,
    /// Name in the installed system.
    pub name: String,
    /// What it is.
    #[serde(flatten)]
    pub kind: VirtualKind,
    /// Numbers of the interfaces it is made of.
    pub parents: Vec<i64>,
    /// Hardware address, when it is set.
    #[serde(default)]
    pub mac: Option<Mac>,
    /// MTU, bytes, when it is set.
    #[serde(default)]
    pub mtu: Option<i32>,
    /// Its addresses.
    pub addresses: Vec<InterfaceAddress>,
}

/// An interface to make of others, or to change into.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct NewVirtualInterface {
    /// Name in the installed system.
    pub name: String,
    /// What it is.
    #[serde(flatten)]
    pub kind: VirtualKind,
    /// Numbers of the interfaces it is made of.
    #[serde(default)]
    pub parents: Vec<i64>,
    /// Hardware address; that of a parent, or the kernel's choice, when absent.
    #[serde(default)]
    pub mac: Option<Mac>,
    /// MTU, bytes.
    #[serde(default)]
    pub mtu: Option<i32>,
    /// All its addresses.
    #[serde(default)]
    pub addresses: Vec<NewInterfaceAddress>,
}

/// The subnets whose gateways are the installed system's default routes; one is chosen when absent: that of the
/// interface it boots from, else the first with a gateway.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DefaultGateways {
    /// For IPv4.
    pub ipv4: Option<i64>,
    /// For IPv6.
    pub ipv6: Option<i64>,
}

/// What a deployment would make of the machine's network now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct NetworkPlanView {
    /// The installed system's interfaces, each after those that it is made of.
    pub interfaces: Vec<PlannedInterface>,
    /// Its name servers.
    #[schema(value_type = Vec<String>)]
    pub nameservers: Vec<IpAddr>,
    /// Its search domains.
    pub search: Vec<String>,
    /// What DHCP answers the machine's interfaces.
    pub dhcp: Vec<PlannedDhcp>,
    /// Why it cannot be deployed like this; empty when it can.
    pub problems: Vec<String>,
    /// The same as netplan has it.
    #[schema(value_type = Object)]
    pub netplan: serde_json::Value,
}

/// An interface of the system to be installed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PlannedInterface {
    /// Its name.
    pub name: String,
    /// `physical`, `vlan`, `bond`, `bridge`.
    pub kind: String,
    /// By DHCP as well.
    pub dhcp: bool,
    /// Fixed addresses; those that `chosen` has are free now and may be others when it is deployed.
    #[schema(value_type = Vec<String>)]
    pub addresses: Vec<IpNet>,
    /// Those among them that were chosen for this plan only.
    #[schema(value_type = Vec<String>)]
    pub chosen: Vec<IpAddr>,
    /// Routes, as `DESTINATION via GATEWAY`.
    pub routes: Vec<String>,
    /// MTU, when it is set.
    #[serde(default)]
    pub mtu: Option<u32>,
}

/// What DHCP answers an interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PlannedDhcp {
    /// The interface.
    pub mac: Mac,
    /// The address it always gets; one of a dynamic range when absent.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub address: Option<IpAddr>,
}
