//! A machine's hardware, as a datasheet.

use super::storage::Storage;
use super::{Fact, joined, known};
use crate::format;
use askama::Template;
use askama_web::WebTemplate;
use rackwright_common::inventory::{Dimm, Disk, Interface, Inventory};
use rackwright_region::model::machine::{InterfaceView, Machine};

/// The datasheet.
#[derive(Debug, Clone, PartialEq, Eq, Template, WebTemplate)]
#[template(path = "machine_hardware.html")]
pub struct Hardware {
    /// Machine.
    pub id: String,
    /// The inventory has been read.
    pub read: bool,
    /// System and firmware.
    pub system: Vec<Fact>,
    /// Processors and NUMA.
    pub cpu: Vec<Fact>,
    /// BMC.
    pub bmc: Vec<Fact>,
    /// What the BMC's driver last complained of.
    pub bmc_error: String,
    /// Memory, together.
    pub memory: String,
    /// Modules: slot, size, kind and speed, vendor and part, serial number.
    pub dimms: Vec<[String; 5]>,
    /// Slots without a module.
    pub empty_slots: usize,
    /// Disks: name, model, size, kind, serial number, firmware.
    pub disks: Vec<[String; 6]>,
    /// What a deployment makes of them.
    pub storage: Option<Storage>,
    /// Interfaces.
    pub nics: Vec<Nic>,
    /// Accelerators: address, ids, driver.
    pub gpus: Vec<String>,
    /// Number of PCI devices.
    pub pci: usize,
}

/// A network interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nic {
    /// Name.
    pub name: String,
    /// Hardware address.
    pub mac: String,
    /// What it is.
    pub product: String,
    /// Speed, or that there is no link.
    pub link: String,
    /// There is a link.
    pub up: bool,
    /// It booted through this one.
    pub boot: bool,
    /// Address and how it gets it.
    pub address: String,
    /// Switch and port, from LLDP.
    pub neighbour: String,
}

impl Hardware {
    /// Of a machine.
    pub fn new(m: &Machine) -> Self {
        let empty = Inventory::default();
        let inventory = m.inventory.as_ref().unwrap_or(&empty);
        let fitted: Vec<_> = inventory.dimms.iter().filter(|d| d.size_mib > 0).collect();
        Self {
            id: m.summary.id.to_string(),
            read: m.inventory.is_some(),
            system: system(m, inventory),
            cpu: cpu(inventory),
            bmc: bmc(m, inventory),
            bmc_error: m
                .bmc
                .as_ref()
                .and_then(|b| b.error.as_deref())
                .map(format::capital)
                .unwrap_or_default(),
            memory: if inventory.memory_mib > 0 { format::mib(inventory.memory_mib) } else { String::new() },
            empty_slots: inventory.dimms.len() - fitted.len(),
            dimms: fitted.into_iter().map(dimm).collect(),
            disks: inventory.disks.iter().map(disk).collect(),
            storage: Storage::new(&inventory.disks, &m.storage_layout),
            nics: nics(m, inventory),
            gpus: inventory
                .gpus
                .iter()
                .map(|g| {
                    format!(
                        "{} {}:{} {}",
                        g.address,
                        g.vendor,
                        g.device,
                        g.driver.as_deref().unwrap_or("no driver")
                    )
                })
                .collect(),
            pci: inventory.pci.len(),
        }
    }
}

fn system(m: &Machine, i: &Inventory) -> Vec<Fact> {
    let (s, f) = (&i.system, &i.firmware);
    let boot = match (m.efi, m.secure_boot) {
        (true, true) => "UEFI, Secure Boot on",
        (true, false) => "UEFI",
        (false, _) => "BIOS",
    };
    let firmware = joined([f.vendor.as_deref(), f.version.as_deref(), f.date.as_deref()], " · ");
    known(vec![
        Fact::new(
            "Model",
            joined([m.summary.vendor.as_deref(), m.summary.product.as_deref(), s.version.as_deref()], " "),
        ),
        Fact::code("Serial", m.system_serial.clone().or_else(|| s.serial.clone()).unwrap_or_default()),
        Fact::code("UUID", m.system_uuid.map(|u| u.to_string()).unwrap_or_default()),
        Fact::new("Board", s.board.clone().unwrap_or_default()),
        Fact::new(
            "Kind",
            i.virtualization.as_ref().map_or_else(String::new, |v| format!("virtual machine ({v})")),
        ),
        Fact::new("Boots by", boot),
        Fact::new("Firmware", firmware),
    ])
}

fn cpu(i: &Inventory) -> Vec<Fact> {
    let c = &i.cpu;
    if c.cores == 0 {
        return Vec::new();
    }
    let numa =
        i.numa_nodes.iter().map(|n| format!("{}: CPU {}, {}", n.node, n.cpus, format::mib(n.memory_mib)));
    known(vec![
        Fact::new("Model", c.model.clone().unwrap_or_default()),
        Fact::new("Architecture", c.architecture.clone()),
        Fact::new("Sockets, cores, threads", format!("{}, {}, {}", c.sockets, c.cores, c.threads)),
        Fact::new(
            "Top clock",
            c.max_mhz.map_or_else(String::new, |m| format!("{:.2} GHz", f64::from(m) / 1000.0)),
        ),
        Fact::new("Virtualisation", if c.virtualization { "yes" } else { "no" }),
        Fact::new(
            "NUMA nodes",
            if i.numa_nodes.len() > 1 { numa.collect::<Vec<_>>().join(" · ") } else { String::new() },
        ),
    ])
}

