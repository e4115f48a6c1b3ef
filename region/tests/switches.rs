//! Switches: what is asked of them goes to one rack at a time, what they say becomes places and alarms, and a port's VLAN
//! changes with somebody's name to it.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod support;

use rackwright_common::bmc::BmcError;
use rackwright_common::link::{SwitchResult, Task, TaskResult, TaskWork};
use rackwright_common::switch::{SwitchAction, SwitchError, SwitchOrder, SwitchReading};
use rackwright_region::db::switch_task;
use rackwright_region::model::Role;
use rackwright_region::network::wiring;
use rackwright_region::racks::{switches, tasks};
use serde_json::{Value, json};
use support::machine::World;

const OF_NODE: &str = "52:54:00:00:00:07";

/// Two access ports and a trunk; the machine is at the first.
fn reading(vid: u16) -> SwitchReading {
    serde_json::from_value(json!({
        "name": "switch-3", "description": "A switch of the test",
        "vlans": [{ "vid": 10, "name": "machines" }, { "vid": 20, "name": "storage" }],
        "ports": [
            { "number": 1, "name": "swp1", "up": true, "speed_mbps": 10000, "pvid": vid, "untagged": [vid] },
            { "number": 2, "name": "swp2", "pvid": 20, "untagged": [20] },
            { "number": 3, "name": "swp3", "up": true, "pvid": 10, "untagged": [10], "tagged": [20] },
        ],
        "macs": [
            { "mac": OF_NODE, "vid": vid, "port": 1 },
            { "mac": "52:54:00:00:00:99", "vid": vid, "port": 1 },
            { "mac": "52:54:00:00:00:98", "vid": 20, "port": 3 },
        ],
    }))
    .unwrap()
}

async fn enter(world: &World) -> Value {
    let new = json!({
        "name": "switch-3", "address": "10.77.0.3",
        "access": { "version": "v2c", "community": "the secret word" },
    });
    world.site.request(Some(Role::Administrator), "POST", "/switches", &[], Some(&new)).await.expect(201)
}

async fn claim(world: &World, rack: i64) -> Vec<Task> {
    let mut conn = world.site.pool.acquire().await.unwrap();
    switches::claim(&mut conn, world.site.app.keys(), rack, None).await.unwrap()
}

fn order(task: &Task) -> &SwitchOrder {
    let TaskWork::Switch(order) = &task.work else { panic!("{task:?}") };
    order
}

async fn finish(world: &World, task: &Task, outcome: Result<SwitchReading, SwitchError>) {
    let mut conn = world.site.pool.acquire().await.unwrap();
    let result = SwitchResult { id: task.id, claim: task.claim, outcome };
    switches::finish(&mut conn, &result).await.unwrap();
}

async fn due(world: &World) {
    sqlx::query("UPDATE switch SET next_poll_at = now()").execute(&world.site.pool).await.unwrap();
    switch_task::write_due(&mut world.site.pool.acquire().await.unwrap()).await.unwrap();
}

async fn events(world: &World, kind: &str) -> Vec<(String, String)> {
    let text = "SELECT actor, message FROM event WHERE kind = $1 ORDER BY id";
    sqlx::query_as(text).bind(kind).fetch_all(&world.site.pool).await.unwrap()
}

#[tokio::test]
async fn a_switch_is_read_in_its_time_by_one_rack_and_its_secret_is_not_shown() {
    let world = World::new().await;
    let entered = enter(&world).await;
    assert_eq!(entered["access"], "SNMPv2c");
    assert!(!entered.to_string().contains("secret word"));
    let logged: Vec<String> =
        sqlx::query_scalar("SELECT data::text FROM event").fetch_all(&world.site.pool).await.unwrap();
    assert!(logged.iter().all(|data| !data.contains("secret word")), "{logged:?}");

    // Two regions look at the same time, twice; one reading is written.
    for _ in 0..2 {
        due(&world).await;
    }
    let given = claim(&world, world.rack).await;
    assert_eq!(given.len(), 1);
    let SwitchOrder { endpoint, action } = order(&given[0]);
    assert_eq!((endpoint.address.as_str(), endpoint.port, *action), ("10.77.0.3", 161, SwitchAction::Read));
    assert!(claim(&world, world.rack).await.is_empty(), "it is claimed");
    finish(&world, &given[0], Ok(reading(10))).await;
    finish(&world, &given[0], Err(SwitchError::Unreachable("late".into()))).await;

    let shown = world.site.get(&format!("/switches/{}", entered["id"])).await.expect(200);
    assert_eq!(
        (&shown["system"], &shown["rack"], &shown["error"]),
        (&json!("switch-3"), &json!("rack-1"), &Value::Null)
    );
    assert_eq!((&shown["port_count"], &shown["ports"][0]["heard_count"]), (&json!(3), &json!(2)));
}

