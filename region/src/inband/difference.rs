//! What is otherwise in a machine than when its hardware was read before.
//!
//! Parts are known by what stays with them: modules by their slot, disks by serial number, interfaces by MAC. Left out: PCI
//! devices that are neither accelerators nor seen as a disk or an interface, as their addresses move when another card goes.

use crate::model::hardware_change::{ChangeKind, Difference};
use rackwright_common::inventory::{Dimm, Disk, Interface, Inventory, PciDevice};
use std::collections::BTreeMap;

/// Usable memory varies by a little from kernel to kernel; more than this part of it is told, where no module says why.
const MEMORY_NOISE: f64 = 0.02;

/// The differences, parts that are gone first.
pub fn between(before: &Inventory, after: &Inventory) -> Vec<Difference> {
    // Firmware that names no module at all has not lost them.
    let mut found = if after.dimms.is_empty() {
        Vec::new()
    } else {
        parts("memory module", modules(&before.dimms), &modules(&after.dimms))
    };
    if found.is_empty() {
        found.extend(memory(before.memory_mib, after.memory_mib));
    }
    found.extend(parts("disk", disks(&before.disks), &disks(&after.disks)));
    found.extend(parts("interface", interfaces(&before.interfaces), &interfaces(&after.interfaces)));
    found.extend(parts("accelerator", accelerators(&before.gpus), &accelerators(&after.gpus)));
    found.extend(whole(before, after));
    found.sort_by_key(|d| d.kind != ChangeKind::Gone);
    found
}

/// By what a part is known, what it is.
type Parts = BTreeMap<String, String>;

fn parts(noun: &str, before: Parts, after: &Parts) -> Vec<Difference> {
    let mut found = Vec::new();
    let name = |key: &str| format!("{noun} {key}");
    for (key, was) in &before {
        match after.get(key) {
            None => found.push(difference(ChangeKind::Gone, name(key), was, "")),
            Some(is) if is != was => found.push(difference(ChangeKind::Changed, name(key), was, is)),
            Some(_) => {}
        }
    }
    for (key, is) in after.iter().filter(|(key, _)| !before.contains_key(*key)) {
        found.push(difference(ChangeKind::New, name(key), "", is));
    }
    found
}

fn difference(kind: ChangeKind, part: String, before: &str, after: &str) -> Difference {
    Difference { kind, part, before: before.to_owned(), after: after.to_owned() }
}

/// Words that are there, with spaces.
fn words<const N: usize>(all: [Option<String>; N]) -> String {
    let all: Vec<String> = all.into_iter().flatten().filter(|word| !word.trim().is_empty()).collect();
    if all.is_empty() { "nothing known".to_owned() } else { all.join(" ") }
}

/// Puts a part in; firmware gives some names twice.
fn put(parts: &mut Parts, key: &str, is: String) {
    let mut own = key.to_owned();
    let mut copy = 1;
    while parts.contains_key(&own) {
        copy += 1;
        own = format!("{key} ({copy})");
    }
    parts.insert(own, is);
}

fn modules(dimms: &[Dimm]) -> Parts {
    let mut found = Parts::new();
    for dimm in dimms.iter().filter(|d| d.size_mib > 0) {
        let serial = dimm.serial.as_ref().map(|serial| format!("serial {serial}"));
        let size = Some(format!("{} MiB", dimm.size_mib));
        put(
            &mut found,
            &dimm.slot,
            words([size, dimm.kind.clone(), dimm.vendor.clone(), dimm.part.clone(), serial]),
        );
    }
    found
}

fn memory(before: u64, after: u64) -> Option<Difference> {
    let (was, is) = (before as f64, after as f64);
    if before == 0 || (is - was).abs() <= was * MEMORY_NOISE {
        return None;
    }
    if after < before {
        let lost = format!("{} MiB of usable memory", before - after);
        return Some(difference(ChangeKind::Gone, lost, &format!("of {before} MiB"), ""));
    }
    let (was, is) = (format!("{before} MiB"), format!("{after} MiB"));
    Some(difference(ChangeKind::Changed, "usable memory".to_owned(), &was, &is))
}

/// Those that stay: what is plugged in for a while is no part of the machine.
fn disks(disks: &[Disk]) -> Parts {
    let mut found = Parts::new();
    for disk in disks.iter().filter(|d| d.is_fixed()) {
        let key = disk.serial.clone().or_else(|| disk.wwid.clone()).unwrap_or_else(|| disk.name.clone());
        let firmware = disk.firmware.as_ref().map(|version| format!("firmware {version}"));
        let size = Some(format!("{} GB", disk.size_bytes / 1_000_000_000));
        put(&mut found, &key, words([disk.model.clone(), size, firmware]));
    }
    found
}

/// Their kernel names change between boots.
fn interfaces(interfaces: &[Interface]) -> Parts {
    let mut found = Parts::new();
    for interface in interfaces {
        put(&mut found, &interface.mac.to_string(), words([interface.product.clone()]));
    }
    found
}

/// Those of one kind are numbered, as they have nothing of their own that stays.
fn accelerators(gpus: &[PciDevice]) -> Parts {
    let mut found = Parts::new();
    for gpu in gpus {
        put(&mut found, &format!("{}:{}", gpu.vendor, gpu.device), format!("class {}", gpu.class));
    }
    found
}

