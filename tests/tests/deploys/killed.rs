//! A controller that dies in the middle of a deploy, on a machine with real firmware and a BMC: the deploy is delayed
//! and does not fail. The firmware checks signatures, which the demo's machines do not: so what is installed also starts
//! from its disk under Secure Boot.

use crate::toolbox;
use rackwright_lab::{Firmware, Machine};
use rackwright_tests::site::Site;

#[test]
fn a_controller_killed_at_any_stage_delays_a_deploy_and_does_not_fail_it() {
    let machine = Machine::new("m1", Firmware::UefiSecureBoot).with_ipmi_sim(11);
    let site = Site::new("e2ekill", vec![machine], &[]).unwrap();
    site.start().unwrap();
    site.load_images(&["bootloaders", "ephemeral", "debian-12"]).unwrap();
    for setting in ["ephemeral_kernel_arguments", "installed_kernel_arguments"] {
        site.ask(&["setting", "set", setting, "console=ttyS0 no_timer_check"]).unwrap();
    }
    toolbox::store(&site);
    let on = site.lab().ipmitool("m1").unwrap().args(["chassis", "power", "on"]).output().unwrap();
    assert!(on.status.success());

    let id = site.first_machine().unwrap();
    site.until_step(&id, "tests").unwrap();
    restart(&site);
    site.until_status(&id, "ready").unwrap();
    toolbox::check(&site, &id);
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
    let machine = site.lab().machine("m1").unwrap();
    assert!(machine.is_on());
    let console = machine.serial();
    let system = console.rfind("Linux version").map(|at| &console[at..]).expect("a kernel has started");
    assert!(system.contains("Secure boot enabled") && system.contains("systemd"), "{system}");
}

fn restart(site: &Site) {
    site.kill().unwrap();
    site.start().unwrap();
}
