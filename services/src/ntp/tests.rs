//! Against real chronyd on ports of the loopback interface. None of them touches the box's clock.

use super::*;
use std::net::{Ipv4Addr, UdpSocket};
use std::process::Stdio;
use tokio::process::Command;

fn free_port() -> u16 {
    UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

struct Served {
    state: watch::Receiver<TimeReport>,
    cancel: CancellationToken,
    task: tokio::task::JoinHandle<()>,
    folder: tempfile::TempDir,
    wanted: watch::Sender<NtpConfig>,
}

fn serve(config: NtpConfig) -> Served {
    let folder = tempfile::tempdir().unwrap();
    let (wanted, given) = watch::channel(config);
    let (sender, state) = watch::channel(TimeReport::default());
    let cancel = CancellationToken::new();
    let task = tokio::spawn(run(folder.path().join("ntp"), given, sender, cancel.clone()));
    Served { state, cancel, task, folder, wanted }
}

impl Served {
    async fn until(&mut self, what: &str, wanted: impl Fn(&TimeReport) -> bool) -> TimeReport {
        let waiting = self.state.wait_for(|s| wanted(s));
        if let Ok(Ok(state)) = tokio::time::timeout(Duration::from_secs(40), waiting).await {
            return state.clone();
        }
        panic!("{what}: last seen {:?}", *self.state.borrow())
    }

    async fn synchronised(&mut self, stratum: u8) -> TimeReport {
        self.until(&format!("stratum {stratum}"), |s| s.is_synchronised() && s.stratum == Some(stratum)).await
    }

    async fn end(self) {
        self.cancel.cancel();
        self.task.await.unwrap();
    }
}

/// What another chronyd, as a client that only looks, says of a server.
async fn asked(port: u16) -> String {
    let output = Command::new(child::program().unwrap())
        .args([
            "-Q",
            "-t",
            "8",
            "-U",
            "-u",
            "root",
            &format!("server 127.0.0.1 port {port} iburst"),
            "cmdport 0",
        ])
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn local() -> NtpConfig {
    NtpConfig {
        sources: BTreeSet::new(),
        source_port: PORT,
        port: free_port(),
        own: Ipv4Addr::LOCALHOST.into(),
        local: Some(10),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn time_goes_from_a_reference_by_a_region_to_a_rack_and_to_a_client() {
    let region_config = local();
    let source_port = region_config.port;
    let mut region = serve(region_config);
    let said = region.synchronised(10).await;
    assert!(said.message.contains("this box's own clock"), "{said:?}");
    let rack_config = NtpConfig { sources: ["127.0.0.1".into()].into(), source_port, local: None, ..local() };
    let port = rack_config.port;
    let mut rack = serve(rack_config);
    let said = rack.synchronised(11).await;
    assert!(
        said.offset_ns.unwrap().abs() < 50_000_000 && said.message.contains("from 127.0.0.1"),
        "{said:?}"
    );
    let said = asked(port).await;
    assert!(said.contains("System clock wrong by"), "{said}");
    rack.end().await;
    region.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_a_source_claims_no_time_and_a_new_configuration_counts() {
    let config = NtpConfig { local: None, ..local() };
    let port = config.port;
    let mut served = serve(config.clone());
    let said = served.until("without source", |s| s.state == TimeState::Unsynchronised).await;
    assert!(said.message.contains("ntp_servers"), "{said:?}");
    assert_eq!(ask::ask(Ipv4Addr::LOCALHOST.into(), port).await.unwrap(), None);
    let said = asked(port).await;
    assert!(!said.contains("System clock wrong by"), "{said}");
    served.wanted.send_replace(NtpConfig { local: Some(8), ..config });
    served.synchronised(8).await;
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_killed_is_started_again_and_none_is_left_when_the_controller_ends() {
    let config = local();
    let port = config.port;
    let mut served = serve(config);
    served.synchronised(10).await;
    let pid = std::fs::read_to_string(served.folder.path().join("ntp/chronyd.pid")).unwrap();
    let first = nix::unistd::Pid::from_raw(pid.trim().parse().unwrap());
    nix::sys::signal::kill(first, nix::sys::signal::Signal::SIGKILL).unwrap();
    let said = served.until("killed", |s| s.state == TimeState::Failed).await;
    assert!(said.message.contains("chronyd ended"), "{said:?}");
    served.synchronised(10).await;
    served.end().await;
    assert!(!ask::is_taken(port).unwrap(), "something still has the port");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_another_program_has_the_port_that_one_serves_if_it_does() {
    let config = local();
    let mut first = serve(config.clone());
    first.synchronised(10).await;
    let mut second = serve(config);
    let said = second.synchronised(10).await;
    assert!(said.message.contains("another program on this box"), "{said:?}");
    first.end().await;
    second.until("alone", |s| s.message.contains("own clock")).await;
    second.end().await;

    let mute = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    let mut third = serve(NtpConfig { port: mute.local_addr().unwrap().port(), ..local() });
    let said = third.until("mute", |s| s.state == TimeState::Failed).await;
    assert!(said.message.contains("systemctl disable --now chrony"), "{said:?}");
    third.end().await;
}

#[test]
fn nobody_has_the_time_from_himself() {
    let sources = ["127.0.0.1", "[::1]", "localhost", "192.0.2.9", "ntp.example"];
    let left: Vec<_> = others(sources.map(str::to_owned)).into_iter().collect();
    assert_eq!(left, ["192.0.2.9", "ntp.example"]);
}
