//! The network configuration of an installed system: what it is, and how it is written for those who carry it out.
//!
//! Written as netplan and cloud-init's network configuration version 2 (one form for both), and for ifupdown where an
//! image has neither. An agent of the version before reads the first address of physical interfaces only.

mod ifupdown;
mod netplan;

use crate::net::Mac;
use ipnet::{IpNet, Ipv4Net};
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, Ipv4Addr};

/// What the installed system is told of its network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NetworkPlan {
    /// One per physical interface.
    pub interfaces: Vec<InterfacePlan>,
    /// Name servers.
    pub nameservers: Vec<IpAddr>,
    /// Search domains.
    pub search: Vec<String>,
    /// Interfaces made of others, each after those that it is made of.
    pub virtual_interfaces: Vec<VirtualPlan>,
}

/// One physical interface of the installed system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InterfacePlan {
    /// Found by this hardware address.
    pub mac: Mac,
    /// Name in the installed system.
    pub name: String,
    /// How it gets its first address.
    pub mode: LinkMode,
    /// What else it has.
    #[serde(default)]
    pub link: LinkPlan,
}

/// How an interface gets its address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "mode")]
pub enum LinkMode {
    /// By DHCP.
    Dhcp,
    /// Fixed.
    Static {
        /// Address and prefix.
        address: Ipv4Net,
        /// Default route, on one interface at most.
        gateway: Option<Ipv4Addr>,
    },
    /// Up, without address.
    LinkUp,
}

/// What an interface has, besides the first address of a physical one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LinkPlan {
    /// MTU, bytes; the kernel's when absent.
    pub mtu: Option<u32>,
    /// It asks for an address by DHCP.
    pub dhcp: bool,
    /// Fixed addresses with their prefixes.
    pub addresses: Vec<IpNet>,
    /// Default routes through it, one of a family at most.
    pub gateways: Vec<IpAddr>,
    /// Other routes.
    pub routes: Vec<RoutePlan>,
}

/// A route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoutePlan {
    /// Where to.
    pub to: IpNet,
    /// By way of.
    pub via: IpAddr,
    /// Metric; the kernel's when 0.
    pub metric: u32,
}

/// An interface made of others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VirtualPlan {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: VirtualKind,
    /// Hardware address; the kernel's choice when absent.
    #[serde(default)]
    pub mac: Option<Mac>,
    /// What it has.
    #[serde(default)]
    pub link: LinkPlan,
}

/// What an interface is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum VirtualKind {
    /// A tagged VLAN on another interface.
    Vlan {
        /// 802.1Q number, 1 to 4094.
        id: u16,
        /// Name of the interface that carries it.
        on: String,
    },
    /// Several physical interfaces as one.
    Bond {
        /// Their names.
        members: Vec<String>,
        /// How.
        settings: BondSettings,
    },
    /// A bridge.
    Bridge {
        /// Names of its ports.
        members: Vec<String>,
        /// How.
        settings: BridgeSettings,
    },
}

/// The seven ways in which Linux bonds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum BondMode {
    /// 0: packets in turn.
    #[serde(rename = "balance-rr")]
    BalanceRr,
    /// 1: one at a time. Works with every switch.
    #[default]
    #[serde(rename = "active-backup")]
    ActiveBackup,
    /// 2: by a hash.
    #[serde(rename = "balance-xor")]
    BalanceXor,
    /// 3: everything through all.
    #[serde(rename = "broadcast")]
    Broadcast,
    /// 4: LACP.
    #[serde(rename = "802.3ad")]
    Lacp,
    /// 5: sending is balanced.
    #[serde(rename = "balance-tlb")]
    BalanceTlb,
    /// 6: sending and receiving are balanced.
    #[serde(rename = "balance-alb")]
    BalanceAlb,
}

impl BondMode {
    /// Every one.
    pub const ALL: [Self; 7] = [
        Self::BalanceRr,
        Self::ActiveBackup,
        Self::BalanceXor,
        Self::Broadcast,
        Self::Lacp,
        Self::BalanceTlb,
        Self::BalanceAlb,
    ];

