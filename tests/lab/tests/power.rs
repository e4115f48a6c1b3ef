//! A machine under its BMC, driven by programs nobody here wrote: ipmitool, QEMU, SeaBIOS and iPXE.
//! Needs root, namespaces and the packages of `cargo xtask setup`.

#![expect(clippy::unwrap_used, reason = "a test")]

use rackwright_lab::{Lab, LabPlan, Machine, poll};
use std::time::Duration;

/// Runs ipmitool against a machine's BMC and yields what it printed.
fn ipmitool(lab: &Lab, machine: &str, arguments: &[&str]) -> String {
    let output = lab.ipmitool(machine).unwrap().args(arguments).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ipmitool {arguments:?}: {error}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_bmc_switches_a_machine_that_boots_from_the_network() {
    let plan = LabPlan::with_machines(vec![Machine::bios("m1").with_ipmi_sim(11)]);
    let lab = Lab::temporary("labpower", plan).unwrap();
    assert_eq!(ipmitool(&lab, "m1", &["power", "status"]), "Chassis Power is off\n");

    let network = ipmitool(&lab, "m1", &["lan", "print", "1"]);
    assert!(network.contains("IP Address              : 10.78.0.11\n"), "{network}");

    ipmitool(&lab, "m1", &["power", "on"]);
    assert_eq!(ipmitool(&lab, "m1", &["power", "status"]), "Chassis Power is on\n");
    let machine = lab.machine("m1").unwrap();
    machine.wait_for_serial("iPXE", 0, Duration::from_secs(60)).unwrap();
    let mac = machine.plan().nics[0].mac.clone();
    machine.wait_for_serial(&mac, 0, Duration::from_secs(60)).unwrap();

    let first = machine.process().unwrap();
    ipmitool(&lab, "m1", &["power", "on"]);
    assert_eq!(machine.process(), Some(first.clone()), "on again changes nothing");
    ipmitool(&lab, "m1", &["power", "reset"]);
    assert_eq!(machine.process(), Some(first), "reset is not a power cycle");

    ipmitool(&lab, "m1", &["power", "off"]);
    assert_eq!(ipmitool(&lab, "m1", &["power", "status"]), "Chassis Power is off\n");
    assert!(!machine.is_on());
}

#[test]
fn a_boot_device_counts_for_one_boot() {
    let plan = LabPlan::with_machines(vec![Machine::bios("m1").with_ipmi_sim(11)]);
    let lab = Lab::temporary("labboot", plan).unwrap();
    let machine = lab.machine("m1").unwrap();

    ipmitool(&lab, "m1", &["chassis", "bootdev", "disk"]);
    ipmitool(&lab, "m1", &["power", "on"]);
    // The disk is empty, so SeaBIOS says that it failed and goes on to the network.
    machine.wait_for_serial("Boot failed", 0, Duration::from_secs(60)).unwrap();
    let console = machine.serial();
    let disk = console.find("Booting from Hard Disk").unwrap();
    assert!(console.find("Booting from ROM").is_none_or(|network| disk < network), "{console}");

    let since = machine.serial().len();
    ipmitool(&lab, "m1", &["power", "reset"]);
    machine.wait_for_serial("Booting from ROM", since, Duration::from_secs(60)).unwrap();
    assert!(!machine.serial()[since..].contains("Booting from Hard Disk"), "{}", machine.serial());
}

#[test]
fn uefi_machines_start_and_a_pulled_bmc_does_not_touch_them() {
    let plan = LabPlan::with_machines(vec![Machine::uefi("m1").with_ipmi_sim(11)]);
    let lab = Lab::temporary("labuefi", plan).unwrap();
    let machine = lab.machine("m1").unwrap();
    ipmitool(&lab, "m1", &["power", "on"]);
    machine.wait_for_serial("iPXE", 0, Duration::from_secs(90)).unwrap();

    let bmc = lab.bmc("m1").unwrap();
    bmc.stop().unwrap();
    assert!(machine.is_on());
    bmc.start().unwrap();
    let status = poll::until(Duration::from_secs(20), "the BMC", || {
        let output = lab.ipmitool("m1")?.args(["power", "status"]).output()?;
        Ok(output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned()))
    });
    assert_eq!(status.unwrap(), "Chassis Power is on\n");
}
