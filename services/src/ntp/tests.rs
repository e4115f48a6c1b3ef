//! Against real chronyd on ports of the loopback. None of them touches the box's clock: all run with -x.

use super::*;
use std::net::{Ipv4Addr, UdpSocket};

fn free_port() -> u16 {
    UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

struct Served {
    state: watch::Receiver<NtpState>,
    cancel: CancellationToken,
    task: tokio::task::JoinHandle<()>,
    folder: tempfile::TempDir,
    wanted: watch::Sender<NtpConfig>,
}

fn serve(config: NtpConfig) -> Served {
    let folder = tempfile::tempdir().unwrap();
    let (wanted, given) = watch::channel(config);
    let (sender, state) = watch::channel(NtpState::Starting);
    let cancel = CancellationToken::new();
    let task = tokio::spawn(run(folder.path().join("ntp"), given, sender, cancel.clone()));
    Served { state, cancel, task, folder, wanted }
}

async fn until(served: &mut Served, what: &str, wanted: impl Fn(&NtpState) -> bool) -> NtpState {
    let waited = tokio::time::timeout(Duration::from_secs(40), served.state.wait_for(|s| wanted(s))).await;
    match waited {
        Ok(Ok(state)) => state.clone(),
        _ => panic!("{what}: last seen {}", *served.state.borrow()),
    }
}

/// What another chronyd, as a client that only looks, says of a server.
async fn asked(port: u16) -> String {
    let folder = tempfile::tempdir().unwrap();
    let pid = format!("pidfile {}", folder.path().join("pid").display());
    let output = Command::new(PROGRAMS[0])
        .args([
            "-Q",
            "-t",
            "12",
            "-U",
            "-u",
            &own_name(),
            &format!("server 127.0.0.1 port {port} iburst"),
            &pid,
        ])
        .output()
        .await
        .unwrap();
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn local() -> NtpConfig {
    NtpConfig {
        clients: vec!["127.0.0.0/8".into()],
        port: free_port(),
        local: Some(10),
        ..NtpConfig::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn time_goes_from_a_reference_by_a_region_to_a_rack_and_to_a_client() {
    let region_config = local();
    let source = Source { host: "127.0.0.1".into(), port: region_config.port };
    let mut region = serve(region_config);
    until(&mut region, "the region", |s| matches!(s, NtpState::Synchronised { stratum: 10, .. })).await;
    let rack_config = NtpConfig { sources: vec![source], port: free_port(), local: None, ..local() };
    let port = rack_config.port;
    let mut rack = serve(rack_config);
    until(&mut rack, "the rack", |s| matches!(s, NtpState::Synchronised { stratum: 11, .. })).await;
    let said = asked(port).await;
    assert!(said.contains("System clock wrong by"), "{said}");
    for served in [rack, region] {
        served.cancel.cancel();
        served.task.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_a_source_claims_no_time_and_a_new_configuration_counts() {
    let config = NtpConfig { local: None, ..local() };
    let port = config.port;
    let mut served = serve(config.clone());
    until(&mut served, "without source", |s| *s == NtpState::Unsynchronised).await;
    let said = asked(port).await;
    assert!(said.contains("No suitable source") || said.contains("Timeout"), "{said}");
    served.wanted.send_replace(NtpConfig { local: Some(8), ..config });
    until(&mut served, "with a reference", |s| matches!(s, NtpState::Synchronised { stratum: 8, .. })).await;
    served.cancel.cancel();
    served.task.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_killed_is_started_again() {
    let mut served = serve(local());
    let synchronised = |s: &NtpState| matches!(s, NtpState::Synchronised { .. });
    until(&mut served, "at first", synchronised).await;
    let pid = || {
        std::fs::read_to_string(served.folder.path().join("ntp/chronyd.pid")).unwrap().trim().parse::<i32>()
    };
    let first = nix::unistd::Pid::from_raw(pid().unwrap());
    nix::sys::signal::kill(first, nix::sys::signal::Signal::SIGKILL).unwrap();
    until(&mut served, "killed", |s| matches!(s, NtpState::Failed { .. })).await;
    until(&mut served, "again", synchronised).await;
    served.cancel.cancel();
    served.task.await.unwrap();
}