#[tokio::test]
async fn a_silent_switch_is_told_once_keeps_what_it_said_and_is_tried_by_others() {
    let world = World::new().await;
    let id = enter(&world).await["id"].clone();
    let other: i64 = sqlx::query_scalar("INSERT INTO rack (name) VALUES ('rack-2') RETURNING id")
        .fetch_one(&world.site.pool)
        .await
        .unwrap();
    due(&world).await;
    finish(&world, &claim(&world, world.rack).await[0], Ok(reading(10))).await;
    for rack in [world.rack, other] {
        due(&world).await;
        let given = claim(&world, rack).await;
        finish(&world, &given[0], Err(SwitchError::Unreachable("no answer".into()))).await;
    }
    let told = events(&world, "switch.silent").await;
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0].1, "The switch switch-3 cannot be read: the switch does not answer: no answer");
    let shown = world.site.get(&format!("/switches/{id}")).await.expect(200);
    assert_eq!((&shown["rack"], shown["ports"].as_array().unwrap().len()), (&json!("rack-2"), 3));

    due(&world).await;
    assert!(claim(&world, other).await.is_empty(), "the one that failed leaves it to others");
    finish(&world, &claim(&world, world.rack).await[0], Ok(reading(10))).await;
    assert_eq!(events(&world, "switch.answers").await.len(), 1);
}

#[tokio::test]
async fn a_rack_that_does_not_know_switches_gives_the_task_back() {
    let world = World::new().await;
    enter(&world).await;
    due(&world).await;
    let given = claim(&world, world.rack).await;
    let mut conn = world.site.pool.acquire().await.unwrap();
    let outcome = Err(BmcError::Unsupported("older".into()));
    tasks::finish(&mut conn, &TaskResult { id: given[0].id, claim: given[0].claim, outcome }).await.unwrap();
    assert!(claim(&world, world.rack).await.is_empty(), "others go first");
    sqlx::query("UPDATE switch_task SET avoid_rack_id = NULL").execute(&world.site.pool).await.unwrap();
    let again = claim(&world, world.rack).await;
    assert_eq!((again[0].id, again[0].claim), (given[0].id, given[0].claim + 1));
}

