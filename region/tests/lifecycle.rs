//! Whole lives of a machine against the real database, with every part that is not the region played by
//! [`support::machine::World`]: what is done, what is written, and what a dead or late owner can do (nothing).

mod support;

use rackwright_common::bmc::{BmcAction, BmcError};
use rackwright_common::lifecycle::Event;
use rackwright_region::db::DbError;
use rackwright_region::db::{machine, operation};
use rackwright_region::lifecycle::decision::{self, Decision, Effect};
use rackwright_region::racks::journal::{self, Source};
use serde_json::json;
use support::machine::World;

#[tokio::test]
async fn an_unknown_machine_is_enlisted_commissioned_and_tested() {
    let (world, id) = World::ready().await;
    assert_eq!(world.done[..2], ["inventory", "setup-bmc"]);
    assert_eq!(world.done[2..], ["script"; 4], "the four quick tests: one machine, one disk, one NIC");
    assert!(!world.on, "it is switched off at the end");
    let snapshot = world.snapshot().await;
    let host = &snapshot.hosts[0];
    assert_eq!(host.machine, id);
    assert_eq!(
        host.interfaces[0].address.unwrap().to_string(),
        "10.77.0.2",
        "the lowest free address is its own"
    );
    let numbers: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM script_run WHERE status = 'passed' AND results->'speed' = '5'",
    )
    .fetch_one(&world.site.pool)
    .await
    .unwrap();
    assert_eq!(numbers, 4);
}

#[tokio::test]
async fn a_machine_is_deployed_and_released() {
    let (mut world, id) = World::ready().await;
    world.done.clear();
    world.act(&id, "deploy", json!({ "image": "debian-12" })).await;
    world.until(&id, "deployed").await;
    assert_eq!(world.done, ["install", "reboot"]);
    assert!(world.on);

    world.act(&id, "release", json!({ "erase": "quick" })).await;
    world.until(&id, "ready").await;
    assert_eq!(world.done, ["install", "reboot", "erase"]);
    assert!(!world.on);
}

#[tokio::test]
async fn owners_that_die_at_every_claim_delay_a_deploy_and_do_not_fail_it() {
    let (mut world, id) = World::ready().await;
    world.done.clear();
    world.commands.clear();
    world.act(&id, "deploy", json!({ "image": "debian-12" })).await;
    let mut deaths = 0;
    for _ in 0..60 {
        world.hurry().await;
        // Somebody claims and dies; nobody else may touch the operation until the claim is over.
        if world.claim_and_die().await.is_some() {
            deaths += 1;
            assert!(world.claim_and_die().await.is_none(), "a claim excludes others");
            world.expire_claims().await;
        }
        world.work_region().await;
        world.work_bmc().await;
        world.work_agent().await;
    }
    assert!(deaths > 5, "{deaths}");
    world.until(&id, "deployed").await;
    assert_eq!(world.done, ["install", "reboot"], "each work was done once");
    let ons = world.commands.iter().filter(|c| **c == BmcAction::On).count();
    assert_eq!(ons, 1, "{:?}", world.commands);
}

#[tokio::test]
async fn an_owner_that_wakes_up_late_writes_nothing() {
    let (mut world, id) = World::ready().await;
    world.act(&id, "deploy", json!({ "image": "debian-12" })).await;
    let late = world.claim_and_die().await.unwrap();
    world.expire_claims().await;
    world.until(&id, "deployed").await;
    let mut conn = world.site.pool.acquire().await.unwrap();
    let found = machine::get(&mut conn, &id).await.unwrap();
    let before: (i64, i64) = counts(&world).await;
    let decided = Decision::fail("the late owner's verdict")
        .with(Effect::Task { key: "late".into(), action: BmcAction::Off })
        .with(Effect::Status(Event::StartRelease));
    let lost = decision::commit(&mut conn, &late, &found, &decided).await;
    assert!(matches!(lost, Err(DbError::Stale)), "{lost:?}");
    assert_eq!(counts(&world).await, before, "neither a task nor an event");
    assert_eq!(world.status(&id).await.0, "deployed");
    assert!(matches!(operation::hold(&mut conn, &late).await, Err(DbError::Stale)));
}

async fn counts(world: &World) -> (i64, i64) {
    sqlx::query_as("SELECT (SELECT count(*) FROM event), (SELECT count(*) FROM rack_task)")
        .fetch_one(&world.site.pool)
        .await
        .expect("the counts")
}

