//! `/metrics` and the Grafana dashboard that is made of it.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod support;

use axum::body::Body;
use axum::http::Request;
use rackwright_region::db::operation;
use serde_json::Value;
use std::collections::BTreeSet;
use support::Site;
use support::machine::World;

async fn metrics(site: &Site) -> String {
    let reply = site.send(Request::get("/metrics").body(Body::empty()).unwrap()).await;
    assert_eq!(reply.status.as_u16(), 200, "{}", reply.text);
    reply.text
}

/// A site with everything that there is to count: two regions, of which one took over, a rack with streams and blocks.
async fn site() -> World {
    let (world, id) = World::ready().await;
    for statement in [
        "INSERT INTO region (name, version, instance, stream, racks) VALUES ('region-1', '0.1.0', gen_random_uuid(), 'a:1', '{rack-1}')",
        "INSERT INTO region (name, version, instance, stream, last_seen_at)
         VALUES ('region-2', '0.1.0', gen_random_uuid(), 'b:1', now() - interval '1 hour')",
    ] {
        sqlx::query(statement).execute(&world.site.pool).await.unwrap();
    }
    world.act(&id, "deploy", serde_json::json!({ "image": "debian-12" })).await;
    let mut conn = world.site.pool.acquire().await.unwrap();
    operation::claim_due(&mut conn, "region-2/3").await.unwrap().unwrap();
    world.expire_claims().await;
    operation::claim_due(&mut conn, "region-1/0").await.unwrap().unwrap();
    drop(conn);
    world
}

#[tokio::test]
async fn who_lives_who_owns_and_who_took_over_is_counted_without_naming_machines() {
    let world = site().await;
    let text = metrics(&world.site).await;
    for line in [
        "rackwright_region_up{region=\"region-1\",version=\"0.1.0\"} 1",
        "rackwright_region_up{region=\"region-2\",version=\"0.1.0\"} 0",
        "rackwright_rack_streams{rack=\"rack-1\"} 1",
        "rackwright_operations_owned{region=\"region-1\"} 1",
        "rackwright_database_server{server=\"database\",role=\"primary\"} 1",
        "rackwright_machines{status=\"deploying\"} 1",
    ] {
        assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
    }
    let value = |name: &str| -> f64 {
        let line =
            text.lines().find(|l| l.starts_with(&format!("{name} ")) || l.starts_with(&format!("{name}{{")));
        line.and_then(|l| l.rsplit(' ').next())
            .and_then(|v| v.parse().ok())
            .unwrap_or_else(|| panic!("{name}: {text}"))
    };
    let took = value("rackwright_last_takeover_seconds");
    assert!((11.0..20.0).contains(&took), "a claim of ten seconds that was over for one: {took}");
    assert!(value("rackwright_rack_lease_addresses") >= 1.0);
    let machine = world.machine().await;
    assert!(!text.contains(machine.as_str()), "{text}");
}

#[tokio::test]
async fn status_and_operation_tell_the_owner_and_the_takeover() {
    let world = site().await;
    let status = world.site.get("/status").await.expect(200);
    assert_eq!(status["last_takeover"]["from"], "region-2/3");
    assert_eq!(status["last_takeover"]["to"], "region-1/0");
    assert_eq!(status["operations_by_region"]["region-1"], 1);
    assert_eq!(status["racks"][0]["regions"], serde_json::json!(["region-1"]));
    assert_eq!(status["database"][0]["role"], "primary");
    let operation = world.site.get("/operations?status=running").await.expect(200)["items"][0].clone();
    assert_eq!((operation["owner"].as_str(), operation["epoch"].as_i64()), (Some("region-1/0"), Some(2)));
    let events = world.site.get(&format!("/events?operation={}", operation["id"])).await.expect(200);
    let mut told =
        events["items"].as_array().unwrap().iter().filter(|event| event["kind"] == "operation.taken-over");
    let message = told.next().unwrap()["message"].as_str().unwrap();
    assert!(message.starts_with("region-2/3 did not go on with it; region-1/0 took it over 11"), "{message}");
}

/// The names of metrics in an expression.
fn names(expression: &str) -> BTreeSet<String> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = expression.split(|c| !word(c)).filter(|w| w.starts_with("rackwright_"));
    words.map(str::to_owned).collect()
}

#[tokio::test]
async fn every_metric_of_the_dashboard_is_told_and_every_one_told_is_on_it() {
    let world = site().await;
    let text = metrics(&world.site).await;
    let told: BTreeSet<String> = text
        .lines()
        .filter_map(|l| l.strip_prefix("# TYPE ")?.split(' ').next())
        .map(str::to_owned)
        .collect();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../packaging/grafana/rackwright.json");
    let dashboard: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let mut shown = BTreeSet::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().unwrap() {
            let asked = names(target["expr"].as_str().unwrap());
            assert!(!asked.is_empty(), "{panel}");
            shown.extend(asked);
        }
    }
    for annotation in dashboard["annotations"]["list"].as_array().unwrap() {
        shown.extend(names(annotation["expr"].as_str().unwrap()));
    }
    let unknown: Vec<_> = shown.difference(&told).collect();
    assert!(unknown.is_empty(), "the dashboard asks for {unknown:?}, which nobody tells");
    let unseen: Vec<_> = told.difference(&shown).collect();
    assert!(unseen.is_empty(), "{unseen:?} are on no panel");
}
