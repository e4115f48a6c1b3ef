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