#[tokio::test]
async fn a_failed_test_blocks_deployment_until_it_is_overridden() {
    let mut world = World::new().await;
    world.fails = Some(("script", "bad sector"));
    world.power_on().await;
    let id = world.machine().await;
    world.until(&id, "failed-testing").await;
    let (_, message) = world.status(&id).await;
    assert!(message.starts_with("failed tests: cpu-quick, "), "{message}");
    assert!(message.contains("disk-quick on D1"), "{message}");
    let refused = world.site.post(&format!("/machines/{id}/deploy"), json!({ "image": "debian-12" })).await;
    assert_eq!(refused.status.as_u16(), 409, "{}", refused.text);
}

#[tokio::test]
async fn a_failed_installation_says_why_holds_the_machine_and_can_be_tried_again() {
    let (mut world, id) = World::ready().await;
    world.fails = Some(("install", "disk vda (2 GiB) is smaller than the image (4 GiB)"));
    world.act(&id, "deploy", json!({ "image": "debian-12" })).await;
    world.until(&id, "failed-deployment").await;
    let why = "debian-12@1 could not be installed: disk vda (2 GiB) is smaller than the image (4 GiB)";
    assert_eq!(world.status(&id).await.1, why);
    world.work_bmc().await;
    assert!(!world.on, "a half-written disk does not run");
    assert!(matches!(
        world.snapshot().await.hosts[0].boot,
        rackwright_common::snapshot::BootDecision::Hold { .. }
    ));
    world.fails = None;
    world.act(&id, "deploy", json!({ "image": "debian-12" })).await;
    world.until(&id, "deployed").await;
}

#[tokio::test]
async fn a_bmc_that_refuses_the_login_ends_the_operation_with_the_cure() {
    let (mut world, id) = World::ready().await;
    world.bmc_error = Some(BmcError::Login("wrong password".into()));
    world.act(&id, "deploy", json!({ "image": "debian-12" })).await;
    world.until(&id, "failed-deployment").await;
    assert!(world.status(&id).await.1.contains("check user name, password and privilege"));
}

#[tokio::test]
async fn a_bmc_that_vanishes_for_a_while_delays_the_operation() {
    let (mut world, id) = World::ready().await;
    world.bmc_error = Some(BmcError::Unreachable("no answer".into()));
    world.act(&id, "deploy", json!({ "image": "debian-12" })).await;
    for _ in 0..5 {
        world.hurry().await;
        world.work_region().await;
        world.work_bmc().await;
    }
    assert_eq!(world.status(&id).await.0, "deploying");
    assert!(world.running(&id).await.unwrap().1.contains("does not answer"));
    world.bmc_error = None;
    world.until(&id, "deployed").await;
}

#[tokio::test]
async fn a_machine_that_restarts_in_the_middle_of_its_installation_starts_it_over() {
    let (mut world, id) = World::ready().await;
    world.done.clear();
    world.act(&id, "deploy", json!({ "image": "debian-12" })).await;
    while world.agent.is_none() {
        world.hurry().await;
        world.work_region().await;
        world.work_bmc().await;
    }
    world.work_region().await;
    let first = world.agent.clone().unwrap();
    // The plug is pulled while it writes; it boots again by itself and is given the same item.
    let taken = world
        .request("POST", "/agent/v1/next", Some(format!("Bearer {}", first.0)), json!({ "boot_id": first.1 }))
        .await;
    assert!(taken.body.contains("install"), "{}", taken.body);
    world.power_on().await;
    world.until(&id, "deployed").await;
    assert_eq!(world.done, ["install", "reboot"]);
    let late = world
        .request("POST", "/agent/v1/next", Some(format!("Bearer {}", first.0)), json!({ "boot_id": first.1 }))
        .await;
    assert_eq!(late.status, 410, "the first boot's token died with the operation");
}

#[tokio::test]
async fn a_machine_pulled_in_the_middle_of_its_installation_is_switched_on_again_and_starts_over() {
    let (mut world, id) = World::ready().await;
    world.done.clear();
    world.act(&id, "deploy", json!({ "image": "debian-12" })).await;
    while world.agent.is_none() {
        world.hurry().await;
        world.work_region().await;
        world.work_bmc().await;
    }
    world.work_region().await;
    let (token, boot) = world.agent.take().unwrap();
    let bearer = Some(format!("Bearer {token}"));
    let taken = world.request("POST", "/agent/v1/next", bearer, json!({ "boot_id": boot })).await;
    assert!(taken.body.contains("install"), "{}", taken.body);
    // The plug is pulled, and nobody pushes the button: it is silent for longer than agents are.
    world.on = false;
    world.commands.clear();
    for late in [
        "UPDATE agent_boot SET last_seen_at = now() - interval '100 s'",
        "UPDATE operation SET step_since = now() - interval '100 s'",
    ] {
        sqlx::query(late).execute(&world.site.pool).await.unwrap();
    }
    world.until(&id, "deployed").await;
    assert_eq!(world.done, ["install", "reboot"]);
    assert_eq!(world.commands.first(), Some(&BmcAction::Off), "{:?}", world.commands);
    assert!(world.commands.contains(&BmcAction::On), "{:?}", world.commands);
}

