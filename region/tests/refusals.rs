//! What cannot succeed is refused before anything happens, with a sentence that says why: nothing is switched, no
//! status moves.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod support;

use rackwright_region::model::Role;
use rackwright_region::secrets::AgentToken;
use serde_json::{Value, json};
use support::machine::World;

/// Asks for a deploy that is refused: the sentence.
async fn refused(world: &World, id: &rackwright_common::MachineId, body: Value) -> String {
    let reply = world.site.post(&format!("/machines/{id}/deploy"), body).await;
    let detail = reply.problem(409, "conflict");
    assert_eq!(world.status(id).await.0, "ready");
    assert!(world.running(id).await.is_none());
    detail
}

async fn change(world: &World, sql: &'static str) {
    sqlx::query(sql).execute(&world.site.pool).await.unwrap();
}

#[tokio::test]
async fn a_machine_without_a_disk_for_the_image_is_not_touched() {
    let (world, id) = World::ready().await;
    let deploy = json!({ "image": "debian-12" });
    let sized = "UPDATE image_file SET uncompressed_size = 5368709120 WHERE name = 'disk'";
    change(&world, sized).await;
    let told = format!("the image needs 5120 MiB; the largest usable disk of machine {id} has 4096 MiB");
    assert_eq!(refused(&world, &id, deploy.clone()).await, told);

    let named = json!({ "image": "debian-12", "layout": { "kind": "image", "disk_serial": "D9" } });
    let told = format!("machine {id} has no usable disk with serial D9");
    assert_eq!(refused(&world, &id, named).await, told);

    change(&world, "UPDATE machine SET inventory = jsonb_set(inventory, '{disks,0,read_only}', 'true')")
        .await;
    let none = format!("machine {id} has no disk to install to");
    assert_eq!(refused(&world, &id, deploy.clone()).await, none);
    change(&world, "UPDATE machine SET inventory = jsonb_set(inventory, '{disks}', '[]')").await;
    assert_eq!(refused(&world, &id, deploy).await, none);
}

#[tokio::test]
async fn user_data_that_cloud_init_would_not_take_is_not_sent() {
    let (world, id) = World::ready().await;
    let with = |text: &str| json!({ "image": "debian-12", "user_data": text });
    let told = refused(&world, &id, with("packages: [htop]\n")).await;
    assert!(told.starts_with("user data: ") && told.contains("#cloud-config"), "{told}");
    let told = refused(&world, &id, with("#cloud-config\npackages: [htop\n")).await;
    assert!(told.starts_with("user data: "), "{told}");
}

#[tokio::test]
async fn an_unknown_machine_stays_unknown_while_enlisting_is_off() {
    let world = World::new().await;
    let settings = json!({ "enlist": false });
    let set = world.site.request(Some(Role::Administrator), "PATCH", "/settings", &[], Some(&settings)).await;
    set.expect(200);
    assert!(world.snapshot().await.enlist.is_none(), "racks give it no boot loader");
    // One that booted before the racks heard of it.
    let token = world.site.app.keys().agent_token(AgentToken::Enlist);
    let mac = support::machine::MAC;
    let hello = json!({ "boot_id": uuid::Uuid::new_v4(), "uuid": uuid::Uuid::from_u128(5), "serial": "S",
                        "boot_mac": mac, "macs": [mac], "efi": false, "uptime_ms": 1, "version": "test",
                        "architecture": "x86_64" });
    let bearer = Some(format!("Bearer {}", token.expose()));
    let reply = world.request("POST", "/agent/v1/hello", bearer, hello).await;
    assert_eq!(reply.status, 410, "{}", reply.body);
    assert!(reply.body.contains("enlisting is off"), "{}", reply.body);
    let known: i64 =
        sqlx::query_scalar("SELECT count(*) FROM machine").fetch_one(&world.site.pool).await.unwrap();
    assert_eq!(known, 0);
}

#[tokio::test]
async fn an_image_is_not_removed_while_a_machine_is_being_installed_with_it() {
    let (mut world, id) = World::ready().await;
    world.act(&id, "deploy", json!({ "image": "debian-12" })).await;
    let role = Some(Role::Administrator);
    let refused = world.site.request(role, "DELETE", "/images/debian-12", &[], None).await;
    let told = refused.problem(409, "busy");
    assert!(told.contains("is being installed with this image; wait for it"), "{told}");
    world.until(&id, "deployed").await;
    world.site.request(role, "DELETE", "/images/debian-12", &[], None).await.expect(204);
}
