//! The hardware of a machine as the agent reads it. Every field may be missing: firmware lies and leaves out.

use crate::net::Mac;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// All that is known of a machine's hardware.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Inventory {
    /// System vendor, product and serial (SMBIOS type 1).
    pub system: SystemInfo,
    /// Firmware (SMBIOS type 0) and how it booted.
    pub firmware: FirmwareInfo,
    /// Processors.
    pub cpu: CpuInfo,
    /// NUMA nodes, in order.
    pub numa_nodes: Vec<NumaNode>,
    /// Memory usable by the kernel, MiB.
    pub memory_mib: u64,
    /// Memory modules (SMBIOS type 17).
    pub dimms: Vec<Dimm>,
    /// Disks, by kernel name.
    pub disks: Vec<Disk>,
    /// Network interfaces, physical ones only.
    pub interfaces: Vec<Interface>,
    /// PCI devices.
    pub pci: Vec<PciDevice>,
    /// Graphics and compute accelerators, a subset of `pci`.
    pub gpus: Vec<PciDevice>,
    /// What kind of virtual machine, or none on real hardware.
    pub virtualization: Option<String>,
    /// The BMC as seen from inside.
    pub bmc: Option<InBandBmc>,
}

/// SMBIOS type 1 and 2.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SystemInfo {
    /// System UUID, in its printed form.
    pub uuid: Option<Uuid>,
    /// Manufacturer.
    pub vendor: Option<String>,
    /// Product name.
    pub product: Option<String>,
    /// Product version.
    pub version: Option<String>,
    /// Serial number.
    pub serial: Option<String>,
    /// Mainboard manufacturer and product.
    pub board: Option<String>,
}

/// Firmware.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FirmwareInfo {
    /// Vendor.
    pub vendor: Option<String>,
    /// Version.
    pub version: Option<String>,
    /// Date as the vendor writes it.
    pub date: Option<String>,
    /// Booted by UEFI rather than BIOS.
    pub efi: bool,
    /// UEFI Secure Boot is on.
    pub secure_boot: bool,
}

/// Processors.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CpuInfo {
    /// `x86_64`, `aarch64`.
    pub architecture: String,
    /// Model name.
    pub model: Option<String>,
    /// Packages.
    pub sockets: u32,
    /// Cores over all sockets.
    pub cores: u32,
    /// Hardware threads over all sockets.
    pub threads: u32,
    /// Highest frequency, MHz.
    pub max_mhz: Option<u32>,
    /// Virtualisation can be used (vmx or svm).
    pub virtualization: bool,
}

/// One NUMA node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NumaNode {
    /// Number.
    pub node: u32,
    /// Its CPUs in the kernel's list notation, such as `0-3,8`.
    pub cpus: String,
    /// Memory, MiB.
    pub memory_mib: u64,
}

/// One memory module.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Dimm {
    /// Slot, such as `DIMM_A1`.
    pub slot: String,
    /// MiB; 0 for an empty slot.
    pub size_mib: u64,
    /// `DDR4`, …
    pub kind: Option<String>,
    /// Configured speed, MT/s.
    pub speed_mts: Option<u32>,
    /// Manufacturer.
    pub vendor: Option<String>,
    /// Part number.
    pub part: Option<String>,
    /// Serial number.
    pub serial: Option<String>,
}

/// One disk.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Disk {
    /// Kernel name, such as `nvme0n1`. Changes between boots; `serial` or `wwid` do not.
    pub name: String,
    /// Model.
    pub model: Option<String>,
    /// Serial number.
    pub serial: Option<String>,
    /// World-wide identifier.
    pub wwid: Option<String>,
    /// Bytes.
    pub size_bytes: u64,
    /// Logical sector, bytes.
    pub sector_bytes: u32,
    /// Spins.
    pub rotational: bool,
    /// `nvme`, `sata`, `sas`, `virtio`, `usb`, `mmc`.
    pub transport: Option<String>,
    /// Cannot be written.
    pub read_only: bool,
    /// Can be pulled out while running.
    pub removable: bool,
    /// Firmware revision.
    pub firmware: Option<String>,
}

impl Disk {
    /// It stays where it is, so that a system may be installed to it unasked.
    pub fn is_fixed(&self) -> bool {
        !self.removable && self.transport.as_deref() != Some("usb")
    }
}

/// One physical network interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Interface {
    /// Kernel name.
    pub name: String,
    /// Hardware address.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub mac: Mac,
    /// Kernel driver.
    #[serde(default)]
    pub driver: Option<String>,
    /// Vendor and device, as text or PCI ids.
    #[serde(default)]
    pub product: Option<String>,
    /// Mbit/s while there is a link.
    #[serde(default)]
    pub speed_mbps: Option<u32>,
    /// There is a link.
    #[serde(default)]
    pub link: bool,
    /// This machine booted through it.
    #[serde(default)]
    pub boot: bool,
    /// What LLDP says is at the other end.
    #[serde(default)]
    pub lldp: Option<LldpNeighbour>,
}

/// The other end of a cable.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LldpNeighbour {
    /// Chassis identifier.
    pub chassis: String,
    /// Port identifier.
    pub port: String,
    /// System name.
    pub system: Option<String>,
    /// Port description.
    pub description: Option<String>,
    /// Untagged VLAN (802.1 TLV).
    pub vlan: Option<u16>,
}

/// One PCI device.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PciDevice {
    /// `0000:00:02.0`.
    pub address: String,
    /// Vendor id, four hexadecimal digits.
    pub vendor: String,
    /// Device id, four hexadecimal digits.
    pub device: String,
    /// Class code, six hexadecimal digits.
    pub class: String,
    /// Kernel driver.
    pub driver: Option<String>,
}

/// A BMC found from inside the machine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct InBandBmc {
    /// IPv4 address of its LAN channel, when set.
    pub address: Option<String>,
    /// Hardware address.
    pub mac: Option<String>,
    /// IPMI manufacturer id.
    pub manufacturer: Option<u32>,
    /// IPMI product id.
    pub product: Option<u32>,
    /// Firmware revision.
    pub firmware: Option<String>,
}