    /// The kernel's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BalanceRr => "balance-rr",
            Self::ActiveBackup => "active-backup",
            Self::BalanceXor => "balance-xor",
            Self::Broadcast => "broadcast",
            Self::Lacp => "802.3ad",
            Self::BalanceTlb => "balance-tlb",
            Self::BalanceAlb => "balance-alb",
        }
    }
}

/// How a bond works. What is absent is the kernel's default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default, deny_unknown_fields)]
pub struct BondSettings {
    /// How members share the work.
    pub mode: BondMode,
    /// LACP: ask for a packet each second (`fast`), or each 30 (`slow`).
    pub lacp_rate: Option<LacpRate>,
    /// What the hash is made of.
    pub xmit_hash_policy: Option<HashPolicy>,
    /// How often links are looked at, milliseconds; 100 when absent.
    pub miimon: Option<u32>,
    /// A link that comes back is used after so long, milliseconds.
    pub up_delay: Option<u32>,
    /// A link that is lost is given up after so long, milliseconds.
    pub down_delay: Option<u32>,
    /// LACP: packets carry at least so many links, or none.
    pub min_links: Option<u32>,
    /// The member that is used while it has a link, by name.
    pub primary: Option<String>,
}

/// How often LACP partners speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum LacpRate {
    /// Every 30 seconds.
    Slow,
    /// Every second.
    Fast,
}

/// What a bond's hash is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum HashPolicy {
    /// Hardware addresses.
    #[serde(rename = "layer2")]
    Layer2,
    /// Hardware and IP addresses.
    #[serde(rename = "layer2+3")]
    Layer2And3,
    /// IP addresses and ports.
    #[serde(rename = "layer3+4")]
    Layer3And4,
    /// As layer2+3, of what a tunnel carries.
    #[serde(rename = "encap2+3")]
    Encap2And3,
    /// As layer3+4, of what a tunnel carries.
    #[serde(rename = "encap3+4")]
    Encap3And4,
}

impl HashPolicy {
    /// The kernel's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Layer2 => "layer2",
            Self::Layer2And3 => "layer2+3",
            Self::Layer3And4 => "layer3+4",
            Self::Encap2And3 => "encap2+3",
            Self::Encap3And4 => "encap3+4",
        }
    }
}

/// How a bridge works.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default, deny_unknown_fields)]
pub struct BridgeSettings {
    /// Made by the kernel, or by Open vSwitch, which the image then has to have.
    pub r#type: BridgeType,
    /// Spanning tree.
    pub stp: bool,
    /// Seconds before a port forwards; 0 when absent and there is no spanning tree, else 15.
    pub forward_delay: Option<u32>,
}

/// Who makes a bridge.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum BridgeType {
    /// The kernel.
    #[default]
    Standard,
    /// Open vSwitch.
    Ovs,
}

impl InterfacePlan {
    /// Everything that the interface has, its first address included.
    fn whole(&self) -> LinkPlan {
        let mut link = self.link.clone();
        match &self.mode {
            LinkMode::Dhcp => link.dhcp = true,
            LinkMode::LinkUp => {}
            LinkMode::Static { address, gateway } => {
                link.addresses.insert(0, IpNet::V4(*address));
                link.gateways.extend(gateway.map(IpAddr::V4));
            }
        }
        link
    }
}

impl LinkPlan {
    /// Whether an address of some kind is wanted.
    pub fn has_address(&self) -> bool {
        self.dhcp || !self.addresses.is_empty()
    }
}

impl NetworkPlan {
    /// The interfaces that have to have a link for the system to be reached: those with addresses, and one for each
    /// interface with addresses that is made of others.
    pub fn needs_link(&self, interface: &InterfacePlan) -> bool {
        !matches!(interface.mode, LinkMode::LinkUp) || interface.link.has_address()
    }
}

#[cfg(test)]
mod tests;
