//! Exchanges of leases with racks, on a real database. What the rules are is proven by the simulator in
//! `protocols/dhcp/tests/dhcp_simulation` against a model of the database; here the database itself is asked what the
//! model was asked in whole simulations, and has to answer the same.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod support;

#[allow(dead_code, reason = "the simulator's own tests use the rest")]
#[path = "../../protocols/dhcp/tests/dhcp_simulation/checks.rs"]
mod checks;
#[allow(dead_code, reason = "the simulator's own tests use the rest")]
#[path = "../../protocols/dhcp/tests/dhcp_simulation/client.rs"]
mod client;
#[allow(dead_code, reason = "the simulator's own tests use the rest")]
#[path = "../../protocols/dhcp/tests/dhcp_simulation/database.rs"]
mod database;
#[allow(dead_code, reason = "the simulator's own tests use the rest")]
#[path = "../../protocols/dhcp/tests/dhcp_simulation/event.rs"]
mod event;
#[allow(dead_code, reason = "the simulator's own tests use the rest")]
#[path = "../../protocols/dhcp/tests/dhcp_simulation/faults.rs"]
mod faults;
#[allow(dead_code, reason = "the simulator's own tests use the rest")]
#[path = "../../protocols/dhcp/tests/dhcp_simulation/numbers.rs"]
mod numbers;
#[allow(dead_code, reason = "the simulator's own tests use the rest")]
#[path = "../../protocols/dhcp/tests/dhcp_simulation/rack.rs"]
mod rack;
#[allow(dead_code, reason = "the simulator's own tests use the rest")]
#[path = "../../protocols/dhcp/tests/dhcp_simulation/world.rs"]
mod world;

use database::{Call, Down, SPARE, Up};
use rackwright_common::lease::{LeaseEvent, LeaseFact, LeaseNews, LeaseReport, LeaseWord};
use rackwright_common::snapshot::BlockView;
use rackwright_dhcp::racks::{Record, Terms, Word};
use rackwright_dhcp::{ClientKey, MacAddr, Pool};
use rackwright_region::db::lease_state::{self, Changes};
use rackwright_region::lifecycle::restored::reconcile;
use rackwright_region::racks::leases::{Rules, advance, exchange_at, nothing_new};
use serde_json::json;
use sqlx::{Connection, PgConnection, PgPool};
use std::net::Ipv4Addr;
use support::Site;
use uuid::Uuid;
use world::World;

/// What the simulator may plant; here nothing.
#[allow(missing_docs, dead_code, reason = "the simulator's own tests use the rest")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    None,
    AckBeforeSync,
    ReuseWithoutCatchUp,
    BlockMovesAtOnce,
    DropsAreNotKept,
    ActsUnheard,
    TrustsItsDisk,
}

/// Times of the simulator.
fn rules() -> Rules {
    Rules { terms: world::terms(), live_seconds: 12, spare: SPARE as i64 }
}

/// A subnet with leases of a minute, with these dynamic ranges; its number.
async fn subnet(pool: &PgPool, cidr: &str, ranges: &[Pool]) -> i64 {
    let mut conn = pool.acquire().await.unwrap();
    let network = cidr.parse().unwrap();
    let id = rackwright_region::db::address::enter_network(&mut conn, network, true).await.unwrap();
    sqlx::query("UPDATE subnet SET lease_seconds = 60 WHERE id = $1")
        .bind(id)
        .execute(&mut *conn)
        .await
        .unwrap();
    sqlx::query("DELETE FROM lease_length_past").execute(&mut *conn).await.unwrap();
    for range in ranges {
        rackwright_region::db::address::add_dynamic_range(&mut conn, id, range.first, range.last)
            .await
            .unwrap();
    }
    id
}

/// A rack with these addresses; its number.
async fn enroll(pool: &PgPool, name: &str, networks: &[&str]) -> i64 {
    let addresses: Vec<_> =
        networks.iter().map(|n| json!({ "interface": "eth1", "network": n, "http_port": 5248 })).collect();
    sqlx::query_scalar("INSERT INTO rack (name, addresses) VALUES ($1, $2) RETURNING id")
        .bind(name)
        .bind(json!(addresses))
        .fetch_one(pool)
        .await
        .unwrap()
}

