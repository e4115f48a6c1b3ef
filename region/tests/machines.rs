//! Machines through the API: pages, filters, changes, removal, actions that take effect at once.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod support;

use rackwright_region::model::Role;
use serde_json::{Value, json};
use support::Site;

fn names(page: &Value) -> Vec<&str> {
    page["items"].as_array().unwrap().iter().map(|m| m["hostname"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn pages_follow_one_another_without_gap_or_repeat() {
    let site = Site::new().await;
    for i in 0..5 {
        site.machine(&format!("node-{i}"), i).await;
    }
    let first = site.get("/machines?limit=2").await.expect(200);
    assert_eq!(names(&first), ["node-0", "node-1"]);
    assert_eq!(first["total"], 5);
    // A row that arrives in between, before the cursor, moves nothing.
    site.machine("node-0a", 9).await;
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = site.get(&format!("/machines?limit=2&cursor={cursor}")).await.expect(200);
    assert_eq!(names(&second), ["node-2", "node-3"]);
    let cursor = second["next_cursor"].as_str().unwrap();
    let last = site.get(&format!("/machines?limit=2&cursor={cursor}")).await.expect(200);
    assert_eq!(names(&last), ["node-4"]);
    assert!(last.get("next_cursor").is_none());
    let text = site.get("/machines?cursor=%25").await.problem(422, "invalid");
    assert!(text.contains("is not a cursor of this list"), "{text}");
}

#[tokio::test]
async fn filters_go_together() {
    let site = Site::new().await;
    let one = site.machine("alpha", 1).await;
    site.machine("beta", 2).await;
    site.set_status(&one, "ready").await;
    let patch = json!({ "tags": ["gpu", " ssd ", "gpu"], "description": "Rack 5, slot 3" });
    let admin = Some(Role::Administrator);
    let patched =
        site.request(admin, "PATCH", &format!("/machines/{one}"), &[], Some(&patch)).await.expect(200);
    assert_eq!(patched["tags"], json!(["gpu", "ssd"]));
    for query in [
        "status=ready",
        "status=ready,deployed",
        "tag=gpu",
        "tag=gpu,ssd",
        "q=ALPH",
        "q=slot%203",
        "q=00:00:01",
        "status=ready&tag=gpu&zone=default&pool=default",
    ] {
        let page = site.get(&format!("/machines?{query}")).await.expect(200);
        assert_eq!(names(&page), ["alpha"], "{query}");
        assert_eq!(page["total"], 1, "{query}");
    }
    for query in ["status=deployed", "tag=gpu,other", "zone=x", "owner=user", "q=%25"] {
        assert_eq!(site.get(&format!("/machines?{query}")).await.expect(200)["total"], 0, "{query}");
    }
    let text = site.get("/machines?status=sleeping").await.problem(422, "invalid");
    assert_eq!(text, "`sleeping` is not a status");
}

#[tokio::test]
async fn a_change_meets_the_version_it_was_made_for() {
    let site = Site::new().await;
    let id = site.machine("alpha", 1).await;
    let path = format!("/machines/{id}");
    let shown = site.get(&path).await;
    let etag = shown.headers["etag"].to_str().unwrap().to_owned();
    let operator = Some(Role::Operator);
    let body = json!({ "description": "first" });
    let changed = site.request(operator, "PATCH", &path, &[("if-match", &etag)], Some(&body)).await;
    assert_ne!(changed.headers["etag"].to_str().unwrap(), etag);
    let body = json!({ "description": "second" });
    let text = site
        .request(operator, "PATCH", &path, &[("if-match", &etag)], Some(&body))
        .await
        .problem(412, "precondition-failed");
    assert!(text.contains("read it again"), "{text}");
    assert_eq!(site.get(&path).await.expect(200)["description"], "first");
}

#[tokio::test]
async fn what_is_wrong_is_said_with_its_field() {
    let site = Site::new().await;
    let id = site.machine("alpha", 1).await;
    let taken = site.post("/machines", json!({ "macs": ["52:54:00:00:00:01"] })).await;
    assert_eq!(taken.json()["field"], "macs");
    assert_eq!(taken.problem(409, "conflict"), "another machine has this MAC");
    let taken = site.post("/machines", json!({ "hostname": "alpha", "macs": ["52:54:00:00:00:02"] })).await;
    assert_eq!(taken.json()["field"], "hostname");
    let wrong = site.post("/machines", json!({ "hostname": "-", "macs": [] })).await.problem(422, "invalid");
    assert!(wrong.contains("`-` is not a host name"), "{wrong}");
    let wrong = site.post("/machines", json!({ "macs": [], "colour": 1 })).await;
    assert_eq!(wrong.json()["field"], "colour");
    let admin = Some(Role::Administrator);
    let body = json!({ "pool": "nowhere" });
    let wrong = site.request(admin, "PATCH", &format!("/machines/{id}"), &[], Some(&body)).await;
    assert_eq!(wrong.json()["field"], "pool");
    assert_eq!(wrong.problem(422, "invalid"), "there is no such pool");
    assert_eq!(site.get("/machines/zzzzzz").await.problem(404, "not-found"), "there is no machine zzzzzz");
    site.get("/machines/not-an-id").await.problem(404, "not-found");
    site.get("/nothing").await.problem(404, "not-found");
}

#[tokio::test]
async fn a_bmc_shows_no_secret_and_keeps_it_when_none_is_given() {
    let site = Site::new().await;
    let id = site.machine("alpha", 1).await;
    let path = format!("/machines/{id}/bmc");
    let operator = Some(Role::Operator);
    let body = json!({ "driver": "ipmi", "address": "192.0.2.9", "username": "root", "password": "calvin",
                       "settings": { "kg": "00112233" } });
    let reply = site.request(operator, "PUT", &path, &[], Some(&body)).await;
    assert!(!reply.text.contains("calvin") && !reply.text.contains("00112233"), "{}", reply.text);
    assert_eq!(reply.expect(200)["has_password"], true);
    let body = json!({ "driver": "ipmi", "address": "192.0.2.10", "username": "root" });
    site.request(operator, "PUT", &path, &[], Some(&body)).await.expect(200);
    let stored: Vec<u8> = sqlx::query_scalar("SELECT secret FROM bmc").fetch_one(&site.pool).await.unwrap();
    let plain = site.app.keys().open(&stored).unwrap();
    assert_eq!(serde_json::from_slice::<Value>(plain.expose()).unwrap()["password"], "calvin");
    let everything =
        format!("{}{}", site.get(&format!("/machines/{id}")).await.text, site.get("/events").await.text);
    assert!(!everything.contains("calvin") && !everything.contains("00112233"));
    let body = json!({ "driver": "ipmi" });
    let text = site.request(operator, "PUT", &path, &[], Some(&body)).await.problem(422, "invalid");
    assert!(text.contains("needs the BMC's address"), "{text}");
}

#[tokio::test]
async fn a_user_takes_a_ready_machine_and_nobody_elses() {
    let site = Site::new().await;
    let (mine, other) = (site.machine("alpha", 1).await, site.machine("beta", 2).await);
    let user = Some(Role::User);
    let text = site
        .request(user, "POST", &format!("/machines/{mine}/allocate"), &[], None)
        .await
        .problem(409, "conflict");
    assert_eq!(text, "this is not possible while the machine is New");
    for id in [&mine, &other] {
        site.set_status(id, "ready").await;
    }
    let taken =
        site.request(user, "POST", &format!("/machines/{mine}/allocate"), &[], None).await.expect(200);
    assert_eq!((&taken["status"], &taken["owner"]), (&json!("allocated"), &json!("user")));
    let operator = Some(Role::Operator);
    site.request(operator, "POST", &format!("/machines/{other}/allocate"), &[], None).await.expect(200);
    for action in ["release", "lock", "abort", "deploy"] {
        let reply = site.request(user, "POST", &format!("/machines/{other}/{action}"), &[], None).await;
        assert!(reply.problem(403, "forbidden").contains("this machine is not user's"), "{action}");
    }
    site.request(user, "POST", &format!("/machines/{mine}/lock"), &[], None).await.expect(200);
    let text = site
        .request(user, "POST", &format!("/machines/{mine}/release"), &[], None)
        .await
        .problem(409, "conflict");
    assert!(text.contains("is locked; unlock it first"), "{text}");
    site.request(user, "POST", &format!("/machines/{mine}/unlock"), &[], None).await.expect(200);
    let reply = site.request(user, "POST", &format!("/machines/{mine}/release"), &[], None).await;
    let location = reply.headers["location"].to_str().unwrap().to_owned();
    let operation = reply.expect(202);
    assert_eq!(location, format!("/api/v1/operations/{}", operation["id"]));
    let shown = site.get(&format!("/machines/{mine}")).await.expect(200);
    assert_eq!(shown["status"], "releasing");
    assert_eq!(shown["operation"]["id"], operation["id"]);
    let text = site
        .request(user, "POST", &format!("/machines/{mine}/release"), &[], None)
        .await
        .problem(409, "busy");
    assert!(text.starts_with("release is under way on machine"), "{text}");
    assert!(text.contains(&format!("(operation {}, asked for by ", operation["id"])), "{text}");
}

#[tokio::test]
async fn a_deployed_or_locked_machine_is_removed_by_force_only() {
    let site = Site::new().await;
    let id = site.machine("alpha", 1).await;
    sqlx::query("UPDATE machine SET status = 'deployed', deployed_at = now()")
        .execute(&site.pool)
        .await
        .unwrap();
    let operator = Some(Role::Operator);
    let path = format!("/machines/{id}");
    let text = site.request(operator, "DELETE", &path, &[], None).await.problem(409, "conflict");
    assert!(text.contains("release it first"), "{text}");
    site.request(operator, "DELETE", &format!("{path}?force=true"), &[], None).await.expect(204);
    site.get(&path).await.problem(404, "not-found");
    let events = site.get(&format!("/events?machine={id}")).await.expect(200);
    assert_eq!(events["items"][0]["kind"], "machine.deleted");
    assert_eq!(events["items"][0]["actor"], "operator");
}

#[tokio::test]
async fn broken_and_fixed() {
    let site = Site::new().await;
    let id = site.machine("alpha", 1).await;
    let operator = Some(Role::Operator);
    let body = json!({ "message": "fan 2 is loud" });
    let path = format!("/machines/{id}");
    let broken =
        site.request(operator, "POST", &format!("{path}/mark-broken"), &[], Some(&body)).await.expect(200);
    assert_eq!((&broken["status"], &broken["status_message"]), (&json!("broken"), &json!("fan 2 is loud")));
    let fixed = site.request(operator, "POST", &format!("{path}/mark-fixed"), &[], None).await.expect(200);
    assert_eq!(fixed["status"], "new");
}
