//! Firmware reaches a server on the controller, as it will reach Rackwright: dnsmasq answers in its place.

#![expect(clippy::unwrap_used, reason = "a test")]

use rackwright_lab::qemu::BootOrder;
use rackwright_lab::{Bus, Disk, Firmware, Lab, LabPlan, Machine, NicModel, Rom, poll};
use std::path::PathBuf;
use std::time::Duration;

/// dnsmasq on the controller, DHCP only; yields the file with its leases.
fn serve_dhcp(lab: &Lab) -> PathBuf {
    let leases = lab.state().folder().join("leases");
    let mut dnsmasq = lab.exec("ctl", "dnsmasq");
    dnsmasq.args(["--keep-in-foreground", "--conf-file=/dev/null", "--port=0", "--user=root", "--log-dhcp"]);
    dnsmasq.args(["--interface=eth1", "--bind-interfaces", "--dhcp-range=10.77.0.50,10.77.0.99,1h"]);
    // OVMF takes no offer that names no boot file.
    dnsmasq.args(["--dhcp-authoritative", "--dhcp-boot=none", "--log-facility=-", "--pid-file="]);
    dnsmasq.arg(format!("--dhcp-leasefile={}", leases.display()));
    lab.spawn("dnsmasq", &dnsmasq).unwrap();
    leases
}

#[test]
fn every_kind_of_firmware_and_card_gets_an_address() {
    let secure = Machine::new("secure", Firmware::UefiSecureBoot);
    let mut plain = Machine::uefi("plain");
    plain.rom = Rom::None;
    let mut intel = Machine::bios("intel");
    intel.nics[0].model = NicModel::E1000e;
    let disk = |serial: &str, bus| Disk { gib: 1, serial: serial.to_owned(), bus };
    intel.disks = vec![disk("SATA", Bus::Sata), disk("NVME", Bus::Nvme), disk("VIRTIO", Bus::Virtio)];
    let lab = Lab::temporary("labnet", LabPlan::with_machines(vec![secure, plain, intel])).unwrap();
    let leases = serve_dhcp(&lab);
    for plan in &lab.plan().machines {
        lab.machine(&plan.name).unwrap().start(BootOrder::NetworkFirst).unwrap();
    }
    for plan in &lab.plan().machines {
        let mac = &plan.nics[0].mac;
        poll::until(Duration::from_secs(120), &format!("a lease of {}", plan.name), || {
            let text = std::fs::read_to_string(&leases)?;
            anyhow::ensure!(text.contains(mac), "leases: {text}");
            Ok(Some(()))
        })
        .unwrap();
    }
}

#[test]
fn a_cut_cable_is_noticed() {
    let lab = Lab::temporary("labcut", LabPlan::with_machines(vec![Machine::bios("m1")])).unwrap();
    let leases = serve_dhcp(&lab);
    lab.set_host_link("ctl", "eth1", false).unwrap();
    let machine = lab.machine("m1").unwrap();
    machine.start(BootOrder::NetworkFirst).unwrap();
    machine.wait_for_serial("No bootable device", 0, Duration::from_secs(120)).unwrap();
    assert!(!std::fs::read_to_string(&leases).unwrap_or_default().contains(&machine.plan().nics[0].mac));

    lab.set_host_link("ctl", "eth1", true).unwrap();
    machine.reset(BootOrder::NetworkFirst).unwrap();
    poll::until(Duration::from_secs(60), "a lease", || {
        let text = std::fs::read_to_string(&leases)?;
        Ok(text.contains(&machine.plan().nics[0].mac).then_some(()))
    })
    .unwrap();
    machine.set_link(0, false).unwrap();
    machine.set_link(0, true).unwrap();
}
