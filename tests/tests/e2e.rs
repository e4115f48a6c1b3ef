//! A controller that dies in the middle of a deploy, on a machine with real firmware and a BMC: the deploy is delayed
//! and does not fail. And machines that nobody knows yet, whose firmware may check signatures or not.
//!
//! Images come from `.lab/cache`, where `cargo xtask demo` builds them; `cargo xtask test --only e2e` runs that first.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use rackwright_lab::{Firmware, Machine, Rom, poll};
use rackwright_tests::site::{LIMIT, Site};
use serde_json::Value;

#[test]
fn a_controller_killed_at_any_stage_delays_a_deploy_and_does_not_fail_it() {
    let site = Site::new("e2ekill", vec![Machine::bios("m1").with_ipmi_sim(11)], &[]).unwrap();
    site.start().unwrap();
    site.load_images(&["bootloaders", "ephemeral", "debian-12"]).unwrap();
    site.ask(&["setting", "set", "ephemeral_kernel_arguments", "console=ttyS0 no_timer_check"]).unwrap();
    let on = site.lab().ipmitool("m1").unwrap().args(["chassis", "power", "on"]).output().unwrap();
    assert!(on.status.success());

    let id = site.first_machine().unwrap();
    site.until_step(&id, "tests").unwrap();
    restart(&site);
    site.until_status(&id, "ready").unwrap();
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

/// They start with what fits both: shim and signed GRUB. Once they have told, each gets what fits it.
#[test]
fn strangers_start_signed_whatever_their_firmware_checks() {
    let picky = Machine::new("picky", Firmware::UefiSecureBoot).with_ipmi_sim(11);
    let plain = Machine { rom: Rom::None, ..Machine::uefi("plain") }.with_ipmi_sim(12);
    let site = Site::new("e2estrangers", vec![picky, plain], &[]).unwrap();
    site.start().unwrap();
    site.load_images(&["bootloaders", "ephemeral"]).unwrap();
    site.ask(&["setting", "set", "ephemeral_kernel_arguments", "console=ttyS0 no_timer_check"]).unwrap();
    for machine in ["picky", "plain"] {
        let on = site.lab().ipmitool(machine).unwrap().args(["chassis", "power", "on"]).output().unwrap();
        assert!(on.status.success());
    }
    let checks_signatures = poll::until(LIMIT, "both to tell of themselves", || {
        let mut told = Vec::new();
        for machine in site.list(&["machine", "list"])? {
            let machine = site.machine(machine["id"].as_str().unwrap_or_default())?;
            if machine["commissioned_at"].is_string() {
                told.extend(machine["secure_boot"].as_bool());
            }
        }
        anyhow::ensure!(told.len() == 2, "{} have", told.len());
        told.sort_unstable();
        Ok(Some(told))
    });
    assert_eq!(checks_signatures.unwrap(), [false, true]);
    let events = site.list(&["event", "list", "--limit", "1000"]).unwrap();
    let fetched = |file: &str| {
        let told = |e: &&Value| e["message"].as_str().is_some_and(|m| m.starts_with(file));
        events.iter().filter(told).count()
    };
    assert_eq!(["shimx64.efi", "grubx64.efi", "snponly.efi"].map(fetched), [2, 2, 0], "{events:#?}");
}

fn restart(site: &Site) {
    site.kill().unwrap();
    site.start().unwrap();
}