async fn give_block(pool: &PgPool, rack: i64, subnet: i64, block: Pool) {
    sqlx::query(
        "INSERT INTO lease_block (subnet_id, rack_id, first, last) VALUES ($1, $2, $3::inet, $4::inet)",
    )
    .bind(subnet)
    .bind(rack)
    .bind(block.first.to_string())
    .bind(block.last.to_string())
    .execute(pool)
    .await
    .unwrap();
}

async fn exchange(conn: &mut PgConnection, rack: i64, report: &LeaseReport, now: i64) -> Option<LeaseNews> {
    exchange_by(&rules(), conn, rack, report, now).await
}

async fn exchange_by(
    rules: &Rules,
    conn: &mut PgConnection,
    rack: i64,
    report: &LeaseReport,
    now: i64,
) -> Option<LeaseNews> {
    let mut tx = conn.begin().await.unwrap();
    let mut changes = Changes::lock(&mut tx).await.unwrap();
    let news = exchange_at(&mut tx, &mut changes, rules, rack, report, now).await.unwrap();
    tx.commit().await.unwrap();
    news
}

async fn sweep(conn: &mut PgConnection, now: i64) {
    let mut tx = conn.begin().await.unwrap();
    let mut changes = Changes::lock(&mut tx).await.unwrap();
    advance(&mut tx, &mut changes, &rules(), now).await.unwrap();
    tx.commit().await.unwrap();
}