#[tokio::test]
async fn a_port_is_put_into_a_vlan_with_the_name_of_who_asked() {
    let world = World::new().await;
    let id = enter(&world).await["id"].clone();
    due(&world).await;
    finish(&world, &claim(&world, world.rack).await[0], Ok(reading(10))).await;
    let put = async |port: u32, vid: u16| {
        let path = format!("/switches/{id}/ports/{port}/vlan");
        world.site.request(Some(Role::Operator), "PUT", &path, &[], Some(&json!({ "vid": vid }))).await
    };
    let text = put(3, 20).await.problem(409, "conflict");
    assert_eq!(text, "swp3 of switch-3 carries tagged VLANs, or none: it is no access port");
    put(9, 20).await.problem(404, "not-found");
    put(1, 4095).await.problem(422, "invalid");

    // A reading is under way: what is asked waits for it.
    due(&world).await;
    let reading_now = claim(&world, world.rack).await;
    let rack = async {
        let mut done = false;
        while !done {
            assert!(reading_now.len() == 1);
            let open = "SELECT count(*) FROM switch_task WHERE status = 'pending'";
            let waiting: i64 = sqlx::query_scalar(open).fetch_one(&world.site.pool).await.unwrap();
            done = waiting == 1;
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        assert!(claim(&world, world.rack).await.is_empty(), "one after the other");
        finish(&world, &reading_now[0], Ok(reading(10))).await;
        let given = claim(&world, world.rack).await;
        assert_eq!(order(&given[0]).action, SwitchAction::SetAccessVlan { port: 1, vid: 20 });
        finish(&world, &given[0], Ok(reading(20))).await;
    };
    let (answer, ()) = tokio::join!(put(1, 20), rack);
    assert_eq!(answer.expect(200)["ports"][0]["pvid"], 20);
    let told = events(&world, "switch.port-vlan").await;
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].1, "Port swp1 of the switch switch-3 is in VLAN 20");
    assert_ne!(told[0].0, "rackwright");

    let refuse = async {
        loop {
            if let [task] = &claim(&world, world.rack).await[..] {
                return finish(&world, task, Err(SwitchError::Refused("the switch has no VLAN 30".into())))
                    .await;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    let (answer, ()) = tokio::join!(put(1, 30), refuse);
    assert_eq!(answer.problem(409, "conflict"), "the switch has no VLAN 30");
    assert_eq!(events(&world, "switch.port-vlan-failed").await.len(), 1);
}

#[tokio::test]
async fn what_a_switch_has_heard_is_compared_with_the_model() {
    let world = World::new().await;
    enter(&world).await;
    let pool = &world.site.pool;
    sqlx::query("UPDATE vlan SET vid = 10").execute(pool).await.unwrap();
    let id = world.site.machine("node-7", 7).await;
    sqlx::query("UPDATE interface SET name = 'eth1', mac = $2, subnet_id = (SELECT min(id) FROM subnet) WHERE machine_id = $1")
        .bind(id.as_str())
        .bind(OF_NODE)
        .execute(pool)
        .await
        .unwrap();
    for vid in [20, 10] {
        due(&world).await;
        finish(&world, &claim(&world, world.rack).await[0], Ok(reading(vid))).await;
        wiring::once(pool).await.unwrap();
        let faults = world.site.get(&format!("/wiring-faults?machine={id}")).await.expect(200);
        if vid == 20 {
            let said = "eth1 of node-7 is on switch-3 port swp1, VLAN 20 untagged; the model says VLAN 10";
            assert_eq!(faults["items"][0]["message"], said);
        } else {
            assert_eq!(faults["total"], 0);
        }
    }
    let shown = world.site.get("/switches/1").await.expect(200);
    let there = &shown["ports"][0]["heard"][0];
    assert_eq!((&there["machine_name"], &there["interface"]), (&json!("node-7"), &json!("eth1")));
}

#[tokio::test]
async fn what_cannot_work_is_refused_at_its_field() {
    let world = World::new().await;
    let admin = Some(Role::Administrator);
    let refused = async |change: Value| {
        let mut new = json!({ "name": "switch-3", "address": "10.77.0.3" });
        new.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        world.site.request(admin, "POST", "/switches", &[], Some(&new)).await.problem(422, "invalid")
    };
    assert!(refused(json!({})).await.contains("a community (v2c)"));
    let v2c = json!({ "version": "v2c", "community": "public" });
    assert!(refused(json!({ "access": &v2c, "poll_seconds": 1 })).await.contains("10 to 86400"));
    assert!(refused(json!({ "access": &v2c, "name": "Switch 3" })).await.contains("a name has 1 to 63"));
    let short = json!({
        "version": "v3", "username": "op", "authentication": "sha256", "authentication_password": "short",
        "privacy": "aes128", "privacy_password": "long enough",
    });
    assert!(refused(json!({ "access": short })).await.contains("eight characters"));

    let id = enter(&world).await["id"].clone();
    let moved = json!({ "name": "switch-3", "address": "10.66.6.6" });
    let path = format!("/switches/{id}");
    let text = world.site.request(admin, "PUT", &path, &[], Some(&moved)).await.problem(422, "invalid");
    assert!(
        text.contains("say again how racks are let in"),
        "a stored secret goes to no other address: {text}"
    );
}
