//! One machine's bad day: pulled in the middle of writing, reset in the middle of writing, its controller's database
//! killed meanwhile, the controller itself lost and restored
//! from a backup, and in the end a system that never reports. Nothing is lost, nothing half-installed is called
//! Deployed, and the machine leaves its last failure as people make it leave.

use crate::wiped;
use rackwright_lab::qemu::BootOrder;
use rackwright_lab::{Machine, MachineHandle, Signal, ns, poll};
use rackwright_tests::site::{LIMIT, Site, postmaster};
use std::os::unix::fs::MetadataExt;
use std::process::Command;

/// What the agent says on the console when it begins to write.
const WRITING: &str = "rackwright-agent: installing to";

/// Where the next output begins.
fn end_of_console(machine: &MachineHandle) -> usize {
    usize::try_from(machine.serial_log().metadata().unwrap().len()).unwrap()
}

/// Waits until a boot after byte `since` of the console writes, and has written something.
fn until_writing(machine: &MachineHandle, since: usize) {
    machine.wait_for_serial(WRITING, since, LIMIT).unwrap();
    let before = machine.disk_image(0).metadata().unwrap().mtime();
    poll::until(LIMIT, "the disk to be written", || {
        Ok((machine.disk_image(0).metadata()?.mtime() > before + 1).then_some(()))
    })
    .unwrap();
}

/// Whether the first MiB of the disk, with partition table and boot loader, is zeroes. The machine is off.
fn cannot_boot(machine: &MachineHandle) -> bool {
    let mut read = Command::new("qemu-io");
    read.args(["-f", "qcow2", "-r", "-c", "read -P 0 0 1M"]).arg(machine.disk_image(0));
    let said = ns::run_for_text(&mut read).unwrap();
    assert!(said.contains("read 1048576/1048576 bytes"), "{said}");
    !said.contains("Pattern verification failed")
}

#[test]
fn a_machine_pulled_and_reset_in_mid_write_is_deployed_and_one_that_never_reports_is_not() {
    let machines = vec![Machine::bios("m1").with_ipmi_sim(11)];
    let mut site = Site::new("e2eday", machines, &["--agent-silence-seconds", "30"]).unwrap();
    site.start().unwrap();
    site.load_images(&["bootloaders", "ephemeral", "debian-12"]).unwrap();
    for setting in ["ephemeral_kernel_arguments", "installed_kernel_arguments"] {
        site.ask(&["setting", "set", setting, "console=ttyS0 no_timer_check"]).unwrap();
    }
    site.ask(&["setting", "set", "default_tests", "[]"]).unwrap();
    let machine = site.lab().machine("m1").unwrap();
    ns::run(site.lab().ipmitool("m1").unwrap().args(["chassis", "power", "on"])).unwrap();
    let id = site.first_machine().unwrap();
    site.until_status(&id, "ready").unwrap();
    site.set_right_bmc(&id, "m1").unwrap();

    site.ask(&["machine", "deploy", &id, "--image", "debian-12"]).unwrap();
    until_writing(&machine, 0);
    machine.stop().unwrap();
    assert!(cannot_boot(&machine), "whatever happens next, it does not start what is half written");

    // Switched on again by its BMC, it starts over; and meets a reset, with the database dying at the same time.
    let since = end_of_console(&machine);
    until_writing(&machine, since);
    let events = site.events(&id).unwrap();
    let told = "warning: the machine stopped reporting; booting it again (1 of 3)";
    assert!(events.iter().any(|event| event == told), "{events:#?}");
    assert_eq!(site.machine(&id).unwrap()["status"], "deploying");
    let since = end_of_console(&machine);
    postmaster(&site.data().join("postgres/data")).unwrap().signal(Signal::SIGKILL);
    machine.reset(BootOrder::NetworkFirst).unwrap();

    // The third boot writes to the end, though its cable is out until the database has come back from the dead.
    until_writing(&machine, since);
    machine.set_link(0, false).unwrap();
    let first = postmaster(&site.data().join("postgres/data")).unwrap();
    first.signal(Signal::SIGKILL);
    poll::until(LIMIT, "another PostgreSQL", || {
        let now = postmaster(&site.data().join("postgres/data"))?;
        Ok((now != first && now.is_alive()).then_some(()))
    })
    .unwrap();
    machine.set_link(0, true).unwrap();
    site.until_status(&id, "deployed").unwrap();
    assert_eq!(site.operation(&id, "deploy").unwrap()["status"], "done");
    assert!(machine.is_on());
    assert!(!site.log().contains("panicked"), "{}", site.log_tail());

    // Its controller's box is lost with all that was on it; the one that is made of a backup has it switched off and ready.
    wiped::and_restored(&site);
    wiped::releases(&site, &id, &machine);
    site.load_images(&["bootloaders", "ephemeral", "debian-12"]).unwrap();

    // A system whose cloud-init stands still: the deadline ends it, with what was heard last.
    site.restart_with(&["--system-seconds", "200"]).unwrap();
    let user_data = site.data().join("user-data");
    let stalls = "#cloud-config\nbootcmd:\n - echo cloud-init stands still > /dev/console\n - sleep 3600\n";
    std::fs::write(&user_data, stalls).unwrap();
    let since = end_of_console(&machine);
    let deploy =
        ["machine", "deploy", &id, "--image", "debian-12", "--user-data", user_data.to_str().unwrap()];
    site.ask(&deploy).unwrap();
    let failed = site.until_status(&id, "failed-deployment").unwrap();
    let message = failed["status_message"].as_str().unwrap();
    assert!(
        message.contains("the installed system did not report; last heard from cloud-init:"),
        "{message}"
    );
    assert!(message.contains("look at the machine's console"), "{message}");
    machine.wait_for_serial("cloud-init stands still", since, LIMIT).unwrap();
    let operation = site.operation(&id, "deploy").unwrap()["id"].to_string();
    let shown = site.ask(&["operation", "show", &operation]).unwrap();
    assert!(shown["console_tail"].to_string().contains("cloud-init"), "{}", shown["console_tail"]);
    poll::until(LIMIT, "it to be switched off", || Ok((!machine.is_on()).then_some(()))).unwrap();

    // A person releases it, and it is there for the next.
    site.ask(&["machine", "release", &id, "--erase", "none"]).unwrap();
    site.until_status(&id, "ready").unwrap();
}
