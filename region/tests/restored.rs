//! A database that is older than the world: what it has forgotten must not be done again, and what it says must be taken.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod support;

use rackwright_common::lease::LeaseReport;
use rackwright_common::link::RackHello;
use rackwright_region::db::{rack, restored};
use rackwright_region::lifecycle::restored::reconcile;
use rackwright_region::model::Role;
use rackwright_region::racks::leases;
use serde_json::json;
use support::machine::World;
use uuid::Uuid;

const TAKEN: &str = "2026-11-22T06:30:00Z";

async fn last_operation(world: &World) -> i64 {
    sqlx::query_scalar("SELECT max(id) FROM operation").fetch_one(&world.site.pool).await.unwrap()
}

#[tokio::test]
async fn a_restored_machine_is_known_and_releasable_and_every_number_is_newer_than_any_seen() {
    let (mut world, id) = World::ready().await;
    world.act(&id, "deploy", json!({ "image": "debian-12" })).await;
    world.until(&id, "deployed").await;
    let before = last_operation(&world).await;
    assert_eq!(reconcile(&world.site.pool, TAKEN).await.unwrap(), Vec::<String>::new());
    assert_eq!(world.status(&id).await.0, "deployed");
    // The token of the backup's time is good; who was logged in is not any more.
    world.site.get("/machines").await.expect(200);
    let sessions: i64 =
        sqlx::query_scalar("SELECT count(*) FROM session").fetch_one(&world.site.pool).await.unwrap();
    assert_eq!(sessions, 0);

    world.act(&id, "release", json!({ "erase": "quick" })).await;
    // Whatever ran between backup and restoration had a lower number, so racks and agents take this one.
    assert!(last_operation(&world).await > before + restored::AHEAD);
    world.until(&id, "ready").await;
    let told: String = sqlx::query_scalar("SELECT message FROM event WHERE kind = 'site.restored'")
        .fetch_one(&world.site.pool)
        .await
        .unwrap();
    assert_eq!(told, format!("The site was restored from a backup of {TAKEN}"));
}

#[tokio::test]
async fn what_ran_when_the_backup_was_taken_is_not_gone_on_with_and_touches_no_machine() {
    let (mut world, id) = World::ready().await;
    world.act(&id, "deploy", json!({ "image": "debian-12" })).await;
    for _ in 0..4 {
        world.hurry().await;
        world.work_region().await;
    }
    assert!(world.running(&id).await.is_some());
    world.commands.clear();
    let hostname = world.site.get(&format!("/machines/{id}")).await.expect(200)["hostname"].clone();
    let named = reconcile(&world.site.pool, TAKEN).await.unwrap();
    assert_eq!(json!(named), json!([hostname]));
    let (status, message) = world.status(&id).await;
    assert_eq!(status, "failed-deployment");
    assert!(message.contains(TAKEN) && message.contains("look at the machine"), "{message}");
    for _ in 0..4 {
        world.hurry().await;
        world.work_region().await;
        world.work_bmc().await;
    }
    assert_eq!(world.commands, [], "it may be in use by now");
    let boot: String =
        sqlx::query_scalar("SELECT boot FROM machine").fetch_one(&world.site.pool).await.unwrap();
    assert_eq!(boot, "local");
    // The way out of the failure is the usual one.
    world.act(&id, "release", json!({})).await;
    world.until(&id, "ready").await;
}

#[tokio::test]
async fn a_rack_that_runs_a_later_picture_of_the_world_gets_a_still_later_one() {
    let (world, _) = World::ready().await;
    let old = world.snapshot().await.generation;
    reconcile(&world.site.pool, TAKEN).await.unwrap();
    let hello = RackHello {
        version: "test".into(),
        generation: old + 40,
        addresses: vec![],
        instance: Uuid::new_v4(),
        clock: None,
    };
    let mut conn = world.site.pool.acquire().await.unwrap();
    rack::hello(&mut conn, "rack-1", &hello).await.unwrap();
    assert!(world.snapshot().await.generation > old + 40);
}

#[tokio::test]
async fn a_rack_that_has_learned_more_than_the_database_knows_is_heard_and_its_blocks_rest() {
    let (world, _) = World::ready().await;
    let mut conn = world.site.pool.acquire().await.unwrap();
    let report = |learned| LeaseReport {
        memory: Uuid::from_u128(5),
        life: 1,
        sent_at: 5,
        after: 0,
        facts: vec![],
        learned,
        low: vec![],
    };
    let first = leases::exchange(&mut conn, world.rack, &report(0), true).await.unwrap().unwrap();
    let block = first.blocks.as_ref().unwrap()[0].clone();
    // Between backup and restoration it has learned of fifty changes more.
    let learned = first.upto + 50;
    reconcile(&world.site.pool, TAKEN).await.unwrap();
    let news = leases::exchange(&mut conn, world.rack, &report(learned), true).await.unwrap().unwrap();
    assert!(news.whole && news.upto > learned, "{news:?}");
    assert_eq!(news.blocks, Some(vec![]), "what was given from {block:?} or another may be somebody's");
}

#[tokio::test]
async fn a_restoration_that_was_interrupted_shows_until_it_is_done_again() {
    let (world, _) = World::ready().await;
    let mut conn = world.site.pool.acquire().await.unwrap();
    assert!(!restored::is_unfinished(&mut conn).await.unwrap());
    restored::begin(world.site.database_url()).await.unwrap();
    restored::empty(world.site.database_url()).await.unwrap();
    assert!(restored::is_unfinished(&mut conn).await.unwrap(), "emptying does not hide it");
    let (world, _) = World::ready().await;
    restored::begin(world.site.database_url()).await.unwrap();
    restored::begin(world.site.database_url()).await.unwrap();
    reconcile(&world.site.pool, TAKEN).await.unwrap();
    let mut conn = world.site.pool.acquire().await.unwrap();
    assert!(!restored::is_unfinished(&mut conn).await.unwrap());
}

#[tokio::test]
async fn tokens_of_new_controllers_die_and_regions_enter_themselves_again() {
    let (world, _) = World::ready().await;
    let sql =
        "INSERT INTO region (name, version, instance, stream) VALUES ('a', '1', gen_random_uuid(), 'x:1')";
    sqlx::query(sql).execute(&world.site.pool).await.unwrap();
    let sql = "INSERT INTO rack_token VALUES ('\\x00', 'r', now() + interval '1 hour')";
    sqlx::query(sql).execute(&world.site.pool).await.unwrap();
    reconcile(&world.site.pool, TAKEN).await.unwrap();
    for table in ["region", "rack_token"] {
        let sql = format!("SELECT count(*) FROM {table}");
        let left: i64 =
            sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_one(&world.site.pool).await.unwrap();
        assert_eq!(left, 0, "{table}");
    }
    let list = world.site.request(Some(Role::Viewer), "GET", "/regions", &[], None).await.expect(200);
    assert_eq!(list["items"], json!([]));
}
