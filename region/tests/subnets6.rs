//! What racks are told of IPv6 subnets, and ranges that are too small.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod support;

use rackwright_region::model::Role;
use serde_json::{Value, json};
use support::machine::World;

async fn make(world: &World, path: &str, body: Value) -> Value {
    world.site.request(Some(Role::Administrator), "POST", path, &[], Some(&body)).await.expect(201)
}

#[tokio::test]
async fn racks_hear_of_the_ipv6_subnets_of_their_vlans() {
    let world = World::new().await;
    assert_eq!(world.snapshot().await.subnets6, [], "nothing is modelled");
    let vlan: i64 =
        sqlx::query_scalar("SELECT min(vlan_id) FROM subnet").fetch_one(&world.site.pool).await.unwrap();
    let new =
        json!({ "vlan": vlan, "cidr": "fd00:77::/64", "dns_servers": ["fd00:77::53"], "lease_seconds": 900 });
    let subnet = make(&world, "/subnets", new).await["id"].clone();
    let range = |last: &str| json!({ "subnet": subnet, "kind": "dynamic", "first": "fd00:77::1:0:0:0", "last": last });
    let small = range("fd00:77::1:0:0:ff");
    let refused =
        world.site.request(Some(Role::Administrator), "POST", "/ip-ranges", &[], Some(&small)).await;
    assert!(refused.problem(422, "invalid").contains("65536 addresses at least"));
    make(&world, "/ip-ranges", range("fd00:77::1:ffff:ffff:ffff")).await;
    make(&world, "/reservations", json!({ "mac": "52:54:00:00:00:98", "address": "fd00:77::9" })).await;

    let told = world.snapshot().await.subnets6;
    assert_eq!(told.len(), 1);
    assert_eq!(
        (told[0].cidr.to_string().as_str(), told[0].vlan, told[0].valid_seconds),
        ("fd00:77::/64", vlan, 900)
    );
    assert_eq!(
        told[0].ranges,
        [("fd00:77::1:0:0:0".parse().unwrap(), "fd00:77::1:ffff:ffff:ffff".parse().unwrap())]
    );
    assert_eq!(told[0].fixed[0].address, "fd00:77::9".parse::<std::net::Ipv6Addr>().unwrap());
    assert!(world.snapshot().await.reservations.iter().all(|r| r.mac.to_string() != "52:54:00:00:00:98"));

    sqlx::query("UPDATE vlan SET dhcp = FALSE").execute(&world.site.pool).await.unwrap();
    assert_eq!(world.snapshot().await.subnets6, [], "DHCP is off");
}
