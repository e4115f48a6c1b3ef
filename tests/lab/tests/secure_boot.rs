//! The lab's Secure Boot is real: its firmware, with the keys that machines are sold with, refuses a loader that nobody
//! signed, served by a server nobody here wrote. So what such a machine starts elsewhere in the tests was signed.
//! Needs root, namespaces and the packages of `cargo xtask setup`.

use rackwright_lab::qemu::BootOrder;
use rackwright_lab::{Firmware, Lab, LabPlan, Machine};
use std::time::Duration;

#[test]
fn an_unsigned_loader_is_refused() {
    let machine = Machine::new("m1", Firmware::UefiSecureBoot);
    let lab = Lab::temporary("labsecure", LabPlan::with_machines(vec![machine])).unwrap();
    let mut dnsmasq = lab.exec("ctl", "dnsmasq");
    dnsmasq.args([
        "--conf-file=/dev/null",
        "--keep-in-foreground",
        "--user=root",
        "--pid-file=",
        "--no-hosts",
    ]);
    dnsmasq.args([
        "--port=0",
        "--interface=eth1",
        "--bind-interfaces",
        "--dhcp-range=10.77.0.100,10.77.0.120",
    ]);
    dnsmasq.args(["--leasefile-ro", "--enable-tftp", "--tftp-root=/usr/lib/ipxe", "--dhcp-boot=snponly.efi"]);
    lab.spawn("dnsmasq", &dnsmasq).unwrap();

    let machine = lab.machine("m1").unwrap();
    machine.start(BootOrder::NetworkFirst).unwrap();
    machine.wait_for_serial("NBP file downloaded successfully", 0, Duration::from_secs(120)).unwrap();
    machine.wait_for_serial("Access Denied", 0, Duration::from_secs(60)).unwrap();
    let console = machine.serial();
    assert!(!console.contains("iPXE initialising"), "{console}");
}
