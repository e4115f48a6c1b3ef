//! The drivers against programs nobody here wrote: OpenIPMI's simulator, and TLS by socat and OpenSSL in front of the
//! simulated AMT device.

#![expect(clippy::unwrap_used, reason = "a test fails loudly")]

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rackwright_amt::digest::Login;
use rackwright_amt::sim::{SimConfig, Simulator};
use rackwright_common::bmc::{
    BmcAction, BmcEndpoint, BmcError, BmcOutcome, BmcSettings, BootDevice, DriverKind, PowerState,
};
use rackwright_common::id::{Fence, MachineId, OperationId};
use rackwright_common::secret::Secret;
use rackwright_rack::bmc::BmcQueues;

const ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 79);
const FENCE: Fence = Fence { operation: OperationId(1), epoch: 1 };
const CHASSIS: &str = r#"#!/bin/sh
S=$1; shift
while [ $# -gt 0 ]; do
  case $1 in
    get) echo "$2:$(cat $S/$2 2>/dev/null || echo 0)"; shift 2;;
    set) echo "$2 $3" >> $S/calls; [ $2 = power ] && echo $3 > $S/power; shift 3;;
    *) shift 3;;
  esac
done
"#;

/// A process that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn spawn(command: &mut Command) -> Running {
    let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    Running(command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}")))
}

fn chassis(folder: &Path) -> String {
    let program = folder.join("chassis.sh");
    std::fs::write(&program, CHASSIS).unwrap();
    std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
    program.display().to_string()
}

