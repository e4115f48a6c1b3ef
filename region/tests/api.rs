//! What holds for the whole API: repeated requests, sessions, events, settings, health.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod support;

use axum::body::Body;
use axum::http::Request;
use futures_util::StreamExt;
use rackwright_common::Secret;
use rackwright_region::app::{App, Error, once, session};
use rackwright_region::auth;
use rackwright_region::db::idempotency::{self, Claim};
use rackwright_region::model::Role;
use rackwright_region::model::user::Login;
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};
use support::{PASSWORD, Site};
use tower::ServiceExt;

#[tokio::test]
async fn a_post_with_a_key_is_carried_out_once() {
    let site = Site::new().await;
    let admin = Some(Role::Administrator);
    let key = [("idempotency-key", "k1")];
    let body = json!({ "name": "ci" });
    let first = site.request(admin, "POST", "/tokens", &key, Some(&body)).await;
    let second = site.request(admin, "POST", "/tokens", &key, Some(&body)).await;
    assert_eq!(first.text, second.text);
    assert_eq!(second.headers["idempotency-replayed"], "true");
    assert_eq!(second.headers["content-type"], "application/json");
    assert_eq!(second.status, 201);
    let secret = first.json()["secret"].as_str().unwrap().to_owned();
    let kept: String =
        sqlx::query_scalar("SELECT response::text FROM idempotency_key").fetch_one(&site.pool).await.unwrap();
    assert!(!kept.contains(&secret), "answers are kept sealed");
    let other = json!({ "name": "other" });
    let text = site.request(admin, "POST", "/tokens", &key, Some(&other)).await.problem(422, "invalid");
    assert!(text.contains("used for another request"), "{text}");
    // Another user's key of the same name is another key.
    site.request(Some(Role::Viewer), "POST", "/tokens", &key, Some(&body)).await.expect(201);
    sqlx::query("UPDATE idempotency_key SET status = NULL").execute(&site.pool).await.unwrap();
    site.request(admin, "POST", "/tokens", &key, Some(&body)).await.problem(409, "busy");
}

/// The region that had the key is dead: its ten seconds are over, and it kept no answer.
const DIED: &str =
    "UPDATE idempotency_key SET status = NULL, response = NULL, created_at = now() - interval '11 seconds'";

#[tokio::test]
async fn what_a_dead_region_has_carried_out_is_not_carried_out_again() {
    let site = Site::new().await;
    let (admin, key) = (Some(Role::Administrator), [("idempotency-key", "k1")]);
    let body = json!({ "name": "north" });
    site.request(admin, "POST", "/fabrics", &key, Some(&body)).await.expect(201);
    sqlx::query("UPDATE fabric SET name = 'renamed' WHERE name = 'north'").execute(&site.pool).await.unwrap();
    sqlx::query(DIED).execute(&site.pool).await.unwrap();
    for _ in 0..2 {
        let text = site.request(admin, "POST", "/fabrics", &key, Some(&body)).await.problem(409, "conflict");
        assert!(text.contains("was carried out") && text.contains("look at what came of it"), "{text}");
    }
    let twice: i64 = sqlx::query_scalar("SELECT count(*) FROM fabric WHERE name = 'north'")
        .fetch_one(&site.pool)
        .await
        .unwrap();
    assert_eq!(twice, 0, "its name was free, and it was not made again");
}

#[tokio::test]
async fn what_a_dead_region_has_not_carried_out_is_by_the_repetition_and_never_by_both() {
    let site = Site::new().await;
    let (admin, key) = (Some(Role::Administrator), [("idempotency-key", "k1")]);
    let body = json!({ "name": "ci" });
    // A refusal changes nothing, whatever it had begun to write.
    site.request(admin, "POST", "/tokens", &[], Some(&body)).await.expect(201);
    site.request(admin, "POST", "/tokens", &key, Some(&body)).await.problem(409, "conflict");
    sqlx::query("DELETE FROM token WHERE name = 'ci'").execute(&site.pool).await.unwrap();
    let died = "UPDATE idempotency_key SET status = NULL, response = NULL";
    sqlx::query(died).execute(&site.pool).await.unwrap();
    site.request(admin, "POST", "/tokens", &key, Some(&body)).await.expect(201);
    // The first was only slow: it comes to its transaction now, and finds its claim taken.
    let user: i64 =
        sqlx::query_scalar("SELECT user_id FROM idempotency_key").fetch_one(&site.pool).await.unwrap();
    let slow = Claim { user, key: "k1".into(), epoch: 1 };
    let late = json!({ "name": "late" });
    let work = site.request(admin, "POST", "/tokens", &[], Some(&late));
    once::carry_out(slow, work).await.problem(409, "busy");
    let names: Vec<String> = sqlx::query_scalar("SELECT name FROM token WHERE name IN ('ci', 'late')")
        .fetch_all(&site.pool)
        .await
        .unwrap();
    assert_eq!(names, ["ci"]);
}

