//! Who racks have heard: from the journal to the list, and on to a machine, a device or silence; bounds; and wiring
//! that is not as the model says.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod support;

use rackwright_common::Mac;
use rackwright_common::link::{Fact, JournalEntry};
use rackwright_region::model::{Role, Timestamp};
use rackwright_region::network::wiring;
use rackwright_region::racks::journal::{self, Source};
use serde_json::{Value, json};
use support::machine::World;

/// Gives a region what a rack has heard.
async fn hear(world: &World, first: u64, facts: Vec<Value>) {
    let source = Source { id: world.rack, name: "rack-1".into(), addresses: Vec::new() };
    let now = Timestamp(time::OffsetDateTime::now_utc());
    let entries: Vec<JournalEntry> = (first..)
        .zip(facts)
        .map(|(seq, mut fact)| {
            fact["fact"] = "sighting".into();
            fact["interface"] = "eth1".into();
            serde_json::from_value(json!({ "seq": seq, "at": now, "fact": fact })).unwrap()
        })
        .collect();
    let mut conn = world.site.pool.acquire().await.unwrap();
    journal::store(&mut conn, &world.inband, &source, &entries).await.unwrap();
}

fn host(end: u8) -> Value {
    json!({ "mac": format!("52:54:00:91:00:{end:02x}"), "address": format!("10.77.0.{end}") })
}

async fn listed(world: &World, query: &str) -> Vec<Value> {
    let page = world.site.get(&format!("/discoveries{query}")).await.expect(200);
    let items = page["items"].as_array().unwrap().clone();
    assert_eq!(page["total"], items.len());
    items
}

#[tokio::test]
async fn who_was_heard_becomes_a_machine_a_device_or_is_ignored() {
    let world = World::new().await;
    let mut printer = host(9);
    printer["hostname"] = "printer".into();
    // The rack itself, as another rack hears it, by a second address too.
    let ours = |address: &str| json!({ "mac": "52:54:00:91:00:01", "address": address });
    hear(&world, 1, vec![printer, host(10), host(11), ours("10.77.0.1"), ours("fe80::1")]).await;
    let found = listed(&world, "").await;
    let addresses: Vec<_> = found.iter().map(|d| d["address"].as_str().unwrap()).collect();
    assert_eq!(addresses, ["10.77.0.11", "10.77.0.10", "10.77.0.9"], "newest first, no controllers");
    assert_eq!(found[2]["vendor"], "QEMU virtual machine");
    assert_eq!((&found[2]["rack"], &found[2]["interface"]), (&json!("rack-1"), &json!("eth1")));
    let path = |i: usize, verb: &str| format!("/discoveries/{}/{verb}", found[i]["id"]);

    let made = world.site.post(&path(2, "device"), json!({})).await.expect(201);
    assert_eq!(
        (&made["hostname"], &made["addresses"][0]["address"]),
        (&json!("printer"), &json!("10.77.0.9"))
    );
    let made = world.site.post(&path(1, "machine"), json!({ "hostname": "node-7" })).await.expect(201);
    assert_eq!((&made["hostname"], &made["status"]), (&json!("node-7"), &json!("new")));
    let on = json!({ "on": true });
    world.site.request(Some(Role::Operator), "PUT", &path(0, "ignored"), &[], Some(&on)).await.expect(204);
    assert_eq!(listed(&world, "").await, Vec::<Value>::new());
    let all = listed(&world, "?all=true").await;
    let mut known: Vec<_> = all.iter().map(|d| d["known"].as_str().unwrap()).collect();
    known.sort_unstable();
    assert_eq!(known, ["controller", "controller", "device", "ignored", "machine"]);

    let text =
        world.site.post(&path(1, "machine"), json!({ "hostname": "node-8" })).await.problem(409, "conflict");
    assert_eq!(text, "another machine has this MAC");
    let off = json!({ "on": false });
    world.site.request(Some(Role::Operator), "PUT", &path(0, "ignored"), &[], Some(&off)).await.expect(204);
    assert_eq!(listed(&world, "").await.len(), 1);
}

#[tokio::test]
async fn a_flood_does_not_fill_the_database() {
    let world = World::new().await;
    hear(&world, 1, vec![host(9)]).await;
    sqlx::query(
        "INSERT INTO discovery (rack_id, interface, mac, address)
         SELECT $1, 'eth1', '02:00:00:00:' || lpad(to_hex(n / 256), 2, '0') || ':' || lpad(to_hex(n % 256), 2, '0'), '10.77.0.200'
         FROM generate_series(1, 4095) n",
    )
    .bind(world.rack)
    .execute(&world.site.pool)
    .await
    .unwrap();
    let rows = async || {
        sqlx::query_scalar::<_, i64>("SELECT count(*) FROM discovery")
            .fetch_one(&world.site.pool)
            .await
            .unwrap()
    };
    hear(&world, 2, vec![host(10)]).await;
    assert_eq!(rows().await, 4096, "there is no room");
    let mut renamed = host(9);
    renamed["hostname"] = "printer".into();
    hear(&world, 3, vec![renamed]).await;
    let there = "SELECT hostname FROM discovery WHERE mac = '52:54:00:91:00:09'";
    let name: Option<String> = sqlx::query_scalar(there).fetch_one(&world.site.pool).await.unwrap();
    assert_eq!(name.as_deref(), Some("printer"), "who is known is still heard");

    let old = "UPDATE discovery SET last_seen_at = now() - interval '2 hours' WHERE mac LIKE '02:%'";
    sqlx::query(old).execute(&world.site.pool).await.unwrap();
    hear(&world, 4, vec![host(10)]).await;
    assert_eq!(rows().await, 4096 - 256 + 1, "the silent ones make room");
    let older = "UPDATE discovery SET last_seen_at = now() - CASE WHEN mac LIKE '02:%' THEN interval '31 days' ELSE '29 days' END";
    sqlx::query(older).execute(&world.site.pool).await.unwrap();
    wiring::once(&world.site.pool).await.unwrap();
    assert_eq!(rows().await, 2);
}

