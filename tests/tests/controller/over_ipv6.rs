//! A machine whose only network is IPv6: OVMF's own PXE over it, shim and signed GRUB while nobody knows the machine, iPXE
//! when it is known, and the ephemeral environment, up to the agent's inventory at the region. Then OVMF's HTTP boot, after a
//! PXE that is told of no file: firmware before edk2 of 2025 asks DHCPv6 before its own address is checked, and gives up at
//! once unless another attempt came before.
//! Images come from `.lab/cache`, where `cargo xtask demo` builds them; `cargo xtask test --only e2e` runs that first.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use rackwright_lab::qemu::BootOrder;
use rackwright_lab::{Machine, Rom, poll};
use rackwright_tests::site::{LIMIT, Site};

/// No client gets an IPv4 address, and IPv6 ones are given out.
fn ipv6_only(site: &Site) {
    let vlan = site.list(&["subnet", "list"]).unwrap()[0]["vlan"].to_string();
    for range in site.list(&["ip-range", "list"]).unwrap() {
        site.ask(&["ip-range", "delete", &range["id"].to_string()]).unwrap();
    }
    site.ask(&["subnet", "create", "fd77::/64", "--vlan", &vlan]).unwrap();
    let subnets = site.list(&["subnet", "list"]).unwrap();
    let six = subnets.iter().find(|s| s["cidr"] == "fd77::/64").expect("it was made");
    let (subnet, first, last) = (six["id"].to_string(), "fd77::1:0:0:0", "fd77::1:ffff:ffff:ffff");
    site.ask(&["ip-range", "create", "--subnet", &subnet, first, last]).unwrap();
}

/// Waits until the rack has told of steps of this boot with all of these words.
fn booted_by(site: &Site, words: &[&str]) {
    poll::until(LIMIT, "the steps of the boot", || {
        let log = site.log();
        let steps: Vec<&str> = log.lines().filter(|l| l.contains("boot peer=fd77::1:")).collect();
        for word in words {
            anyhow::ensure!(steps.iter().any(|step| step.contains(word)), "no {word} in {steps:#?}");
        }
        Ok(Some(()))
    })
    .unwrap();
}

#[test]
fn a_machine_without_ipv4_is_enlisted_and_commissioned_again() {
    let machine = Machine { rom: Rom::Ipv6, ..Machine::uefi("m1") }.with_ipmi_sim(11);
    let site = Site::new("e2esix", vec![machine], &[]).unwrap();
    site.start().unwrap();
    site.load_images(&["bootloaders", "ephemeral"]).unwrap();
    site.ask(&["setting", "set", "ephemeral_kernel_arguments", "console=ttyS0 no_timer_check"]).unwrap();
    site.ask(&["setting", "set", "default_tests", "[]"]).unwrap();
    ipv6_only(&site);
    site.lab().machine("m1").unwrap().start(BootOrder::NetworkFirst).unwrap();
    let id = site.first_machine().unwrap();
    site.until_status(&id, "ready").unwrap();
    booted_by(&site, &["shimx64.efi", "grubx64.efi", "grub.cfg", "bytes by TFTP"]);

    // It has an address in the list that people read, under its own hardware address.
    let mac = site.lab().machine("m1").unwrap().plan().nics[0].mac.clone();
    let leases = site.list(&["lease", "list"]).unwrap();
    let ours = |l: &&serde_json::Value| l["address"].as_str().is_some_and(|a| a.starts_with("fd77::1:"));
    let lease = leases.iter().find(|l| ours(l) && l["mac"] == mac.as_str());
    assert_eq!(lease.expect("a lease of the machine")["machine"], id.as_str(), "{leases:#?}");
    assert!(leases.iter().all(|l| ours(&l)), "nobody got an IPv4 address: {leases:#?}");

    // Known by now, it starts by iPXE, which goes on by HTTP.
    site.set_right_bmc(&id, "m1").unwrap();
    site.ask(&["machine", "commission", &id]).unwrap();
    site.until_status(&id, "ready").unwrap();
    booted_by(&site, &["snponly.efi", "detail=\"ephemeral environment\"", " bytes, "]);

    // Where only HTTP may boot, its PXE is given an address and no file, and it goes on by HTTP.
    let subnets = site.list(&["subnet", "list"]).unwrap();
    let six = subnets.iter().find(|s| s["cidr"] == "fd77::/64").expect("it is there");
    site.ask(&["subnet", "set", &six["id"].to_string(), "--boot-architectures", "http-x64"]).unwrap();
    let before = site.log().len();
    site.ask(&["machine", "commission", &id]).unwrap();
    site.until_status(&id, "ready").unwrap();
    let log = site.log().split_off(before);
    let steps: Vec<&str> = log.lines().filter(|l| l.contains("boot peer=fd77::1:")).collect();
    assert!(steps.iter().any(|s| s.contains("snponly.efi") && s.contains("by HTTP")), "{steps:#?}");
}
