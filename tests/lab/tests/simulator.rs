//! Our own BMC simulator in the lab, driven by ipmitool. Needs its executable in `RACKWRIGHT_TEST_BMC_SIM`.

use rackwright_lab::{Lab, LabPlan, Machine};
use std::path::Path;
use std::time::Duration;

#[test]
fn it_switches_a_machine_and_can_be_told_to_fail() {
    let Some(program) = std::env::var_os("RACKWRIGHT_TEST_BMC_SIM") else {
        panic!("RACKWRIGHT_TEST_BMC_SIM names no program; `cargo xtask test --only lab` sets it")
    };
    let machine = Machine::bios("m1").with_rackwright_sim(11, Path::new(&program));
    let lab = Lab::temporary("labsim", LabPlan::with_machines(vec![machine])).unwrap();
    let ipmitool = |suite: &str, arguments: &[&str]| {
        let output = lab.ipmitool("m1").unwrap().args(["-C", suite]).args(arguments).output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let said = |text: &str| (true, format!("Chassis Power is {text}\n"));
    for suite in ["3", "17"] {
        ipmitool(suite, &["power", "on"]);
        assert_eq!(ipmitool(suite, &["power", "status"]), said("on"), "cipher suite {suite}");
        ipmitool(suite, &["power", "off"]);
        assert_eq!(ipmitool(suite, &["power", "status"]), said("off"), "cipher suite {suite}");
    }
    // It says on, and the machine stays off.
    lab.bmc("m1").unwrap().set_faults("stuck-off\n").unwrap();
    ipmitool("17", &["power", "on"]);
    assert_eq!(ipmitool("17", &["power", "status"]), said("on"));
    assert!(!lab.machine("m1").unwrap().is_on());

    lab.bmc("m1").unwrap().set_faults("").unwrap();
    ipmitool("17", &["power", "off"]);
    ipmitool("17", &["power", "on"]);
    lab.machine("m1").unwrap().wait_for_serial("iPXE", 0, Duration::from_secs(60)).unwrap();
}
