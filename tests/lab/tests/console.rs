//! The console: typed text reaches the machine, and what a guest does to its own power is seen outside.

#![expect(clippy::unwrap_used, reason = "a test")]

use rackwright_lab::qemu::{BootOrder, Console};
use rackwright_lab::{BmcKind, Lab, LabPlan, Machine, poll};
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const LONG: Duration = Duration::from_secs(60);

#[test]
fn a_guest_reboots_without_leaving_its_process() {
    let lab = Lab::temporary("labcon", LabPlan::with_machines(vec![Machine::bios("m1")])).unwrap();
    let machine = lab.machine("m1").unwrap();
    machine.start(BootOrder::NetworkFirst).unwrap();
    let process = machine.process().unwrap();
    let Console::Unix(socket) = machine.console() else { panic!("no BMC holds this console") };
    let mut console = UnixStream::connect(socket).unwrap();
    // A client that does not read stops the machine as soon as the socket is full.
    let mut reader = console.try_clone().unwrap();
    std::thread::spawn(move || std::io::copy(&mut reader, &mut std::io::sink()));
    machine.wait_for_serial("iPXE command line", 0, LONG).unwrap();
    console.write_all(b"\x02").unwrap();
    machine.wait_for_serial("iPXE>", 0, LONG).unwrap();
    let since = machine.serial().len();
    console.write_all(b"reboot\r").unwrap();
    machine.wait_for_serial("SeaBIOS", since, LONG).unwrap();
    assert_eq!(machine.process(), Some(process.clone()));

    // A guest that powers itself off ends QEMU; what is seen here is QEMU's own power-off.
    machine.qmp().unwrap().call("quit", serde_json::json!({})).unwrap();
    process.wait(LONG).unwrap();
    assert!(!machine.is_on());
}

#[test]
fn serial_over_lan_shows_the_machine() {
    let lab = Lab::temporary("labsol", LabPlan::with_machines(vec![Machine::bios("m1").with_ipmi_sim(11)]));
    let lab = lab.unwrap();
    let machine = lab.machine("m1").unwrap();
    machine.start(BootOrder::NetworkFirst).unwrap();
    let Console::Tcp(port) = machine.console() else { panic!("the BMC holds this console") };
    poll::until(LONG, "the simulator to hold the console", || {
        let mut ss = lab.exec("site", "ss");
        let held =
            ss.args(["-H", "-t", "-n", "state", "established", &format!("sport = :{port}")]).output()?;
        Ok((!held.stdout.is_empty()).then_some(()))
    })
    .unwrap();
    poll::until(2 * LONG, "iPXE by serial over LAN", || {
        // A session that was cut is still active for the simulator; without one this fails, and may.
        drop(lab.ipmitool("m1")?.args(["sol", "deactivate"]).output()?);
        let session = Session::begin(&lab);
        poll::until(LONG / 6, "the session", || Ok(session.shows("operational").then_some(())))?;
        machine.reset(BootOrder::NetworkFirst)?;
        poll::until(LONG / 3, "iPXE", || Ok(session.shows("iPXE").then_some(())))?;
        Ok(Some(()))
    })
    .unwrap();
}

/// `ipmitool sol activate` on a terminal of its own; ends with this value.
struct Session {
    process: Child,
    seen: PathBuf,
}

impl Session {
    fn begin(lab: &Lab) -> Self {
        let bmc = lab.bmc("m1").unwrap();
        let seen = lab.state().folder().join("sol");
        let (namespace, address) = (lab.namespace("ctl"), bmc.plan().address);
        let ipmitool = format!("ipmitool -I lanplus -C 3 -H {address} -U admin -E sol activate");
        let process = Command::new("script")
            .args(["-qfec", &format!("exec ip netns exec {namespace} {ipmitool}")])
            .arg(&seen)
            .env("IPMI_PASSWORD", &bmc.plan().password.0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Self { process, seen }
    }

    fn shows(&self, text: &str) -> bool {
        let bytes = std::fs::read(&self.seen).unwrap_or_default();
        String::from_utf8_lossy(&bytes).contains(text)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // `script` closes the terminal, which ends ipmitool.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

#[test]
fn a_bmc_with_an_interface_to_the_machine_still_switches_it() {
    let mut machine = Machine::bios("m1").with_ipmi_sim(11);
    machine.bmc.as_mut().unwrap().kind = BmcKind::IpmiSim { sol: false, in_band: true };
    let lab = Lab::temporary("labkcs", LabPlan::with_machines(vec![machine])).unwrap();
    let ipmitool = |arguments: &[&str]| {
        let output = lab.ipmitool("m1").unwrap().args(arguments).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    ipmitool(&["power", "on"]);
    lab.machine("m1").unwrap().wait_for_serial("iPXE", 0, LONG).unwrap();
    assert_eq!(ipmitool(&["power", "status"]), "Chassis Power is on\n");
    ipmitool(&["power", "off"]);
    assert_eq!(ipmitool(&["power", "status"]), "Chassis Power is off\n");
}
