//! What is otherwise in a machine when its hardware is read again: told, shown, and settled by a person or by the part.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod support;

use rackwright_common::MachineId;
use rackwright_region::model::Role;
use serde_json::{Value, json};
use support::machine::World;

struct Read {
    world: World,
    id: MachineId,
}

impl Read {
    /// Puts memory modules into what was read last, as if it had been so then.
    async fn had(&self, slots: &[&str]) {
        let dimms: Vec<Value> = slots.iter().map(|slot| json!({ "slot": slot, "size_mib": 512 })).collect();
        sqlx::query("UPDATE machine SET inventory = inventory || jsonb_build_object('dimms', $2::jsonb) WHERE id = $1")
            .bind(self.id.as_str())
            .bind(Value::from(dimms))
            .execute(&self.world.site.pool)
            .await
            .unwrap();
    }

    async fn again(&mut self) {
        self.world.act(&self.id, "commission", json!({})).await;
        self.world.until(&self.id, "ready").await;
    }

    async fn told(&self, query: &str) -> Vec<(String, Value)> {
        let page = self.world.site.get(&format!("/hardware-changes?{query}")).await.expect(200);
        let items = page["items"].as_array().unwrap().iter();
        items.map(|c| (c["message"].as_str().unwrap().to_owned(), c["accepted_by"].clone())).collect()
    }
}

#[tokio::test]
async fn a_module_that_is_gone_is_told_until_somebody_says_that_it_is_meant() {
    let (world, id) = World::ready().await;
    let mut read = Read { world, id };
    let of = format!("machine={}", read.id);
    assert_eq!(read.told(&of).await, [], "there is nothing before the first reading");
    read.again().await;
    assert_eq!(read.told(&of).await, [], "the same again");

    // The machine that is played has DIMM_B1.
    read.had(&["DIMM_A1", "DIMM_A3", "DIMM_B1"]).await;
    read.again().await;
    let gone = |slot: &str| (format!("memory module {slot} is gone (512 MiB)"), Value::Null);
    assert_eq!(
        read.told(&of).await,
        [gone("DIMM_A3"), gone("DIMM_A1")],
        "each report came twice and is told once"
    );
    assert_eq!(read.told("missing=true").await.len(), 2);
    let events = read.world.site.get(&format!("/events?machine={}&level=warning", read.id)).await.expect(200);
    let event =
        events["items"].as_array().unwrap().iter().find(|e| e["kind"] == "machine.hardware-changed").unwrap();
    assert!(event["message"].as_str().unwrap().contains("DIMM_A3 is gone"), "{event}");

    let newest =
        read.world.site.get(&format!("/hardware-changes?{of}")).await.expect(200)["items"][0]["id"].clone();
    let path = format!("/machines/{}/hardware-changes/accepted", read.id);
    let body = json!({ "upto": newest.as_i64().unwrap() - 1 });
    read.world
        .site
        .request(Some(Role::Viewer), "PUT", &path, &[], Some(&body))
        .await
        .problem(403, "forbidden");
    let left =
        read.world.site.request(Some(Role::Operator), "PUT", &path, &[], Some(&body)).await.expect(200);
    assert_eq!(left["items"][0]["accepted_by"], Value::Null, "only what was named is settled: {left}");
    assert_eq!(read.told("missing=true").await, [gone("DIMM_A3")]);
}

#[tokio::test]
async fn a_part_that_is_back_settles_that_it_was_gone() {
    let (world, id) = World::ready().await;
    let mut read = Read { world, id };
    let disk = json!([{ "name": "vda", "serial": "D1", "size_bytes": 4_294_967_296_u64 }, { "name": "vdb", "serial": "D2", "size_bytes": 1 }]);
    for disks in [disk, json!([])] {
        sqlx::query("UPDATE machine SET inventory = inventory || jsonb_build_object('disks', $2::jsonb) WHERE id = $1")
            .bind(read.id.as_str())
            .bind(disks)
            .execute(&read.world.site.pool)
            .await
            .unwrap();
        read.again().await;
    }
    let of = format!("machine={}", read.id);
    assert_eq!(
        read.told(&of).await,
        [
            ("disk D1 is new (4 GB)".to_owned(), Value::Null),
            ("disk D2 is gone (0 GB)".to_owned(), Value::Null)
        ]
    );
    // The machine that is played has D1 for ever, so it is said to have been D1 that was missed.
    sqlx::query("UPDATE hardware_change SET part = 'disk D1' WHERE kind = 'gone'")
        .execute(&read.world.site.pool)
        .await
        .unwrap();
    sqlx::query("UPDATE machine SET inventory = inventory || '{\"disks\": []}'")
        .execute(&read.world.site.pool)
        .await
        .unwrap();
    read.again().await;
    assert_eq!(read.told("missing=true").await, [], "it is there again");
}
