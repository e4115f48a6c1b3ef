//! Machines as users see them.

use super::interface::{DefaultGateways, InterfaceAddress, NewInterfaceAddress, VirtualInterface};
use super::{PageQuery, Timestamp};
use rackwright_common::bmc::{BmcSettings, DriverKind, PowerState};
use rackwright_common::inventory::Inventory;
use rackwright_common::secret::exposed;
use rackwright_common::storage::StorageLayout;
use rackwright_common::{Hostname, Mac, MachineId, OperationId, Secret, Status};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use uuid::Uuid;

/// A machine in a list: what a row shows, nothing that costs another query.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct MachineSummary {
    /// Identifier.
    pub id: MachineId,
    /// Name.
    pub hostname: Hostname,
    /// Where it is in its life.
    pub status: Status,
    /// Why it is there and what to do, one sentence.
    pub status_message: String,
    /// Since when.
    pub status_since: Timestamp,
    /// Protected against release, erasing and deletion.
    pub locked: bool,
    /// Whose it is.
    #[serde(default)]
    pub owner: Option<String>,
    /// Resource pool.
    pub pool: String,
    /// Zone.
    pub zone: String,
    /// Free words.
    pub tags: Vec<String>,
    /// `x86_64`, `aarch64`.
    pub architecture: String,
    /// Manufacturer.
    #[serde(default)]
    pub vendor: Option<String>,
    /// Product name.
    #[serde(default)]
    pub product: Option<String>,
    /// Cores over all sockets.
    pub cpu_cores: i32,
    /// Memory.
    pub memory_mib: i64,
    /// Disks, together.
    pub storage_bytes: i64,
    /// What the BMC last said.
    pub power_state: PowerState,
    /// Which driver reaches its BMC; absent when it has none.
    #[serde(default)]
    pub power_driver: Option<DriverKind>,
    /// Fixed addresses.
    #[schema(value_type = Vec<String>)]
    pub addresses: Vec<IpAddr>,
    /// The installed system, as `name@version`.
    #[serde(default)]
    pub image: Option<String>,
    /// What is under way.
    #[serde(default)]
    pub operation: Option<RunningOperation>,
    /// Last evidence of life.
    #[serde(default)]
    pub last_seen_at: Option<Timestamp>,
    /// Raised by each change; the ETag.
    pub version: i64,
}

/// What is under way on a machine, in a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct RunningOperation {
    /// Number.
    pub id: OperationId,
    /// Kind.
    pub kind: String,
    /// Step.
    pub step: String,
    /// What it waits for.
    pub message: String,
}

/// One machine with everything that is known of it but its secrets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Machine {
    /// What lists show.
    #[serde(flatten)]
    pub summary: MachineSummary,
    /// For people.
    pub description: String,
    /// SMBIOS system UUID.
    #[serde(default)]
    pub system_uuid: Option<Uuid>,
    /// SMBIOS system serial number.
    #[serde(default)]
    pub system_serial: Option<String>,
    /// Boots by UEFI.
    pub efi: bool,
    /// UEFI Secure Boot is on.
    pub secure_boot: bool,
    /// What it boots when it asks: `local`, `ephemeral`, `hold`, `off`.
    pub boot: String,
    /// When the power state was read.
    #[serde(default)]
    pub power_seen_at: Option<Timestamp>,
    /// When its hardware was last read.
    #[serde(default)]
    pub commissioned_at: Option<Timestamp>,
    /// When the installed system reported.
    #[serde(default)]
    pub deployed_at: Option<Timestamp>,
    /// How its system is or will be laid out on disk.
    pub storage_layout: StorageLayout,
    /// Keys that may log in to the installed system.
    pub ssh_keys: Vec<String>,
    /// Its network interfaces.
    pub interfaces: Vec<InterfaceView>,
    /// Interfaces that its installed system makes of them.
    #[serde(default)]
    pub virtual_interfaces: Vec<VirtualInterface>,
    /// Where its default routes go, when that was chosen.
    #[serde(default)]
    pub default_gateways: DefaultGateways,
    /// Its BMC, without secrets.
    #[serde(default)]
    pub bmc: Option<BmcView>,
    /// Its hardware, once it has been read.
    #[serde(default)]
    pub inventory: Option<Inventory>,
    /// Tests that failed at their last run and are not suppressed: what blocks deployment.
    pub failed_tests: Vec<String>,
    /// First seen.
    pub created_at: Timestamp,
    /// Last change.
    pub updated_at: Timestamp,
}

