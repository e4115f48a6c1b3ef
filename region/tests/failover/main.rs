//! A region over two real database servers, of which the primary is lost: what is read goes on, what is written waits,
//! nothing is lost and nothing is done twice.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod servers;

use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Request};
use axum::middleware::from_fn_with_state;
use axum::routing::post;
use axum::{Extension, Router};
use rackwright_link::Ca;
use rackwright_region::api::{self, bridge::bridge};
use rackwright_region::app::{App, Error};
use rackwright_region::auth::token;
use rackwright_region::config::RegionConfig;
use rackwright_region::db::wakeups::Wakeups;
use rackwright_region::db::{self, Database, Patience};
use rackwright_region::images::Store;
use rackwright_region::model::Role;
use rackwright_region::secrets::MasterKey;
use rackwright_region::waiting;
use serde_json::{Value, json};
use servers::{Network, Servers};
use sqlx::{Connection, Executor, PgConnection, PgPool};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// Reads shall never be interrupted for longer.
const READS_WITHIN: Duration = Duration::from_secs(3);

/// A region's API over both servers.
struct Site {
    router: Router,
    app: App,
    token: String,
    servers: Servers,
    _folder: tempfile::TempDir,
}

struct Reply {
    status: u16,
    headers: HeaderMap,
    json: Value,
    text: String,
}

impl Site {
    async fn new(writes: Duration) -> Self {
        let servers = Servers::start().await;
        let patience = Patience { writes, ..Patience::default() };
        let database = Database::open(&servers.url(), 5, patience).await.unwrap();
        let mut conn = database.pool().acquire().await.unwrap();
        let user = db::user::insert(&mut conn, "ann", Role::Administrator, None).await.unwrap();
        let secret = token::new_token();
        let hash = token::hash(secret.expose());
        db::token::insert(&mut conn, user, "test", &hash, None, None).await.unwrap();
        drop(conn);
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).await.unwrap();
        let app = App::new(database, MasterKey::from_bytes([7; 32]), store);
        let router = api::router(app.clone()).layer(from_fn_with_state(app.clone(), bridge));
        Self { router, app, token: secret.expose().clone(), servers, _folder: folder }
    }

    async fn send(&self, method: &str, path: &str, body: Option<Value>) -> Reply {
        self.send_keyed(method, path, body, None).await
    }

    async fn send_keyed(&self, method: &str, path: &str, body: Option<Value>, key: Option<&str>) -> Reply {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", format!("Bearer {}", self.token))
            .header("content-type", "application/json");
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        let response = self.router.clone().oneshot(request.body(body).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        let text = String::from_utf8_lossy(&to_bytes(body, 1 << 20).await.unwrap()).into_owned();
        let json = serde_json::from_str(&text).unwrap_or_default();
        Reply { status: parts.status.as_u16(), headers: parts.headers, json, text }
    }

    async fn make_fabric(&self, name: &str) -> Reply {
        self.send("POST", "/api/v1/fabrics", Some(json!({ "name": name }))).await
    }

    /// Names of the fabrics, and whether they were read from a standby.
    async fn fabrics(&self) -> (Vec<String>, bool) {
        let reply = self.send("GET", "/api/v1/fabrics", None).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        let items = reply.json["items"].as_array().unwrap();
        let mut names: Vec<_> = items.iter().map(|f| f["name"].as_str().unwrap().to_owned()).collect();
        names.retain(|name| name.starts_with("test-"));
        names.sort();
        let from = reply.headers.get("rackwright-read-from").map(|v| v.to_str().unwrap());
        assert!(matches!(from, None | Some("standby")), "{from:?}");
        (names, from.is_some())
    }
}