fn report_of(up: &Up, subnet: i64) -> LeaseReport {
    let fact = |record: &Record| {
        let what = match record {
            Record::Lease { lease, seconds, epoch, .. } => LeaseEvent::Lease {
                address: lease.address,
                client: hex(lease.client.as_bytes()),
                seconds: *seconds,
                epoch: *epoch,
            },
            Record::CaughtUp { change, .. } => LeaseEvent::CaughtUp { change: *change },
            other => panic!("told: {other:?}"),
        };
        LeaseFact { number: record.number().unwrap(), what }
    };
    let facts: Vec<LeaseFact> = up.records.iter().map(fact).collect();
    LeaseReport {
        memory: Uuid::from_u128(up.rack as u128 + 1),
        life: up.life.into(),
        sent_at: up.sent_at,
        after: up.after,
        facts,
        learned: up.learned,
        low: up.low.then_some(subnet).into_iter().collect(),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn line_of(word: &Word) -> LeaseWord {
    match word {
        Word::Keep { address, client } => {
            LeaseWord { address: *address, client: Some(hex(client.as_bytes())) }
        }
        Word::Drop { address } => LeaseWord { address: *address, client: None },
    }
}

/// What both say, in one form.
fn said(down: &Down) -> String {
    let blocks: Vec<_> = down.blocks.iter().map(|b| (b.pool.first, b.pool.last, b.epoch, b.since)).collect();
    let b = &down.batch;
    let words: Vec<_> = b.words.iter().map(line_of).collect();
    format!("{blocks:?} {} {} {} {} {words:?}", b.after, b.upto, b.whole, b.stored)
}

fn told(news: &LeaseNews) -> String {
    let blocks: Vec<_> = blocks_of(news).iter().map(|b| (b.first, b.last, b.epoch, b.since)).collect();
    format!("{blocks:?} {} {} {} {} {:?}", news.after, news.upto, news.whole, news.stored, news.words)
}

fn blocks_of(news: &LeaseNews) -> Vec<BlockView> {
    news.blocks.clone().expect("an answer in full names the blocks")
}

/// Seeds with racks that die, are cut off, fenced and muted, blocks that move and are called back.
#[tokio::test]
async fn the_database_answers_as_the_proven_model_does() {
    let (mut answered, mut moved) = (0, 0);
    for seed in 0..5 {
        let site = Site::new().await;
        let world = World::new(seed, Bug::None, false);
        let (racks, pools) = (world.racks.len(), world.pools.clone());
        let subnet = subnet(&site.pool, "10.0.0.0/24", &pools).await;
        let mut ids = Vec::new();
        for (number, pool) in pools.iter().enumerate().take(racks) {
            let id =
                enroll(&site.pool, &format!("rack-{number}"), &[&format!("10.0.0.{}/24", number + 1)]).await;
            give_block(&site.pool, id, subnet, *pool).await;
            ids.push(id);
        }
        let calls = world.record().unwrap();
        let mut conn = site.pool.acquire().await.unwrap();
        // A thousand small transactions, none of which has to survive the test.
        sqlx::query("SET synchronous_commit = off").execute(&mut *conn).await.unwrap();
        for (at, (now, call, expected)) in calls.iter().enumerate() {
            let now = *now as i64;
            match call {
                Call::Exchange(up) => {
                    let news = exchange(&mut conn, ids[up.rack], &report_of(up, subnet), now).await;
                    let (expected, found) = (expected.as_ref().map(said), news.as_ref().map(told));
                    assert_eq!(found, expected, "seed {seed}, call {at} at {now}: {up:?}");
                    answered += usize::from(found.is_some());
                }
                Call::Sweep => sweep(&mut conn, now).await,
                Call::Fence(rack) => lease_state::fence(&mut conn, ids[*rack], now).await.unwrap(),
            }
        }
        let epoch: i64 =
            sqlx::query_scalar("SELECT max(epoch) FROM lease_block").fetch_one(&mut *conn).await.unwrap();
        moved += usize::from(epoch > 1);
    }
    assert!(answered > 1_200 && moved > 2, "{answered} answers, blocks moved in {moved} worlds");
}

const MEMORY: Uuid = Uuid::from_u128(1);

fn report(learned: u64, after: u64, facts: Vec<LeaseEvent>) -> LeaseReport {
    let facts = facts.into_iter().zip(after + 1..).map(|(what, number)| LeaseFact { number, what }).collect();
    LeaseReport { memory: MEMORY, life: 1, sent_at: 5, after, facts, learned, low: vec![] }
}

fn client(last: u8) -> String {
    hex(ClientKey::ethernet(MacAddr([2, 0, 0, 0, 0, last])).as_bytes())
}

fn lease(address: Ipv4Addr, last: u8, epoch: u64) -> LeaseEvent {
    LeaseEvent::Lease { address, client: client(last), seconds: 60, epoch: Some(epoch) }
}

/// A promise of a change, told after this number.
fn promise(change: u64, after: u64) -> LeaseReport {
    report(change, after, vec![LeaseEvent::CaughtUp { change }])
}

const FIRST: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 100);
const BLOCK: Pool = Pool { first: FIRST, last: Ipv4Addr::new(10, 0, 0, 103) };

/// Two racks of one subnet, of which the first has the only block.
struct Two {
    site: Site,
    subnet: i64,
    racks: [i64; 2],
}

impl Two {
    async fn new() -> Two {
        let site = Site::new().await;
        let subnet = subnet(&site.pool, "10.0.0.0/24", &[BLOCK]).await;
        let racks = [
            enroll(&site.pool, "rack-1", &["10.0.0.1/24"]).await,
            enroll(&site.pool, "rack-2", &["10.0.0.2/24"]).await,
        ];
        give_block(&site.pool, racks[0], subnet, BLOCK).await;
        Two { site, subnet, racks }
    }

    async fn exchange(&self, rack: usize, report: &LeaseReport, now: i64) -> Option<LeaseNews> {
        let mut conn = self.site.pool.acquire().await.unwrap();
        exchange(&mut conn, self.racks[rack], report, now).await
    }

    async fn rows(&self) -> Vec<(String, String)> {
        sqlx::query_as("SELECT host(address), state FROM lease_state ORDER BY address")
            .fetch_all(&self.site.pool)
            .await
            .unwrap()
    }
}

#[tokio::test]
async fn a_lease_reaches_the_other_racks_of_the_subnet_and_no_others() {
    let two = Two::new().await;
    let other = subnet(&two.site.pool, "10.9.0.0/24", &[]).await;
    let far = enroll(&two.site.pool, "rack-far", &["10.9.0.1/24"]).await;
    let first = two.exchange(0, &report(0, 0, vec![lease(FIRST, 9, 1)]), 1000).await.unwrap();
    assert_eq!((first.stored, first.whole), (1, true));
    assert_eq!(first.live[0].racks, [two.racks[0]]);
    let second = two.exchange(1, &report(0, 0, vec![]), 1001).await.unwrap();
    assert_eq!(second.words, [LeaseWord { address: FIRST, client: Some(client(9)) }]);
    assert_eq!(second.live[0].racks, two.racks);
    assert_eq!(blocks_of(&second), []);
    let mut conn = two.site.pool.acquire().await.unwrap();
    let news = exchange(&mut conn, far, &report(0, 0, vec![]), 1002).await.unwrap();
    assert_eq!((news.words, news.live.len()), (vec![], 1));
    // It gets an address there: all that there is, once.
    sqlx::query("UPDATE rack SET addresses = addresses || (SELECT addresses FROM rack WHERE name = 'rack-2') WHERE id = $1")
        .bind(far)
        .execute(&mut *conn)
        .await
        .unwrap();
    let news = exchange(&mut conn, far, &report(news.upto, 0, vec![]), 1003).await.unwrap();
    assert_eq!((news.whole, news.words.len(), news.live.len()), (true, 1, 2));
    let news = exchange(&mut conn, far, &report(news.upto, 0, vec![]), 1004).await.unwrap();
    assert_eq!((news.whole, news.words.len()), (false, 0));
    assert_ne!(other, two.subnet);
}

#[tokio::test]
async fn a_rack_with_nothing_to_say_that_knows_everything_is_heard_without_the_lock() {
    let two = Two::new().await;
    let mut conn = two.site.pool.acquire().await.unwrap();
    let quick = |report: LeaseReport| {
        let (pool, rack) = (two.site.pool.clone(), two.racks[0]);
        async move { nothing_new(&mut pool.acquire().await.unwrap(), &rules(), rack, &report).await.unwrap() }
    };
    assert!(quick(report(0, 0, vec![])).await.is_none(), "it comes for the first time");
    let now = lease_state::now(&mut conn).await.unwrap();
    let first = two.exchange(0, &report(0, 0, vec![]), now - 30).await.unwrap();
    let mut lock = two.site.pool.begin().await.unwrap();
    Changes::lock(&mut lock).await.unwrap();
    let news = quick(report(first.upto, 0, vec![])).await.unwrap();
    assert_eq!((news.after, news.upto, news.blocks), (first.upto, first.upto, None));
    let heard: bool = sqlx::query_scalar("SELECT heard_at > now() - interval '10 s' FROM rack WHERE id = $1")
        .bind(two.racks[0])
        .fetch_one(&mut *conn)
        .await
        .unwrap();
    assert!(heard);
    drop(lock);
    assert!(quick(report(first.upto - 1, 0, vec![])).await.is_none(), "there is something to learn");
    assert!(
        quick(report(first.upto, 0, vec![lease(FIRST, 9, 1)])).await.is_none(),
        "there is something to store"
    );
    assert!(
        quick(LeaseReport { life: 0, ..report(first.upto, 0, vec![]) }).await.is_none(),
        "an earlier start"
    );
    lease_state::fence(&mut conn, two.racks[0], now).await.unwrap();
    assert!(quick(report(first.upto, 0, vec![])).await.is_none(), "the fence is to be lifted");
}

#[tokio::test]
async fn a_box_that_lost_its_memory_counts_for_nothing_until_what_it_gave_is_over() {
    let two = Two::new().await;
    let news = two.exchange(0, &report(0, 0, vec![lease(FIRST, 9, 1)]), 1000).await.unwrap();
    let other = two.exchange(1, &report(0, 0, vec![]), 1000).await.unwrap();
    let promise = LeaseEvent::CaughtUp { change: other.upto };
    two.exchange(1, &report(other.upto, 0, vec![promise]), 1000).await.unwrap();
    assert_eq!(blocks_of(&news).len(), 1);
    let new_box = LeaseReport { memory: Uuid::from_u128(2), ..report(0, 0, vec![]) };
    assert!(two.exchange(0, &new_box, 1005).await.is_none(), "the first still speaks");
    assert!(two.exchange(0, &new_box, 1006).await.is_none());
    let told: Vec<(String, serde_json::Value)> =
        sqlx::query_as("SELECT message, data FROM event WHERE kind = 'rack.two-boxes'")
            .fetch_all(&two.site.pool)
            .await
            .unwrap();
    let [(message, data)] = &told[..] else { panic!("it is told once: {told:?}") };
    assert_eq!(*data, json!({ "rack": "rack-1" }));
    assert!(message.contains("stop one of them, and enrol it under a name of its own"), "{message}");
    let reborn = two.exchange(0, &new_box, 1020).await.unwrap();
    assert_eq!((reborn.whole, blocks_of(&reborn).len(), reborn.words.len()), (true, 0, 1));
    assert!(
        two.exchange(0, &report(0, 0, vec![]), 1021).await.is_none(),
        "nor may the old one come back now"
    );
    let blind = i64::try_from(rules().terms.longest_lease_seconds + 20 + 16).unwrap();
    let promise = |learned: u64, after: u64| {
        let fact = LeaseEvent::CaughtUp { change: learned };
        LeaseReport {
            memory: Uuid::from_u128(2),
            low: vec![two.subnet],
            ..report(learned, after, vec![fact])
        }
    };
    let mut learned = reborn.upto;
    for (round, now) in (1021..1020 + blind).step_by(10).enumerate() {
        let news = two.exchange(0, &promise(learned, round as u64), now).await.unwrap();
        two.exchange(
            1,
            &report(other.upto, 1 + round as u64, vec![LeaseEvent::CaughtUp { change: news.upto }]),
            now,
        )
        .await;
        assert_eq!(blocks_of(&news), [], "at {now} it may still have given of its block what nobody knows");
        learned = news.upto;
    }
    let news = two.exchange(0, &promise(learned, 10), 1020 + blind).await.unwrap();
    assert_eq!(blocks_of(&news).len(), 1, "its block is granted anew: {news:?}");
    assert!(blocks_of(&news)[0].epoch > 1);
}

#[tokio::test]
async fn a_range_that_is_removed_is_given_back_by_its_rack_first() {
    let two = Two::new().await;
    let news = two.exchange(0, &report(0, 0, vec![]), 1000).await.unwrap();
    let range: i64 = sqlx::query_scalar("SELECT id FROM ip_range").fetch_one(&two.site.pool).await.unwrap();
    two.site
        .request(
            Some(rackwright_region::model::Role::Administrator),
            "DELETE",
            &format!("/ip-ranges/{range}"),
            &[],
            None,
        )
        .await
        .expect(204);
    let blocks = || async {
        sqlx::query_scalar::<_, i64>("SELECT count(*) FROM lease_block")
            .fetch_one(&two.site.pool)
            .await
            .unwrap()
    };
    assert_eq!(blocks().await, 1);
    let after = two.exchange(0, &report(news.upto, 0, vec![]), 1001).await.unwrap();
    assert_eq!(blocks_of(&after), [], "it is told of the block no more");
    assert_eq!(blocks().await, 1, "but has not said that it heard");
    let promise = LeaseEvent::CaughtUp { change: after.upto };
    two.exchange(0, &report(after.upto, 0, vec![promise]), 1002).await.unwrap();
    assert_eq!(blocks().await, 0);
    assert_eq!(two.rows().await, []);
}

#[tokio::test]
async fn a_rack_that_never_reported_leases_is_granted_no_address_that_somebody_has() {
    let two = Two::new().await;
    two.exchange(0, &report(0, 0, vec![lease(FIRST, 9, 1)]), 1000).await.unwrap();
    let mut conn = two.site.pool.acquire().await.unwrap();
    sqlx::query("DELETE FROM lease_block").execute(&mut *conn).await.unwrap();
    let mut tx = conn.begin().await.unwrap();
    let mut changes = Changes::lock(&mut tx).await.unwrap();
    let grant = rackwright_region::db::lease_block::grant;
    assert!(grant(&mut tx, &mut changes, two.racks[1], two.subnet).await.unwrap());
    let block: String =
        sqlx::query_scalar("SELECT host(first) FROM lease_block").fetch_one(&mut *tx).await.unwrap();
    assert_eq!(block, "10.0.0.101", "a version before would give 10.0.0.100 away");
    assert!(
        grant(&mut tx, &mut changes, two.racks[0], two.subnet).await.unwrap(),
        "one that knows gets the rest"
    );
    assert!(!grant(&mut tx, &mut changes, two.racks[0], two.subnet).await.unwrap());
}

#[tokio::test]
async fn a_rack_is_declared_off_only_while_no_region_hears_it_and_its_blocks_go_one_longest_lease_later() {
    let two = Two::new().await;
    let now = || async { lease_state::now(&mut two.site.pool.acquire().await.unwrap()).await.unwrap() };
    let start = now().await;
    two.exchange(0, &report(0, 0, vec![]), start).await.unwrap();
    sqlx::query("UPDATE rack SET last_seen_at = now() WHERE name = 'rack-1'")
        .execute(&two.site.pool)
        .await
        .unwrap();
    let fence = || two.site.post("/racks/rack-1/fence", json!({}));
    let refused = fence().await.problem(409, "conflict");
    assert!(refused.contains("switch its box off first"), "{refused}");
    two.site.post("/racks/rack-9/fence", json!({})).await.problem(404, "not-found");
    let silent =
        "UPDATE rack SET last_seen_at = now() - interval '1 minute', heard_at = now() - interval '1 minute'
                  WHERE name = 'rack-1'";
    sqlx::query(silent).execute(&two.site.pool).await.unwrap();
    let fenced = fence().await.expect(200);
    assert!(fenced["blocks_free_at"].is_string(), "{fenced}");
    let again = fence().await.expect(200);
    assert_eq!(again["blocks_free_at"], fenced["blocks_free_at"], "it was off since the first word");
    let racks = two.site.get("/racks").await.expect(200);
    assert!(racks["items"][0]["fenced_at"].is_string(), "{racks}");
    let at = now().await;
    let terms = rules().terms;
    let due = i64::try_from(terms.longest_lease_seconds + terms.margin_seconds + terms.late_answer_seconds)
        .unwrap();
    let low = LeaseReport { low: vec![two.subnet], ..report(0, 0, vec![]) };
    let early = two.exchange(1, &low, at + due - 60).await.unwrap();
    assert_eq!(blocks_of(&early), [], "a lease that it gave in its last second may be unknown");
    let late = two.exchange(1, &low, at + due + 1).await.unwrap();
    assert_eq!((blocks_of(&late)[0].first, blocks_of(&late)[0].last), (BLOCK.first, BLOCK.last));
}

#[tokio::test]
async fn a_restored_database_grants_nothing_before_every_rack_has_spoken_and_what_it_does_not_know_is_over() {
    let two = Two::new().await;
    let mut conn = two.site.pool.acquire().await.unwrap();
    let start = lease_state::now(&mut conn).await.unwrap();
    let first = two.exchange(0, &report(0, 0, vec![lease(FIRST, 9, 1)]), start).await.unwrap();
    two.exchange(1, &report(0, 0, vec![]), start).await.unwrap();
    reconcile(&two.site.pool, "yesterday").await.unwrap();
    let now = lease_state::now(&mut conn).await.unwrap();
    let low = |report: LeaseReport| LeaseReport { low: vec![two.subnet], ..report };

    let real = Rules::default();
    let mut speak = async |rack: usize, report: &LeaseReport, now: i64| {
        exchange_by(&real, &mut conn, two.racks[rack], report, now).await
    };
    let news = speak(0, &low(report(first.upto, 1, vec![])), now).await.unwrap();
    assert!(news.whole && news.upto > first.upto + 1_000_000, "{news:?}");
    assert_eq!(
        (blocks_of(&news), news.words.len()),
        (vec![], 1),
        "its block is called back, the lease is kept"
    );
    let terms = Terms::default();
    let over = i64::try_from(terms.out_after_fence(0) - terms.longest_lease_seconds + 60).unwrap() + now + 1;
    let news = speak(0, &low(promise(news.upto, 1)), over).await.unwrap();
    assert_eq!(blocks_of(&news), [], "the other rack may have been granted anything since the backup");
    let other = speak(1, &report(0, 0, vec![]), over).await.unwrap();
    let other = speak(1, &promise(other.upto, 0), over).await.unwrap();
    let news = speak(0, &low(promise(other.upto, 2)), over).await.unwrap();
    assert_eq!(blocks_of(&news).len(), 1, "now it is known that nobody has it: {news:?}");
}

#[tokio::test]
async fn a_database_that_lacks_what_a_rack_has_learned_is_taken_for_restored() {
    let two = Two::new().await;
    let first = two.exchange(0, &report(0, 0, vec![]), 1000).await.unwrap();
    let news = two.exchange(0, &report(first.upto + 40, 0, vec![]), 1001).await.unwrap();
    assert!(news.whole && news.upto > first.upto + 40, "{news:?}");
    assert_eq!(blocks_of(&news), []);
    let next = two.exchange(0, &promise(news.upto, 7), 1002).await.unwrap();
    assert!(next.whole && next.upto > news.upto, "it lacks the facts up to 7: {next:?}");
}
