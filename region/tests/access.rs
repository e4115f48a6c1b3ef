//! Who may do what: roles in pools, what somebody sees, how many machines they may have, tokens that may less than their user,
//! sessions that are ended; and the audit of what they did. The matrix of all operations and roles is in `authorization`.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod support;

use axum::body::{Body, to_bytes};
use axum::http::Request;
use rackwright_region::model::Role::{Administrator, Operator, User, Viewer};
use rackwright_region::model::audit::{AuditEntry, Broken, Walk};
use serde_json::{Value, json};
use std::time::Duration;
use support::{PASSWORD, Reply, Site};
use tower::ServiceExt;

async fn ask(site: &Site, token: &str, method: &str, path: &str, body: Option<Value>) -> Reply {
    let bearer = format!("Bearer {token}");
    site.request(None, method, path, &[("authorization", &bearer)], body.as_ref()).await
}

/// Two machines, the second one in the pool `lab`; and a user of whom it is said what they may.
async fn with_pool(site: &Site, patch: Value) -> (String, String) {
    site.request(Some(Administrator), "PUT", "/pools/lab", &[], Some(&json!({}))).await.expect(204);
    let (one, two) = (site.machine("one", 1).await, site.machine("two", 2).await);
    let moved = json!({ "pool": "lab" });
    site.request(Some(Administrator), "PATCH", &format!("/machines/{two}"), &[], Some(&moved))
        .await
        .expect(200);
    site.request(Some(Administrator), "PATCH", "/users/viewer", &[], Some(&patch)).await.expect(200);
    (one.to_string(), two.to_string())
}

#[tokio::test]
async fn a_role_in_a_pool_counts_for_its_machines_only() {
    let site = Site::new().await;
    let (one, two) = with_pool(&site, json!({ "pools": { "lab": "operator" } })).await;
    let (outside, inside) = (format!("/machines/{one}/lock"), format!("/machines/{two}/lock"));
    site.request(Some(Viewer), "POST", &inside, &[], None).await.expect(200);
    let refused = site.request(Some(Viewer), "POST", &outside, &[], None).await.problem(403, "forbidden");
    assert!(
        refused.contains("needs the role user in the pool default; viewer has the role viewer"),
        "{refused}"
    );
    // Who may say who uses a machine has the say in both pools.
    let away = json!({ "pool": "default" });
    let refused = site.request(Some(Viewer), "PATCH", &format!("/machines/{two}"), &[], Some(&away)).await;
    assert!(refused.problem(403, "forbidden").contains("in the pool default"));
    // Both are seen: the role in a pool takes nothing away.
    assert_eq!(site.get("/machines").await.expect(200)["total"], 2);
    let gone = json!({ "pools": {} });
    site.request(Some(Administrator), "PATCH", "/users/viewer", &[], Some(&gone)).await.expect(200);
    site.request(Some(Viewer), "POST", &inside, &[], None).await.problem(403, "forbidden");
}

