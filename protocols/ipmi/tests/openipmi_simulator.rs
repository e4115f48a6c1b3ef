//! The client against OpenIPMI's `ipmi_sim`, a BMC nobody here wrote. It speaks suite 3 only and forgets UEFI and persistent
//! boot flags; those are tested against our own BMC.

#![expect(clippy::unwrap_used, reason = "a test fails loudly")]

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rackwright_ipmi::Privilege;
use rackwright_ipmi::blocking::{Client, ClientError};
use rackwright_ipmi::client::{Config, SessionError, SuiteChoice, Timing};
use rackwright_ipmi::command::boot::{BootFlags, Device};
use rackwright_ipmi::command::chassis::{ChassisControl, GetChassisStatus};
use rackwright_ipmi::command::device::GetDeviceId;
use rackwright_ipmi::command::sel::{FIRST, GetSelEntry, GetSelInfo, LAST};
use rackwright_ipmi::crypto::Suite;

struct Simulator {
    process: Child,
    address: SocketAddr,
    state: tempfile::TempDir,
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

const CHASSIS: &str = r#"#!/bin/sh
S=$1; shift
while [ $# -gt 0 ]; do
  case $1 in
    get) echo "$2:$(cat $S/$2 2>/dev/null || echo 0)"; shift 2;;
    set) echo "$2 $3" >> $S/calls; [ $2 = power ] && echo $3 > $S/power; [ $2 = boot ] && echo $3 > $S/boot; shift 3;;
    *) shift 3;;
  esac
done
"#;

fn write(path: &Path, text: &str) {
    std::fs::File::create(path).and_then(|mut file| file.write_all(text.as_bytes())).expect("write a file");
}

fn start() -> Simulator {
    let state = tempfile::tempdir().expect("a directory");
    let dir = state.path();
    let port = UdpSocket::bind((Ipv4Addr::new(127, 0, 0, 71), 0)).unwrap().local_addr().unwrap().port();
    write(&dir.join("chassis.sh"), CHASSIS);
    Command::new("chmod").arg("+x").arg(dir.join("chassis.sh")).status().expect("chmod");
    let chassis = dir.join("chassis.sh").display().to_string();
    let lan = format!(
        "name \"test\"\nstartlan 1\n addr 127.0.0.71 {port}\n priv_limit admin\n allowed_auths_admin none md2 md5 straight\n \
         guid a123456789abcdefa123456789abcdef\nendlan\nchassis_control \"{chassis} {}\"\n\
         user 2 true \"admin\" \"secretpw\" admin 10 none md2 md5 straight\n\
         user 3 true \"oper\" \"operpw\" operator 10 none md2 md5 straight\n",
        dir.display()
    );
    write(&dir.join("lan.conf"), &lan);
    write(
        &dir.join("sim.emu"),
        "mc_setbmc 0x20\nmc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02 persist_sdr\nsel_enable 0x20 1000 0x0a\n\
         sel_add 0x20 0x02 0x00 0x00 0x00 0x65 0x20 0x00 0x04 0x0c 0x87 0x6f 0xa0 0xff 0x03\nmc_enable 0x20\n",
    );
    std::fs::create_dir(dir.join("state")).unwrap();
    let process = Command::new("ipmi_sim")
        .args(["-n", "-c"])
        .arg(dir.join("lan.conf"))
        .arg("-f")
        .arg(dir.join("sim.emu"))
        .arg("-s")
        .arg(dir.join("state"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("ipmi_sim is installed (package openipmi)");
    Simulator { process, address: (Ipv4Addr::new(127, 0, 0, 71), port).into(), state }
}

fn config(name: &str, password: &str) -> Config {
    let timing = Timing { first_retry: Duration::from_millis(200), ..Timing::default() };
    Config { timing, ..Config::new(name, password) }
}

fn wait_for_power(client: &mut Client, on: bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let seen = client.run(&GetChassisStatus).expect("chassis status").power_on;
        if seen == on {
            return;
        }
        assert!(Instant::now() < deadline, "power is still {seen}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn power_boot_device_and_log() {
    let bmc = start();
    let mut client = Client::open(bmc.address, config("admin", "secretpw")).expect("a session");
    assert_eq!(client.suite, Suite::Three, "fell back from 17");
    assert_eq!(client.run(&GetDeviceId).unwrap().manufacturer, 0x1291);

    client.run(&ChassisControl::On).unwrap();
    wait_for_power(&mut client, true);
    client.set_boot(BootFlags::once(Device::Pxe, false)).unwrap();
    assert_eq!(std::fs::read_to_string(bmc.state.path().join("boot")).unwrap().trim(), "pxe");
    client.set_boot(BootFlags::once(Device::Disk, false)).unwrap();
    assert_eq!(std::fs::read_to_string(bmc.state.path().join("boot")).unwrap().trim(), "default");
    client.run(&ChassisControl::Cycle).unwrap();
    wait_for_power(&mut client, true);
    client.run(&ChassisControl::Off).unwrap();
    wait_for_power(&mut client, false);

    assert_eq!(client.run(&GetSelInfo).unwrap().entries, 1);
    let (entry, next) = client.run(&GetSelEntry { record: FIRST }).unwrap();
    assert_eq!((entry.event.unwrap().sensor_type_name(), next), ("memory", LAST));
    client.close().unwrap();
}

#[test]
fn an_operator_can_switch_power() {
    let bmc = start();
    let as_operator = Config { privilege: Privilege::Operator, ..config("oper", "operpw") };
    let mut client = Client::open(bmc.address, as_operator).expect("a session");
    client.run(&ChassisControl::On).unwrap();
    wait_for_power(&mut client, true);
    client.close().unwrap();
}

#[test]
fn wrong_password_unknown_user_and_missing_suite_are_told_apart() {
    let bmc = start();
    let open = |config| match Client::open(bmc.address, config) {
        Err(ClientError::Session(error)) => error,
        other => panic!("{other:?}"),
    };
    assert_eq!(open(config("admin", "wrong")), SessionError::WrongPassword);
    assert!(matches!(open(config("nobody", "secretpw")), SessionError::Refused(_)));
    let only = Config { suite: SuiteChoice::Only(Suite::Seventeen), ..config("admin", "secretpw") };
    assert!(matches!(open(only), SessionError::NoCommonSuite(_)));
}

#[test]
fn a_bmc_that_is_not_there_ends_in_a_timeout() {
    let timing =
        Timing { first_retry: Duration::from_millis(50), tries: 3, open_within: Duration::from_secs(1) };
    let silent = UdpSocket::bind((Ipv4Addr::new(127, 0, 0, 71), 0)).unwrap();
    let config = Config { timing, ..Config::new("admin", "x") };
    let began = Instant::now();
    let error = Client::open(silent.local_addr().unwrap(), config).unwrap_err();
    assert!(matches!(error, ClientError::Session(SessionError::Timeout(_))), "{error}");
    assert!(began.elapsed() < Duration::from_secs(3));
}

#[test]
fn twenty_sessions_in_a_row_leave_no_slot_taken() {
    let bmc = start();
    for _ in 0..20 {
        let mut client = Client::open(bmc.address, config("admin", "secretpw")).expect("a session");
        client.run(&GetDeviceId).unwrap();
        client.close().unwrap();
    }
}
