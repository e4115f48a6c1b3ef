//! An Intel AMT device in the lab answers on its network. Needs its executable in `RACKWRIGHT_TEST_AMT_SIM`.

use rackwright_lab::{Lab, LabPlan, Machine};
use std::path::Path;

#[test]
fn it_wants_digest_authentication() {
    let Some(program) = std::env::var_os("RACKWRIGHT_TEST_AMT_SIM") else {
        panic!("RACKWRIGHT_TEST_AMT_SIM names no program; `cargo xtask test --only lab` sets it")
    };
    let machine = Machine::bios("m1").with_amt_sim(11, Path::new(&program));
    let lab = Lab::temporary("labamt", LabPlan::with_machines(vec![machine])).unwrap();
    let mut curl = lab.exec("ctl", "curl");
    curl.args(["-s", "-i", "--max-time", "10", "-d", "", "http://10.78.0.11:16992/wsman"]);
    let answer = String::from_utf8_lossy(&curl.output().unwrap().stdout).to_ascii_lowercase();
    assert!(answer.starts_with("http/1.1 401"), "{answer}");
    assert!(answer.contains("www-authenticate: digest"), "{answer}");
}