#[tokio::test]
async fn whoever_sees_a_pool_only_does_not_learn_of_other_machines() {
    let site = Site::new().await;
    let (one, two) = with_pool(&site, json!({ "restricted": true, "pools": { "lab": "user" } })).await;
    for machine in [&one, &two] {
        site.set_status(&machine.parse().unwrap(), "ready").await;
    }
    let list = site.get("/machines").await.expect(200);
    assert_eq!((&list["total"], &list["items"][0]["hostname"]), (&1.into(), &"two".into()));
    assert_eq!(site.get("/machines?pool=default").await.expect(200)["total"], 0);
    assert_eq!(site.get("/status").await.expect(200)["machines"], json!({ "ready": 1 }));
    for path in ["", "/console", "/comparison", "/script-runs", "/script-runs/1"] {
        let text = site.get(&format!("/machines/{one}{path}")).await.problem(404, "not-found");
        assert!(text.contains(&one), "{path}: {text}");
    }
    for action in ["allocate", "abort", "lock", "release"] {
        let path = format!("/machines/{one}/{action}");
        site.request(Some(Viewer), "POST", &path, &[], Some(&json!({}))).await.problem(404, "not-found");
    }
    let events = site.get("/events?limit=1000").await.expect(200);
    assert!(events["items"].as_array().unwrap().iter().all(|e| e["machine"] == *two), "{events}");
    assert!(!events["items"].as_array().unwrap().is_empty());
    let started = "INSERT INTO operation (kind, machine_id, step, requested_by, deadline) VALUES ('test', $1, 'tests', 'ann', now())";
    sqlx::query(started).bind(&one).execute(&site.pool).await.unwrap();
    assert_eq!(site.get("/operations").await.expect(200)["total"], 0);
    let all = site.request(Some(Operator), "GET", "/operations", &[], None).await.expect(200);
    let operation = all["items"][0]["id"].clone();
    site.get(&format!("/operations/{operation}")).await.problem(404, "not-found");
    site.get(&format!("/operations/{operation}/log")).await.problem(404, "not-found");
    let counted = |page: &Value, name: &str| {
        let groups = page["items"].as_array().unwrap();
        groups.iter().find(|g| g["name"] == name).map(|g| g["machines"].clone())
    };
    let pools = site.get("/pools").await.expect(200);
    assert_eq!((counted(&pools, "default"), counted(&pools, "lab")), (Some(0.into()), Some(1.into())));
    site.request(Some(Viewer), "POST", &format!("/machines/{two}/allocate"), &[], None).await.expect(200);
    // A role everywhere would be more than what they see.
    let patch = json!({ "role": "operator" });
    let refused = site.request(Some(Administrator), "PATCH", "/users/viewer", &[], Some(&patch)).await;
    assert!(refused.problem(422, "invalid").contains("viewer everywhere"));
}

/// Faults of wiring, changed hardware, discoveries, runs of scripts and tags tell of machines, too.
#[tokio::test]
async fn what_tells_of_machines_beside_their_own_lists_is_limited_as_they_are() {
    let site = Site::new().await;
    let (one, two) = with_pool(&site, json!({ "restricted": true, "pools": { "lab": "user" } })).await;
    let rack: i64 = sqlx::query_scalar("INSERT INTO rack (name) VALUES ('rack-1') RETURNING id")
        .fetch_one(&site.pool)
        .await
        .unwrap();
    for (machine, mac) in [(&one, "52:54:00:00:00:01"), (&two, "52:54:00:00:00:02")] {
        let run = async |sql: &'static str| {
            sqlx::query(sql).bind(machine).execute(&site.pool).await.unwrap();
        };
        run("INSERT INTO wiring_fault (machine_id, interface, switch, port, seen_vid, model_vid, message) VALUES ($1, 'eth0', 's', '1', 5, 6, 'x')").await;
        run("INSERT INTO hardware_change (machine_id, kind, part) VALUES ($1, 'gone', 'disk of ' || (SELECT hostname FROM machine WHERE id = $1))").await;
        run("UPDATE machine SET tags = ARRAY['of-' || hostname] WHERE id = $1").await;
        run("INSERT INTO operation (kind, machine_id, step, requested_by, deadline) VALUES ('test', $1, 'tests', 'ann', now())").await;
        run("INSERT INTO work_item (operation_id, ordinal, kind) SELECT id, 1, 'script' FROM operation WHERE machine_id = $1").await;
        run("INSERT INTO script_run (machine_id, operation_id, script_id, work_item_id, name, script_type, hardware_type, status)
             SELECT o.machine_id, o.id, s.id, w.id, s.name, 'testing', 'cpu', 'passed'
             FROM operation o JOIN work_item w ON w.operation_id = o.id, script s WHERE o.machine_id = $1 AND s.name = 'cpu-quick'").await;
        let heard =
            "INSERT INTO discovery (rack_id, interface, mac, address) VALUES ($1, 'eth1', $2, '10.0.0.9')";
        sqlx::query(heard).bind(rack).bind(mac).execute(&site.pool).await.unwrap();
    }
    let stranger = "INSERT INTO discovery (rack_id, interface, mac, address) VALUES ($1, 'eth1', '52:54:00:00:00:03', '10.0.0.9')";
    sqlx::query(stranger).bind(rack).execute(&site.pool).await.unwrap();
    let told = "INSERT INTO wiring_fault (rack_id, interface, switch, port, seen_vid, model_vid, message) VALUES ($1, 'eth0', 's', '2', 5, 6, 'x')";
    sqlx::query(told).bind(rack).execute(&site.pool).await.unwrap();
    let names = |page: &Value, field: &str| -> Vec<String> {
        let items = page["items"].as_array().unwrap().iter();
        items.map(|item| item[field].as_str().unwrap_or("nobody").to_owned()).collect()
    };
    let look = async |role, path: &str| site.request(Some(role), "GET", path, &[], None).await.expect(200);
    let faults = "/wiring-faults";
    assert_eq!(names(&look(Operator, faults).await, "name"), ["one", "rack-1", "two"]);
    assert_eq!(names(&look(Viewer, faults).await, "name"), ["rack-1", "two"]);
    let of_one = format!("/wiring-faults?machine={one}");
    assert!(names(&look(Viewer, &of_one).await, "name").is_empty());
    let gone = "/hardware-changes?missing=true";
    assert_eq!(names(&look(Operator, gone).await, "part"), ["disk of two", "disk of one"]);
    assert_eq!(names(&look(Viewer, gone).await, "part"), ["disk of two"]);
    let of_one = format!("/hardware-changes?machine={one}");
    assert!(names(&look(Viewer, &of_one).await, "part").is_empty());
    let all = "/discoveries?all=true";
    assert_eq!(names(&look(Operator, all).await, "machine_name"), ["nobody", "two", "one"]);
    let seen = look(Viewer, all).await;
    assert_eq!(
        (names(&seen, "machine_name"), &seen["total"]),
        (vec!["nobody".into(), "two".into()], &2.into())
    );
    let hosts = |history: &Value| names(&json!({ "items": history["runs"] }), "hostname");
    assert_eq!(hosts(&look(Operator, "/scripts/cpu-quick/history").await), ["two", "one"]);
    assert_eq!(hosts(&look(Viewer, "/scripts/cpu-quick/history").await), ["two"]);
    assert_eq!(look(Operator, "/script-results").await["items"][0]["passed"], 2);
    assert_eq!(look(Viewer, "/script-results").await["items"][0]["passed"], 1);
    assert_eq!(names(&look(Operator, "/tags").await, "name"), ["of-one", "of-two"]);
    assert_eq!(names(&look(Viewer, "/tags").await, "name"), ["of-two"]);
}

