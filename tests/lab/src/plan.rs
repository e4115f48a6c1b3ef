//! A lab as data: VLANs, hosts, machines and their BMCs.
//!
//! What holds: a plan is checked before anything is made, so a typing error costs no clean-up. Identities that
//! are not given (MAC, UUID, serial numbers) are derived from the machine's name: the same plan gives the same
//! machines each time.

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;
use std::net::Ipv4Addr;
use std::path::PathBuf;

/// The VLAN on which BMCs have their addresses.
pub const BMC_VLAN: &str = "bmc";
/// The VLAN on which controllers and the database reach each other.
pub const OFFICE_VLAN: &str = "office";
/// The VLAN on which machines of [`LabPlan::demo`] boot.
pub const BOOT_VLAN: &str = "boot";

/// Everything in a lab.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabPlan {
    /// Names of the VLANs; each is a bridge `br-<name>` in the site namespace. At most 8 letters or digits.
    pub vlans: Vec<String>,
    /// Hosts; each is a namespace `<prefix>-<name>`.
    pub hosts: Vec<Host>,
    /// Machines, all of them in the site namespace.
    pub machines: Vec<Machine>,
}

/// A host: a network namespace in which programs of the test run.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Host {
    /// Name without the lab's prefix, for example `ctl`.
    pub name: String,
    /// Its interfaces.
    pub nics: Vec<HostNic>,
}

/// One interface of a host: a veth pair to a VLAN's bridge.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostNic {
    /// Interface name inside the host, for example `eth1`.
    pub name: String,
    /// The VLAN it is plugged into.
    pub vlan: String,
    /// Addresses with prefix length, IPv4 or IPv6.
    pub addresses: Vec<String>,
}

/// One machine.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Machine {
    /// Unique name in the lab, for example `bios-1`.
    pub name: String,
    /// What it starts with.
    pub firmware: Firmware,
    /// Option ROM of its interfaces.
    #[serde(default)]
    pub rom: Rom,
    /// Number of CPUs.
    pub cpus: u32,
    /// Memory in MiB.
    pub memory_mib: u32,
    /// Disks, in boot order.
    pub disks: Vec<Disk>,
    /// Interfaces, in boot order.
    pub nics: Vec<Nic>,
    /// How it is switched on and off from outside.
    #[serde(default)]
    pub bmc: Option<Bmc>,
    /// SMBIOS UUID in its printed form.
    pub uuid: String,
    /// SMBIOS serial number.
    pub serial: String,
}

/// The firmware of a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Firmware {
    /// SeaBIOS.
    Bios,
    /// OVMF without Secure Boot.
    Uefi,
    /// OVMF with Microsoft's keys enrolled and enforced.
    UefiSecureBoot,
}

/// What boots a machine from its interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rom {
    /// iPXE in the interface's option ROM. Under UEFI the firmware's own network boot is switched off, so that
    /// a boot script's `exit 1` falls through to the disk.
    #[default]
    Ipxe,
    /// No option ROM: OVMF's own PXE and HTTP boot (virtio-net only). SeaBIOS cannot boot from the network so.
    None,
    /// The same without IPv4. Its HTTP boot works once its PXE has failed: before, it asks for an address too early.
    Ipv6,
}

/// A disk; its image is sparse.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Disk {
    /// Size in GiB.
    pub gib: u32,
    /// Serial number that the guest sees; at most 20 characters.
    pub serial: String,
    /// How it is attached.
    pub bus: Bus,
}

/// How a disk is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bus {
    /// virtio-blk, `/dev/vdX`.
    Virtio,
    /// NVMe, `/dev/nvmeXn1`.
    Nvme,
    /// AHCI, `/dev/sdX`.
    Sata,
}

/// An interface.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nic {
    /// MAC address, lower case with colons.
    pub mac: String,
    /// The card.
    pub model: NicModel,
    /// The VLAN it is plugged into.
    pub vlan: String,
}

/// A network card.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NicModel {
    /// virtio-net; known to the cloud kernel.
    VirtioNet,
    /// Intel e1000e; needs the generic kernel.
    E1000e,
}

/// A BMC on the VLAN `bmc`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bmc {
    /// Which program plays it.
    pub kind: BmcKind,
    /// Its address; each BMC needs one of its own.
    pub address: Ipv4Addr,
    /// User name.
    pub user: String,
    /// Password.
    pub password: Password,
}

/// The program that plays a BMC.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BmcKind {
    /// OpenIPMI's `ipmi_sim`: cipher suite 3, no UEFI flag, no persistent boot device.
    IpmiSim {
        /// Serial over LAN on the machine's console. The BMC then holds the console's socket.
        sol: bool,
        /// The machine has a KCS interface to this BMC.
        in_band: bool,
    },
    /// Another simulator that speaks the same chassis convention.
    Program {
        /// The executable.
        program: PathBuf,
        /// Its arguments. `{address}`, `{user}`, `{password_file}`, `{faults}` (a file, see
        /// [`crate::bmc::BmcHandle::set_faults`]), `{console}` (`unix:PATH` of the serial port), `{chassis}`
        /// (command line of the chassis program), `{chassis_program}`, `{chassis_state}`, `{state}` (a folder
        /// for the program's own use) and `{uuid}` are filled in.
        args: Vec<String>,
    },
}