fn bmc(m: &Machine, i: &Inventory) -> Vec<Fact> {
    let Some(b) = &m.bmc else { return Vec::new() };
    let address = match b.port {
        Some(port) => format!("{}, port {port}", b.address),
        None => b.address.clone(),
    };
    let seen = i.bmc.as_ref();
    known(vec![
        Fact::new("Driver", b.driver.as_str()),
        Fact::code("Address", address),
        Fact::code("User", b.username.clone()),
        Fact::new("Password", if b.has_password { "stored" } else { "none" }),
        Fact::new("Set up by", if b.source == "in-band" { "the agent, from inside" } else { "a person" }),
        Fact::new("Firmware", seen.and_then(|s| s.firmware.clone()).unwrap_or_default()),
    ])
}

fn dimm(d: &Dimm) -> [String; 5] {
    let speed = d.speed_mts.map(|s| format!("{s} MT/s"));
    [
        d.slot.clone(),
        format::mib(d.size_mib),
        joined([d.kind.as_deref(), speed.as_deref()], ", "),
        joined([d.vendor.as_deref(), d.part.as_deref()], " "),
        d.serial.clone().unwrap_or_default(),
    ]
}

fn disk(d: &Disk) -> [String; 6] {
    let kind = [
        d.transport.as_deref(),
        Some(if d.rotational { "spinning" } else { "solid state" }),
        d.read_only.then_some("read-only"),
        d.removable.then_some("removable"),
    ];
    let sector = format!("{} B sectors", d.sector_bytes);
    let kind = joined(kind.into_iter().chain([(d.sector_bytes > 512).then_some(sector.as_str())]), ", ");
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    [d.name.clone(), text(&d.model), format::bytes(d.size_bytes), kind, text(&d.serial), text(&d.firmware)]
}

/// Interfaces that the inventory saw, and those that are only in the database.
fn nics(m: &Machine, i: &Inventory) -> Vec<Nic> {
    let stored = |mac| m.interfaces.iter().find(|v| v.mac == mac);
    let seen = i.interfaces.iter().map(|n| nic(n, stored(n.mac)));
    let unseen = m.interfaces.iter().filter(|v| !i.interfaces.iter().any(|n| n.mac == v.mac));
    let plain = |v: &InterfaceView| Nic {
        name: v.name.clone(),
        mac: v.mac.to_string(),
        product: String::new(),
        link: if v.link { "link" } else { "not seen yet" }.into(),
        up: v.link,
        boot: v.boot,
        address: address(v),
        neighbour: String::new(),
    };
    seen.chain(unseen.map(plain)).collect()
}

fn address(v: &InterfaceView) -> String {
    match v.address {
        Some(address) => format!("{address} ({})", v.mode),
        None => v.mode.clone(),
    }
}

fn nic(n: &Interface, stored: Option<&InterfaceView>) -> Nic {
    let neighbour = n.lldp.as_ref().map_or_else(String::new, |l| {
        let system = l.system.as_deref().filter(|s| !s.is_empty()).unwrap_or(&l.chassis);
        let port = l.description.as_deref().filter(|d| !d.is_empty() && *d != l.port);
        let vlan = l.vlan.map(|v| format!("VLAN {v}"));
        joined([Some(system), Some(&l.port), port, vlan.as_deref()], " · ")
    });
    Nic {
        name: n.name.clone(),
        mac: n.mac.to_string(),
        product: joined([n.product.as_deref(), n.driver.as_deref()], " · "),
        link: match (n.link, n.speed_mbps) {
            (true, Some(speed)) => format::mbps(speed),
            (true, None) => "link".into(),
            (false, _) => "no link".into(),
        },
        up: n.link,
        boot: n.boot || stored.is_some_and(|v| v.boot),
        address: stored.map(address).unwrap_or_default(),
        neighbour,
    }
}

#[cfg(test)]
impl Hardware {
    /// Every field filled with markup.
    pub fn sample() -> Self {
        Self::new(&super::sample::hostile())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::sample;

    #[test]
    fn a_datasheet_reads_in_units_that_people_use() {
        let sheet = Hardware::new(&sample::machine());
        assert_eq!(
            sheet.dimms[0],
            ["DIMM_A1", "32 GiB", "DDR5, 4800 MT/s", "Samsung M321R4GA3BB6", "A1B2C3"]
        );
        assert_eq!(sheet.empty_slots, 2);
        assert_eq!(sheet.disks[0][..4], ["nvme0n1", "SAMSUNG MZQL21T9", "1.9 TB", "nvme, solid state"]);
        assert_eq!(sheet.nics[0].neighbour, "sw-a1 · Ethernet7 · VLAN 20");
        assert_eq!(sheet.nics[0].address, "10.77.0.21 (auto)");
        assert_eq!(sheet.nics[1].link, "no link");
    }

    #[test]
    fn before_commissioning_it_says_so() {
        let mut machine = sample::machine();
        machine.inventory = None;
        let shown = Hardware::new(&machine).to_string();
        assert!(shown.contains("not been read"), "{shown}");
    }
}
