//! Machines that nobody knows yet, whose firmware may check signatures or not. They boot to their first words only.
//!
//! Images come from `.lab/cache`, where `cargo xtask demo` builds them; `cargo xtask test --only e2e` runs that first.

use rackwright_lab::{Firmware, Machine, Rom, poll};
use rackwright_tests::site::{LIMIT, Site};
use serde_json::Value;

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
