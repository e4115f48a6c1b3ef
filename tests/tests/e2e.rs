//! A controller that dies in the middle of a deploy, on a machine with real firmware and a BMC: the deploy is delayed
//! and does not fail. The machine is the pickiest there is: its firmware starts nothing that is not signed.
//!
//! Images come from `.lab/cache`, where `cargo xtask demo` builds them; `cargo xtask test --only e2e` runs that first.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use rackwright_lab::{Firmware, Machine, Rom};
use rackwright_tests::site::Site;

#[test]
fn a_controller_killed_at_any_stage_delays_a_deploy_and_does_not_fail_it() {
    let machine = Machine::new("m1", Firmware::UefiSecureBoot).with_ipmi_sim(11);
    let site = Site::new("e2ekill", vec![machine], &[]).unwrap();
    site.start().unwrap();
    site.load_images(&["bootloaders", "ephemeral", "debian-12"]).unwrap();
    site.ask(&["setting", "set", "ephemeral_kernel_arguments", "console=ttyS0 no_timer_check"]).unwrap();
    let on = site.lab().ipmitool("m1").unwrap().args(["chassis", "power", "on"]).output().unwrap();
    assert!(on.status.success());

    let id = site.first_machine().unwrap();
    site.until_step(&id, "tests").unwrap();
    restart(&site);
    let ready = site.until_status(&id, "ready").unwrap();
    assert_eq!(ready["secure_boot"], true, "{ready}");
    assert_fetched(&site, &["shimx64.efi", "grubx64.efi"]);
    site.set_right_bmc(&id, "m1").unwrap();

    site.ask(&["machine", "deploy", &id, "--image", "debian-12"]).unwrap();
    for step in ["network-boot", "await-agent", "install", "await-system"] {
        site.until(&id, &format!("step {step} or later"), |m| {
            let now = m["operation"]["step"].as_str().unwrap_or("none");
            let order = ["power-off", "network-boot", "await-agent", "install", "await-system", "none"];
            order.iter().position(|s| *s == now) >= order.iter().position(|s| *s == step)
        })
        .unwrap();
        restart(&site);
    }
    site.until_status(&id, "deployed").unwrap();
    assert_eq!(site.operation(&id, "deploy").unwrap()["status"], "done");
    assert!(site.lab().machine("m1").unwrap().is_on());
}

/// What is in nobody's list may check signatures or not: it starts with what fits both, and goes on with what is quick.
#[test]
fn a_stranger_without_secure_boot_goes_on_to_ipxe() {
    let machine = Machine { rom: Rom::None, ..Machine::uefi("m1") }.with_ipmi_sim(11);
    let site = Site::new("e2estranger", vec![machine], &[]).unwrap();
    site.start().unwrap();
    site.load_images(&["bootloaders", "ephemeral"]).unwrap();
    site.ask(&["setting", "set", "ephemeral_kernel_arguments", "console=ttyS0 no_timer_check"]).unwrap();
    let on = site.lab().ipmitool("m1").unwrap().args(["chassis", "power", "on"]).output().unwrap();
    assert!(on.status.success());
    let id = site.first_machine().unwrap();
    assert_eq!(site.machine(&id).unwrap()["secure_boot"], false);
    assert_fetched(&site, &["shimx64.efi", "grubx64.efi", "snponly.efi"]);
}

/// These files were fetched, in this order.
fn assert_fetched(site: &Site, files: &[&str]) {
    let mut events = site.list(&["event", "list", "--limit", "1000"]).unwrap();
    events.sort_by_key(|event| event["id"].as_i64());
    let mut told = events.iter().filter_map(|event| event["message"].as_str());
    for file in files {
        assert!(told.any(|message| message.starts_with(file)), "{file} of {files:?}: {events:#?}");
    }
}

fn restart(site: &Site) {
    site.kill().unwrap();
    site.start().unwrap();
}