#[tokio::test]
async fn nobody_takes_more_machines_than_they_may_have() {
    let site = Site::new().await;
    let limit = json!({ "machine_limit": 1 });
    site.request(Some(Administrator), "PATCH", "/users/user", &[], Some(&limit)).await.expect(200);
    let (one, two) = (site.machine("one", 1).await, site.machine("two", 2).await);
    for machine in [&one, &two] {
        site.set_status(machine, "ready").await;
    }
    let take = async |machine| {
        site.request(Some(User), "POST", &format!("/machines/{machine}/allocate"), &[], None).await
    };
    // Both at once: one of them waits for the other, and is refused.
    let (first, second) = tokio::join!(take(&one), take(&two));
    let (taken, refused) = if first.status == 200 { (first, second) } else { (second, first) };
    taken.expect(200);
    let text = refused.problem(409, "conflict");
    assert!(text.contains("user may have 1 machines at once and has 1; release one first"), "{text}");
    let more = json!({ "machine_limit": -1 });
    site.request(Some(Administrator), "PATCH", "/users/user", &[], Some(&more)).await.expect(200);
    let left: Vec<_> = [take(&one).await, take(&two).await].into_iter().filter(|r| r.status == 200).collect();
    assert_eq!(left.len(), 1);
}

#[tokio::test]
async fn a_token_may_at_most_what_was_said_when_it_was_made() {
    let site = Site::new().await;
    let machine = site.machine("one", 1).await;
    let body = json!({ "name": "monitoring", "role": "viewer" });
    let made = site.post("/tokens", body).await.expect(201);
    assert_eq!(made["token"]["role"], "viewer");
    let token = made["secret"].as_str().unwrap();
    ask(&site, token, "GET", "/machines", None).await.expect(200);
    let path = format!("/machines/{machine}/lock");
    let text = ask(&site, token, "POST", &path, None).await.problem(403, "forbidden");
    assert!(text.contains("administrator has the role viewer, by its token"), "{text}");
    // It does not get out of its limits by making another one, or a password.
    let body = json!({ "name": "more", "role": "administrator" });
    let second = ask(&site, token, "POST", "/tokens", Some(body)).await.expect(201);
    assert_eq!(second["token"]["role"], "viewer");
    let body = json!({ "password": PASSWORD });
    let text = ask(&site, token, "PATCH", "/users/administrator", Some(body)).await.problem(403, "forbidden");
    assert!(text.contains("limited to the role viewer"), "{text}");
}

