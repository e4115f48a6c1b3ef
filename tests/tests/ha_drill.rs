//! `rackwright ha drill` on a site of two regions and two racks: refused where it would hurt; else the controller is stopped,
//! what people notice is measured, and it is back.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use anyhow::{Context, ensure};
use rackwright_lab::{poll, state};
use rackwright_tests::controllers::Controllers;
use rackwright_tests::site::SHORT;
use serde_json::Value;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Plays systemctl: stops the process, and asks the test to start it.
fn control(site: &Controllers, host: &str) -> PathBuf {
    let file = site.folder("ctl").join(format!("control-{host}"));
    std::fs::create_dir_all(site.folder("ctl")).unwrap();
    let record = site.lab().process_record(host);
    let script = format!(
        "#!/bin/sh\nset -e\necho $1 >>$0.log\n[ $1 = stop ] || exec touch $0.start\npid=$(cut -d' ' -f1 {})\nkill -TERM $pid\nwhile kill -0 $pid 2>/dev/null; do sleep 0.05; done\n",
        record.display()
    );
    state::write_private(&file, script.as_bytes()).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o700)).unwrap();
    file
}

/// A drill that is asked of `region-2`, and what it reports.
fn drill(site: &Controllers, kind: &str, host: &str, further: &[&str], start: impl Fn() + Sync) -> Value {
    let control = control(site, host);
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !ended.load(Ordering::SeqCst) {
                if std::fs::remove_file(control.with_file_name(format!("control-{host}.start"))).is_ok() {
                    start();
                }
                std::thread::sleep(Duration::from_millis(50));
            }
        });
        let control_file = control.to_string_lossy();
        let words = ["ha", "drill", kind, host, "--seconds", "8", "--control", &control_file];
        let told = site.ask("region-2", &[&words, further].concat());
        ended.store(true, Ordering::SeqCst);
        let calls = std::fs::read_to_string(control.with_file_name(format!("control-{host}.log"))).unwrap();
        assert_eq!(calls, "stop\nstart\n");
        told.unwrap()
    })
}

fn until_all_is_well(site: &Controllers) {
    poll::until(SHORT, "two regions with two racks", || {
        let status = site.ask("region-2", &["status"])?;
        let list = |key: &str| status[key].as_array().cloned().context("a list");
        let regions = list("regions")?.iter().filter(|r| r["connected"] == true).count();
        let racks = list("racks")?;
        let well = |r: &&Value| {
            r["regions"].as_array().is_some_and(|all| all.len() == 2) && r["running"] == r["generation"]
        };
        ensure!(regions == 2 && racks.iter().filter(well).count() == 2, "{status}");
        Ok(Some(()))
    })
    .unwrap();
}

#[test]
fn a_drill_stops_a_controller_measures_and_puts_it_back() {
    let site = Controllers::new("chadrill", 2, 2, Vec::new()).unwrap();
    site.start_database("db-1").unwrap();
    site.start_first_region("region-1", "db-1").unwrap();
    let token = site.region_token("region-1", "region-2").unwrap();
    assert_eq!(site.join("region-2", &token, &[]).unwrap().code, 0);

    // The only one that runs.
    let refused = site.attempt("region-1", &["ha", "drill", "region", "region-1", "--check"]).unwrap();
    assert!(refused.error.contains("no other region lives") && refused.code == 1, "{refused:?}");
    site.start_region("region-2").unwrap();
    site.start_rack("region-1", "rack-1").unwrap();
    let refused = poll::until(SHORT, "the rack to be known as the only one", || {
        let refused = site.attempt("region-1", &["ha", "drill", "rack", "rack-1", "--check"])?;
        ensure!(refused.error.contains("no other rack serves 10.77.0.0/24"), "{refused:?}");
        Ok(Some(refused))
    })
    .unwrap();
    assert_eq!(refused.code, 1);
    site.start_rack("region-1", "rack-2").unwrap();
    until_all_is_well(&site);

    let report = drill(&site, "region", "region-1", &[], || site.start_region("region-1").unwrap());
    assert!(report["api"]["asked"].as_u64().unwrap() > 50, "{report}");
    assert!(report["api"]["longest_gap"].as_f64().unwrap() < 3.0, "{report}");
    assert!(report["seen_gone"].as_f64().unwrap() < 10.0 && report["streams_moved"].is_f64(), "{report}");
    until_all_is_well(&site);

    let report = drill(&site, "rack", "rack-1", &["--dhcp", "eth2"], || site.restart_rack("rack-1").unwrap());
    assert_eq!(report["networks"], serde_json::json!(["10.77.0.0/24 by rack-2"]), "{report}");
    assert_eq!(report["api"]["failed"], 0, "{report}");
    let clients = &report["dhcp"];
    assert!(clients["clients"].as_u64().unwrap() > 20 && clients["unanswered"] == 0, "{report}");
    // Some of them the stopped rack would have answered first: they wait for the other one.
    let longest = clients["longest_wait"].as_f64().unwrap();
    assert!((0.0..=4.0).contains(&longest), "{report}");
    until_all_is_well(&site);
}
