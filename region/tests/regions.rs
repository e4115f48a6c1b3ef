//! Several regions on one database: who lives, who has which name, who takes work, and who may no longer act.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod support;

use futures_util::future::join_all;
use rackwright_common::link::RackHello;
use rackwright_region::api::{self, crowd};
use rackwright_region::db::region::{self, Heard, Presence};
use rackwright_region::db::wakeups::Wakeups;
use rackwright_region::db::{DbError, operation, rack};
use rackwright_region::lifecycle::{Timing, engine};
use rackwright_region::model::Role;
use rackwright_region::presence;
use rackwright_region::standing::Standing;
use serde_json::json;
use sqlx::{Connection, Executor, PgConnection, PgPool};
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::{Duration, Instant};
use support::Site;
use support::machine::World;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

const LONG: Duration = Duration::from_secs(60);
const PATIENCE: Duration = Duration::from_secs(20);

/// A process of a region.
fn process(name: &str, identity: u128) -> Presence<'_> {
    Presence {
        name,
        version: "1",
        instance: Uuid::new_v4(),
        identity: Uuid::from_u128(identity),
        stream: "10.0.0.1:5241",
    }
}

async fn silent_for(pool: &PgPool, name: &str, seconds: f64) {
    let sql =
        "UPDATE region SET last_seen_at = clock_timestamp() - make_interval(secs => $2) WHERE name = $1";
    sqlx::query(sql).bind(name).bind(seconds).execute(pool).await.unwrap();
}

async fn kinds(pool: &PgPool) -> Vec<String> {
    let sql = "SELECT kind FROM event WHERE kind LIKE 'region.%' ORDER BY id";
    sqlx::query_scalar(sql).fetch_all(pool).await.unwrap()
}

