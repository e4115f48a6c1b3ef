//! What a person asks of a BMC travels as a rack's task and comes back in the same request; commands are operations
//! that keep the BMC's answer.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod support;

use axum::body::{Body, to_bytes};
use axum::http::Request;
use rackwright_common::MachineId;
use rackwright_common::bmc::{BmcAction, BmcError};
use rackwright_region::model::Role;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use support::machine::World;
use tower::ServiceExt;

/// `GET` as a user, while the rack works.
async fn ask(world: &mut World, path: &str) -> (u16, Value) {
    let request = Request::builder()
        .uri(format!("/api/v1{path}"))
        .header("authorization", format!("Bearer {}", world.site.token(Role::User)))
        .body(Body::empty())
        .unwrap();
    let asked = tokio::spawn(world.site.router.clone().oneshot(request));
    let deadline = Instant::now() + Duration::from_secs(20);
    while !asked.is_finished() {
        assert!(Instant::now() < deadline, "no answer to {path}; the BMC has seen {:?}", world.commands);
        world.work_bmc().await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let reply = asked.await.unwrap().unwrap();
    let status = reply.status().as_u16();
    let body = to_bytes(reply.into_body(), 1 << 20).await.unwrap();
    (status, serde_json::from_slice(&body).unwrap())
}

async fn bmc_error(world: &World, id: &MachineId) -> Option<String> {
    sqlx::query_scalar("SELECT error FROM bmc WHERE machine_id = $1")
        .bind(id.as_str())
        .fetch_one(&world.site.pool)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_question_is_answered_while_the_machine_is_being_deployed_and_leaves_no_trace_in_its_history() {
    let (mut world, id) = World::ready().await;
    world.act(&id, "deploy", json!({ "image": "debian-12" })).await;
    world
        .site
        .post(&format!("/machines/{id}/power"), json!({ "action": "query" }))
        .await
        .problem(409, "busy");
    world.commands.clear();
    let (status, answer) = ask(&mut world, &format!("/machines/{id}/bmc/sensors")).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(
        answer,
        json!({ "outcome": "sensors", "readings": [{ "name": "Fan 1", "value": 4800.0, "unit": "RPM" }] })
    );
    assert_eq!(world.commands, [BmcAction::Sensors]);
    world.until(&id, "deployed").await;
    let (status, answer) = ask(&mut world, &format!("/machines/{id}/bmc/power")).await;
    assert_eq!((status, answer), (200, json!({ "outcome": "power", "state": "on" })));
    let operations: i64 = sqlx::query_scalar("SELECT count(*) FROM operation WHERE kind = 'power'")
        .fetch_one(&world.site.pool)
        .await
        .unwrap();
    assert_eq!(operations, 0);
}

#[tokio::test]
async fn what_the_bmc_says_no_to_is_said_to_the_person() {
    let (mut world, id) = World::ready().await;
    world.bmc_error = Some(BmcError::Login("wrong password".into()));
    let (status, problem) = ask(&mut world, &format!("/machines/{id}/bmc/event-log")).await;
    assert_eq!((status, problem["code"].as_str()), (502, Some("bmc")), "{problem}");
    let text = "the BMC refuses the login (wrong password): check user name, password and privilege";
    assert_eq!(problem["detail"], text);
    assert_eq!(bmc_error(&world, &id).await.as_deref(), Some(text), "the machine's page shows it too");

    // A driver without event log says nothing of this BMC's health.
    world.bmc_error = None;
    ask(&mut world, &format!("/machines/{id}/bmc/power")).await;
    world.bmc_error = Some(BmcError::Unsupported("AMT has no such thing".into()));
    let (status, _) = ask(&mut world, &format!("/machines/{id}/bmc/event-log")).await;
    assert_eq!((status, bmc_error(&world, &id).await), (502, None));
}

#[tokio::test]
async fn nobody_is_asked_when_there_is_nobody_to_ask() {
    let world = World::new().await;
    let id = world.site.machine("bare", 9).await;
    let path = format!("/machines/{id}/bmc/fru");
    let text = world.site.request(Some(Role::User), "GET", &path, &[], None).await.problem(409, "conflict");
    assert!(text.ends_with("has no BMC; set one with `rackwright machine bmc`"), "{text}");
    let path = format!("/machines/{id}/bmc/password");
    world.site.request(Some(Role::User), "GET", &path, &[], None).await.problem(404, "not-found");
}

#[tokio::test]
async fn a_command_keeps_the_answer_and_a_locked_machine_keeps_its_event_log() {
    let (mut world, id) = World::ready().await;
    world.commands.clear();
    let begun = world.act(&id, "power", json!({ "action": "clear-event-log" })).await;
    world.until(&id, "ready").await;
    assert_eq!(world.commands, [BmcAction::ClearEventLog]);
    let shown = world.site.get(&format!("/operations/{}", begun["id"])).await.expect(200);
    assert_eq!(shown["status"], "done");
    assert_eq!(
        shown["result"],
        json!({ "outcome": "power", "state": "off" }),
        "what this BMC answers to all"
    );

    world.site.post(&format!("/machines/{id}/lock"), Value::Null).await.expect(200);
    let refused =
        world.site.post(&format!("/machines/{id}/power"), json!({ "action": "clear-event-log" })).await;
    assert!(refused.problem(409, "conflict").contains("is locked"));
    let (status, _) = ask(&mut world, &format!("/machines/{id}/bmc/event-log")).await;
    assert_eq!(status, 200, "reading is not changing");
}
