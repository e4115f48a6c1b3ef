//! A region and racks on loopback: who gets in, and what passes through.

#![expect(clippy::unwrap_used, reason = "a test says by its line what failed")]
use async_trait::async_trait;
use bytes::Bytes;
use rackwright_common::link::{ToRack, ToRegion};
use rackwright_common::snapshot::Snapshot;
use rackwright_link::{
    Ca, Chunks, Credentials, FetchRequest, Incoming, KeyRequest, LinkClient, LinkError, LinkServer, Outgoing,
    file_chunks, serve_on, snapshot_message,
};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;

/// Remembers who called, answers each message with a heartbeat, has one blob.
struct Region {
    blob: PathBuf,
    seen: Arc<Mutex<Vec<String>>>,
}

#[async_trait]
impl LinkServer for Region {
    async fn attach(&self, rack: String, mut incoming: Incoming) -> Result<Outgoing, LinkError> {
        if rack == "unwanted" {
            return Err(LinkError::Refused("this rack was removed".to_owned()));
        }
        self.seen.lock().unwrap().push(rack);
        let (sender, queue) = tokio::sync::mpsc::channel(16);
        let snapshot = snapshot_message(Snapshot { generation: 3, ..Snapshot::default() }).unwrap();
        tokio::spawn(async move {
            let _gone = sender.send(snapshot).await;
            while let Some(Ok(_)) = incoming.next().await {
                if sender.send(ToRack::Heartbeat).await.is_err() {
                    return;
                }
            }
        });
        Ok(Box::pin(ReceiverStream::new(queue)))
    }

    async fn fetch(&self, _rack: String, request: FetchRequest) -> Result<Chunks, LinkError> {
        if request.sha256 != "b10b" {
            return Err(LinkError::NotFound(format!("no blob {}", request.sha256)));
        }
        file_chunks(&self.blob, request.offset).await.map_err(|e| LinkError::Unavailable(e.to_string()))
    }
}

struct Site {
    ca: Ca,
    address: String,
    seen: Arc<Mutex<Vec<String>>>,
    cancel: CancellationToken,
    content: Vec<u8>,
    _dir: tempfile::TempDir,
}

async fn site() -> Site {
    let ca = Ca::create().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let content: Vec<u8> = (0..1_000_000_u32).flat_map(|n| (n as u16).to_le_bytes()).collect();
    std::fs::write(dir.path().join("blob"), &content).unwrap();
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let region = Region { blob: dir.path().join("blob"), seen: seen.clone() };
    let cancel = CancellationToken::new();
    let credentials = ca.issue_region(&["region.example".to_owned(), "192.0.2.1".to_owned()]).unwrap();
    let stop = cancel.clone();
    tokio::spawn(async move { serve_on(listener, &credentials, region, stop).await.unwrap() });
    Site { ca, address, seen, cancel, content, _dir: dir }
}

#[tokio::test]
async fn messages_pass_both_ways_and_the_region_knows_who_speaks() {
    let site = site().await;
    let rack = site.ca.issue_rack("rack-1").unwrap();
    let client = LinkClient::connect(&site.address, &rack).await.unwrap();
    let (sender, mut receiver) = client.attach().await.unwrap();
    let first = receiver.next().await.unwrap().unwrap();
    assert!(first.intact);
    assert!(matches!(first.message, ToRack::Snapshot { snapshot, .. } if snapshot.generation == 3));
    for _ in 0..10 {
        sender.send(ToRegion::Heartbeat { generation: 3, tasks: vec![], beat: 1 }).await.unwrap();
        assert_eq!(receiver.next().await.unwrap().unwrap().message, ToRack::Heartbeat);
    }
    assert_eq!(*site.seen.lock().unwrap(), ["rack-1"]);
}

#[tokio::test]
async fn a_rack_that_made_its_own_key_gets_in() {
    let site = site().await;
    let request = KeyRequest::new().unwrap();
    let rack = Credentials {
        ca_pem: site.ca.certificate_pem().to_owned(),
        certificate_pem: site.ca.sign_rack("rack-2", &request.request_pem).unwrap(),
        key_pem: request.key_pem,
    };
    LinkClient::connect(&site.address, &rack).await.unwrap().attach().await.unwrap();
    assert_eq!(*site.seen.lock().unwrap(), ["rack-2"]);
}

