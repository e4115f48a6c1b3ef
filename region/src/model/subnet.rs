//! Subnets and what is in them: ranges, reservations, and how full they are.

use super::Timestamp;
use ipnet::IpNet;
use rackwright_common::dhcp_option::DhcpOption;
use rackwright_common::{Hostname, Mac};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

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
    /// Addresses are given from all of it, not only from ranges that are reserved for that.
    #[serde(default = "yes")]
    pub managed: bool,
    /// Names for its addresses.
    #[serde(default)]
    pub reverse_dns: ReverseDns,
    /// Firmware that may boot here; all when absent.
    #[serde(default)]
    pub boot_architectures: Option<Vec<BootArchitecture>>,
    /// Options for its clients; they go before those of the VLAN.
    #[serde(default)]
    pub dhcp_options: Vec<DhcpOption>,
}

fn yes() -> bool {
    true
}

/// How the addresses of a subnet get names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ReverseDns {
    /// Not at all.
    Off,
    /// In the reverse zone that holds them.
    On,
    /// The same, and for networks smaller than /24 in a zone of their own (RFC 2317).
    #[default]
    Rfc2317,
}

impl ReverseDns {
    /// As stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::On => "on",
            Self::Rfc2317 => "rfc2317",
        }
    }

    /// The mode of that name.
    pub fn of(text: &str) -> Self {
        match text {
            "off" => Self::Off,
            "on" => Self::On,
            _ => Self::Rfc2317,
        }
    }
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
    /// Addresses are given from all of it, not only from ranges that are reserved for that.
    #[serde(default = "yes")]
    pub managed: bool,
    /// Names for its addresses.
    #[serde(default)]
    pub reverse_dns: ReverseDns,
    /// Firmware that may boot here; all when absent.
    #[serde(default)]
    pub boot_architectures: Option<Vec<BootArchitecture>>,
    /// Options for its clients; they go before those of the VLAN.
    #[serde(default)]
    pub dhcp_options: Vec<DhcpOption>,
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
    /// The same of each range, by address.
    #[serde(default)]
    pub ranges: Vec<RangeUse>,
    /// What runs out, if something does; for people.
    #[serde(default)]
    pub warnings: Vec<String>,
}

/// How the addresses of a range are used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct RangeUse {
    /// The range's number.
    pub range: i64,
    /// Its addresses; the highest 64-bit number for large IPv6 ranges.
    pub addresses: u64,
    /// Those that somebody has: leased or fixed.
    pub used: u64,
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
    /// The device whose address it is.
    #[serde(default)]
    pub device: Option<i64>,
    /// For people.
    #[serde(default)]
    pub comment: String,
    /// Options for this client; they go before those of its subnet.
    #[serde(default)]
    pub dhcp_options: Vec<DhcpOption>,
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
    /// For people.
    #[serde(default)]
    pub comment: String,
    /// Options for this client; they go before those of its subnet.
    #[serde(default)]
    pub dhcp_options: Vec<DhcpOption>,
}

/// Kinds of firmware that boot from the network.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum BootArchitecture {
    /// BIOS, by PXE.
    Bios,
    /// UEFI on x86-64, by PXE.
    UefiX64,
    /// UEFI on arm64, by PXE.
    UefiArm64,
    /// UEFI on x86-64, by HTTP.
    HttpX64,
    /// UEFI on arm64, by HTTP.
    HttpArm64,
    /// U-Boot on arm64.
    UBoot,
}

impl BootArchitecture {
    /// Every one.
    pub const ALL: [Self; 6] =
        [Self::Bios, Self::UefiX64, Self::UefiArm64, Self::HttpX64, Self::HttpArm64, Self::UBoot];

    /// As stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bios => "bios",
            Self::UefiX64 => "uefi-x64",
            Self::UefiArm64 => "uefi-arm64",
            Self::HttpX64 => "http-x64",
            Self::HttpArm64 => "http-arm64",
            Self::UBoot => "u-boot",
        }
    }

    /// The numbers by which clients name it (option 93, IANA's registry).
    pub fn numbers(self) -> &'static [u16] {
        match self {
            Self::Bios => &[0],
            Self::UefiX64 => &[7, 9],
            Self::UefiArm64 => &[11],
            Self::HttpX64 => &[16],
            Self::HttpArm64 => &[19],
            Self::UBoot => &[22],
        }
    }
}

impl std::str::FromStr for BootArchitecture {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names = || Self::ALL.map(Self::as_str).join(", ");
        let known = Self::ALL.into_iter().find(|a| a.as_str() == text);
        known.ok_or_else(|| format!("`{text}` is none of {}", names()))
    }
}
