//! Nothing stays behind, whatever was killed.

#![expect(clippy::unwrap_used, reason = "a test")]

use rackwright_lab::process::{ProcessId, SIGKILL};
use rackwright_lab::{Lab, LabPlan, Machine, ns};
use std::process::Command;

/// Names of links in the network of the host itself.
fn links() -> Vec<String> {
    let text = ns::run_for_text(Command::new("ip").args(["-o", "link"])).unwrap();
    text.lines().filter_map(|line| Some(line.split(": ").nth(1)?.to_owned())).collect()
}

#[test]
fn a_lab_whose_processes_were_killed_is_removed_from_its_name_alone() {
    let plan = LabPlan::with_machines(vec![
        Machine::bios("m1").with_ipmi_sim(11),
        Machine::uefi("m2").with_ipmi_sim(12),
    ]);
    let before = links();
    let lab = Lab::create("labkill", plan).unwrap();
    assert_eq!(links(), before, "no link in the network of the host");
    lab.machine("m1").unwrap().start(rackwright_lab::qemu::BootOrder::NetworkFirst).unwrap();
    lab.machine("m2").unwrap().start(rackwright_lab::qemu::BootOrder::NetworkFirst).unwrap();
    let ticker = lab.spawn("ticker", lab.exec("ctl", "sleep").arg("600")).unwrap();

    // One machine and one BMC are killed, the others run on without anybody who knows of them.
    let killed = [lab.machine("m1").unwrap().process().unwrap(), lab.bmc("m1").unwrap().process().unwrap()];
    assert!(killed.iter().all(|process| process.signal(SIGKILL)));
    let running = [lab.machine("m2").unwrap().process().unwrap(), lab.bmc("m2").unwrap().process().unwrap()];
    let folder = lab.state().folder().to_owned();
    let (sockets, data) = (lab.state().sockets(), lab.state().data());
    // The records are lost as well.
    std::fs::remove_dir_all(&folder).unwrap();
    drop(lab);

    Lab::destroy("labkill").unwrap();
    for process in running.iter().chain([&ticker]) {
        assert!(!process.is_alive(), "{process:?}");
    }
    assert_eq!(ns::list("labkill").unwrap(), Vec::<String>::new());
    assert!(!folder.exists() && !sockets.exists() && !data.exists());
    assert_eq!(links(), before);
    Lab::destroy("labkill").unwrap();
}

#[test]
fn a_panicking_test_leaves_its_logs_and_nothing_else() {
    let plan = || LabPlan::with_machines(vec![Machine::bios("m1").with_ipmi_sim(11)]);
    let mut bmc: Option<ProcessId> = None;
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let lab = Lab::temporary("labpanic", plan()).unwrap();
        bmc = lab.bmc("m1").unwrap().process();
        std::fs::write(lab.machine("m1").unwrap().serial_log(), "last words").unwrap();
        panic!("as a failing test does");
    }));
    assert!(outcome.is_err());
    assert!(!bmc.unwrap().is_alive());
    assert!(ns::list("labpanic").unwrap().is_empty());
    let kept = rackwright_lab::state::root().join("failed-labpanic");
    assert_eq!(std::fs::read_to_string(kept.join("m1.log")).unwrap(), "last words");
    std::fs::remove_dir_all(kept).unwrap();
}