#[tokio::test]
async fn a_session_is_listed_and_ended() {
    let site = Site::new().await;
    site.set_password(User).await;
    let body = json!({ "name": "user", "password": PASSWORD });
    let log_in = async || {
        let headers = [("user-agent", "Netscape 1.0")];
        let reply = site.request(None, "POST", "/session", &headers, Some(&body)).await;
        let cookie = reply.headers["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
        (cookie, reply.expect(200)["csrf"].as_str().unwrap().to_owned())
    };
    let ((one, csrf), (two, _)) = (log_in().await, log_in().await);
    let get =
        async |cookie: &str, path: &str| site.request(None, "GET", path, &[("cookie", cookie)], None).await;
    let list = get(&one, "/sessions").await.expect(200);
    let rows = list["items"].as_array().unwrap();
    assert_eq!(rows.iter().filter(|s| s["current"] == true).count(), 1, "{list}");
    let other = rows.iter().find(|s| s["current"] == false).unwrap();
    let path = format!("/sessions/{}", other["id"]);
    // Of another one, only an administrator.
    site.request(Some(Operator), "DELETE", &path, &[], None).await.problem(404, "not-found");
    site.request(Some(Operator), "GET", "/sessions?user=user", &[], None).await.problem(403, "forbidden");
    let headers = [("cookie", one.as_str()), ("x-csrf-token", csrf.as_str())];
    site.request(None, "DELETE", &path, &headers, None).await.expect(204);
    get(&two, "/machines").await.problem(401, "unauthenticated");
    get(&one, "/machines").await.expect(200);
    let all = site.request(Some(Administrator), "GET", "/sessions?user=*", &[], None).await.expect(200);
    assert_eq!(all["total"], 1);
    let path = format!("/sessions/{}", all["items"][0]["id"]);
    site.request(Some(Administrator), "DELETE", &path, &[], None).await.expect(204);
    get(&one, "/machines").await.problem(401, "unauthenticated");
}

#[tokio::test]
async fn a_stream_ends_when_what_its_reader_may_changes() {
    let site = Site::new().await;
    site.set_password(User).await;
    let body = json!({ "name": "user", "password": PASSWORD });
    let reply = site.request(None, "POST", "/session", &[], Some(&body)).await;
    let cookie = reply.headers["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    let session =
        site.request(Some(Administrator), "GET", "/sessions?user=user", &[], None).await.expect(200);
    let bearer = format!("Bearer {}", site.token(Viewer));
    let open = async |name: &str, value: &str| {
        let request = Request::get("/api/v1/events/stream").header(name, value).body(Body::empty()).unwrap();
        let response = site.router.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), 200);
        response.into_body()
    };
    let streams = [open("cookie", &cookie).await, open("authorization", &bearer).await];
    let restricted = json!({ "restricted": true, "pools": { "default": "user" } });
    site.request(Some(Administrator), "PATCH", "/users/viewer", &[], Some(&restricted)).await.expect(200);
    let path = format!("/sessions/{}", session["items"][0]["id"]);
    site.request(Some(Administrator), "DELETE", &path, &[], None).await.expect(204);
    for stream in streams {
        let read = tokio::time::timeout(Duration::from_secs(20), to_bytes(stream, 1 << 20)).await;
        let text = read.expect("the stream goes on, although what its reader may has changed").unwrap();
        let text = String::from_utf8_lossy(&text);
        assert!(text.contains("user.changed"), "it was read while it lasted: {text}");
    }
}

async fn entries(site: &Site) -> Vec<AuditEntry> {
    let page =
        site.request(Some(Administrator), "GET", "/audit?after=0&limit=1000", &[], None).await.expect(200);
    serde_json::from_value(page["items"].clone()).unwrap()
}

fn walk(entries: &[AuditEntry]) -> Result<i64, Broken> {
    let mut walk = Walk::default();
    entries.iter().try_for_each(|entry| walk.step(entry)).map(|()| walk.mark().number)
}

