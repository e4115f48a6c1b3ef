//! One action on many machines: stored, carried out machine by machine, each once whatever dies, as the one who asked.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod support;

use rackwright_region::app::bulk;
use rackwright_region::model::Role::{Administrator, Operator, User, Viewer};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use support::Site;
use tokio_util::sync::CancellationToken;

async fn ask(site: &Site, body: Value) -> i64 {
    let made = site.request(Some(Operator), "POST", "/bulk-actions", &[], Some(&body)).await.expect(202);
    made["id"].as_i64().unwrap()
}

async fn ended(site: &Site, id: i64) -> Value {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let path = format!("/bulk-actions/{id}");
        let seen = site.request(Some(Operator), "GET", &path, &[], None).await.expect(200);
        if !seen["finished_at"].is_null() {
            return seen;
        }
        assert!(Instant::now() < deadline, "it does not end: {seen}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn versions(site: &Site) -> Vec<(String, bool, i64)> {
    sqlx::query_as("SELECT hostname, locked, version FROM machine ORDER BY hostname")
        .fetch_all(&site.pool)
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_machines_are_locked_once_by_two_regions_and_what_refuses_ends_nothing() {
    let site = Site::new().await;
    let mut machines = Vec::new();
    for i in 0..50_u8 {
        machines.push(site.machine(&format!("node-{i:02}"), i).await.to_string());
    }
    // One is gone before its turn comes.
    let id = ask(&site, json!({ "verb": "lock", "machines": machines })).await;
    let gone = format!("/machines/{}?force=true", machines[7]);
    site.request(Some(Administrator), "DELETE", &gone, &[], None).await.expect(204);
    let before = versions(&site).await;
    let stop = CancellationToken::new();
    let regions = [site.app.clone(), site.app.clone()].map(|app| tokio::spawn(bulk::run(app, stop.clone())));
    let seen = ended(&site, id).await;
    assert_eq!((&seen["total"], &seen["done"], &seen["refused"]), (&50.into(), &49.into(), &1.into()));
    assert_eq!(seen["refusals"][0]["hostname"], "node-07");
    let after = versions(&site).await;
    assert!(after.iter().all(|(_, locked, _)| *locked));
    let raised = before.iter().zip(&after).map(|(b, a)| a.2 - b.2);
    assert!(raised.clone().all(|n| n == 1), "each once: {:?}", raised.collect::<Vec<_>>());
    stop.cancel();
    for region in regions {
        region.await.unwrap();
    }
}

/// A region carried it out, and died before it said so: whoever claims it next does nothing a second time.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_region_did_before_it_died_is_not_done_again() {
    let site = Site::new().await;
    let machine = site.machine("one", 1).await;
    let id =
        ask(&site, json!({ "verb": "add-tag", "machines": [machine], "parameters": { "value": "slow" } }))
            .await;
    let stop = CancellationToken::new();
    let region = tokio::spawn(bulk::run(site.app.clone(), stop.clone()));
    ended(&site, id).await;
    let before = versions(&site).await;
    let forgotten = "UPDATE bulk_item SET status = 'pending', claimed_until = now() - interval '1 second';
                     UPDATE bulk SET finished_at = NULL;
                     UPDATE idempotency_key SET created_at = now() - interval '1 minute'";
    sqlx::raw_sql(forgotten).execute(&site.pool).await.unwrap();
    let seen = ended(&site, id).await;
    assert_eq!((&seen["done"], &seen["refused"]), (&1.into(), &0.into()));
    assert_eq!(versions(&site).await, before);
    stop.cancel();
    region.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_done_with_what_the_one_who_asked_may_at_that_moment() {
    let site = Site::new().await;
    let (one, two) = (site.machine("one", 1).await, site.machine("two", 2).await);
    let lock = |machine| json!({ "verb": "lock", "machines": [machine] });
    let (first, second) = (ask(&site, lock(&one)).await, ask(&site, lock(&two)).await);
    let less = json!({ "role": "viewer" });
    site.request(Some(Administrator), "PATCH", "/users/operator", &[], Some(&less)).await.expect(200);
    let stop = CancellationToken::new();
    let region = tokio::spawn(bulk::run(site.app.clone(), stop.clone()));
    for id in [first, second] {
        // Their own they may still look at.
        let seen = ended(&site, id).await;
        let why = seen["refusals"][0]["message"].as_str().unwrap();
        assert!(why.contains("needs the role user; operator has the role viewer"), "{why}");
    }
    // Of others, only operators.
    site.request(Some(User), "GET", &format!("/bulk-actions/{first}"), &[], None)
        .await
        .problem(403, "forbidden");
    let none = json!({ "verb": "lock", "machines": [] });
    site.request(Some(User), "POST", "/bulk-actions", &[], Some(&none)).await.problem(422, "invalid");
    site.request(Some(Viewer), "POST", "/bulk-actions", &[], Some(&lock(&one)))
        .await
        .problem(403, "forbidden");
    stop.cancel();
    region.await.unwrap();
}

/// Two machines, the second one in the pool `lab`; what a viewer may is said by `patch`.
async fn with_pool(site: &Site, patch: Value) -> (String, String) {
    let (one, two) = (site.machine("one", 1).await, site.machine("two", 2).await);
    site.request(Some(Administrator), "PUT", "/pools/lab", &[], Some(&json!({}))).await.expect(204);
    let moved = json!({ "pool": "lab" });
    let path = format!("/machines/{two}");
    site.request(Some(Administrator), "PATCH", &path, &[], Some(&moved)).await.expect(200);
    site.request(Some(Administrator), "PATCH", "/users/viewer", &[], Some(&patch)).await.expect(200);
    (one.to_string(), two.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_in_a_pool_counts_in_an_action_for_its_machines_only() {
    let site = Site::new().await;
    let (one, two) = with_pool(&site, json!({ "pools": { "lab": "user" } })).await;
    sqlx::query("UPDATE machine SET owner_id = (SELECT id FROM \"user\" WHERE name = 'viewer')")
        .execute(&site.pool)
        .await
        .unwrap();
    let both = json!({ "verb": "lock", "machines": [one, two] });
    let id = site.request(Some(Viewer), "POST", "/bulk-actions", &[], Some(&both)).await.expect(202);
    let stop = CancellationToken::new();
    let region = tokio::spawn(bulk::run(site.app.clone(), stop.clone()));
    let seen = ended(&site, id["id"].as_i64().unwrap()).await;
    assert_eq!((&seen["done"], &seen["refused"]), (&1.into(), &1.into()), "{seen}");
    let refusal = &seen["refusals"][0];
    assert_eq!(refusal["hostname"], "one");
    let why = refusal["message"].as_str().unwrap();
    assert!(why.contains("needs the role user in the pool default; viewer has the role viewer"), "{why}");
    stop.cancel();
    region.await.unwrap();
}

/// What they do not see is left out when they ask, and not there when it left their sight before its turn.
#[tokio::test(flavor = "multi_thread")]
async fn an_action_does_not_reach_what_the_one_who_asked_does_not_see() {
    let site = Site::new().await;
    let (one, two) = with_pool(&site, json!({ "restricted": true, "pools": { "lab": "operator" } })).await;
    let only = json!({ "verb": "lock", "machines": [one] });
    site.request(Some(Viewer), "POST", "/bulk-actions", &[], Some(&only)).await.problem(404, "not-found");
    let both = json!({ "verb": "lock", "machines": [one, two] });
    let made = site.request(Some(Viewer), "POST", "/bulk-actions", &[], Some(&both)).await.expect(202);
    assert_eq!(made["total"], 1);
    let away = json!({ "pool": "default" });
    site.request(Some(Administrator), "PATCH", &format!("/machines/{two}"), &[], Some(&away))
        .await
        .expect(200);
    let stop = CancellationToken::new();
    let region = tokio::spawn(bulk::run(site.app.clone(), stop.clone()));
    let seen = ended(&site, made["id"].as_i64().unwrap()).await;
    assert_eq!((&seen["done"], &seen["refused"]), (&0.into(), &1.into()), "{seen}");
    assert!(versions(&site).await.iter().all(|(_, locked, _)| !locked));
    stop.cancel();
    region.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_action_does_at_most_what_the_token_let_them_do_with_which_it_was_asked_for() {
    let site = Site::new().await;
    let machine = site.machine("one", 1).await;
    let made = site.post("/tokens", json!({ "name": "narrow", "role": "user" })).await.expect(201);
    let bearer = format!("Bearer {}", made["secret"].as_str().unwrap());
    let headers = [("authorization", bearer.as_str())];
    let body = json!({ "verb": "mark-broken", "machines": [machine] });
    let made = site.request(None, "POST", "/bulk-actions", &headers, Some(&body)).await.expect(202);
    let stop = CancellationToken::new();
    let region = tokio::spawn(bulk::run(site.app.clone(), stop.clone()));
    let seen = ended(&site, made["id"].as_i64().unwrap()).await;
    let why = seen["refusals"][0]["message"].as_str().unwrap();
    assert!(why.contains("needs the role operator") && why.contains("by its token"), "{why}");
    stop.cancel();
    region.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_action_that_is_stopped_ends_before_its_next_machine_and_tells_the_others_why() {
    let site = Site::new().await;
    let machines =
        [site.machine("one", 1).await, site.machine("two", 2).await, site.machine("three", 3).await];
    let id = ask(&site, json!({ "verb": "lock", "machines": machines })).await;
    let path = format!("/bulk-actions/{id}/stop");
    site.request(Some(User), "POST", &path, &[], None).await.problem(403, "forbidden");
    // A region is at the first one: that is finished, also when the region has to begin again.
    let at_it = "UPDATE bulk_item SET claimed_until = now() + interval '1 minute' WHERE ordinal = 1";
    sqlx::raw_sql(at_it).execute(&site.pool).await.unwrap();
    let seen = site.request(Some(Administrator), "POST", &path, &[], None).await.expect(200);
    assert_eq!((&seen["refused"], &seen["stopped_by"]), (&2.into(), &"administrator".into()), "{seen}");
    assert!(seen["finished_at"].is_null());
    sqlx::raw_sql("UPDATE bulk_item SET claimed_until = now()").execute(&site.pool).await.unwrap();
    let stop = CancellationToken::new();
    let region = tokio::spawn(bulk::run(site.app.clone(), stop.clone()));
    let seen = ended(&site, id).await;
    assert_eq!((&seen["done"], &seen["refused"]), (&0.into(), &3.into()), "{seen}");
    for refusal in seen["refusals"].as_array().unwrap() {
        assert_eq!(refusal["message"], "administrator stopped the action before its turn came");
    }
    assert!(versions(&site).await.iter().all(|(_, locked, _)| !locked));
    // Twice is as once.
    let again = site.request(Some(Operator), "POST", &path, &[], None).await.expect(200);
    assert_eq!(again["stopped_by"], "administrator");
    stop.cancel();
    region.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_action_does_not_outlive_the_token_that_began_it() {
    let site = Site::new().await;
    let machine = site.machine("one", 1).await;
    let made = site.post("/tokens", json!({ "name": "short" })).await.expect(201);
    let bearer = format!("Bearer {}", made["secret"].as_str().unwrap());
    let headers = [("authorization", bearer.as_str())];
    let body = json!({ "verb": "lock", "machines": [machine] });
    let asked = site.request(None, "POST", "/bulk-actions", &headers, Some(&body)).await.expect(202);
    site.request(Some(Administrator), "DELETE", &format!("/tokens/{}", made["token"]["id"]), &[], None)
        .await
        .expect(204);
    let stop = CancellationToken::new();
    let region = tokio::spawn(bulk::run(site.app.clone(), stop.clone()));
    let seen = ended(&site, asked["id"].as_i64().unwrap()).await;
    let why = seen["refusals"][0]["message"].as_str().unwrap();
    assert!(why.contains("the token with which administrator asked for it was removed"), "{why}");
    stop.cancel();
    region.await.unwrap();
}

/// Somebody describes the machines while they are tagged: that is no reason to refuse.
#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_changes_meanwhile_is_changed_as_it_is_then() {
    let site = Site::new().await;
    let machine = site.machine("one", 1).await;
    let stop = CancellationToken::new();
    let pool = site.pool.clone();
    let busy = stop.clone();
    let others = tokio::spawn(async move {
        while !busy.is_cancelled() {
            sqlx::raw_sql("UPDATE machine SET version = version + 1").execute(&pool).await.unwrap();
        }
    });
    let region = tokio::spawn(bulk::run(site.app.clone(), stop.clone()));
    for tag in ["a", "b", "c", "d"] {
        let body = json!({ "verb": "add-tag", "machines": [machine], "parameters": { "value": tag } });
        let id = ask(&site, body).await;
        let deadline = Instant::now() + Duration::from_secs(30);
        let seen = loop {
            let path = format!("/bulk-actions/{id}");
            let seen = site.request(Some(Operator), "GET", &path, &[], None).await.expect(200);
            if !seen["finished_at"].is_null() {
                break seen;
            }
            assert!(Instant::now() < deadline, "it does not end: {seen}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        };
        assert_eq!(seen["refused"], 0, "{seen}");
    }
    stop.cancel();
    region.await.unwrap();
    others.await.unwrap();
}
