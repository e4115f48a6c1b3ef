//! Who is told of what: rules, the page of each user, signed webhooks, and mail by a server that nobody here wrote (aiosmtpd);
//! each once, whatever region is lost.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod support;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use rackwright_region::model::Role::{self, Administrator, Operator, Viewer};
use rackwright_region::{db, notify};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};
use support::Site;
use tokio::sync::Notify;

/// A receiver: what it got, headers and body; how many it refuses first; and whether it waits before it answers.
#[derive(Clone, Default)]
struct Receiver {
    got: Arc<Mutex<Vec<(HeaderMap, String)>>>,
    refuses: Arc<Mutex<u32>>,
    waits: Option<Arc<Notify>>,
}

async fn take(State(receiver): State<Receiver>, headers: HeaderMap, body: String) -> StatusCode {
    {
        let mut refuses = receiver.refuses.lock().unwrap();
        if *refuses > 0 {
            *refuses -= 1;
            return StatusCode::SERVICE_UNAVAILABLE;
        }
    }
    receiver.got.lock().unwrap().push((headers, body));
    if let Some(waits) = &receiver.waits {
        waits.notified().await;
    }
    StatusCode::OK
}

impl Receiver {
    /// Listens on a port of its own; where.
    async fn serve(&self) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let router = Router::new().route("/hook", post(take)).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        url
    }

    /// The numbers of the deliveries that it got.
    fn deliveries(&self) -> Vec<String> {
        let got = self.got.lock().unwrap();
        got.iter().map(|(headers, _)| headers["rackwright-delivery"].to_str().unwrap().to_owned()).collect()
    }
}

async fn put(site: &Site, name: &str, body: Value) -> support::Reply {
    site.request(Some(Administrator), "PUT", &format!("/notification-rules/{name}"), &[], Some(&body)).await
}

async fn hook(site: &Site, url: &str) {
    put(site, "hook", json!({ "channel": { "kind": "webhook", "url": url }, "secret": "s3cret-key" }))
        .await
        .expect(200);
}

async fn event(site: &Site, kind: &str, level: &str, machine: Option<&str>) {
    sqlx::query("INSERT INTO event (kind, level, machine_id, actor, message) VALUES ($1, $2, $3, 'rackwright', E'it\\nhappened')")
        .bind(kind)
        .bind(level)
        .bind(machine)
        .execute(&site.pool)
        .await
        .unwrap();
}

async fn told(site: &Site, role: Role, state: &str) -> Vec<Value> {
    let list = site
        .request(Some(role), "GET", &format!("/notifications?state={state}"), &[], None)
        .await
        .expect(200);
    list["items"].as_array().unwrap().clone()
}

/// What a claim's end brings without the wait.
async fn expire(site: &Site) {
    sqlx::query("UPDATE notification SET next_attempt_at = now()").execute(&site.pool).await.unwrap();
}

async fn send_one(site: &Site) -> bool {
    notify::send_one(&site.pool, site.app.keys()).await.unwrap()
}

#[tokio::test]
async fn a_rule_lets_through_its_kinds_its_level_and_its_pool() {
    let site = Site::new().await;
    site.request(Some(Administrator), "PUT", "/pools/gpu", &[], Some(&json!({}))).await.expect(204);
    let (inside, outside) = (site.machine("inside", 1).await, site.machine("outside", 2).await);
    sqlx::query("UPDATE machine SET pool = 'gpu' WHERE hostname = 'inside'")
        .execute(&site.pool)
        .await
        .unwrap();
    let page = json!({ "kind": "page" });
    let body = json!({ "kinds": ["operation.failed", "machine.*"], "pool": "gpu", "channel": page });
    put(&site, "gpu", body.clone()).await.expect(200);
    let all = async || {
        for machine in [&inside, &outside] {
            event(&site, "operation.failed", "error", Some(machine.as_str())).await;
            event(&site, "machine.status", "warning", Some(machine.as_str())).await;
            event(&site, "machine.status", "info", Some(machine.as_str())).await;
            event(&site, "operation.done", "error", Some(machine.as_str())).await;
        }
        event(&site, "machine.status", "error", None).await;
    };
    all().await;
    let shown = told(&site, Viewer, "shown").await;
    let what: Vec<_> =
        shown.iter().map(|n| (n["event"]["kind"].as_str().unwrap(), &n["event"]["machine"])).collect();
    let id = json!(inside.as_str());
    assert_eq!(what, [("machine.status", &id), ("operation.failed", &id)], "newest first");
    assert!(!send_one(&site).await, "what is on the page is not sent");
    let mut disabled = body;
    disabled["enabled"] = false.into();
    put(&site, "gpu", disabled).await.expect(200);
    all().await;
    assert_eq!(told(&site, Viewer, "shown").await.len(), 2);
    for (field, wrong) in [
        ("kinds", json!({ "kinds": ["Machine status"], "channel": page })),
        ("pool", json!({ "pool": "no-such", "channel": page })),
        (
            "channel.url",
            json!({ "channel": { "kind": "webhook", "url": "file:///etc/passwd" }, "secret": "x" }),
        ),
        ("secret", json!({ "channel": { "kind": "webhook", "url": "https://chat.example" } })),
        (
            "channel.to",
            json!({ "channel": { "kind": "email", "server": "x", "port": 25, "from": "a@b.example", "to": ["nobody"] } }),
        ),
        (
            "secret",
            json!({ "channel": { "kind": "email", "server": "x", "port": 25, "username": "ann", "from": "a@b.example", "to": ["a@b.example"] } }),
        ),
    ] {
        let reply = put(&site, "wrong", wrong.clone()).await;
        assert_eq!(
            (reply.status.as_u16(), &reply.json()["field"]),
            (422, &json!(field)),
            "{wrong}: {}",
            reply.text
        );
    }
}