#[tokio::test]
async fn only_networks_that_a_person_allows_are_scanned() {
    let world = World::new().await;
    let subnets = world.site.get("/subnets").await.expect(200);
    let id = &subnets["items"][0]["id"];
    assert_eq!(world.snapshot().await.scan, []);
    let admin = Some(Role::Administrator);
    let path = format!("/subnets/{id}/scan");
    world.site.request(admin, "PUT", &path, &[], Some(&json!({ "on": true }))).await.expect(204);
    assert_eq!(world.snapshot().await.scan, ["10.77.0.0/24".parse().unwrap()]);
    assert_eq!(world.site.get("/scanned-subnets").await.expect(200)["items"], json!([id]));
    let wide = json!({ "vlan": subnets["items"][0]["vlan"], "cidr": "10.96.0.0/16" });
    let wide = world.site.post("/subnets", wide).await.expect(201);
    let path = format!("/subnets/{}/scan", wide["id"]);
    let text = world
        .site
        .request(admin, "PUT", &path, &[], Some(&json!({ "on": true })))
        .await
        .problem(409, "conflict");
    assert!(text.contains("too many addresses"), "{text}");
}

#[tokio::test]
async fn a_cable_in_the_wrong_vlan_is_an_alarm_until_it_is_right() {
    let world = World::new().await;
    let pool = &world.site.pool;
    sqlx::query("UPDATE vlan SET vid = 10").execute(pool).await.unwrap();
    let id = world.site.machine("node-7", 7).await;
    let lldp = |vlan: u16| json!({ "lldp": { "chassis": "02:00:00:00:00:01", "port": "14", "system": "switch-3", "vlan": vlan } });
    let plug = async |vlan: u16| {
        sqlx::query("UPDATE interface SET name = 'eth1', subnet_id = (SELECT min(id) FROM subnet), details = $2 WHERE machine_id = $1")
            .bind(id.as_str())
            .bind(lldp(vlan))
            .execute(pool)
            .await
            .unwrap();
        for _ in 0..2 {
            wiring::once(pool).await.unwrap();
        }
    };
    let events = async |kind: &str| {
        let text = "SELECT message FROM event WHERE kind = $1 ORDER BY id";
        sqlx::query_scalar::<_, String>(text).bind(kind).fetch_all(pool).await.unwrap()
    };
    plug(20).await;
    let said = "eth1 of node-7 is on switch-3 port 14, VLAN 20 untagged; the model says VLAN 10";
    assert_eq!(events("network.wiring").await, [said], "told once");
    let faults = world.site.get(&format!("/wiring-faults?machine={id}")).await.expect(200);
    assert_eq!((&faults["items"][0]["message"], &faults["items"][0]["seen_vid"]), (&json!(said), &json!(20)));

    // The rack's own cable, as its LLDP says.
    let seen = json!({ "mac": "02:00:00:00:00:01", "lldp": lldp(30)["lldp"] });
    hear(&world, 1, vec![seen]).await;
    plug(10).await;
    assert_eq!(events("network.wiring-ended").await.len(), 1);
    let faults = world.site.get("/wiring-faults").await.expect(200);
    assert_eq!(faults["total"], 1);
    assert_eq!(
        faults["items"][0]["message"],
        "eth1 of rack-1 is on switch-3 port 14, VLAN 30 untagged; the model says VLAN 10"
    );
}

#[tokio::test]
async fn leases_that_are_told_at_once_count_in_their_order() {
    let world = World::new().await;
    let source = Source { id: world.rack, name: "rack-1".into(), addresses: Vec::new() };
    let now = time::OffsetDateTime::now_utc();
    let lease = |address: u8, mac: u8, minutes: i64| Fact::Lease {
        mac: Mac([2, 0, 0, 0, 0, mac]),
        address: [10, 77, 0, address].into(),
        expires: now + time::Duration::minutes(minutes),
        hostname: (mac == 2).then(|| "Two".to_owned()),
    };
    let ended = |address: u8, mac: u8| Fact::LeaseEnded {
        mac: Mac([2, 0, 0, 0, 0, mac]),
        address: [10, 77, 0, address].into(),
        declined: false,
    };
    let facts = [lease(120, 1, 5), lease(121, 2, 5), lease(120, 3, 6), ended(121, 2), lease(122, 2, 5)];
    let entries: Vec<JournalEntry> =
        (1..).zip(facts).map(|(seq, fact)| JournalEntry { seq, at: now, fact }).collect();
    let mut conn = world.site.pool.acquire().await.unwrap();
    // The second time as after a lost acknowledgement: nothing is taken twice.
    for _ in 0..2 {
        assert_eq!(journal::store(&mut conn, &world.inband, &source, &entries).await.unwrap(), 5);
        let leases = world.site.get("/leases").await.expect(200);
        let mut told: Vec<(&str, &str)> = leases["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|l| (l["address"].as_str().unwrap(), l["mac"].as_str().unwrap()))
            .collect();
        told.sort_unstable();
        assert_eq!(told, [("10.77.0.120", "02:00:00:00:00:03"), ("10.77.0.122", "02:00:00:00:00:02")]);
    }
}
