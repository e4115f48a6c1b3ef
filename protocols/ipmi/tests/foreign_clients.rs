//! Our BMC as `ipmitool` and freeipmi see it: the simulator is only worth something if clients nobody here wrote accept it.

#![expect(clippy::unwrap_used, reason = "a test fails loudly")]

use std::net::{Ipv4Addr, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 74);
const CHASSIS: &str = r#"#!/bin/sh
S=$1; shift
case $1 in
  get) echo "$2:$(cat $S/$2 2>/dev/null || echo 0)";;
  set) echo "$*" >> $S/calls; [ $2 = power ] && echo $3 > $S/power; exit 0;;
esac
"#;

struct Bmc {
    process: Child,
    port: u16,
    folder: tempfile::TempDir,
}

impl Drop for Bmc {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

impl Bmc {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("chassis.sh"), CHASSIS).unwrap();
        std::fs::set_permissions(path("chassis.sh"), PermissionsExt::from_mode(0o755)).unwrap();
        std::fs::write(path("password"), "secretpw\n").unwrap();
        let port = UdpSocket::bind((ADDRESS, 0)).unwrap().local_addr().unwrap().port();
        let process = Command::new(env!("CARGO_BIN_EXE_rackwright-bmc-sim"))
            .args(["--listen", &format!("{ADDRESS}:{port}"), "--user", "admin", "--password-file"])
            .arg(path("password"))
            .arg("--")
            .arg(path("chassis.sh"))
            .arg(folder.path())
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let bmc = Self { process, port, folder };
        let deadline = Instant::now() + Duration::from_secs(5);
        while UdpSocket::bind((ADDRESS, bmc.port)).is_ok() {
            assert!(Instant::now() < deadline, "the BMC does not listen");
            std::thread::sleep(Duration::from_millis(10));
        }
        bmc
    }

    fn ipmitool(&self, suite: u8, arguments: &str) -> String {
        let mut command = Command::new("ipmitool");
        command.args(["-I", "lanplus", "-H", &ADDRESS.to_string(), "-p", &self.port.to_string()]);
        command.args(["-C", &suite.to_string(), "-U", "admin", "-E"]).env("IPMI_PASSWORD", "secretpw");
        run(command.args(arguments.split(' ')))
    }

    fn freeipmi(&self, program: &str, arguments: &[&str]) -> String {
        let mut command = Command::new(program);
        command.args(["-D", "LAN_2_0", "-h", &format!("{ADDRESS}:{}", self.port)]);
        run(command.args(["-u", "admin", "-p", "secretpw"]).args(arguments))
    }

    fn calls(&self) -> Vec<String> {
        let path: &Path = &self.folder.path().join("calls");
        let text = std::fs::read_to_string(path).unwrap_or_default();
        std::fs::remove_file(path).ok();
        text.lines().map(str::to_owned).collect()
    }
}

fn run(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().expect("ipmitool and freeipmi-tools are installed");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let problem = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {text}{problem}");
    text
}

#[test]
fn ipmitool_switches_power_and_reads_flags_back_with_both_suites() {
    let bmc = Bmc::start();
    for suite in [3, 17] {
        assert_eq!(bmc.ipmitool(suite, "power status"), "Chassis Power is off\n");
        bmc.ipmitool(suite, "chassis bootdev pxe options=efiboot,persistent");
        let flags = bmc.ipmitool(suite, "chassis bootparam get 5");
        for line in ["Boot Flag Valid", "Options apply to all future boots", "BIOS EFI boot", "Force PXE"] {
            assert!(flags.contains(line), "{flags}");
        }
        bmc.ipmitool(suite, "power on");
        assert_eq!(bmc.ipmitool(suite, "power status"), "Chassis Power is on\n");
        bmc.ipmitool(suite, "chassis bootdev disk");
        bmc.ipmitool(suite, "power cycle");
        bmc.ipmitool(suite, "power reset");
        bmc.ipmitool(suite, "power soft");
        bmc.ipmitool(suite, "power off");
        let done = [
            "set boot pxe efi persistent",
            "set power 1",
            "set boot disk",
            "set power 0",
            "set power 1",
            "set reset 1",
            "set shutdown 1",
            "set power 0",
        ];
        assert_eq!(bmc.calls(), done, "suite {suite}");
    }
}

#[test]
fn ipmitool_reads_records() {
    let bmc = Bmc::start();
    assert!(bmc.ipmitool(17, "sel list").contains("Memory #0x87 | Correctable ECC | Asserted"));
    assert!(bmc.ipmitool(17, "sdr list").contains("System Fan       | 4800 RPM          | ok"));
    assert!(bmc.ipmitool(17, "fru print").contains("Product Serial        : SN0001"));
    assert!(bmc.ipmitool(3, "user list 1").contains("ADMINISTRATOR"));
    assert!(bmc.ipmitool(3, "sel clear").contains("Clearing SEL"));
    assert!(bmc.ipmitool(3, "sel info").contains("Entries          : 0"));
}

#[test]
fn freeipmi_switches_power_with_both_suites_and_without_workarounds() {
    let bmc = Bmc::start();
    for suite in ["3", "17"] {
        let power = |action: &str| bmc.freeipmi("ipmipower", &["-I", suite, action]);
        assert!(power("--stat").ends_with(": off\n"));
        assert!(power("--on").ends_with(": ok\n"));
        assert!(power("--stat").ends_with(": on\n"));
        assert!(power("--cycle").ends_with(": ok\n"));
        assert!(power("--off").ends_with(": ok\n"));
        assert_eq!(
            bmc.calls(),
            ["set power 1", "set power 0", "set power 1", "set power 0"],
            "suite {suite}"
        );
    }
    let relaxed = bmc.freeipmi("ipmipower", &["-I", "17", "-W", "opensesspriv", "--stat"]);
    assert!(relaxed.ends_with(": off\n"));
}

#[test]
fn freeipmi_sets_the_boot_device() {
    let bmc = Bmc::start();
    let setting = ["-I", "17", "--category=chassis", "--commit", "-e", "Chassis_Boot_Flags:Boot_Device=PXE"];
    bmc.freeipmi("ipmi-config", &setting);
    assert_eq!(bmc.calls(), ["set boot pxe"]);
}