/// What a machine has one of.
fn whole(before: &Inventory, after: &Inventory) -> Vec<Difference> {
    let system = |i: &Inventory| {
        words([
            i.system.vendor.clone(),
            i.system.product.clone(),
            i.system.serial.clone(),
            i.system.board.clone(),
        ])
    };
    let processor = |i: &Inventory| {
        let cpu = &i.cpu;
        let count = format!("{} sockets, {} cores, {} threads", cpu.sockets, cpu.cores, cpu.threads);
        words([cpu.model.clone(), Some(count)])
    };
    let firmware = |i: &Inventory| {
        let by = if i.firmware.efi { "UEFI" } else { "BIOS" };
        let secure = i.firmware.secure_boot.then(|| "Secure Boot".to_owned());
        words([i.firmware.vendor.clone(), i.firmware.version.clone(), Some(by.to_owned()), secure])
    };
    let bmc = |i: &Inventory| {
        i.bmc
            .as_ref()
            .and_then(|b| b.firmware.clone())
            .map_or_else(|| "not seen".to_owned(), |v| format!("firmware {v}"))
    };
    let of = |name: &str, was: String, is: String| {
        (was != is).then(|| difference(ChangeKind::Changed, name.to_owned(), &was, &is))
    };
    [
        of("the system", system(before), system(after)),
        of("the processor", processor(before), processor(after)),
        of("the firmware", firmware(before), firmware(after)),
        of("the BMC", bmc(before), bmc(after)),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn inventory(change: impl FnOnce(&mut Value)) -> Inventory {
        let mut value = json!({
            "firmware": { "vendor": "AMI", "version": "2.1", "efi": true },
            "cpu": { "architecture": "x86_64", "model": "Xeon", "sockets": 1, "cores": 16, "threads": 32, "virtualization": true },
            "memory_mib": 64000,
            "dimms": [{ "slot": "DIMM_A1", "size_mib": 32768, "kind": "DDR5", "serial": "A1" },
                      { "slot": "DIMM_A3", "size_mib": 32768, "kind": "DDR5", "serial": "A3" }, { "slot": "DIMM_B1" }],
            "disks": [{ "name": "sda", "serial": "S1", "model": "SSD", "size_bytes": 240_057_409_536_u64 },
                      { "name": "sdb", "size_bytes": 16_000_000_000_u64, "transport": "usb" }],
            "interfaces": [{ "name": "eno1", "mac": "52:54:00:00:00:01" }],
            "gpus": [{ "address": "01:00.0", "class": "030200", "vendor": "10de", "device": "2330" },
                     { "address": "02:00.0", "class": "030200", "vendor": "10de", "device": "2330" }],
        });
        change(&mut value);
        serde_json::from_value(value).unwrap()
    }

    fn told(change: impl FnOnce(&mut Value)) -> Vec<String> {
        between(&inventory(|_| {}), &inventory(change)).iter().map(Difference::message).collect()
    }

    #[test]
    fn what_is_gone_is_told_first_and_what_is_the_same_not_at_all() {
        assert_eq!(told(|_| {}), Vec::<String>::new());
        let found = told(|i| {
            i["dimms"][1] = json!({ "slot": "DIMM_A3" });
            i["memory_mib"] = 32000.into();
            i["disks"][0] =
                json!({ "name": "sda", "serial": "S2", "model": "SSD", "size_bytes": 480_000_000_000_u64 });
            i["firmware"]["version"] = "2.2".into();
        });
        assert_eq!(
            found,
            [
                "memory module DIMM_A3 is gone (32768 MiB DDR5 serial A3)",
                "disk S1 is gone (SSD 240 GB)",
                "disk S2 is new (SSD 480 GB)",
                "the firmware was AMI 2.1 UEFI and is AMI 2.2 UEFI",
            ]
        );
    }

    #[test]
    fn kernel_names_links_and_what_is_plugged_in_for_a_while_are_no_change_of_hardware() {
        let found = told(|i| {
            i["disks"][0]["name"] = "sdc".into();
            i["interfaces"][0]["name"] = "eth5".into();
            i["dimms"] = json!([]);
            i["disks"][1]["size_bytes"] = 1.into();
            i["interfaces"][0]["link"] = true.into();
            i["memory_mib"] = 63990.into();
        });
        assert_eq!(found, Vec::<String>::new());
    }

    #[test]
    fn memory_that_no_module_explains_and_one_card_of_two_are_told() {
        assert_eq!(
            told(|i| i["memory_mib"] = 32000.into()),
            ["32000 MiB of usable memory is gone (of 64000 MiB)"]
        );
        assert_eq!(
            told(|i| i["memory_mib"] = 96000.into()),
            ["usable memory was 64000 MiB and is 96000 MiB"]
        );
        let one = |i: &mut Value| drop(i["gpus"].as_array_mut().unwrap().pop());
        assert_eq!(told(one), ["accelerator 10de:2330 (2) is gone (class 030200)"]);
    }

    #[test]
    fn two_slots_of_one_name_are_two() {
        let twice = |i: &mut Value| i["dimms"][0]["slot"] = "DIMM".into();
        let both = inventory(|i| {
            twice(i);
            i["dimms"][1]["slot"] = "DIMM".into();
        });
        let one = inventory(|i| {
            twice(i);
            i["dimms"].as_array_mut().unwrap().remove(1);
        });
        let found: Vec<String> = between(&both, &one).iter().map(Difference::message).collect();
        assert_eq!(found, ["memory module DIMM (2) is gone (32768 MiB DDR5 serial A3)"]);
    }
}
