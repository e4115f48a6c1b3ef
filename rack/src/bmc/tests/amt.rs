//! The AMT driver against the simulated device, and against servers that are no AMT device at all.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener};
use std::os::unix::fs::PermissionsExt;

use rackwright_amt::digest::Login;
use rackwright_amt::sim::{SimConfig, Simulator};

use super::*;

const CHASSIS: &str = r#"#!/bin/sh
S=$1; shift
case $1 in
  get) echo "$2:$(cat $S/$2 2>/dev/null || echo 0)";;
  set) echo "$*" >> $S/calls; [ $2 = power ] && echo $3 > $S/power; exit 0;;
esac
"#;

struct Device {
    address: SocketAddr,
    folder: tempfile::TempDir,
}

impl Device {
    /// Serves until the test process ends.
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("chassis.sh");
        std::fs::write(&program, CHASSIS).unwrap();
        std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
        let config = SimConfig {
            login: Login { username: "admin".into(), password: "secretpw".into() },
            program: vec![program.display().to_string(), folder.path().display().to_string()],
        };
        let simulator = Simulator::bind((Ipv4Addr::new(127, 0, 0, 76), 0).into(), config).unwrap();
        let address = simulator.address().unwrap();
        std::thread::spawn(move || simulator.run());
        Self { address, folder }
    }

    fn calls(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.folder.path().join("calls")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }
}

#[tokio::test]
async fn amt_switches_power_and_boots_from_the_network_once() {
    let device = Device::start();
    let (queues, endpoint) = (BmcQueues::new(), endpoint(DriverKind::Amt, device.address));
    let perform = |action| queues.perform(&endpoint, fence(1, 1), action);
    assert_eq!(perform(BmcAction::Query).await, power(PowerState::Off));
    let boot = |device, persistent| BmcAction::SetBoot { device, persistent, efi: true };
    assert_eq!(perform(boot(BootDevice::Network, false)).await, Ok(BmcOutcome::Done));
    for _ in 0..2 {
        assert_eq!(perform(BmcAction::On).await, power(PowerState::On));
    }
    assert_eq!(perform(BmcAction::Reset).await, power(PowerState::On));
    assert_eq!(perform(BmcAction::Cycle).await, power(PowerState::On));
    assert_eq!(perform(BmcAction::Soft).await, power(PowerState::On));
    assert_eq!(perform(boot(BootDevice::Setup, false)).await, Ok(BmcOutcome::Done));
    assert_eq!(perform(boot(BootDevice::Disk, false)).await, Ok(BmcOutcome::Done));
    assert_eq!(perform(BmcAction::Off).await, power(PowerState::Off));
    assert_eq!(
        device.calls(),
        [
            "set boot pxe",
            "set power 1",
            "set reset 1",
            "set power 0",
            "set power 1",
            "set shutdown 1",
            "set boot bios",
            "set boot disk",
            "set power 0"
        ]
    );
    assert!(matches!(perform(boot(BootDevice::Network, true)).await, Err(BmcError::Unsupported(_))));
    assert!(matches!(perform(BmcAction::Sensors).await, Err(BmcError::Unsupported(_))));
}

#[tokio::test]
async fn amt_tells_a_wrong_password_from_a_device_that_is_not_there() {
    let device = Device::start();
    let queues = BmcQueues::new();
    let good = endpoint(DriverKind::Amt, device.address);
    let wrong = BmcEndpoint { password: Secret::new("other".into()), ..good.clone() };
    let seen = queues.perform(&wrong, None, BmcAction::Query).await;
    assert_eq!(seen, Err(BmcError::Login("wrong user name or password".into())));
    let port = TcpListener::bind((Ipv4Addr::new(127, 0, 0, 76), 0)).unwrap().local_addr().unwrap().port();
    let nobody = BmcEndpoint { port: Some(port), ..good };
    let seen = queues.perform(&nobody, None, BmcAction::Query).await;
    assert!(matches!(seen, Err(BmcError::Unreachable(_))), "{seen:?}");
}

/// Answers every connection with the same bytes, once: what speaks HTTP says so, or the next request is already on its way
/// when the connection ends.
fn serve(answer: Vec<u8>) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::new(127, 0, 0, 76), 0)).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut buffer = [0; 4096];
            drop(stream.read(&mut buffer));
            drop(stream.write_all(&answer));
            // To close with bytes unread would reset the connection, and the answer be lost with it.
            drop(stream.shutdown(Shutdown::Write));
            std::thread::spawn(move || drop(std::io::copy(&mut stream, &mut std::io::sink())));
        }
    });
    address
}

#[tokio::test]
async fn a_server_that_is_no_amt_device_is_an_error_and_no_more() {
    let queues = BmcQueues::new();
    let query = |address| {
        let endpoint = endpoint(DriverKind::Amt, address);
        let queues = &queues;
        async move { queues.perform(&endpoint, None, BmcAction::Query).await.unwrap_err() }
    };
    let page = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 6\r\n\r\n<html>".to_vec();
    assert!(matches!(query(serve(page)).await, BmcError::Protocol(_)));
    let basic =
        b"HTTP/1.1 401 No\r\nWWW-Authenticate: Basic realm=\"x\"\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".to_vec();
    assert!(matches!(query(serve(basic)).await, BmcError::Login(_)));
    let again = b"HTTP/1.1 401 No\r\nWWW-Authenticate: Digest realm=\"x\", nonce=\"y\", stale=true\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    assert!(matches!(query(serve(again.to_vec())).await, BmcError::Login(_)));
    let mut endless = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
    endless.resize(2 * 1024 * 1024, b'x');
    assert!(matches!(query(serve(endless)).await, BmcError::Protocol(_)));
    assert!(matches!(query(serve(b"junk".to_vec())).await, BmcError::Unreachable(_)));
}
