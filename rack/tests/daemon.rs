//! The whole rack on loopback: a region's snapshot and blobs come in, machines are served, their requests go up; then
//! the region dies, the rack restarts, and machines notice nothing.

#![expect(clippy::unwrap_used, reason = "a test says by its line what failed")]

mod common;

use common::{MAC, content, run, snapshot, until};
use rackwright_common::bmc::{BmcError, BmcOrder, BmcOutcome};
use rackwright_common::link::{Relay, RelayReply, ToRack, ToRegion};
use rackwright_common::snapshot::{BlobRef, Snapshot};
use rackwright_link::{
    Ca, Chunks, FetchRequest, Incoming, LinkError, LinkServer, Outgoing, file_chunks, serve_on, sha256_hex,
    snapshot_message,
};
use rackwright_rack::RackConfig;
use rackwright_rack::console::Consoles;
use rackwright_rack::daemon::run_with;
use rackwright_rack::link::TaskRunner;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;

const HTTP: u16 = 5311;

/// Gives its snapshot, its blobs, and to each request its path.
struct Region {
    snapshot: Snapshot,
    store: PathBuf,
}

#[async_trait::async_trait]
impl LinkServer for Region {
    async fn attach(&self, rack: String, mut incoming: Incoming) -> Result<Outgoing, LinkError> {
        assert_eq!(rack, "rack-1");
        let (sender, queue) = tokio::sync::mpsc::channel(64);
        sender.send(snapshot_message(self.snapshot.clone()).unwrap()).await.unwrap();
        tokio::spawn(async move {
            while let Some(Ok(message)) = incoming.next().await {
                let answer = match message {
                    ToRegion::Relay(relay) => ToRack::RelayReply(echo(relay)),
                    ToRegion::Journal { entries } => ToRack::JournalAck { seq: entries.last().unwrap().seq },
                    _ => ToRack::Heartbeat,
                };
                if sender.send(answer).await.is_err() {
                    return;
                }
            }
        });
        Ok(Box::pin(ReceiverStream::new(queue)))
    }

    async fn fetch(&self, _: String, request: FetchRequest) -> Result<Chunks, LinkError> {
        let path = self.store.join(&request.sha256);
        file_chunks(&path, request.offset).await.map_err(|e| LinkError::NotFound(e.to_string()))
    }
}

fn echo(relay: Relay) -> RelayReply {
    let body = format!("{} {} {}", relay.method, relay.path, relay.body);
    RelayReply { id: relay.id, status: 201, content_type: "text/x-echo".to_owned(), body }
}

struct NoBmc;

#[async_trait::async_trait]
impl TaskRunner for NoBmc {
    async fn perform(&self, _: BmcOrder) -> Result<BmcOutcome, BmcError> {
        Err(BmcError::Unsupported("none here".to_owned()))
    }
}

fn store(dir: &Path, content: &[u8]) -> BlobRef {
    let blob = BlobRef { sha256: sha256_hex(content), size: content.len() as u64 };
    std::fs::write(dir.join(&blob.sha256), content).unwrap();
    blob
}

async fn curl(dir: &Path, arguments: &[&str]) -> (String, Vec<u8>) {
    std::fs::write(dir.join("body"), b"").unwrap();
    let all: Vec<&str> = ["-sS", "-o", "body", "-w", "%{http_code} %{content_type}"]
        .iter()
        .chain(arguments)
        .copied()
        .collect();
    let ran = run(dir, "curl", &all).await;
    (String::from_utf8(ran.stdout).unwrap(), std::fs::read(dir.join("body")).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rack_serves_what_a_region_said_also_when_the_region_is_gone_and_the_rack_was_restarted() {
    let dir = tempfile::tempdir().unwrap();
    let (data, blobs) = (dir.path().join("data"), dir.path().join("store"));
    std::fs::create_dir(&blobs).unwrap();
    let initrd = content(3_000_000);
    let mut world = snapshot(store(&blobs, b"kernel"), store(&blobs, &initrd));
    world.boot_files.insert("undionly.kpxe".to_owned(), store(&blobs, b"loader"));

    let ca = Ca::create().unwrap();
    ca.issue_rack("rack-1").unwrap().save(&dir.path().join("certificates")).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config = RackConfig {
        name: "rack-1".to_owned(),
        data: data.clone(),
        certificates: dir.path().join("certificates"),
        interfaces: vec!["lo".to_owned()],
        regions: vec![listener.local_addr().unwrap().to_string()],
        http_port: HTTP,
        tftp_port: 6968,
        dhcp: false,
        ntp: false,
        ..RackConfig::default()
    };
    let stop_region = CancellationToken::new();
    let (region, credentials) = (Region { snapshot: world, store: blobs }, ca.issue_region(&[]).unwrap());
    let cancel = stop_region.clone();
    let serving =
        tokio::spawn(async move { serve_on(listener, &credentials, region, cancel).await.unwrap() });

    let stop = CancellationToken::new();
    let rack = tokio::spawn(run_with(config.clone(), Arc::new(NoBmc), Consoles::new(), stop.clone()));
    // By its digest is called what is there as a whole.
    let whole =
        |file: &std::io::Result<std::fs::DirEntry>| file.as_ref().is_ok_and(|f| f.file_name().len() == 64);
    let cached = || std::fs::read_dir(data.join("blobs")).map_or(0, |files| files.filter(whole).count());
    until(cached, |n| *n == 3).await;
    let base = format!("http://127.0.0.1:{HTTP}");
    let agent = curl(dir.path(), &["-d", "{}", &format!("{base}/agent/v1/next?x=1")]).await;
    assert_eq!(agent, ("201 text/x-echo".to_owned(), b"POST /agent/v1/next?x=1 {}".to_vec()));

    stop_region.cancel();
    serving.await.unwrap();
    stop.cancel();
    rack.await.unwrap().unwrap();
    let stop = CancellationToken::new();
    let rack = tokio::spawn(run_with(config, Arc::new(NoBmc), Consoles::new(), stop.clone()));
    until(|| std::net::TcpStream::connect(("127.0.0.1", HTTP)).is_ok(), |there| *there).await;
    let (_, script) = curl(dir.path(), &[&format!("{base}/boot/ipxe?mac={MAC}")]).await;
    assert!(String::from_utf8(script).unwrap().contains("node-1"));
    let (status, got) = curl(dir.path(), &[&format!("{base}/blob/{}", sha256_hex(&initrd))]).await;
    assert!(status.starts_with("200") && got == initrd);
    let (_, got) = curl(dir.path(), &["tftp://127.0.0.1:6968/undionly.kpxe"]).await;
    assert_eq!(got, b"loader");
    let begun = std::time::Instant::now();
    assert!(curl(dir.path(), &["-d", "{}", &format!("{base}/agent/v1/next")]).await.0.starts_with("503"));
    assert!(begun.elapsed() < Duration::from_secs(2), "the agent is sent on to another rack at once");
    stop.cancel();
    rack.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_rack_that_cannot_start_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let config = RackConfig {
        name: "rack-1".to_owned(),
        data: dir.path().to_owned(),
        certificates: dir.path().join("none"),
        interfaces: vec!["lo".to_owned()],
        ..RackConfig::default()
    };
    let error =
        run_with(config, Arc::new(NoBmc), Consoles::new(), CancellationToken::new()).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the rack's certificate cannot be used: run `rackwright rack enroll TOKEN`"
    );
    let error = run_with(RackConfig::default(), Arc::new(NoBmc), Consoles::new(), CancellationToken::new())
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "rack.toml: `name` is empty: give the rack the name it was enrolled with");
}