#[tokio::test]
async fn everybody_has_read_their_own_and_sees_their_pools_only() {
    let site = Site::new().await;
    site.request(Some(Administrator), "PUT", "/pools/gpu", &[], Some(&json!({}))).await.expect(204);
    let (inside, outside) = (site.machine("inside", 1).await, site.machine("outside", 2).await);
    sqlx::query("UPDATE machine SET pool = 'gpu' WHERE hostname = 'inside'")
        .execute(&site.pool)
        .await
        .unwrap();
    let restricted = json!({ "restricted": true, "pools": { "gpu": "user" } });
    site.request(Some(Administrator), "PATCH", "/users/viewer", &[], Some(&restricted)).await.expect(200);
    put(&site, "all", json!({ "kinds": ["operation.failed"], "channel": { "kind": "page" } }))
        .await
        .expect(200);
    for machine in [Some(inside.as_str()), Some(outside.as_str()), None] {
        event(&site, "operation.failed", "error", machine).await;
    }
    let unread = async |role| {
        let all = told(&site, role, "shown").await;
        (all.len(), all.iter().filter(|n| n["unread"] == true).count())
    };
    assert_eq!((unread(Viewer).await, unread(Operator).await), ((1, 1), (3, 3)));
    let last = told(&site, Viewer, "shown").await[0]["id"].clone();
    site.request(Some(Viewer), "PUT", "/notifications/seen", &[], Some(&json!({ "upto": last })))
        .await
        .expect(204);
    assert_eq!((unread(Viewer).await, unread(Operator).await), ((1, 0), (3, 3)));
    // Whoever says that they have seen what is to come has seen what there is.
    let far = json!({ "upto": i64::MAX });
    site.request(Some(Viewer), "PUT", "/notifications/seen", &[], Some(&far)).await.expect(204);
    event(&site, "operation.failed", "error", Some(inside.as_str())).await;
    assert_eq!(unread(Viewer).await, (2, 1));
    // Where things are sent, and what became of it, is for administrators.
    site.get("/notifications?state=failed").await.problem(403, "forbidden");
}