/// A network interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct InterfaceView {
    /// Number.
    pub id: i64,
    /// Hardware address.
    pub mac: Mac,
    /// Name in the installed system; `eth` and a number until commissioning has read it.
    pub name: String,
    /// It booted through this one.
    pub boot: bool,
    /// There is a link.
    pub link: bool,
    /// The subnet it is in.
    #[serde(default)]
    pub subnet: Option<i64>,
    /// The address it always gets.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub address: Option<IpAddr>,
    /// `auto`, `static`, `dhcp`, `link-up`: how the installed system sets it up.
    pub mode: String,
    /// MTU, bytes, when it is set.
    #[serde(default)]
    pub mtu: Option<i32>,
    /// Further addresses.
    #[serde(default)]
    pub more: Vec<InterfaceAddress>,
}

/// A BMC without its secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct BmcView {
    /// Protocol.
    pub driver: DriverKind,
    /// Host name or address.
    pub address: String,
    /// Port; the protocol's own when absent.
    #[serde(default)]
    pub port: Option<u16>,
    /// User name.
    pub username: String,
    /// A password is stored.
    pub has_password: bool,
    /// What else the driver is told.
    pub settings: BmcSettings,
    /// `person`, or `in-band` when the agent set it up.
    pub source: String,
    /// What the driver last complained of.
    #[serde(default)]
    pub error: Option<String>,
}

/// A BMC to set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewBmc {
    /// Protocol.
    pub driver: DriverKind,
    /// Host name or address; empty for `manual`.
    #[serde(default)]
    pub address: String,
    /// Port; the protocol's own when absent.
    #[serde(default)]
    pub port: Option<u16>,
    /// User name.
    #[serde(default)]
    pub username: String,
    /// Password; the stored one stays when absent.
    #[serde(default, with = "exposed", skip_serializing_if = "is_empty")]
    #[schema(value_type = String, write_only, default = "")]
    pub password: Secret<String>,
    /// What else the driver is told.
    #[serde(default)]
    pub settings: BmcSettings,
}

fn is_empty(secret: &Secret<String>) -> bool {
    secret.expose().is_empty()
}

/// A machine to enter by hand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewMachine {
    /// Name; made up when absent.
    #[serde(default)]
    pub hostname: Option<Hostname>,
    /// For people.
    #[serde(default)]
    pub description: String,
    /// Hardware addresses of its interfaces; the first is the one it boots from.
    pub macs: Vec<Mac>,
    /// How to switch it on and off.
    #[serde(default)]
    pub bmc: Option<NewBmc>,
    /// Resource pool.
    #[serde(default)]
    pub pool: Option<String>,
    /// Zone.
    #[serde(default)]
    pub zone: Option<String>,
    /// Free words.
    #[serde(default)]
    pub tags: Vec<String>,
    /// `x86_64` when absent.
    #[serde(default)]
    pub architecture: Option<String>,
    /// Commission it at once.
    #[serde(default)]
    pub commission: bool,
}

/// Changes to a machine; what is absent stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MachinePatch {
    /// Name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<Hostname>,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Resource pool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<String>,
    /// Zone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// Free words; replaces all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<String>>,
    /// Layout of the next installation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_layout: Option<StorageLayout>,
}

/// Changes to an interface; what is absent stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct InterfacePatch {
    /// Name in the installed system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `auto`: the address is chosen; `static`: the one that is named; `dhcp`; `link-up`: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// The subnet in which an address is chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subnet: Option<i64>,
    /// MTU, bytes; 0 for the VLAN's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtu: Option<i32>,
    /// All further addresses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub more: Option<Vec<NewInterfaceAddress>>,
    /// The address it always gets, inside a known subnet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub address: Option<IpAddr>,
}

/// Which machines; by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct MachineQuery {
    /// Statuses, separated by commas: any of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// Tags, separated by commas: all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// In this zone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// In this resource pool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<String>,
    /// Of this user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Words in name, description, identifier, vendor, product, serial number, MAC or address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub q: Option<String>,
    /// `name`, `status`, `since`, `power`, `owner`, `cores`, `memory`, `disks`, `pool` or `zone`, with a hyphen before
    /// it for the greatest first; by name when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sort: Option<String>,
    /// Rows on the page, 1 to 1000; 100 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<i64>,
    /// `next_cursor` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

impl MachineQuery {
    /// The page asked for.
    pub fn page(&self) -> PageQuery {
        PageQuery { limit: self.limit, cursor: self.cursor.clone() }
    }
}