/// Looks until something is so; says what was last seen.
async fn until<T: std::fmt::Debug>(what: &str, mut look: impl AsyncFnMut() -> Result<T, String>) -> T {
    let deadline = Instant::now() + Duration::from_secs(15);
    loop {
        match look().await {
            Ok(value) => return value,
            Err(seen) => assert!(Instant::now() < deadline, "{what}; last seen: {seen}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Answers of a query, asked at a server past the relay.
async fn ask(server: &str, sql: &str) -> Vec<String> {
    let mut conn = PgConnection::connect(server).await.unwrap();
    sqlx::query_scalar(sqlx::AssertSqlSafe(sql.to_owned())).fetch_all(&mut conn).await.unwrap()
}

#[tokio::test]
async fn a_promotion_is_bridged() {
    let site = Site::new(Duration::from_secs(15)).await;
    let wakeups = Wakeups::default();
    let cancel = CancellationToken::new();
    let listening = tokio::spawn(wakeups.clone().run(site.app.pool().clone(), cancel.clone()));
    assert_eq!(site.make_fabric("test-a").await.status, 201);
    assert_eq!(site.fabrics().await, (vec!["test-a".to_owned()], false));

    // The primary loses its power.
    site.servers.primary.set_network(Network::Hole);
    let lost = Instant::now();
    assert_eq!(site.fabrics().await, (vec!["test-a".to_owned()], true));
    assert!(lost.elapsed() < READS_WITHIN, "{:?}", lost.elapsed());
    assert_eq!(site.send("GET", "/readyz", None).await.status, 503);
    assert_eq!(site.send("GET", "/readyz?for=reads", None).await.status, 200);

    // A change waits for the next primary, and is done once.
    let (made, ()) = tokio::join!(site.make_fabric("test-b"), async {
        for _ in 0..5 {
            let asked = Instant::now();
            assert!(site.fabrics().await.1);
            assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
        }
        site.servers.standby.promote();
    });
    assert_eq!(made.status, 201, "{}", made.text);
    let both = vec!["test-a".to_owned(), "test-b".to_owned()];
    until("reads from the new primary", async || {
        let seen = site.fabrics().await;
        if seen == (both.clone(), false) { Ok(()) } else { Err(format!("{seen:?}")) }
    })
    .await;
    let events = "SELECT message FROM event WHERE kind = 'fabric.created' AND message LIKE '%test-b%'";
    assert_eq!(ask(&site.servers.standby.direct, events).await.len(), 1);

    // Notifications come from the new one.
    let listeners = "SELECT query FROM pg_stat_activity WHERE query LIKE 'LISTEN%'";
    until("a listener at the new primary", async || {
        let seen = ask(&site.servers.standby.direct, listeners).await;
        if seen.is_empty() { Err("none".into()) } else { Ok(()) }
    })
    .await;
    let mut woken = wakeups.events();
    woken.mark_unchanged();

    // The old one comes back and still believes to be the primary: nobody follows it.
    site.servers.primary.set_network(Network::Up);
    assert_eq!(site.make_fabric("test-c").await.status, 201);
    tokio::time::timeout(Duration::from_secs(5), woken.changed()).await.unwrap().unwrap();
    let names = "SELECT name FROM fabric WHERE name LIKE 'test-%' ORDER BY name";
    assert_eq!(ask(&site.servers.standby.direct, names).await, ["test-a", "test-b", "test-c"]);
    assert_eq!(ask(&site.servers.primary.direct, names).await, ["test-a"]);
    cancel.cancel();
    listening.await.unwrap();
}

#[tokio::test]
async fn without_a_primary_a_change_is_refused_in_time_and_reads_go_on() {
    let site = Site::new(Duration::from_secs(2)).await;
    site.servers.primary.set_network(Network::Refuses);
    until("a region that is not ready", async || {
        let status = site.send("GET", "/readyz", None).await.status;
        if status == 503 { Ok(()) } else { Err(status.to_string()) }
    })
    .await;
    let asked = Instant::now();
    let reply = site.make_fabric("test-a").await;
    assert_eq!((reply.status, &reply.json["code"]), (503, &json!("unavailable")), "{}", reply.text);
    assert_eq!(reply.headers["retry-after"], "1");
    assert_eq!(reply.headers["content-type"], "application/problem+json");
    let took = asked.elapsed();
    assert!(took >= Duration::from_secs(2) && took < Duration::from_secs(5), "{took:?}");
    assert_eq!(site.fabrics().await, (vec![], true));
    // The same server comes back: nothing has to be told.
    site.servers.primary.set_network(Network::Up);
    assert_eq!(site.make_fabric("test-a").await.status, 201);
}

#[tokio::test]
async fn a_region_whose_only_database_has_become_read_only_reads_and_says_what_is_wrong() {
    let mut site = Site::new(Duration::from_secs(15)).await;
    assert_eq!(site.make_fabric("test-a").await.status, 201);
    let standby = PgPool::connect(&site.servers.standby.direct).await.unwrap();
    site.router = api::router(App::new(standby, site.app.keys().clone(), site.app.store().clone()));
    assert_eq!(site.fabrics().await.0, ["test-a"]);
    let reply = site.make_fabric("test-b").await;
    assert_eq!((reply.status, &reply.json["code"]), (503, &json!("unavailable")), "{}", reply.text);
    assert_eq!(reply.headers["retry-after"], "1");
    let ready = site.send("GET", "/readyz", None).await;
    assert_eq!((ready.status, ready.text.as_str()), (503, "the database is read-only\n"));
    assert_eq!(site.send("GET", "/readyz?for=reads", None).await.text, "ready for reads\n");
    assert_eq!(site.fabrics().await.0, ["test-a"]);
}

#[tokio::test]
async fn a_region_that_starts_before_there_is_a_primary_waits_for_one_and_says_so() {
    let servers = Servers::start().await;
    servers.primary.set_network(Network::Refuses);
    let folder = tempfile::tempdir().unwrap();
    let port = || std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let config = RegionConfig {
        data: folder.path().to_owned(),
        database_url: servers.url(),
        listen: port(),
        ..RegionConfig::default()
    };
    let cancel = CancellationToken::new();
    let opened = tokio::spawn({
        let (config, cancel) = (config.clone(), cancel.clone());
        async move { waiting::open(&config, &cancel).await.unwrap() }
    });
    let hear = async |path: &str| {
        let url = format!("http://{}{path}", config.listen);
        let mut curl = tokio::process::Command::new("curl");
        let curl = curl.args(["-s", "-m", "5", "--noproxy", "*", "-w", " %{http_code} %header{retry-after}"]);
        String::from_utf8(curl.arg(url).output().await.unwrap().stdout).unwrap()
    };
    // Two tries to open are not waited for: one takes as long as a change waits for the next primary.
    let deadline = Instant::now() + Duration::from_secs(40);
    while hear("/healthz").await != "ok\n 200 " {
        assert!(Instant::now() < deadline && !opened.is_finished());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(hear("/readyz").await, "this region waits for its database\n 503 5");
    let answer = hear("/api/v1/fabrics").await;
    assert!(answer.contains(r#""code":"unavailable""#) && answer.ends_with(" 503 5"), "{answer}");

    let refused = Database::open(&servers.standby.direct, 1, Patience::default()).await.err().unwrap();
    assert!(refused.is_outage() && refused.to_string().contains("is read-only, a standby"), "{refused}");
    servers.standby.promote();
    let region = tokio::time::timeout(Duration::from_secs(40), opened).await.unwrap().unwrap();
    assert!(region.is_some_and(|region| region.app().database().answers() == Some(true)));
    assert!(std::net::TcpListener::bind(config.listen).is_ok(), "the port is the region's own again");
    cancel.cancel();
    assert!(waiting::open(&config, &cancel).await.unwrap().is_none(), "nobody wants it any more");
}

/// Counts how often it is called; loses its connection before or at the COMMIT of the first call.
async fn breaks(
    State(app): State<App>,
    Extension((calls, at_commit)): Extension<(Arc<AtomicU32>, bool)>,
) -> Result<String, Error> {
    let first = calls.fetch_add(1, Ordering::SeqCst) == 0;
    let mut tx = app.database().begin().await?;
    tx.execute("CREATE TEMPORARY TABLE t (x int) ON COMMIT DROP").await?;
    let pid: i32 = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut *tx).await?;
    if first {
        let mut other = app.pool().acquire().await?;
        sqlx::query("SELECT pg_terminate_backend($1, 5000)").bind(pid).execute(&mut *other).await?;
        if !at_commit {
            tx.execute("SELECT 1").await?;
        }
    }
    tx.commit().await?;
    Ok("done".into())
}

#[tokio::test]
async fn a_change_is_done_again_only_when_it_had_not_reached_its_commit() {
    let site = Site::new(Duration::from_secs(5)).await;
    for (at_commit, status, called) in [(false, 200, 2), (true, 503, 1)] {
        let calls = Arc::new(AtomicU32::new(0));
        let router = Router::new()
            .route("/api/v1/breaks", post(breaks))
            .layer(Extension((calls.clone(), at_commit)))
            .layer(from_fn_with_state(site.app.clone(), bridge))
            .with_state(site.app.clone());
        let request = Request::post("/api/v1/breaks").body(Body::empty()).unwrap();
        let response = router.oneshot(request).await.unwrap();
        assert_eq!(response.status(), status);
        assert_eq!(calls.load(Ordering::SeqCst), called);
        if at_commit {
            assert_eq!(response.headers()["retry-after"], "1");
            let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
            let problem: Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(problem["code"], "in-doubt");
        }
    }
}

/// The first COMMIT after this, of a transaction that has entered a fabric, loses its connection.
const BREAK_COMMIT: &str = "
    CREATE SEQUENCE commits;
    CREATE FUNCTION die_once() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF nextval('commits') = 1 THEN PERFORM pg_terminate_backend(pg_backend_pid()); END IF;
        RETURN NULL;
    END $$;
    CREATE CONSTRAINT TRIGGER die_once AFTER INSERT ON fabric DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION die_once();";

#[tokio::test]
async fn a_key_tells_whether_a_change_that_was_lost_at_its_commit_was_carried_out() {
    let site = Site::new(Duration::from_secs(15)).await;
    let mut direct = PgConnection::connect(&site.servers.primary.direct).await.unwrap();
    direct.execute(BREAK_COMMIT).await.unwrap();
    // Without one nobody knows, and nothing is done again.
    let reply = site.make_fabric("test-a").await;
    assert_eq!((reply.status, &reply.json["code"]), (503, &json!("in-doubt")), "{}", reply.text);
    assert_eq!(site.fabrics().await.0, Vec::<String>::new());
    // With one it is done again, once.
    direct.execute("SELECT setval('commits', 1, false)").await.unwrap();
    let body = json!({ "name": "test-b" });
    let reply = site.send_keyed("POST", "/api/v1/fabrics", Some(body), Some("k1")).await;
    assert_eq!(reply.status, 201, "{}", reply.text);
    assert_eq!(site.fabrics().await.0, ["test-b"]);
}

#[tokio::test]
async fn connections_are_encrypted_and_each_server_is_checked() {
    let ca = Ca::create().unwrap();
    let shown = ca.issue_member("db", &["127.0.0.1".to_owned()]).unwrap();
    let servers =
        Servers::start_with(Some((shown.certificate_pem.as_str(), shown.key_pem.expose().as_str()))).await;
    let folder = tempfile::tempdir().unwrap();
    let url = |servers: &Servers, authority: &str| {
        let file = folder.path().join(format!("{}.pem", authority.len()));
        std::fs::write(&file, authority).unwrap();
        db::with_root_certificate(&format!("{}?sslmode=verify-full", servers.url()), &file)
    };
    let patience = Patience { writes: Duration::from_secs(2), ..Patience::default() };
    let database = Database::open(&url(&servers, &shown.ca_pem), 5, patience).await.unwrap();
    let version: String = sqlx::query_scalar("SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
        .fetch_one(database.pool())
        .await
        .unwrap();
    assert_eq!(version, "TLSv1.3");
    drop(database);

    // Of another authority; and with one that would be good, but for somebody else.
    let other = Ca::create().unwrap();
    let refused = Database::open(&url(&servers, other.certificate_pem()), 5, patience).await;
    assert!(refused.is_err(), "a server of another authority was believed");
    let shown = ca.issue_member("db", &["10.9.9.9".to_owned()]).unwrap();
    let elsewhere =
        Servers::start_with(Some((shown.certificate_pem.as_str(), shown.key_pem.expose().as_str()))).await;
    let refused = Database::open(&url(&elsewhere, &shown.ca_pem), 5, patience).await;
    assert!(refused.is_err(), "a server with somebody else's certificate was believed");
    // And one that speaks in the clear.
    let plain = Servers::start().await;
    let refused = Database::open(&url(&plain, &shown.ca_pem), 5, patience).await;
    assert!(refused.is_err(), "a connection in the clear was used");
}