fn calls(folder: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(folder.join("calls")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

fn endpoint(driver: DriverKind, port: u16) -> BmcEndpoint {
    BmcEndpoint {
        machine: MachineId::random(),
        driver,
        address: ADDRESS.to_string(),
        port: Some(port),
        username: "admin".into(),
        password: Secret::new("secretpw".into()),
        settings: BmcSettings::default(),
    }
}

fn power(state: PowerState) -> Result<BmcOutcome, BmcError> {
    Ok(BmcOutcome::Power { state })
}

fn openipmi(folder: &Path) -> (Running, u16) {
    let port = UdpSocket::bind((ADDRESS, 0)).unwrap().local_addr().unwrap().port();
    let lan = format!(
        "name \"test\"\nstartlan 1\n addr {ADDRESS} {port}\n priv_limit admin\n allowed_auths_admin none md2 md5 straight\n \
         guid a123456789abcdefa123456789abcdef\nendlan\nchassis_control \"{} {}\"\n\
         user 2 true \"admin\" \"secretpw\" admin 10 none md2 md5 straight\n",
        chassis(folder),
        folder.display()
    );
    std::fs::write(folder.join("lan.conf"), lan).unwrap();
    let emulator = "mc_setbmc 0x20\nmc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02 persist_sdr\n\
                    sel_enable 0x20 1000 0x0a\nmc_enable 0x20\n";
    std::fs::write(folder.join("sim.emu"), emulator).unwrap();
    std::fs::create_dir(folder.join("state")).unwrap();
    let mut command = Command::new("ipmi_sim");
    command.arg("-n").arg("-c").arg(folder.join("lan.conf"));
    (spawn(command.arg("-f").arg(folder.join("sim.emu")).arg("-s").arg(folder.join("state"))), port)
}

#[tokio::test]
async fn openipmi_is_driven_through_the_queue() {
    let folder = tempfile::tempdir().unwrap();
    let (_bmc, port) = openipmi(folder.path());
    let (queues, endpoint) = (BmcQueues::new(), endpoint(DriverKind::Ipmi, port));
    let perform = |action| queues.perform(&endpoint, FENCE, action);
    assert_eq!(perform(BmcAction::Query).await, power(PowerState::Off));
    let network = BmcAction::SetBoot { device: BootDevice::Network, persistent: false, efi: false };
    assert_eq!(perform(network).await, Ok(BmcOutcome::Done));
    assert_eq!(perform(BmcAction::On).await, power(PowerState::On));
    assert_eq!(perform(BmcAction::Cycle).await, power(PowerState::On));
    assert_eq!(perform(BmcAction::Off).await, power(PowerState::Off));
    assert_eq!(calls(folder.path()), ["boot pxe", "power 1", "power 0", "power 1", "power 0"]);
    assert_eq!(perform(BmcAction::EventLog).await, Ok(BmcOutcome::EventLog { entries: Vec::new() }));
}

/// Freezes a process; signals go through `kill` so that the test needs no unsafe code.
fn signal(process: &Running, name: &str) {
    let status = Command::new("kill").args([name, &process.0.id().to_string()]).status().unwrap();
    assert!(status.success());
}

#[tokio::test]
async fn a_frozen_bmc_does_not_hand_its_late_answer_to_the_next_question() {
    let folder = tempfile::tempdir().unwrap();
    let (bmc, port) = openipmi(folder.path());
    let (queues, endpoint) = (BmcQueues::new(), endpoint(DriverKind::Ipmi, port));
    assert_eq!(queues.perform(&endpoint, FENCE, BmcAction::On).await, power(PowerState::On));
    signal(&bmc, "-STOP");
    let frozen = queues.perform(&endpoint, FENCE, BmcAction::Off).await;
    assert!(matches!(frozen, Err(BmcError::Unreachable(_))), "{frozen:?}");
    signal(&bmc, "-CONT");
    for _ in 0..5 {
        assert_eq!(queues.perform(&endpoint, FENCE, BmcAction::On).await, power(PowerState::On));
    }
    assert_eq!(queues.perform(&endpoint, FENCE, BmcAction::Off).await, power(PowerState::Off));
    assert_eq!(queues.perform(&endpoint, FENCE, BmcAction::Query).await, power(PowerState::Off));
}

/// Address of an AMT device without TLS, and of socat with TLS in front; the certificate's SHA-256.
fn amt_with_tls(folder: &Path) -> (Running, SocketAddr, String) {
    let config = SimConfig {
        login: Login { username: "admin".into(), password: "secretpw".into() },
        program: vec![chassis(folder), folder.display().to_string()],
    };
    let simulator = Simulator::bind((ADDRESS, 0).into(), config).unwrap();
    let plain = simulator.address().unwrap();
    std::thread::spawn(move || simulator.run());

    let (key, certificate) = (folder.join("key.pem"), folder.join("certificate.pem"));
    let mut command = Command::new("openssl");
    command
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=amt", "-keyout"]);
    assert!(command.arg(&key).arg("-out").arg(&certificate).output().unwrap().status.success());
    let mut command = Command::new("openssl");
    command.args(["x509", "-noout", "-fingerprint", "-sha256", "-in"]).arg(&certificate);
    let said = String::from_utf8(command.output().unwrap().stdout).unwrap();
    let fingerprint = said.trim().rsplit_once('=').unwrap().1.to_owned();

    let port = TcpListener::bind((ADDRESS, 0)).unwrap().local_addr().unwrap().port();
    let listen = format!(
        "OPENSSL-LISTEN:{port},bind={ADDRESS},reuseaddr,fork,verify=0,cert={},key={}",
        certificate.display(),
        key.display()
    );
    let socat = spawn(Command::new("socat").arg(listen).arg(format!("TCP:{plain}")));
    let address = SocketAddr::from((ADDRESS, port));
    let deadline = Instant::now() + Duration::from_secs(5);
    while let Err(error) = TcpStream::connect(address) {
        assert!(Instant::now() < deadline, "socat does not listen: {error}");
        std::thread::sleep(Duration::from_millis(10));
    }
    (socat, address, fingerprint)
}

#[tokio::test]
async fn amt_over_tls_takes_the_pinned_certificate_only_or_any() {
    let folder = tempfile::tempdir().unwrap();
    let (_socat, address, fingerprint) = amt_with_tls(folder.path());
    let queues = BmcQueues::new();
    let with = |certificate_sha256: Option<String>| BmcEndpoint {
        settings: BmcSettings { tls: true, certificate_sha256, ..BmcSettings::default() },
        ..endpoint(DriverKind::Amt, address.port())
    };
    let pinned = with(Some(fingerprint.clone()));
    assert_eq!(queues.perform(&pinned, FENCE, BmcAction::On).await, power(PowerState::On));
    assert_eq!(queues.perform(&with(None), FENCE, BmcAction::Query).await, power(PowerState::On));

    let other = with(Some("00".repeat(32)));
    let Err(BmcError::Protocol(reason)) = queues.perform(&other, FENCE, BmcAction::Off).await else {
        panic!("taken")
    };
    assert!(reason.contains(&fingerprint.replace(':', "").to_lowercase()), "{reason}");
    let nonsense = with(Some("zz".into()));
    assert!(matches!(queues.perform(&nonsense, FENCE, BmcAction::Query).await, Err(BmcError::Login(_))));
    assert_eq!(calls(folder.path()), ["power 1"]);
}