#[tokio::test]
async fn the_audit_has_every_change_by_a_person_once_and_in_a_chain() {
    let site = Site::new().await;
    let machine = site.machine("one", 1).await;
    let path = format!("/machines/{machine}");
    let patch = json!({ "description": "by the door" });
    site.request(Some(Operator), "PATCH", &path, &[], Some(&patch)).await.expect(200);
    site.set_status(&machine, "ready").await;
    let broken = json!({ "message": "the fan stands still" });
    site.request(Some(Operator), "POST", &format!("{path}/mark-broken"), &[], Some(&broken))
        .await
        .expect(200);
    let all = entries(&site).await;
    assert_eq!(walk(&all), Ok(i64::try_from(all.len()).unwrap()));
    let records: Vec<Value> = all.iter().map(|e| serde_json::from_str(&e.record).unwrap()).collect();
    let kinds: Vec<_> =
        records.iter().map(|r| (r["actor"].as_str().unwrap(), r["kind"].as_str().unwrap())).collect();
    assert!(
        kinds.contains(&("administrator", "machine.created"))
            && kinds.contains(&("operator", "machine.status")),
        "{kinds:?}"
    );
    let changed = records.iter().find(|r| r["kind"] == "machine.changed").unwrap();
    assert_eq!(
        (&changed["data"]["before"]["description"], &changed["data"]["after"]["description"]),
        (&"".into(), &"by the door".into())
    );
    let told = site.request(Some(Administrator), "GET", "/audit?actor=operator", &[], None).await.expect(200);
    assert!(
        told["items"]
            .as_array()
            .unwrap()
            .iter()
            .all(|e| e["record"].as_str().unwrap().contains("\"operator\""))
    );
    // What parts of Rackwright do is told by events, and not here.
    let automatic =
        "INSERT INTO event (kind, actor, message) VALUES ('x', 'rackwright', 'x'), ('x', 'rack:a', 'x')";
    sqlx::query(automatic).execute(&site.pool).await.unwrap();
    assert_eq!(entries(&site).await.len(), all.len());
}

#[tokio::test]
async fn the_audit_is_only_added_to_and_a_forced_change_is_found() {
    let site = Site::new().await;
    for (name, end) in [("one", 1), ("two", 2), ("three", 3)] {
        site.machine(name, end).await;
    }
    let run = async |sql: &'static str| sqlx::raw_sql(sql).execute(&site.pool).await;
    for sql in ["UPDATE audit SET record = '{}'", "DELETE FROM audit", "TRUNCATE audit"] {
        let refused = run(sql).await.unwrap_err().to_string();
        assert!(refused.contains("the audit is only added to"), "{sql}: {refused}");
    }
    let whole = entries(&site).await;
    // Whoever owns the database can do it all the same; the chain tells.
    run("ALTER TABLE audit DISABLE TRIGGER USER").await.unwrap();
    run("UPDATE audit SET record = replace(record, 'administrator', 'somebody') WHERE number = 2")
        .await
        .unwrap();
    assert_eq!(walk(&entries(&site).await), Err(Broken::Hash(2)));
    run("DELETE FROM audit WHERE number = 2").await.unwrap();
    assert_eq!(walk(&entries(&site).await), Err(Broken::Gap { missing: 2, found: 3 }));
    assert_eq!(walk(&whole), Ok(3));
}

/// Two hundred transactions at once, each with two events and a lock of its own: no number twice, none left out, none stuck.
#[tokio::test(flavor = "multi_thread")]
async fn the_audit_takes_many_at_once() {
    let site = Site::new().await;
    let before = entries(&site).await.len();
    let mut running = tokio::task::JoinSet::new();
    for i in 0..200_i32 {
        let pool = site.pool.clone();
        running.spawn(async move {
            let mut tx = pool.begin().await.unwrap();
            for kind in ["a", "b"] {
                let insert = "INSERT INTO event (kind, actor, message) VALUES ($1, 'ann', $2)";
                sqlx::query(insert).bind(kind).bind(i.to_string()).execute(&mut *tx).await.unwrap();
            }
            if i % 10 == 0 { tx.rollback().await.unwrap() } else { tx.commit().await.unwrap() }
        });
    }
    while let Some(done) = running.join_next().await {
        done.unwrap();
    }
    let all = entries(&site).await;
    assert_eq!(all.len(), before + 360);
    assert_eq!(walk(&all), Ok(i64::try_from(all.len()).unwrap()));
}