#[tokio::test]
async fn an_abort_ends_the_work_and_the_agent() {
    let (mut world, id) = World::ready().await;
    world.act(&id, "deploy", json!({ "image": "debian-12" })).await;
    while world.agent.is_none() {
        world.hurry().await;
        world.work_region().await;
        world.work_bmc().await;
    }
    let (token, boot) = world.agent.clone().unwrap();
    world.act(&id, "abort", json!({})).await;
    world.until(&id, "allocated").await;
    let refused = world
        .request("POST", "/agent/v1/next", Some(format!("Bearer {token}")), json!({ "boot_id": boot }))
        .await;
    assert_eq!(refused.status, 410, "{}", refused.body);
    world.work_bmc().await;
    assert!(!world.on);
}

#[tokio::test]
async fn rescue_mode_keeps_its_agent_and_leads_back() {
    let (mut world, id) = World::ready().await;
    world.act(&id, "deploy", json!({ "image": "debian-12" })).await;
    world.until(&id, "deployed").await;
    world.act(&id, "enter-rescue", json!({ "ssh_keys": ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHbWv0bPz1Q7l0m1u5Wbq1V1mJb1Zr7sZ1J4l5u3d0Qx a@b"] })).await;
    world.until(&id, "rescue-mode").await;
    let (token, boot) = world.agent.clone().unwrap();
    let idle = world
        .request("POST", "/agent/v1/next", Some(format!("Bearer {token}")), json!({ "boot_id": boot }))
        .await;
    assert_eq!((idle.status, idle.body.as_str()), (200, r#"{"item":null}"#));
    world.act(&id, "exit-rescue", json!({})).await;
    world.until(&id, "deployed").await;
    assert!(world.on, "its system runs again");
}

#[tokio::test]
async fn another_machine_with_the_same_mac_is_turned_away() {
    let (world, _) = World::ready().await;
    let token = world.site.app.keys().agent_token(rackwright_region::secrets::AgentToken::Enlist);
    let hello = json!({ "boot_id": uuid::Uuid::new_v4(), "uuid": uuid::Uuid::from_u128(0x9999), "serial": "SN2",
                        "boot_mac": support::machine::MAC, "macs": [support::machine::MAC], "efi": false, "uptime_ms": 1,
                        "version": "test", "architecture": "x86_64" });
    let reply =
        world.request("POST", "/agent/v1/hello", Some(format!("Bearer {}", token.expose())), hello).await;
    assert_eq!(reply.status, 410, "{}", reply.body);
}

#[tokio::test]
async fn another_board_with_the_same_uuid_is_turned_away_before_it_is_touched() {
    let (mut world, id) = World::ready().await;
    world.act(&id, "deploy", json!({ "image": "debian-12" })).await;
    while world.agent.is_none() {
        world.hurry().await;
        world.work_region().await;
        world.work_bmc().await;
    }
    // The rack took it for the machine that is being deployed, by its UUID, and gave it that machine's token.
    let (token, _) = world.agent.clone().unwrap();
    let uuid: Option<uuid::Uuid> = sqlx::query_scalar("SELECT system_uuid FROM machine WHERE id = $1")
        .bind(id.as_str())
        .fetch_one(&world.site.pool)
        .await
        .unwrap();
    let hello = json!({ "boot_id": uuid::Uuid::new_v4(), "uuid": uuid.unwrap(), "serial": "Default string",
                        "boot_mac": "52:54:00:99:99:99", "macs": ["52:54:00:99:99:99"], "efi": false,
                        "uptime_ms": 1, "version": "test", "architecture": "x86_64" });
    let reply = world.request("POST", "/agent/v1/hello", Some(format!("Bearer {token}")), hello).await;
    assert_eq!(reply.status, 410, "{}", reply.body);
    assert!(reply.body.contains("two machines claim one UUID"), "{}", reply.body);
    let told: i64 = sqlx::query_scalar("SELECT count(*) FROM event WHERE kind = 'machine.conflict'")
        .fetch_one(&world.site.pool)
        .await
        .unwrap();
    assert_eq!(told, 1);
    let owned: i64 = sqlx::query_scalar("SELECT count(*) FROM interface WHERE mac = '52:54:00:99:99:99'")
        .fetch_one(&world.site.pool)
        .await
        .unwrap();
    assert_eq!(owned, 0, "it did not become an interface of the machine");
    world.until(&id, "deployed").await;
}

#[tokio::test]
async fn a_report_that_a_rack_kept_while_every_region_was_away_completes_the_deployment() {
    let (mut world, id) = World::ready().await;
    world.system_reports = false;
    world.act(&id, "deploy", json!({ "image": "debian-12" })).await;
    world.until_step(&id, "await-system").await;
    let (machine, operation, secret) = world.installed.clone().unwrap();
    let authorization = format!(
        "OAuth oauth_signature_method=\"PLAINTEXT\", oauth_consumer_key=\"{machine}\", oauth_token=\"{operation}\", oauth_signature=\"%26{secret}\""
    );
    let body = json!({ "name": "modules-final", "event_type": "finish", "result": "SUCCESS" }).to_string();
    let fact = json!({ "fact": "report", "id": 0, "method": "POST", "path": format!("/MAAS/metadata/status/{machine}"),
                       "authorization": authorization, "body": body, "peer": "10.77.0.2", "local": "10.77.0.1:5248" });
    let entry: rackwright_common::link::JournalEntry =
        serde_json::from_value(json!({ "seq": 7, "at": "2026-01-01T00:00:00Z", "fact": fact })).unwrap();
    let source = Source { id: world.rack, name: "rack-1".into(), addresses: Vec::new() };
    let mut conn = world.site.pool.acquire().await.unwrap();
    for _ in 0..2 {
        let stored =
            journal::store(&mut conn, &world.inband, &source, std::slice::from_ref(&entry)).await.unwrap();
        assert_eq!(stored, 7, "sent twice, stored once");
    }
    drop(conn);
    world.until(&id, "deployed").await;
}

#[tokio::test]
async fn a_system_that_was_heard_has_all_the_time_and_is_not_switched_off_in_its_first_start() {
    let (mut world, id) = World::ready().await;
    world.system_reports = false;
    world.act(&id, "deploy", json!({ "image": "debian-12" })).await;
    world.until_step(&id, "await-system").await;
    let heard = r#"UPDATE operation SET state = state || '{"cloud_init_message": "init-network start"}' WHERE status = 'running'"#;
    sqlx::query(heard).execute(&world.site.pool).await.unwrap();
    let pool = world.site.pool.clone();
    let pass = async |seconds: f64| {
        let later = "UPDATE operation SET step_since = step_since - make_interval(secs => $1) WHERE status = 'running'";
        sqlx::query(later).bind(seconds).execute(&pool).await.unwrap();
    };
    let all = rackwright_region::lifecycle::Timing::default().system_seconds as f64;
    let commands = world.commands.len();
    pass(all - 60.0).await;
    world.hurry().await;
    world.work_region().await;
    world.work_bmc().await;
    assert_eq!(world.commands.len(), commands, "it is left alone: {:?}", world.commands);
    pass(60.0).await;
    world.until(&id, "failed-deployment").await;
    let (_, why) = world.status(&id).await;
    assert!(why.contains("did not report; last heard from cloud-init: init-network start"), "{why}");
}

#[tokio::test]
async fn equal_content_makes_no_new_generation() {
    let (world, id) = World::ready().await;
    let first = world.snapshot().await;
    assert_eq!(world.snapshot().await.generation, first.generation);
    sqlx::query("UPDATE machine SET hostname = 'renamed' WHERE id = $1")
        .bind(id.as_str())
        .execute(&world.site.pool)
        .await
        .unwrap();
    assert_eq!(world.snapshot().await.generation, first.generation + 1);
}

#[tokio::test]
async fn tokens_that_were_never_given_open_nothing() {
    let world = World::new().await;
    for token in [
        None,
        Some("Bearer x".to_owned()),
        Some("Bearer rwa1.1.1.AAAA".to_owned()),
        Some("Basic eDp5".to_owned()),
    ] {
        for path in [
            "/agent/v1/next",
            "/agent/v1/items/1/result",
            "/agent/v1/items/1/progress",
            "/MAAS/metadata/2012-03-01/user-data",
        ] {
            let method = if path.starts_with("/MAAS") { "GET" } else { "POST" };
            let body = json!({ "boot_id": uuid::Uuid::nil(), "ok": true, "seq": 1 });
            let status = world.request(method, path, token.clone(), body).await.status;
            assert!(matches!(status, 401 | 410), "{path} {token:?}: {status}");
        }
    }
}