#[tokio::test]
async fn a_repetition_waits_for_a_commit_that_is_under_way() {
    let site = std::sync::Arc::new(Site::new().await);
    let (admin, key) = (Some(Role::Administrator), [("idempotency-key", "k1")]);
    let body = json!({ "name": "ci" });
    site.request(admin, "POST", "/tokens", &key, Some(&body)).await.expect(201);
    sqlx::query(DIED).execute(&site.pool).await.unwrap();
    sqlx::query("UPDATE idempotency_key SET carried_out = FALSE").execute(&site.pool).await.unwrap();
    let mut first = site.pool.begin().await.unwrap();
    let user: i64 =
        sqlx::query_scalar("SELECT user_id FROM idempotency_key").fetch_one(&mut *first).await.unwrap();
    let claim = Claim { user, key: "k1".into(), epoch: 1 };
    assert!(idempotency::carry_out(&mut first, &claim).await.unwrap());
    let repeated = tokio::spawn({
        let site = site.clone();
        async move { site.request(admin, "POST", "/tokens", &key, Some(&body)).await }
    });
    let waits = "SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid)
                 WHERE NOT l.granted AND a.datname = current_database()";
    let deadline = Instant::now() + Duration::from_secs(20);
    while sqlx::query_scalar::<_, i64>(waits).fetch_one(&site.pool).await.unwrap() == 0 {
        assert!(Instant::now() < deadline && !repeated.is_finished(), "the repetition did not wait");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    first.commit().await.unwrap();
    repeated.await.unwrap().problem(409, "conflict");
}

#[tokio::test]
async fn a_session_reads_freely_and_changes_with_its_csrf_token() {
    let site = Site::new().await;
    site.set_password(Role::Administrator).await;
    let login = json!({ "name": "administrator", "password": PASSWORD });
    let reply = site.request(None, "POST", "/session", &[], Some(&login)).await;
    let cookie = reply.headers["set-cookie"].to_str().unwrap().to_owned();
    assert!(cookie.starts_with("rackwright_session=") && cookie.contains("HttpOnly"), "{cookie}");
    assert!(cookie.contains("SameSite=Lax"), "{cookie}");
    let csrf = reply.expect(200)["csrf"].as_str().unwrap().to_owned();
    let cookie = cookie.split(';').next().unwrap().to_owned();
    let session = [("cookie", cookie.as_str())];
    let shown = site.request(None, "GET", "/session", &session, None).await.expect(200);
    assert_eq!((&shown["user"]["name"], &shown["csrf"]), (&json!("administrator"), &json!(csrf)));
    let body = json!({ "name": "x" });
    let text = site.request(None, "POST", "/fabrics", &session, Some(&body)).await.problem(403, "forbidden");
    assert!(text.contains("X-CSRF-Token"), "{text}");
    let with_csrf = [("cookie", cookie.as_str()), ("x-csrf-token", csrf.as_str())];
    site.request(None, "POST", "/fabrics", &with_csrf, Some(&body)).await.expect(201);
    site.request(None, "DELETE", "/session", &with_csrf, None).await.expect(204);
    site.request(None, "GET", "/session", &session, None).await.problem(401, "unauthenticated");
}

#[tokio::test]
async fn the_sixth_wrong_password_has_to_wait() {
    let site = Site::new().await;
    site.set_password(Role::User).await;
    let wrong = json!({ "name": "user", "password": "wrong wrong wrong" });
    for _ in 0..5 {
        let text =
            site.request(None, "POST", "/session", &[], Some(&wrong)).await.problem(401, "unauthenticated");
        assert_eq!(text, "name or password is wrong");
    }
    let right = json!({ "name": "user", "password": PASSWORD });
    let reply = site.request(None, "POST", "/session", &[], Some(&right)).await;
    assert!(reply.headers.contains_key("retry-after"));
    reply.problem(429, "rate-limited");

    // Another region counts on, and a minute later all is forgotten.
    let other = App::new(site.pool.clone(), site.app.keys().clone(), site.app.store().clone());
    let login = Login { name: "user".into(), password: Secret::new(PASSWORD.into()) };
    let waits = session::login(&other, &login, (None, "test")).await;
    assert!(
        matches!(waits, Err(Error::RateLimited { retry_after }) if retry_after.as_secs() > 50),
        "{waits:?}"
    );
    // From elsewhere the same person gets in: nobody is locked out by others.
    session::login(&other, &login, (Some("10.0.0.9".parse().unwrap()), "test")).await.unwrap();
    sqlx::query("UPDATE login_try SET at = at - interval '61 seconds'").execute(&site.pool).await.unwrap();
    session::login(&other, &login, (None, "test")).await.unwrap();
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM login_try").fetch_one(&site.pool).await.unwrap();
    assert_eq!(left, 0, "those who got in have no tries, and old ones go");
}

#[tokio::test]
async fn tries_at_once_are_as_few_as_tries_in_a_row() {
    let site = Site::new().await;
    site.set_password(Role::User).await;
    let tries = (0..12).map(|_| {
        let login = Login { name: "user".into(), password: Secret::new("wrong wrong wrong".into()) };
        let app = site.app.clone();
        async move { session::login(&app, &login, (None, "test")).await }
    });
    let answers = futures_util::future::join_all(tries).await;
    let looked_at = answers.iter().filter(|a| matches!(a, Err(Error::Unauthenticated(_)))).count();
    assert_eq!(looked_at, 5);
}

#[tokio::test]
async fn a_disabled_user_is_out_at_once_and_the_last_administrator_stays() {
    let site = Site::new().await;
    let admin = Some(Role::Administrator);
    let body = json!({ "disabled": true });
    site.request(admin, "PATCH", "/users/viewer", &[], Some(&body)).await.expect(200);
    site.get("/machines").await.problem(401, "unauthenticated");
    let text =
        site.request(admin, "PATCH", "/users/administrator", &[], Some(&body)).await.problem(409, "conflict");
    assert!(text.contains("last administrator"), "{text}");
    let text =
        site.request(admin, "DELETE", "/users/administrator", &[], None).await.problem(409, "conflict");
    assert!(text.contains("last administrator"), "{text}");
    let short = json!({ "name": "ann", "role": "user", "password": "short" });
    assert!(site.post("/users", short).await.problem(422, "invalid").contains("12 characters"));
}

#[tokio::test]
async fn the_first_administrator_is_made_once_and_told_to_the_folder_only() {
    let site = Site::new().await;
    sqlx::query(r#"DELETE FROM "user""#).execute(&site.pool).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("admin.token");
    assert!(auth::bootstrap(&site.pool, &path).await.unwrap());
    assert!(!auth::bootstrap(&site.pool, &path).await.unwrap());
    for file in ["admin.token", "admin.password"] {
        let mode = std::fs::metadata(folder.path().join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    let token = std::fs::read_to_string(&path).unwrap();
    let bearer = format!("Bearer {}", token.trim());
    let shown = site.request(None, "GET", "/session", &[("authorization", &bearer)], None).await.expect(200);
    assert_eq!((&shown["user"]["name"], &shown["user"]["role"]), (&json!("admin"), &json!("administrator")));
    let password = std::fs::read_to_string(folder.path().join("admin.password")).unwrap();
    let login = json!({ "name": "admin", "password": password.trim() });
    site.request(None, "POST", "/session", &[], Some(&login)).await.expect(200);
}

/// Reads events of a stream until `count` have come; from now on when `last_id` is no number.
async fn read_events(site: &Site, last_id: &str, count: usize) -> Vec<Value> {
    let request = Request::builder()
        .uri("/api/v1/events/stream")
        .header("authorization", format!("Bearer {}", site.token(Role::Viewer)))
        .header("last-event-id", last_id)
        .body(Body::empty())
        .unwrap();
    let response = site.router.clone().oneshot(request).await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut stream = response.into_body().into_data_stream();
    let mut text = String::new();
    let reading = async {
        while text.matches("\n\n").count() < count {
            text.push_str(&String::from_utf8_lossy(&stream.next().await.unwrap().unwrap()));
        }
    };
    let in_time = tokio::time::timeout(Duration::from_secs(10), reading).await;
    assert!(in_time.is_ok(), "waited for {count} events, saw {text:?}");
    text.lines().filter_map(|l| l.strip_prefix("data: ")).map(|d| serde_json::from_str(d).unwrap()).collect()
}

#[tokio::test]
async fn an_event_stream_goes_on_where_it_broke_off() {
    let site = Site::new().await;
    site.machine("alpha", 1).await;
    site.machine("beta", 2).await;
    let events = read_events(&site, "0", 2).await;
    assert_eq!(events[0]["message"], "alpha was entered by hand");
    let last = events[0]["id"].to_string();
    let (more, _) = tokio::join!(read_events(&site, &last, 2), site.machine("gamma", 3));
    let messages: Vec<_> = more.iter().map(|e| e["message"].as_str().unwrap()).collect();
    assert_eq!(messages, ["beta was entered by hand", "gamma was entered by hand"]);
    let after = site.get(&format!("/events?after={last}&limit=1")).await.expect(200);
    assert_eq!(after["items"][0]["message"], "beta was entered by hand");
}

const APPEND: &str = "INSERT INTO event (kind, actor, message) VALUES ('test', 'test', $1)";

#[tokio::test]
async fn an_event_that_is_committed_after_a_later_one_is_not_left_out() {
    let site = Site::new().await;
    let mut first = site.pool.begin().await.unwrap();
    sqlx::query(APPEND).bind("first").execute(&mut *first).await.unwrap();
    sqlx::query(APPEND).bind("second").execute(&site.pool).await.unwrap();
    let (events, ()) = tokio::join!(read_events(&site, "0", 2), async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        first.commit().await.unwrap();
    });
    let messages: Vec<_> = events.iter().map(|e| e["message"].as_str().unwrap()).collect();
    assert_eq!(messages, ["first", "second"]);

    // One that is rolled back holds nothing up, whoever begins meanwhile.
    let last = events[1]["id"].to_string();
    let mut gone = site.pool.begin().await.unwrap();
    sqlx::query(APPEND).bind("gone").execute(&mut *gone).await.unwrap();
    let mut later = site.pool.begin().await.unwrap();
    sqlx::query(APPEND).bind("later").execute(&mut *later).await.unwrap();
    sqlx::query(APPEND).bind("fourth").execute(&site.pool).await.unwrap();
    gone.rollback().await.unwrap();
    later.commit().await.unwrap();
    let busy = site.pool.begin().await.unwrap();
    let events = read_events(&site, &last, 2).await;
    drop(busy);
    let messages: Vec<_> = events.iter().map(|e| e["message"].as_str().unwrap()).collect();
    assert_eq!(messages, ["later", "fourth"]);
}

#[tokio::test]
async fn who_follows_from_now_on_gets_what_is_committed_from_now_on_and_nothing_older() {
    let site = Site::new().await;
    let mut gone = site.pool.begin().await.unwrap();
    sqlx::query(APPEND).bind("gone").execute(&mut *gone).await.unwrap();
    gone.rollback().await.unwrap();
    sqlx::query(APPEND).bind("old").execute(&site.pool).await.unwrap();
    let mut first = site.pool.begin().await.unwrap();
    sqlx::query(APPEND).bind("first").execute(&mut *first).await.unwrap();
    sqlx::query(APPEND).bind("older than the reader").execute(&site.pool).await.unwrap();
    let (events, ()) = tokio::join!(read_events(&site, "", 2), async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        first.commit().await.unwrap();
        sqlx::query(APPEND).bind("second").execute(&site.pool).await.unwrap();
    });
    let messages: Vec<_> = events.iter().map(|e| e["message"].as_str().unwrap()).collect();
    assert_eq!(messages, ["first", "second"]);
}

#[tokio::test]
async fn a_wait_ends_with_the_operation() {
    let site = Site::new().await;
    let id = site.machine("alpha", 1).await;
    sqlx::query(
        "INSERT INTO operation (kind, machine_id, step, deadline, requested_by) VALUES ('power', $1, 'act', now(), 'x')",
    )
    .bind(id.as_str())
    .execute(&site.pool)
    .await
    .unwrap();
    let shown = site.get("/operations/1").await.expect(200);
    assert_eq!((&shown["status"], &shown["hostname"]), (&json!("running"), &json!("alpha")));
    let finish = async {
        sqlx::query("UPDATE operation SET status = 'done', finished_at = now()")
            .execute(&site.pool)
            .await
            .unwrap();
    };
    let (waited, ()) = tokio::join!(site.get("/operations/1?wait=30"), finish);
    assert_eq!(waited.expect(200)["status"], "done");
    let page = site.get(&format!("/operations?machine={id}&status=done")).await.expect(200);
    assert_eq!((&page["total"], &page["items"][0]["percent"]), (&json!(1), &json!(100.0)));
    site.get("/operations/99").await.problem(404, "not-found");
    site.get("/operations?status=odd").await.problem(422, "invalid");
}

#[tokio::test]
async fn operations_come_page_by_page_newest_first_and_are_counted_once() {
    let site = Site::new().await;
    let id = site.machine("alpha", 1).await;
    let insert = "INSERT INTO operation (kind, machine_id, status, step, deadline, requested_by)
                  SELECT CASE WHEN n = 3 THEN 'test' ELSE 'power' END, $1, 'done', 'act', now(), 'x' FROM generate_series(1, 6) n";
    sqlx::query(insert).bind(id.as_str()).execute(&site.pool).await.unwrap();
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = site.get(&format!("/operations?kind=power&limit=2{cursor}")).await.expect(200);
        assert_eq!(page["total"], 5, "as it was when the first page was made");
        seen.extend(page["items"].as_array().unwrap().iter().map(|o| o["id"].as_i64().unwrap()));
        sqlx::query(insert).bind(id.as_str()).execute(&site.pool).await.unwrap();
        match &page["next_cursor"] {
            Value::String(next) => cursor = format!("&cursor={next}"),
            _ => break,
        }
    }
    assert_eq!(seen, [6, 5, 4, 2, 1]);
    site.get("/operations?cursor=Nw").await.problem(422, "invalid");
}

#[tokio::test]
async fn settings_are_changed_all_or_none() {
    let site = Site::new().await;
    let admin = Some(Role::Administrator);
    let body = json!({ "enlist": false, "default_tests": ["no-such-test"] });
    let text = site.request(admin, "PATCH", "/settings", &[], Some(&body)).await.problem(422, "invalid");
    assert_eq!(text, "there is no testing script or tag `no-such-test`");
    assert_eq!(site.get("/settings").await.expect(200)["enlist"], true);
    let body = json!({ "enlist": false, "ephemeral_kernel_arguments": "console=ttyS0" });
    site.request(admin, "PATCH", "/settings", &[], Some(&body)).await.expect(200);
    let settings = site.get("/settings").await.expect(200);
    assert_eq!((&settings["enlist"], &settings["auto_commission"]), (&json!(false), &json!(true)));
    let event = &site.get("/events?limit=5").await.expect(200)["items"][1];
    assert_eq!(event["kind"], "setting.changed");
    assert_eq!((&event["data"]["before"], &event["data"]["after"]), (&json!(true), &json!(false)));
}

#[tokio::test]
async fn health_readiness_and_metrics_ask_nobody_who_they_are() {
    let site = Site::new().await;
    site.machine("alpha", 1).await;
    let get = |path: &str| Request::builder().uri(path.to_owned()).body(Body::empty()).unwrap();
    assert_eq!(site.send(get("/healthz")).await.text, "ok\n");
    assert_eq!(site.send(get("/readyz")).await.text, "ready\n");
    let metrics = site.send(get("/metrics")).await.text;
    assert!(metrics.contains("rackwright_machines{status=\"new\"} 1\n"), "{metrics}");
    assert!(metrics.contains("rackwright_http_requests_total{status=\"2xx\"}"), "{metrics}");
    let document = site.send(get("/api/v1/openapi.json")).await.json();
    assert_eq!(document["openapi"], "3.1.0");
}
