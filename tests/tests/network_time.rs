//! The time, from a server that nobody here wrote, by two regions and a rack, to a client that nobody here wrote: while
//! regions die, and when a rack starts that finds none.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use anyhow::ensure;
use rackwright_lab::poll;
use rackwright_tests::controllers::Controllers;
use rackwright_tests::site::SHORT;
use serde_json::Value;

/// chronyd as the company's time server, or as a client that looks once; it leaves this box's clock alone.
fn chronyd(site: &Controllers, host: &str, arguments: &[&str]) -> std::process::Command {
    let mut command = site.lab().exec(host, "chronyd");
    let folder = site.folder(host).join("company");
    std::fs::create_dir_all(&folder).unwrap();
    command.args(["-x", "-U", "-u", "root", "cmdport 0"]).args(arguments);
    for (directive, file) in [("pidfile", "pid"), ("bindcmdaddress", "sock")] {
        command.arg(format!("{directive} {}", folder.join(file).display()));
    }
    command
}

/// What a client is told that asks the rack.
fn asked(site: &Controllers) -> String {
    let server = format!("server {} iburst", site.address("rack-1").unwrap());
    let output = chronyd(site, "ctl", &["-Q", "-t", "8", &server]).output().unwrap();
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn until(site: &Controllers, from: &str, kind: &str, name: &str, state: &str) -> Value {
    poll::until(SHORT, &format!("the time of {name} to be {state}"), || {
        let status = site.ask(from, &["status"])?;
        let all = status[kind].as_array().cloned().unwrap_or_default();
        let found = all.into_iter().find(|c| c["name"] == name).unwrap_or_default();
        ensure!(found["time"]["state"] == state, "{}\n{}", found["time"], site.log_tail(name));
        Ok(Some(found["time"].clone()))
    })
    .unwrap()
}

/// What the rack tells clients of DHCP, by its snapshot.
fn handed_out(site: &Controllers) -> Value {
    let file = site.folder("rack-1").join("snapshot.json");
    let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let stored: Value = serde_json::from_str(&text).unwrap();
    let snapshot = if stored["snapshot"].is_object() { stored["snapshot"].clone() } else { stored };
    snapshot["subnets"][0]["ntp_servers"].clone()
}

#[test]
fn the_time_comes_to_machines_whichever_region_dies_and_none_is_claimed_that_is_not_there() {
    let site = Controllers::new("ntptime", 2, 1, Vec::new()).unwrap();
    site.start_database("db-1").unwrap();
    site.start_first_region("region-1", "db-1").unwrap();
    let token = site.region_token("region-1", "region-2").unwrap();
    let joined = site.join("region-2", &token, &[]).unwrap();
    assert_eq!(joined.code, 0, "{joined:?}");
    site.start_region("region-2").unwrap();
    site.start_rack("region-1", "rack-1").unwrap();

    // Nobody set a time server, so nobody claims the time, and says what to do.
    let none = until(&site, "region-1", "racks", "rack-1", "unsynchronised");
    assert!(none["message"].as_str().unwrap().contains("none of 10."), "{none}");
    let none = until(&site, "region-1", "regions", "region-1", "unsynchronised");
    assert!(none["message"].as_str().unwrap().contains("has given the time"), "{none}");
    assert_eq!(handed_out(&site), serde_json::json!([]));

    let company = chronyd(&site, "db-1", &["-d", "local stratum 3", "allow all"]);
    site.lab().spawn("company", &company).unwrap();
    let address = site.address("db-1").unwrap();
    assert_eq!(site.attempt("region-1", &["setting", "set", "ntp_servers", &address]).unwrap().code, 0);
    for region in ["region-1", "region-2"] {
        let time = until(&site, "region-1", "regions", region, "synchronised");
        assert_eq!(time["stratum"], 4, "{time}");
    }
    let time = until(&site, "region-1", "racks", "rack-1", "synchronised");
    assert_eq!(time["stratum"], 5, "{time}");
    assert!(asked(&site).contains("System clock wrong by"), "{}", asked(&site));
    poll::until(SHORT, "DHCP to hand out the rack", || {
        let servers = handed_out(&site);
        ensure!(servers.as_array().is_some_and(|s| s.len() == 1), "{servers}");
        Ok(Some(()))
    })
    .unwrap();
    let (_, metrics) = site.get("region-1", "/metrics").unwrap();
    assert!(metrics.contains("rackwright_rack_time_synchronised{rack=\"rack-1\"} 1"), "{metrics}");

    // One region dies, and then the other: the rack has the time, and gives it.
    site.kill("region-1").unwrap();
    until(&site, "region-2", "racks", "rack-1", "synchronised");
    assert!(asked(&site).contains("System clock wrong by"), "{}", asked(&site));
    site.kill("region-2").unwrap();
    assert!(asked(&site).contains("System clock wrong by"), "{}", asked(&site));

    // It starts anew, with no region there: it does not know the time, and says so to whoever asks.
    site.kill("rack-1").unwrap();
    site.restart_rack("rack-1").unwrap();
    poll::until(SHORT, "the rack's chronyd to run again", || {
        let sockets = site.lab().exec("rack-1", "ss").args(["-ulnH", "sport", "=", "123"]).output()?;
        ensure!(!sockets.stdout.is_empty(), "{}", site.log_tail("rack-1"));
        Ok(Some(()))
    })
    .unwrap();
    let said = asked(&site);
    assert!(!said.contains("System clock wrong by"), "{said}");
    // One region is enough for it to know the time again, from what it has on its disk.
    site.start_region("region-2").unwrap();
    until(&site, "region-2", "racks", "rack-1", "synchronised");
}
