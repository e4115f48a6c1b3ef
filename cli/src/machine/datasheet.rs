//! A machine as a datasheet: sections with aligned lines; what is not known is left out.

use crate::console::{ago, disk_size, memory_size};
use rackwright_common::inventory::{Dimm, Disk, Inventory};
use rackwright_region::model::interface::InterfaceAddress;
use rackwright_region::model::machine::Machine;

/// Collects sections.
struct Sheet(String);

impl Sheet {
    fn section(&mut self, title: &str) {
        self.0.push_str(&format!("\n{title}\n"));
    }

    fn line(&mut self, name: &str, value: impl AsRef<str>) {
        if !value.as_ref().is_empty() {
            self.0.push_str(&format!("  {name:<14} {}\n", value.as_ref()));
        }
    }
}

/// The parts that are known, with blanks between.
fn words(parts: &[Option<&str>]) -> String {
    parts.iter().flatten().filter(|p| !p.is_empty()).copied().collect::<Vec<_>>().join(" ")
}

/// The whole sheet.
pub fn text(machine: &Machine) -> String {
    let s = &machine.summary;
    let mut sheet = Sheet(format!("{} ({})\n", s.hostname, s.id));
    let lock = if s.locked { ", locked" } else { "" };
    sheet.line("Status", format!("{}{lock}, since {}", s.status, ago(s.status_since)));
    sheet.line("", &s.status_message);
    if let Some(operation) = &s.operation {
        sheet.line(
            "Under way",
            format!("{} (operation {}): {}", operation.kind, operation.id, operation.message),
        );
    }
    if !machine.failed_tests.is_empty() {
        sheet.line("Failed tests", machine.failed_tests.join(", "));
    }
    sheet.line("Description", &machine.description);
    sheet.line("Owner", s.owner.as_deref().unwrap_or_default());
    sheet.line("Pool, zone", format!("{}, {}", s.pool, s.zone));
    sheet.line("Tags", s.tags.join(", "));
    sheet.line("Image", s.image.as_deref().unwrap_or_default());
    if let Some(at) = machine.deployed_at {
        sheet.line("Deployed", format!("{at} ({})", ago(at)));
    }
    if let Some(at) = s.last_seen_at {
        sheet.line("Last seen", ago(at));
    }
    power(&mut sheet, machine);
    match &machine.inventory {
        Some(inventory) => hardware(&mut sheet, inventory),
        None => {
            sheet.section("Hardware");
            sheet.line("", "not read yet; `rackwright machine commission` reads it");
        }
    }
    network(&mut sheet, machine);
    sheet.0
}

fn power(sheet: &mut Sheet, machine: &Machine) {
    sheet.section("Power");
    let seen = machine.power_seen_at.map_or_else(String::new, |at| format!(", {}", ago(at)));
    sheet.line("State", format!("{}{seen}", machine.summary.power_state.as_str()));
    match &machine.bmc {
        Some(bmc) => {
            let port = bmc.port.map_or_else(String::new, |p| format!(":{p}"));
            let user =
                if bmc.username.is_empty() { String::new() } else { format!(", user {}", bmc.username) };
            let found = if bmc.source == "in-band" { ", set up from inside" } else { "" };
            sheet.line("BMC", format!("{} {}{port}{user}{found}", bmc.driver, bmc.address));
            sheet.line("BMC error", bmc.error.as_deref().unwrap_or_default());
        }
        None => sheet.line("BMC", "none; `rackwright machine bmc` sets one"),
    }
}

fn hardware(sheet: &mut Sheet, inventory: &Inventory) {
    let (system, firmware, cpu) = (&inventory.system, &inventory.firmware, &inventory.cpu);
    sheet.section("Hardware");
    sheet.line(
        "System",
        words(&[system.vendor.as_deref(), system.product.as_deref(), system.version.as_deref()]),
    );
    sheet.line("Serial", system.serial.as_deref().unwrap_or_default());
    sheet.line("Board", system.board.as_deref().unwrap_or_default());
    sheet.line("UUID", system.uuid.map(|u| u.to_string()).unwrap_or_default());
    sheet.line("Virtual", inventory.virtualization.as_deref().unwrap_or_default());
    let boot = match (firmware.efi, firmware.secure_boot) {
        (true, true) => "UEFI with Secure Boot",
        (true, false) => "UEFI",
        (false, _) => "BIOS",
    };
    let named = words(&[firmware.vendor.as_deref(), firmware.version.as_deref(), firmware.date.as_deref()]);
    sheet.line("Firmware", format!("{boot}; {named}"));
    let mhz = cpu.max_mhz.map_or_else(String::new, |m| format!(", {m} MHz"));
    sheet.line("CPU", cpu.model.as_deref().unwrap_or(&cpu.architecture));
    sheet.line(
        "",
        format!(
            "{} sockets, {} cores, {} threads{mhz}, {}",
            cpu.sockets, cpu.cores, cpu.threads, cpu.architecture
        ),
    );
    for node in inventory.numa_nodes.iter().filter(|_| inventory.numa_nodes.len() > 1) {
        sheet.line(
            &format!("NUMA node {}", node.node),
            format!("CPUs {}, {} MiB", node.cpus, node.memory_mib),
        );
    }
    let dimms: Vec<&Dimm> = inventory.dimms.iter().filter(|d| d.size_mib > 0).collect();
    let memory = memory_size(i64::try_from(inventory.memory_mib).unwrap_or(i64::MAX));
    sheet.line("Memory", format!("{memory}, {} of {} slots", dimms.len(), inventory.dimms.len()));
    for dimm in dimms {
        sheet.line("", describe_dimm(dimm));
    }
    for (i, disk) in inventory.disks.iter().enumerate() {
        sheet.line(if i == 0 { "Disks" } else { "" }, describe_disk(disk));
    }
    for (i, gpu) in inventory.gpus.iter().enumerate() {
        sheet
            .line(if i == 0 { "GPUs" } else { "" }, format!("{} {}:{}", gpu.address, gpu.vendor, gpu.device));
    }
}

