//! What one region's store lacks comes from another's: over their own line, resumed, checked, and told of until then.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod support;

use rackwright_common::snapshot::BlobRef;
use rackwright_link::{Ca, serve_on};
use rackwright_region::api;
use rackwright_region::db::region::{self, Presence};
use rackwright_region::db::wakeups::Wakeups;
use rackwright_region::images::exchange::Exchange;
use rackwright_region::images::{Store, Stored};
use rackwright_region::inband::InBand;
use rackwright_region::network::NewNetworks;
use rackwright_region::racks::RackService;
use rackwright_region::standing::Standing;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use support::Site;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

/// A region's store, its exchange, and its line to others.
struct Region {
    store: Store,
    exchange: Exchange,
    _serves: DropGuard,
    _folder: tempfile::TempDir,
}

async fn start(site: &Site, ca: &Ca, name: &str) -> Region {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).await.unwrap();
    let credentials = ca.issue_region(&[]).unwrap();
    let exchange = Exchange::new(name, store.clone(), site.pool.clone(), credentials.clone());
    let keys = site.app.keys().clone();
    let service = RackService {
        inband: InBand::new(site.pool.clone(), keys.clone(), Wakeups::default()),
        pool: site.pool.clone(),
        keys,
        wakeups: Wakeups::default(),
        store: store.clone(),
        exchange: exchange.clone(),
        standing: Standing::default(),
        region: name.to_owned(),
        new_networks: NewNetworks::Enter,
    };
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let stream = listener.local_addr().unwrap().to_string();
    let cancel = CancellationToken::new();
    let stop = cancel.clone();
    tokio::spawn(async move { serve_on(listener, &credentials, service, stop).await });
    let mut conn = site.pool.acquire().await.unwrap();
    let (instance, identity) = (Uuid::new_v4(), Uuid::new_v4());
    let row = Presence { name, version: "1", instance, identity, stream: &stream };
    assert!(region::take_name(&mut conn, &row).await.unwrap());
    // It stays alive, however long the test takes.
    let sql = "UPDATE region SET last_seen_at = now() + interval '1 hour'";
    sqlx::query(sql).execute(&mut *conn).await.unwrap();
    Region { store, exchange, _serves: cancel.drop_guard(), _folder: folder }
}

/// So many bytes that are not the same everywhere.
fn content(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|n| (n / 251) as u8 ^ n as u8).collect()
}

async fn put(store: &Store, bytes: &[u8]) -> BlobRef {
    let mut upload = store.upload("test").await.unwrap();
    upload.append(bytes).await.unwrap();
    upload.finish(None).await.unwrap()
}

fn image(blob: &BlobRef) -> Value {
    let file =
        json!({ "name": "disk", "sha256": blob.sha256, "size": blob.size, "uncompressed_size": blob.size });
    json!({ "name": "debian", "kind": "os", "files": [file] })
}

async fn is_sound(store: &Store, blob: &BlobRef) -> bool {
    matches!(store.find_sound(&blob.sha256).await.unwrap(), Stored::Sound(_))
}

async fn until(what: &str, mut done: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !done().await {
        assert!(Instant::now() < deadline, "waited for {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn what_was_uploaded_to_one_region_is_soon_in_the_other_and_until_then_it_is_said_where_it_lacks() {
    let (mut site, ca) = (Site::new().await, Ca::create().unwrap());
    let (a, b) = (start(&site, &ca, "a").await, start(&site, &ca, "b").await);
    let blob = put(&a.store, &content(3 << 20)).await;
    // The API of region b is asked to register what region a was given: it fetches it first.
    site.router = api::router({
        let app =
            rackwright_region::app::App::new(site.pool.clone(), site.app.keys().clone(), b.store.clone());
        app.with_exchange(b.exchange.clone())
    });
    site.post("/images", image(&blob)).await.expect(201);
    assert!(is_sound(&b.store, &blob).await);

    // A third one comes later, blank.
    let c = start(&site, &ca, "c").await;
    let sql = "UPDATE region SET lacks = $1, lacks_because = 'no byte for 10 s' WHERE name = 'c'";
    sqlx::query(sql).bind([&blob.sha256]).execute(&site.pool).await.unwrap();
    let shown = site.get("/regions/c").await.expect(200);
    assert_eq!(shown["lacks"], json!(["debian@1/disk"]));
    assert_eq!(shown["lacks_because"], "no byte for 10 s");
    assert_eq!(site.get("/images/debian").await.expect(200)["lacking_in"], json!(["c"]));
    let cancel = CancellationToken::new();
    let run = tokio::spawn(c.exchange.clone().run(Wakeups::default(), cancel.clone()));
    until("the content in c", async || is_sound(&c.store, &blob).await).await;
    until("c to say so", async || site.get("/regions/c").await.expect(200)["lacks"] == json!([])).await;
    assert!(site.get("/images/debian").await.expect(200).get("lacking_in").is_none());
    cancel.cancel();
    run.await.unwrap();
}

#[tokio::test]
async fn a_transfer_goes_on_where_it_stopped_and_what_is_wrong_in_it_is_found() {
    let (site, ca) = (Site::new().await, Ca::create().unwrap());
    let (a, b) = (start(&site, &ca, "a").await, start(&site, &ca, "b").await);
    let bytes = content(1 << 20);
    let blob = put(&a.store, &bytes).await;
    let key = rackwright_link::sha256_hex(format!("exchange {}", blob.sha256).as_bytes());
    let begin = |first: &[u8]| std::fs::write(b.store.root().join("uploads").join(&key), first).unwrap();
    begin(&bytes[..700_000]);
    b.exchange.fetch(&blob).await.unwrap();
    assert!(is_sound(&b.store, &blob).await);

    // What an earlier attempt left is not the beginning of it: the first try finds out, the next one starts anew.
    b.store.remove(&blob.sha256).await.unwrap();
    begin(&vec![7; 700_000]);
    let error = b.exchange.fetch(&blob).await.unwrap_err().to_string();
    assert!(error.contains("damaged on the way"), "{error}");
    assert!(!is_sound(&b.store, &blob).await);
    b.exchange.fetch(&blob).await.unwrap();
    assert!(is_sound(&b.store, &blob).await);
}

#[tokio::test]
async fn a_damaged_file_is_mended_from_another_region_and_what_nobody_has_is_named() {
    let (site, ca) = (Site::new().await, Ca::create().unwrap());
    let (a, b) = (start(&site, &ca, "a").await, start(&site, &ca, "b").await);
    let blob = put(&a.store, &content(100_000)).await;
    b.exchange.fetch(&blob).await.unwrap();
    std::fs::write(a.store.root().join("blobs").join(&blob.sha256), b"evil").unwrap();
    assert_eq!(a.store.find_sound(&blob.sha256).await.unwrap(), Stored::Damaged);
    a.exchange.fetch(&blob).await.unwrap();
    assert!(is_sound(&a.store, &blob).await);

    let nowhere = BlobRef { sha256: "0".repeat(64), size: 5 };
    let error = a.exchange.fetch(&nowhere).await.unwrap_err().to_string();
    assert!(error.contains("b: not found"), "{error}");
}

#[tokio::test]
async fn whoever_is_neither_rack_nor_region_of_the_site_gets_nothing() {
    let (site, ca) = (Site::new().await, Ca::create().unwrap());
    let a = start(&site, &ca, "a").await;
    let blob = put(&a.store, b"secret enough").await;
    let stranger = start(&site, &Ca::create().unwrap(), "b").await;
    stranger.exchange.fetch(&blob).await.unwrap_err();
    assert!(!is_sound(&stranger.store, &blob).await);
}