#[tokio::test]
async fn a_webhook_is_signed_tried_again_and_told_once() {
    let site = Site::new().await;
    let receiver = Receiver { refuses: Arc::new(Mutex::new(1)), ..Receiver::default() };
    let url = receiver.serve().await;
    hook(&site, &url).await;
    let rules = site.request(Some(Administrator), "GET", "/notification-rules", &[], None).await.expect(200);
    assert!(rules["items"][0]["has_secret"] == true && !rules.to_string().contains("s3cret"), "{rules}");
    let stored: Vec<u8> =
        sqlx::query_scalar("SELECT secret FROM notification_rule").fetch_one(&site.pool).await.unwrap();
    assert!(!stored.windows(6).any(|part| part == b"s3cret"), "secrets are sealed");
    event(&site, "operation.failed", "error", None).await;
    assert!(send_one(&site).await);
    let waiting = told(&site, Administrator, "pending").await;
    assert_eq!(waiting[0]["error"], "the receiver answered with the status 503");
    let metrics = async || {
        let request = axum::http::Request::get("/metrics")
            .header("authorization", format!("Bearer {}", site.token(Viewer)));
        site.send(request.body(axum::body::Body::empty()).unwrap()).await.text
    };
    assert!(
        metrics().await.contains("rackwright_notifications_refused{state=\"pending\"} 1\n"),
        "{}",
        metrics().await
    );
    assert!(!send_one(&site).await, "not before its time");
    expire(&site).await;
    assert!(send_one(&site).await);
    assert!(metrics().await.contains("rackwright_notifications_refused{state=\"pending\"} 0\n"));
    let sent = told(&site, Administrator, "sent").await;
    assert_eq!((sent.len(), &sent[0]["attempt"], &sent[0]["error"]), (1, &json!(2), &Value::Null));
    let got = receiver.got.lock().unwrap().clone();
    let (headers, text) = &got[0];
    let signed = headers["rackwright-signature"].to_str().unwrap();
    let at: i64 = signed.strip_prefix("t=").unwrap().split(',').next().unwrap().parse().unwrap();
    assert_eq!(signed, notify::signature(b"s3cret-key", at, text));
    let body: Value = serde_json::from_str(text).unwrap();
    assert_eq!(headers["rackwright-delivery"].to_str().unwrap(), body["delivery"]);
    assert_eq!((&body["rule"], &body["event"]["message"]), (&json!("hook"), &json!("it\nhappened")));
    // The key is of this address: another one gets none without being given it.
    // Whoever reads events or what went wrong does not learn the address.
    let told = "SELECT count(*) FROM event WHERE data::text LIKE '%/hook%'";
    let wrong = "SELECT count(*) FROM notification WHERE error LIKE '%/hook%'";
    for leak in [told, wrong] {
        let found: i64 = sqlx::query_scalar(leak).fetch_one(&site.pool).await.unwrap();
        assert_eq!(found, 0, "{leak}");
    }
    let elsewhere = json!({ "channel": { "kind": "webhook", "url": "https://chat.example" } });
    assert!(put(&site, "hook", elsewhere).await.problem(422, "invalid").contains("a webhook is signed"));
}

/// A region that is lost after it took a notification: before it was sent, and after, but before it noted that.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_lost_region_had_taken_another_sends_under_the_same_number() {
    let site = Site::new().await;
    let receiver = Receiver::default();
    let url = receiver.serve().await;
    hook(&site, &url).await;
    event(&site, "operation.failed", "error", None).await;
    let taken =
        db::notification::claim(&mut site.pool.acquire().await.unwrap(), 25.0).await.unwrap().unwrap();
    assert!(!send_one(&site).await, "another leaves it alone while the claim lasts");
    expire(&site).await;
    assert!(send_one(&site).await);
    assert_eq!(receiver.deliveries(), [taken.id.to_string()], "once");
    // The lost one comes back to life: what it writes does not count.
    db::notification::put_back(&mut site.pool.acquire().await.unwrap(), &taken, Some(0.0), "late")
        .await
        .unwrap();
    assert_eq!(told(&site, Administrator, "sent").await.len(), 1);
    assert!(!send_one(&site).await);

    let slow = Receiver { waits: Some(Arc::default()), ..Receiver::default() };
    hook(&site, &slow.serve().await).await;
    event(&site, "operation.failed", "error", None).await;
    let (pool, keys) = (site.pool.clone(), site.app.keys().clone());
    let lost = tokio::spawn(async move { notify::send_one(&pool, &keys).await });
    let until = Instant::now() + Duration::from_secs(10);
    while slow.deliveries().is_empty() {
        assert!(Instant::now() < until, "the receiver got nothing");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    lost.abort();
    assert!(lost.await.unwrap_err().is_cancelled());
    slow.waits.as_ref().unwrap().notify_one();
    slow.waits.as_ref().unwrap().notify_one();
    expire(&site).await;
    assert!(send_one(&site).await);
    let deliveries = slow.deliveries();
    assert_eq!(deliveries.len(), 2, "nobody can know whether the receiver had it");
    assert_eq!(deliveries[0], deliveries[1], "by its number the receiver knows that it is the same");
}

#[tokio::test(flavor = "multi_thread")]
async fn senders_of_several_regions_send_each_once() {
    let site = Site::new().await;
    let receiver = Receiver::default();
    hook(&site, &receiver.serve().await).await;
    for _ in 0..40 {
        event(&site, "operation.failed", "error", None).await;
    }
    let mut senders = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let (pool, keys) = (site.pool.clone(), site.app.keys().clone());
        senders.spawn(async move { while notify::send_one(&pool, &keys).await.unwrap() {} });
    }
    while let Some(done) = senders.join_next().await {
        done.unwrap();
    }
    let mut deliveries = receiver.deliveries();
    deliveries.sort_unstable();
    deliveries.dedup();
    assert_eq!((receiver.deliveries().len(), deliveries.len()), (40, 40));
}

