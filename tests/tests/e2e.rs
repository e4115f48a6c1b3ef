//! A controller that dies in the middle of a deploy, on a machine with real firmware and a BMC: the deploy is delayed
//! and does not fail.
//!
//! Images come from `.lab/cache`, where `cargo xtask demo` builds them; `cargo xtask test --only e2e` runs that first.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use rackwright_lab::{Lab, LabPlan, Machine, poll, process, state};
use serde_json::Value;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

const REGION: &str = "http://10.77.0.1:5240";
/// Everything is emulated, and the box may be busy.
const LIMIT: Duration = Duration::from_secs(600);

/// `rackwright up` on the lab's controller.
struct Site<'a> {
    lab: &'a Lab,
    program: PathBuf,
}

impl Site<'_> {
    /// Starts it and waits until it is ready.
    fn start(&self) {
        let mut command = self.lab.exec("ctl", &self.program.to_string_lossy());
        command.args(["up", "--interface", "eth1", "--data"]).arg(self.lab.state().data());
        let running = self.lab.spawn("rackwright", &command).unwrap();
        poll::until(Duration::from_secs(60), "`rackwright up` to answer", || {
            assert!(running.is_alive(), "{}", process::tail(&self.lab.process_log("rackwright"), 20));
            self.ask(&["status"]).map(Some)
        })
        .unwrap();
    }

    /// Kills it as a power cut would.
    fn kill(&self) {
        let running = self.lab.process("rackwright").expect("it runs");
        running.signal(rackwright_lab::Signal::SIGKILL);
        running.wait(Duration::from_secs(10)).unwrap();
    }

    fn client(&self, arguments: &[&str]) -> Command {
        let mut command = self.lab.exec("ctl", &self.program.to_string_lossy());
        command.args(arguments).env("RACKWRIGHT_URL", REGION);
        command.env("RACKWRIGHT_TOKEN_FILE", self.lab.state().data().join("admin.token"));
        command
    }

    /// Runs the operator's client and reads its answer.
    fn ask(&self, arguments: &[&str]) -> anyhow::Result<Value> {
        let output = self.client(arguments).args(["-o", "json"]).output()?;
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        anyhow::ensure!(output.status.success(), "rackwright {arguments:?}: {error}");
        Ok(serde_json::from_slice(&output.stdout).unwrap_or_default())
    }

    fn load_images(&self) {
        for name in ["bootloaders", "ephemeral", "debian-12"] {
            let folder = state::root().join("cache").join(name);
            let loaded = self.client(&["image", "load"]).arg(&folder).output().unwrap();
            let error = String::from_utf8_lossy(&loaded.stderr);
            assert!(loaded.status.success(), "image load {}: {error}", folder.display());
        }
    }

    /// Waits until the machine is seen as wanted.
    fn until(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        poll::until(LIMIT, what, || {
            let machines = self.ask(&["machine", "list"])?;
            let first = machines.as_array().or(machines["items"].as_array()).and_then(|m| m.first()).cloned();
            let Some(first) = first else { anyhow::bail!("no machine yet") };
            let id = first["id"].as_str().unwrap_or_default().to_owned();
            let machine = self.ask(&["machine", "show", &id])?;
            assert!(
                !machine["status"].as_str().unwrap_or_default().starts_with("failed"),
                "it failed: {}",
                machine["status_message"]
            );
            anyhow::ensure!(wanted(&machine), "{} {}", machine["status"], machine["operation"]);
            Ok(Some(machine))
        })
        .unwrap()
    }

    fn until_step(&self, step: &str) {
        self.until(&format!("step {step}"), |m| m["operation"]["step"] == step);
    }

    fn until_status(&self, status: &str) -> Value {
        self.until(status, |m| m["status"] == status && m["operation"].is_null())
    }
}

#[test]
fn a_controller_killed_at_any_stage_delays_a_deploy_and_does_not_fail_it() {
    let program =
        PathBuf::from(std::env::var_os("RACKWRIGHT_TEST_PROGRAM").expect("cargo xtask test sets it"));
    let plan = LabPlan::with_machines(vec![Machine::bios("m1").with_ipmi_sim(11)]);
    let lab = Lab::temporary("e2ekill", plan).unwrap();
    let site = Site { lab: &lab, program };
    site.start();
    site.load_images();
    site.ask(&["setting", "set", "ephemeral_kernel_arguments", "console=ttyS0 no_timer_check"]).unwrap();
    let machine = lab.machine("m1").unwrap();
    let on = lab.ipmitool("m1").unwrap().args(["chassis", "power", "on"]).output().unwrap();
    assert!(on.status.success());

    site.until_step("tests");
    site.kill();
    site.start();
    let ready = site.until_status("ready");
    let id = ready["id"].as_str().unwrap().to_owned();
    let bmc = machine.plan().bmc.as_ref().unwrap();
    let mut set = site.client(&[
        "machine",
        "bmc",
        &id,
        "--bmc",
        "ipmi",
        "--bmc-address",
        &bmc.address.to_string(),
        "--bmc-user",
        &bmc.user,
    ]);
    let set = set.env("RACKWRIGHT_BMC_PASSWORD", &bmc.password.0).output().unwrap();
    assert!(set.status.success(), "{}", String::from_utf8_lossy(&set.stderr));

    site.ask(&["machine", "deploy", &id, "--image", "debian-12"]).unwrap();
    for step in ["network-boot", "await-agent", "install", "await-system"] {
        site.until(&format!("step {step} or later"), |m| {
            let now = m["operation"]["step"].as_str().unwrap_or("none");
            let order = ["power-off", "network-boot", "await-agent", "install", "await-system", "none"];
            order.iter().position(|s| *s == now) >= order.iter().position(|s| *s == step)
        });
        site.kill();
        site.start();
    }
    site.until_status("deployed");
    let operations = site.ask(&["operation", "list", "--machine", &id]).unwrap();
    let list = operations.as_array().or(operations["items"].as_array()).unwrap().clone();
    let deploy = list.iter().find(|o| o["kind"] == "deploy").unwrap();
    assert_eq!(deploy["status"], "done", "{deploy}");
    assert!(machine.is_on());
}