async fn until(what: &str, mut done: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done().await {
        assert!(Instant::now() < deadline, "waited for {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn heard(conn: &mut PgConnection, of: &Presence<'_>) -> Option<Heard> {
    region::beat(conn, of, &[]).await.unwrap()
}

#[tokio::test]
async fn a_region_that_is_silent_for_three_seconds_is_dead_by_the_databases_clock_and_told_of_once() {
    let site = Site::new().await;
    let mut conn = site.pool.acquire().await.unwrap();
    for name in ["a", "b", "c"] {
        assert!(region::take_name(&mut conn, &process(name, 1)).await.unwrap());
    }
    silent_for(&site.pool, "a", 2.5).await;
    assert_eq!(region::newly_lost(&mut conn, "b").await.unwrap(), []);
    silent_for(&site.pool, "a", 3.1).await;
    let list = site.get("/regions").await.expect(200);
    let alive: Vec<_> = list["items"].as_array().unwrap().iter().map(|r| r["connected"].clone()).collect();
    assert_eq!(alive, [json!(false), json!(true), json!(true)]);
    let lost = region::newly_lost(&mut conn, "b").await.unwrap();
    assert_eq!(lost.len(), 1);
    assert!(lost[0].0 == "a" && lost[0].1 >= 3.1, "{lost:?}");
    assert_eq!(region::newly_lost(&mut conn, "c").await.unwrap(), [], "it was told of");
    assert_eq!(region::siblings(&mut conn, "b").await.unwrap().len(), 1);
}

#[tokio::test]
async fn of_two_boxes_with_one_name_one_runs() {
    let site = Site::new().await;
    let mut conn = site.pool.acquire().await.unwrap();
    let (first, other) = (process("a", 1), process("a", 2));
    assert!(region::take_name(&mut conn, &first).await.unwrap());
    assert!(!region::take_name(&mut conn, &other).await.unwrap(), "the first lives");
    assert!(heard(&mut conn, &first).await.is_some());
    assert!(heard(&mut conn, &other).await.is_none());

    // The same box, started again at once: its folder shows that it is the same.
    let again = process("a", 1);
    assert!(region::take_name(&mut conn, &again).await.unwrap());
    assert!(heard(&mut conn, &first).await.is_none(), "the process before it is nobody any more");

    silent_for(&site.pool, "a", 3.1).await;
    assert!(region::take_name(&mut conn, &other).await.unwrap(), "a box that replaces a dead one");
    assert!(heard(&mut conn, &again).await.is_none());
}

#[tokio::test]
async fn a_process_that_lost_its_name_ends_and_one_whose_row_is_gone_enters_itself_again() {
    let site = Site::new().await;
    let folder = tempfile::tempdir().unwrap();
    let config = rackwright_region::config::RegionConfig {
        name: "a".into(),
        data: folder.path().to_owned(),
        ..Default::default()
    };
    let presence = presence::Presence::of(&config).unwrap();
    presence.begin(&site.pool).await.unwrap();
    let standing = Standing::watched(LONG).unwrap();
    let run = tokio::spawn({
        let (presence, pool, standing) = (presence.clone(), site.pool.clone(), standing.clone());
        async move { presence.run(pool, standing, CancellationToken::new()).await }
    });
    tokio::time::timeout(PATIENCE, standing.acting()).await.unwrap();
    sqlx::query("DELETE FROM region").execute(&site.pool).await.unwrap();
    let mut conn = site.pool.acquire().await.unwrap();
    until("the row to be back", async || region::exists(&mut conn, "a").await.unwrap()).await;

    // Another box with its name: refused at its start while this one lives, and it may take over a silent one.
    let other_folder = tempfile::tempdir().unwrap();
    let other_config =
        rackwright_region::config::RegionConfig { data: other_folder.path().to_owned(), ..config };
    let other = presence::Presence::of(&other_config).unwrap();
    let refused = other.begin(&site.pool).await.unwrap_err().to_string();
    assert!(refused.contains("give this one a name of its own"), "{refused}");
    sqlx::query("UPDATE region SET instance = gen_random_uuid()").execute(&site.pool).await.unwrap();
    let ended = tokio::time::timeout(PATIENCE, run).await.unwrap().unwrap().unwrap_err().to_string();
    assert!(ended.contains("taken the name"), "{ended}");
}

#[tokio::test]
async fn a_region_whose_clock_is_off_by_minutes_works_and_tells_of_it_with_the_cure() {
    let site = Site::new().await;
    let folder = tempfile::tempdir().unwrap();
    let config = rackwright_region::config::RegionConfig {
        name: "a".into(),
        data: folder.path().to_owned(),
        ..Default::default()
    };
    let presence = presence::Presence::of(&config).unwrap();
    let mut conn = site.pool.acquire().await.unwrap();
    let now = region::clock(&mut conn).await.unwrap();
    presence.begin_at(&site.pool, now - Duration::from_secs(30)).await.unwrap();
    assert!(!kinds(&site.pool).await.contains(&"region.clock".to_owned()));
    presence.begin_at(&site.pool, now - Duration::from_secs(450)).await.unwrap();
    let told: Vec<(String, String, serde_json::Value)> =
        sqlx::query_as("SELECT level, message, data FROM event WHERE kind = 'region.clock'")
            .fetch_all(&site.pool)
            .await
            .unwrap();
    let [(level, message, data)] = &told[..] else { panic!("{told:?}") };
    assert_eq!((level.as_str(), data), ("warning", &json!({ "region": "a" })));
    assert!(message.contains("the region a is 7 minutes behind the database's"), "{message}");
    assert!(message.contains("chronyc makestep"), "{message}");
    assert!(region::exists(&mut conn, "a").await.unwrap(), "it works all the same");
}

#[tokio::test]
async fn a_region_tells_of_the_death_and_the_return_of_another() {
    let site = Site::new().await;
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let config = |name: &str, folder: &tempfile::TempDir| rackwright_region::config::RegionConfig {
        name: name.into(),
        data: folder.path().to_owned(),
        ..Default::default()
    };
    let a = presence::Presence::of(&config("a", &one)).unwrap();
    let b = presence::Presence::of(&config("b", &two)).unwrap();
    let spawn = |presence: presence::Presence| {
        let (pool, cancel) = (site.pool.clone(), CancellationToken::new());
        let stop = cancel.clone();
        let run = tokio::spawn(async move { presence.run(pool, Standing::default(), stop).await });
        (run, cancel)
    };
    a.begin(&site.pool).await.unwrap();
    b.begin(&site.pool).await.unwrap();
    silent_for(&site.pool, "b", 10.0).await;
    let (run_a, stop_a) = spawn(a);
    until("a to tell of b's death", async || kinds(&site.pool).await == ["region.lost"]).await;
    let (run_b, stop_b) = spawn(b);
    until("b to be back", async || kinds(&site.pool).await == ["region.lost", "region.found"]).await;
    // Stopped in order: gone at once, and nobody takes it for a death.
    stop_b.cancel();
    run_b.await.unwrap().unwrap();
    let mut conn = site.pool.acquire().await.unwrap();
    assert_eq!(region::alive(&mut conn).await.unwrap(), ["a"]);
    stop_a.cancel();
    run_a.await.unwrap().unwrap();
    let last = ["region.lost", "region.found", "region.stopped", "region.stopped"];
    assert_eq!(kinds(&site.pool).await, last);
}

#[tokio::test]
async fn the_last_region_is_not_drained_and_a_drained_one_works_when_it_is_the_last() {
    let site = Site::new().await;
    let mut conn = site.pool.acquire().await.unwrap();
    let (a, b) = (process("a", 1), process("b", 2));
    assert!(region::take_name(&mut conn, &a).await.unwrap());
    let alone = site.post("/regions/a/drain", json!({})).await.problem(409, "conflict");
    assert!(alone.contains("machines and racks would have nobody"), "{alone}");
    assert!(region::take_name(&mut conn, &b).await.unwrap());
    let after = site.post("/regions/a/drain", json!({})).await.expect(200);
    assert_eq!(after["draining"], true);
    assert_eq!(region::streams(&mut conn).await.unwrap().len(), 1, "racks are sent to the other only");
    assert!(heard(&mut conn, &a).await.unwrap().draining);
    site.post("/regions/b/drain", json!({})).await.problem(409, "conflict");

    silent_for(&site.pool, "b", 3.1).await;
    assert!(!heard(&mut conn, &a).await.unwrap().draining, "nobody else is there");
    assert!(heard(&mut conn, &b).await.is_some());
    assert!(heard(&mut conn, &a).await.unwrap().draining);
    let after = site.post("/regions/a/resume", json!({})).await.expect(200);
    assert_eq!(after["draining"], false);
    assert_eq!(kinds(&site.pool).await, ["region.drained", "region.resumed"]);
    site.post("/regions/nobody/drain", json!({})).await.problem(404, "not-found");
}

#[tokio::test]
async fn a_region_that_lives_is_not_removed_and_one_that_is_gone_is() {
    let site = Site::new().await;
    let mut conn = site.pool.acquire().await.unwrap();
    assert!(region::take_name(&mut conn, &process("a", 1)).await.unwrap());
    let remove = async || site.request(Some(Role::Administrator), "DELETE", "/regions/a", &[], None).await;
    let refused = remove().await.problem(409, "conflict");
    assert!(refused.contains("rackwright region drain a"), "{refused}");
    silent_for(&site.pool, "a", 3.1).await;
    remove().await.expect(204);
    site.get("/regions/a").await.problem(404, "not-found");
}

#[tokio::test]
async fn a_drained_region_says_so_at_readyz() {
    let mut site = Site::new().await;
    let standing = Standing::watched(LONG).unwrap();
    site.router = api::router(site.app.clone().with_standing(standing.clone()));
    let ask = async || {
        let request = axum::http::Request::get("/readyz").body(axum::body::Body::empty()).unwrap();
        let reply = site.send(request).await;
        (reply.status.as_u16(), reply.text)
    };
    standing.renew(Instant::now(), true);
    assert_eq!(ask().await, (503, "draining\n".to_owned()));
    standing.renew(Instant::now(), false);
    assert_eq!(ask().await, (200, "ready\n".to_owned()));
}

#[tokio::test]
async fn a_region_with_too_much_to_do_turns_people_away_and_goes_on_with_racks() {
    let mut site = Site::new().await;
    // Of five connections people have two to read with and one to change with.
    site.router = crowd::limit(site.router.clone(), site.app.clone(), 5);
    let mut lock = PgConnection::connect(site.database_url()).await.unwrap();
    lock.execute("BEGIN; LOCK TABLE space IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let (turned_away, served) = (AtomicU32::new(0), AtomicU32::new(0));
    let readers = async {
        let read = async |_| {
            let reply = site.request(Some(Role::Viewer), "GET", "/spaces", &[], None).await;
            if reply.status.as_u16() == 200 {
                return served.fetch_add(1, SeqCst);
            }
            assert_eq!(reply.headers["retry-after"], "2");
            let detail = reply.problem(503, "overloaded");
            assert!(detail.contains("try again in a moment") && served.load(SeqCst) == 0, "{detail}");
            turned_away.fetch_add(1, SeqCst)
        };
        join_all((0..6).map(read)).await;
    };
    let others = async {
        // By now both that came first wait for the table, and the others for them.
        until("the readers to wait", async || {
            let sql = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
            sqlx::query_scalar::<_, i64>(sql).fetch_one(&site.pool).await.unwrap() == 2
        })
        .await;
        let asked = Instant::now();
        let ready = axum::http::Request::get("/readyz").body(axum::body::Body::empty()).unwrap();
        assert_eq!(site.send(ready).await.text, "ready\n");
        let hello = RackHello {
            version: "test".into(),
            generation: 0,
            addresses: Vec::new(),
            instance: Uuid::nil(),
            clock: None,
        };
        let mut conn = site.pool.acquire().await.unwrap();
        rack::hello(&mut conn, "rack-1", &hello).await.unwrap();
        drop(conn);
        let pool = json!({ "description": "" });
        site.request(Some(Role::Administrator), "PUT", "/pools/late", &[], Some(&pool)).await.expect(204);
        assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
        until("the others to be turned away", async || turned_away.load(SeqCst) == 4).await;
        lock.execute("ROLLBACK").await.unwrap();
    };
    tokio::join!(readers, others);
    assert_eq!((turned_away.into_inner(), served.into_inner()), (4, 2));
    site.get("/spaces").await.expect(200);
}

/// Who works on the only operation that runs.
async fn owner(pool: &PgPool) -> Option<String> {
    sqlx::query_scalar("SELECT owner FROM operation ORDER BY id DESC LIMIT 1").fetch_one(pool).await.unwrap()
}

#[tokio::test]
async fn work_goes_to_regions_that_may_act_and_to_no_other() {
    let (world, id) = World::ready().await;
    let pool = world.site.pool.clone();
    world.act(&id, "commission", json!({})).await;
    let cancel = CancellationToken::new();
    let start = |name: &str, standing: &Standing| {
        let owner = (name.to_owned(), standing.clone());
        tokio::spawn(engine::run(pool.clone(), Wakeups::default(), Timing::default(), owner, cancel.clone()))
    };
    // One is drained; one was heard too long ago; one has not been heard at all.
    let [drained, unheard, new] =
        [LONG, Duration::from_millis(1), LONG].map(|v| Standing::watched(v).unwrap());
    drained.renew(Instant::now(), true);
    unheard.renew(Instant::now(), false);
    tokio::time::timeout(PATIENCE, unheard.unheard()).await.unwrap();
    let mut workers = vec![start("drained", &drained), start("unheard", &unheard), start("new", &new)];
    let good = Standing::watched(LONG).unwrap();
    good.renew(Instant::now(), false);
    workers.push(start("good", &good));
    until("somebody to work", async || owner(&pool).await.is_some()).await;
    assert_eq!(owner(&pool).await.as_deref(), Some("good"));

    // The other way round: what was drained works again, and who worked does no more.
    good.renew(Instant::now(), true);
    drained.renew(Instant::now(), false);
    until("the other to work", async || {
        world.hurry().await;
        owner(&pool).await.as_deref() == Some("drained")
    })
    .await;
    cancel.cancel();
    for worker in workers {
        worker.await.unwrap();
    }
}

#[tokio::test]
async fn an_owner_whose_claim_has_expired_writes_nothing_though_nobody_has_taken_over() {
    let (world, id) = World::ready().await;
    world.act(&id, "commission", json!({})).await;
    let claimed = world.claim_and_die().await.unwrap();
    let mut conn = world.site.pool.acquire().await.unwrap();
    operation::hold(&mut conn, &claimed).await.unwrap();
    world.expire_claims().await;
    assert!(matches!(operation::hold(&mut conn, &claimed).await, Err(DbError::Stale)));
}