/// A mail server that prints what it gets; ended with the test.
struct MailServer {
    child: Child,
    port: u16,
    lines: mpsc::Receiver<String>,
}

impl MailServer {
    fn start(how: &str, files: &[&str]) -> Self {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let mut child = Command::new("/usr/bin/python3")
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/mail/server.py"))
            .args([&port.to_string(), how])
            .args(files)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("is the package python3-aiosmtpd installed?");
        let out = BufReader::new(child.stdout.take().unwrap());
        let (tell, lines) = mpsc::channel();
        std::thread::spawn(move || out.lines().map_while(Result::ok).try_for_each(|line| tell.send(line)));
        let server = Self { child, port, lines };
        assert_eq!(server.next(), "listens");
        server
    }

    fn next(&self) -> String {
        let line = self.lines.recv_timeout(Duration::from_secs(20));
        line.expect("the mail server says nothing; is the package python3-aiosmtpd installed?")
    }

    fn mail(&self) -> Value {
        serde_json::from_str(&self.next()).unwrap()
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn mail_rule(server: &MailServer, more: Value) -> Value {
    let mut channel = json!({ "kind": "email", "server": "localhost", "port": server.port,
                              "from": "Rackwright <rackwright@site.example>", "to": ["ops@site.example", "Ann <ann@site.example>"] });
    channel.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({ "channel": channel, "kinds": ["operation.failed"], "secret": "s3cret-word" })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_reaches_a_mail_server_in_plain_with_starttls_and_with_tls() {
    let site = Site::new().await;
    let server = MailServer::start("plain", &[]);
    put(&site, "mail", mail_rule(&server, json!({ "security": "none" }))).await.expect(200);
    event(&site, "operation.failed", "error", None).await;
    assert!(send_one(&site).await);
    let mail = server.mail();
    assert_eq!(mail["to"], json!(["ops@site.example", "ann@site.example"]));
    let text = mail["text"].as_str().unwrap();
    for line in ["Subject: [rackwright] error: it happened", "What: operation.failed (error)"] {
        assert!(text.contains(line), "no `{line}` in {text}");
    }
    let id = told(&site, Administrator, "sent").await[0]["id"].clone();
    let event_id = told(&site, Administrator, "sent").await[0]["event"]["id"].clone();
    assert!(text.contains(&format!("Message-ID: <rackwright-{event_id}-{id}@site.example>")), "{text}");

    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let files = [folder.path().join("cert.pem"), folder.path().join("key.pem")];
    std::fs::write(&files[0], made.cert.pem()).unwrap();
    std::fs::write(&files[1], made.signing_key.serialize_pem()).unwrap();
    let files = files.each_ref().map(|file| file.to_str().unwrap());
    let login = json!({ "username": "ann", "ca": made.cert.pem() });
    for security in ["starttls", "tls"] {
        let server = MailServer::start(security, &files);
        let mut more = login.clone();
        more["security"] = security.into();
        put(&site, "mail", mail_rule(&server, more.clone())).await.expect(200);
        event(&site, "operation.failed", "error", None).await;
        assert!(send_one(&site).await);
        let waiting = told(&site, Administrator, "pending").await;
        assert!(waiting.is_empty(), "{security}: {waiting:?}");
        assert_eq!(server.mail()["user"], "ann", "{security}");
        // A server whose certificate nobody vouches for is told nothing, and least of all the password.
        more["ca"] = Value::Null;
        put(&site, "mail", mail_rule(&server, more)).await.expect(200);
        event(&site, "operation.failed", "error", None).await;
        assert!(send_one(&site).await);
        let waiting = told(&site, Administrator, "pending").await;
        let error = waiting[0]["error"].as_str().unwrap();
        assert!(error.contains("certificate"), "{security}: {error}");
        sqlx::query("DELETE FROM notification").execute(&site.pool).await.unwrap();
    }
    // Nor does a server get it in plain that has no STARTTLS.
    let server = MailServer::start("plain", &[]);
    put(&site, "mail", mail_rule(&server, login)).await.expect(200);
    event(&site, "operation.failed", "error", None).await;
    assert!(send_one(&site).await);
    let waiting = told(&site, Administrator, "pending").await;
    assert!(waiting[0]["error"].as_str().unwrap().contains("STARTTLS"), "{waiting:?}");
}