fn describe_dimm(dimm: &Dimm) -> String {
    let size = memory_size(i64::try_from(dimm.size_mib).unwrap_or(i64::MAX));
    let speed = dimm.speed_mts.map(|s| format!("{s} MT/s"));
    let rest = words(&[dimm.kind.as_deref(), speed.as_deref(), dimm.vendor.as_deref(), dimm.part.as_deref()]);
    format!("{:<10} {size:>9}  {rest}", dimm.slot)
}

fn describe_disk(disk: &Disk) -> String {
    let size = disk_size(i64::try_from(disk.size_bytes).unwrap_or(i64::MAX));
    let kind = if disk.rotational { "spinning" } else { "" };
    let serial = disk.serial.as_ref().map(|s| format!("serial {s}"));
    let only = if disk.read_only { "read-only" } else { "" };
    let rest =
        words(&[disk.transport.as_deref(), Some(kind), disk.model.as_deref(), serial.as_deref(), Some(only)]);
    format!("{:<10} {size:>9}  {rest}", disk.name)
}

fn addresses(sheet: &mut Sheet, addresses: &[InterfaceAddress]) {
    for address in addresses {
        let which = address.address.map_or_else(String::new, |a| a.to_string());
        sheet.line("", format!("{} {which}", address.mode.as_str()));
    }
}

fn network(sheet: &mut Sheet, machine: &Machine) {
    sheet.section("Network");
    for interface in &machine.interfaces {
        let found =
            machine.inventory.as_ref().and_then(|i| i.interfaces.iter().find(|f| f.mac == interface.mac));
        let name = &interface.name;
        let address = interface.address.map_or_else(|| interface.mode.clone(), |a| a.to_string());
        let link = match (found.and_then(|f| f.speed_mbps), interface.link) {
            (Some(speed), true) => format!("link {speed} Mbit/s"),
            (None, true) => "link".to_owned(),
            (_, false) => "no link".to_owned(),
        };
        let neighbour = found
            .and_then(|f| f.lldp.as_ref())
            .map(|l| format!("at {} {}", l.system.as_deref().unwrap_or(&l.chassis), l.port));
        let boot = if interface.boot { "boot" } else { "" };
        let rest = words(&[
            Some(&link),
            found.and_then(|f| f.driver.as_deref()),
            found.and_then(|f| f.product.as_deref()),
            neighbour.as_deref(),
            Some(boot),
        ]);
        sheet.line(name, format!("{}  {address:<15}  {rest}", interface.mac));
        addresses(sheet, &interface.more);
    }
    for made in &machine.virtual_interfaces {
        let name_of = |id: &i64| {
            let physical = machine.interfaces.iter().find(|i| i.id == *id).map(|i| i.name.clone());
            let other = || machine.virtual_interfaces.iter().find(|v| v.id == *id).map(|v| v.name.clone());
            physical.or_else(other).unwrap_or_else(|| id.to_string())
        };
        let on: Vec<String> = made.parents.iter().map(name_of).collect();
        sheet.line(&made.name, format!("{} on {}", made.kind.as_str(), on.join(", ")));
        addresses(sheet, &made.addresses);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_datasheet_leaves_out_what_is_not_known() {
        let json = serde_json::json!({
            "id": "k3x9ab", "hostname": "node-1", "status": "ready", "status_message": "",
            "status_since": "2026-01-01T00:00:00Z", "locked": true, "pool": "default", "zone": "east", "tags": ["gpu"],
            "architecture": "x86_64", "cpu_cores": 2, "memory_mib": 2048, "storage_bytes": 4_000_000_000_i64,
            "power_state": "off", "addresses": [], "version": 3, "description": "", "efi": true, "secure_boot": false,
            "boot": "local", "storage_layout": {}, "ssh_keys": [], "failed_tests": [],
            "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z",
            "interfaces": [{ "id": 1, "mac": "52:54:00:00:00:01", "name": "eth0", "boot": true, "link": true,
                             "address": "10.0.0.5", "mode": "auto" }],
            "inventory": { "cpu": { "model": "Some CPU", "sockets": 1, "cores": 2, "threads": 4, "architecture": "x86_64" },
                           "memory_mib": 2048, "firmware": { "efi": true },
                           "disks": [{ "name": "vda", "size_bytes": 4_000_000_000_u64, "serial": "D1" }] }
        });
        let sheet = text(&serde_json::from_value(json).unwrap());
        assert!(sheet.starts_with("node-1 (k3x9ab)\n  Status         Ready, locked, since "), "{sheet}");
        for line in [
            "  Pool, zone     default, east\n",
            "  CPU            Some CPU\n",
            "  Disks          vda             4 GB  serial D1\n",
            "  eth0           52:54:00:00:00:01  10.0.0.5         link boot\n",
        ] {
            assert!(sheet.contains(line), "{line:?} is not in {sheet}");
        }
        assert!(!sheet.contains("Owner") && !sheet.contains("Serial  "), "{sheet}");
    }
}