/// A password of the lab. Not printed by `Debug`; plans are stored readable by their owner only.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Password(pub String);

impl fmt::Debug for Password {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Password(…)")
    }
}

impl LabPlan {
    /// The machine of this name.
    #[must_use]
    pub fn machine(&self, name: &str) -> Option<&Machine> {
        self.machines.iter().find(|machine| machine.name == name)
    }

    /// Refuses a plan that cannot be built, saying which part is wrong.
    pub fn check(&self) -> Result<()> {
        for vlan in &self.vlans {
            ensure!(is_name(vlan, 8), "VLAN name {vlan:?}: at most 8 lower-case letters, digits, hyphens");
        }
        self.check_hosts()?;
        let mut seen = BTreeSet::new();
        for machine in &self.machines {
            machine.check(&self.vlans)?;
            let bmc = machine.bmc.iter().map(|bmc| bmc.address.to_string());
            let macs = machine.nics.iter().map(|nic| nic.mac.clone());
            for identity in std::iter::once(machine.name.clone()).chain(bmc).chain(macs) {
                ensure!(seen.insert(identity.clone()), "machine {}: {identity} is used twice", machine.name);
            }
            ensure!(
                machine.bmc.is_none() || self.vlans.iter().any(|vlan| vlan == BMC_VLAN),
                "machine {}: a BMC needs the VLAN {BMC_VLAN:?}",
                machine.name
            );
        }
        Ok(())
    }

    fn check_hosts(&self) -> Result<()> {
        let mut seen = BTreeSet::from(["site".to_owned()]);
        for host in &self.hosts {
            ensure!(
                is_name(&host.name, 16),
                "host name {:?}: lower-case letters, digits, hyphens",
                host.name
            );
            ensure!(seen.insert(host.name.clone()), "host name {:?} is taken", host.name);
            for nic in &host.nics {
                ensure!(is_name(&nic.name, 15), "host {}: interface name {:?}", host.name, nic.name);
                ensure!(self.vlans.contains(&nic.vlan), "host {}: no VLAN {:?}", host.name, nic.vlan);
            }
        }
        Ok(())
    }
}

impl Machine {
    fn check(&self, vlans: &[String]) -> Result<()> {
        let name = &self.name;
        ensure!(is_name(name, 32), "machine name {name:?}: at most 32 lower-case letters, digits, hyphens");
        ensure!(self.cpus > 0 && self.memory_mib >= 128, "machine {name}: at least 1 CPU and 128 MiB");
        for nic in &self.nics {
            ensure!(vlans.contains(&nic.vlan), "machine {name}: no VLAN {:?}", nic.vlan);
            ensure!(is_mac(&nic.mac), "machine {name}: MAC {:?}", nic.mac);
        }
        for disk in &self.disks {
            let fits = !disk.serial.is_empty() && disk.serial.len() <= 20 && !disk.serial.contains(',');
            ensure!(fits && disk.gib > 0, "machine {name}: disk {:?}: size or serial", disk.serial);
        }
        let sata = self.disks.iter().filter(|disk| disk.bus == Bus::Sata).count();
        ensure!(sata <= 6, "machine {name}: the AHCI controller has 6 ports");
        if let Some(bmc) = &self.bmc {
            let plain = |text: &str| text.chars().all(|c| c.is_ascii_graphic() && c != '"' && c != '\\');
            ensure!(
                plain(&bmc.user) && plain(&bmc.password.0),
                "machine {name}: BMC user and password are printable ASCII without quotes and backslashes"
            );
        }
        Ok(())
    }
}

/// Letters, digits and hyphens, not empty, not longer than `limit`.
pub(crate) fn is_name(text: &str, limit: usize) -> bool {
    let letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    !text.is_empty() && text.len() <= limit && !text.starts_with('-') && text.chars().all(letter)
}

fn is_mac(text: &str) -> bool {
    let parts: Vec<_> = text.split(':').collect();
    let octet = |part: &&str| part.len() == 2 && u8::from_str_radix(part, 16).is_ok();
    parts.len() == 6 && parts.iter().all(octet) && text == text.to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_demo_plan_is_sound_and_survives_json() {
        let plan = LabPlan::demo();
        plan.check().unwrap();
        let again: LabPlan = serde_json::from_str(&serde_json::to_string(&plan).unwrap()).unwrap();
        assert_eq!(again.machine("uefi-1").unwrap().uuid, plan.machine("uefi-1").unwrap().uuid);
    }

    #[test]
    fn mistakes_are_named() {
        let twice = LabPlan::with_machines(vec![Machine::bios("a"), Machine::bios("a")]);
        assert!(twice.check().unwrap_err().to_string().contains("machine a: a is used twice"));
        let mut nowhere = LabPlan::demo();
        nowhere.machines[0].nics[0].vlan = "moon".to_owned();
        assert!(nowhere.check().unwrap_err().to_string().contains("no VLAN \"moon\""));
        let mut quoted = LabPlan::demo();
        quoted.machines[0].bmc.as_mut().unwrap().password = Password("a\"b".to_owned());
        assert!(quoted.check().is_err());
    }

    #[test]
    fn a_password_is_not_printed() {
        assert!(!format!("{:?}", LabPlan::demo()).contains("lab-secret"));
    }
}
