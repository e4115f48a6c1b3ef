//! BMCs that lie, refuse, or are gone: the ladder is climbed to its end, and the machine rests in a status that says
//! what to do. The machines themselves never boot, so this needs no more than their BMCs.

use rackwright_lab::Machine;
use rackwright_tests::site::Site;
use serde_json::Value;
use std::path::Path;

fn message(machine: &Value) -> String {
    machine["status_message"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn a_bmc_that_lies_refuses_or_is_gone_ends_in_a_sentence_that_says_what_to_do() {
    let simulator = std::env::var_os("RACKWRIGHT_TEST_BMC_SIM").expect("`cargo xtask test` sets it");
    let machine = |name: &str, last| Machine::bios(name).with_rackwright_sim(last, Path::new(&simulator));
    let machines = vec![
        machine("liar", 11),
        machine("locked", 12),
        machine("gone", 13),
        machine("away", 14),
        machine("stubborn", 15),
    ];
    let patience = ["--boot-seconds", "6", "--bmc-patience-seconds", "20"];
    let site = Site::new("e2eladder", machines, &patience).unwrap();
    site.start().unwrap();
    site.load_images(&["ephemeral"]).unwrap();

    let bmc = |name: &str| site.lab().bmc(name).unwrap();
    bmc("liar").set_faults("stuck-off\n").unwrap();
    bmc("gone").stop().unwrap();
    bmc("away").set_faults("vanish 12\n").unwrap();
    bmc("stubborn").set_faults("refuse 0xd5\n").unwrap();
    let commission = |name: &str, password: Option<&str>| -> String {
        let mac = site.lab().machine(name).unwrap().plan().nics[0].mac.clone();
        let made = site.ask(&["machine", "create", "--hostname", name, "--mac", &mac]).unwrap();
        let id = made["id"].as_str().unwrap().to_owned();
        match password {
            Some(password) => site.set_bmc(&id, name, password).unwrap(),
            None => site.set_right_bmc(&id, name).unwrap(),
        }
        site.ask(&["machine", "commission", &id]).unwrap();
        id
    };
    let liar = commission("liar", None);
    let locked = commission("locked", Some("not-it"));
    let gone = commission("gone", None);
    let away = commission("away", None);
    let stubborn = commission("stubborn", None);

    // A wrong password is final at once, and so is a plain no.
    let failed = site.until_status(&locked, "failed-commissioning").unwrap();
    assert!(message(&failed).contains("check user name, password and privilege"), "{failed}");
    let failed = site.until_status(&stubborn, "failed-commissioning").unwrap();
    assert!(message(&failed).contains("the BMC refuses the command"), "{failed}");

    // One that is away for a while is waited for, and the operation goes on: this machine is switched on.
    site.until(&away, "its power to be on", |m| m["operation"]["step"] == "await-agent").unwrap();
    assert!(site.lab().machine("away").unwrap().is_on());
    site.ask(&["machine", "abort", &away]).unwrap();

    // One that stays away is given up when patience ends, naming what to look at.
    let failed = site.until_status(&gone, "failed-commissioning").unwrap();
    assert!(message(&failed).contains("check its address, cable and network"), "{failed}");

    // One that says on while nothing boots: cycle, then BMC reset and cycle, then a person.
    let failed = site.until_status(&liar, "failed-commissioning").unwrap();
    for words in ["switched on 3 times", "it has not asked for an address", "check that it is really on"] {
        assert!(message(&failed).contains(words), "{failed}");
    }
    assert!(!site.lab().machine("liar").unwrap().is_on());
    let events = site.events(&liar).unwrap();
    let cycles = events.iter().filter(|e| e.contains("the machine was switched off and on")).count();
    assert_eq!(cycles, 2, "{events:#?}");

    // Nobody is stuck: once the BMC does what it says, the same machine goes on from where it rests.
    bmc("liar").set_faults("").unwrap();
    site.ask(&["machine", "commission", &liar]).unwrap();
    site.until(&liar, "the machine to be on", |m| m["operation"]["step"] == "await-agent").unwrap();
    assert!(site.lab().machine("liar").unwrap().is_on());
    site.ask(&["machine", "abort", &liar]).unwrap();
    for id in [&liar, &away] {
        site.until_status(id, "new").unwrap();
    }
}