#[tokio::test]
async fn a_blob_arrives_whole_or_from_where_it_stopped() {
    let site = site().await;
    let client = LinkClient::connect(&site.address, &site.ca.issue_rack("r").unwrap()).await.unwrap();
    for offset in [0, 1, 1_234_567, 2_000_000] {
        let chunks = client.fetch("b10b", offset as u64).await.unwrap();
        let got: Vec<Bytes> = chunks.collect::<Result<_, _>>().await.unwrap();
        assert!(got.concat() == site.content[offset..], "from {offset}");
    }
    assert!(matches!(client.fetch("none", 0).await, Err(LinkError::NotFound(_))));
}

/// A TLS 1.3 client may think that it is connected; its first call must fail.
async fn cannot_attach(address: &str, credentials: &Credentials) -> bool {
    match LinkClient::connect(address, credentials).await {
        Err(_) => true,
        Ok(client) => client.attach().await.is_err() && client.fetch("b10b", 0).await.is_err(),
    }
}

#[tokio::test]
async fn strangers_are_refused() {
    let site = site().await;
    let foreign = Ca::create().unwrap();
    let mut other_site = foreign.issue_rack("rack-1").unwrap();
    assert!(cannot_attach(&site.address, &other_site).await, "it trusts another authority");
    other_site.ca_pem = site.ca.certificate_pem().to_owned();
    assert!(cannot_attach(&site.address, &other_site).await, "its certificate is of another authority");
    assert!(site.seen.lock().unwrap().is_empty());
}

#[tokio::test]
async fn another_region_may_fetch_and_is_no_rack() {
    let site = site().await;
    let region = site.ca.issue_region(&[]).unwrap();
    let client = LinkClient::connect(&site.address, &region).await.unwrap();
    assert!(client.attach().await.is_err(), "a region's certificate is not a rack's");
    assert!(site.seen.lock().unwrap().is_empty());
    let chunks = client.fetch("b10b", 0).await.unwrap();
    let got: Vec<Bytes> = chunks.collect::<Result<_, _>>().await.unwrap();
    assert!(got.concat() == site.content);
}

#[tokio::test]
async fn a_rack_does_not_talk_to_something_that_is_no_region() {
    let site = site().await;
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let impostor = site.ca.issue_rack("rack-9").unwrap();
    let region = Region { blob: PathBuf::new(), seen: Arc::default() };
    let stop = site.cancel.clone();
    tokio::spawn(async move { serve_on(listener, &impostor, region, stop).await.unwrap() });
    let refused = LinkClient::connect(&address, &site.ca.issue_rack("rack-1").unwrap()).await;
    assert!(matches!(refused, Err(LinkError::Connect { .. })), "{refused:?}");
}

#[tokio::test]
async fn without_a_certificate_there_is_no_call() {
    use tonic::codegen::{Service, http};
    use tonic::transport::{Certificate, ClientTlsConfig, Endpoint};
    let site = site().await;
    let tls = ClientTlsConfig::new()
        .ca_certificate(Certificate::from_pem(site.ca.certificate_pem()))
        .domain_name(rackwright_link::REGION_NAME);
    let endpoint =
        Endpoint::from_shared(format!("https://{}", site.address)).unwrap().tls_config(tls).unwrap();
    if let Ok(mut channel) = endpoint.connect().await {
        let call = http::Request::post(format!("https://{}/rackwright.Link/Attach", site.address));
        let call = call.header("content-type", "application/grpc").body(tonic::body::Body::empty()).unwrap();
        std::future::poll_fn(|context| channel.poll_ready(context)).await.ok();
        assert!(channel.call(call).await.is_err());
    }
    assert!(site.seen.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_refusal_says_why() {
    let site = site().await;
    let client = LinkClient::connect(&site.address, &site.ca.issue_rack("unwanted").unwrap()).await.unwrap();
    let refused = client.attach().await.unwrap_err();
    assert!(matches!(&refused, LinkError::Refused(why) if why == "this rack was removed"), "{refused:?}");
}

#[tokio::test]
async fn streams_end_with_an_error_when_the_region_stops() {
    let site = site().await;
    let client = LinkClient::connect(&site.address, &site.ca.issue_rack("rack-1").unwrap()).await.unwrap();
    let (_sender, mut receiver) = client.attach().await.unwrap();
    receiver.next().await.unwrap().unwrap();
    site.cancel.cancel();
    assert!(matches!(receiver.next().await, Some(Err(LinkError::Broken(_)))));
}
