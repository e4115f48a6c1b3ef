//! Fabrics, VLANs, subnets, ranges and reservations through the API.

mod support;

use rackwright_region::model::Role;
use serde_json::{Value, json};
use support::Site;

async fn subnet(site: &Site) -> Value {
    let fabric = site.post("/fabrics", json!({ "name": "lab" })).await.expect(201);
    let vlan = json!({ "fabric": fabric["id"], "vid": 0, "name": "untagged", "dhcp": true });
    let vlan = site.post("/vlans", vlan).await.expect(201);
    let new = json!({ "vlan": vlan["id"], "cidr": "10.77.0.0/24", "gateway": "10.77.0.1", "dns_servers": ["10.77.0.2"] });
    site.post("/subnets", new).await.expect(201)
}

#[tokio::test]
async fn ranges_stay_inside_and_apart() {
    let site = Site::new().await;
    let subnet = subnet(&site).await;
    assert_eq!((&subnet["name"], &subnet["lease_seconds"]), (&json!("10.77.0.0/24"), &json!(600)));
    let range = |first: &str, last: &str| json!({ "subnet": subnet["id"], "kind": "dynamic", "first": first, "last": last });
    site.post("/ip-ranges", range("10.77.0.100", "10.77.0.199")).await.expect(201);
    for (first, last, status, text) in [
        ("10.77.0.150", "10.77.0.210", 409, "the range overlaps with another range of the subnet"),
        ("10.77.0.220", "10.77.1.5", 422, "10.77.1.5 does not lie in 10.77.0.0/24"),
        ("10.77.0.60", "10.77.0.50", 422, "the last address comes before the first"),
        ("10.77.0.1", "10.77.0.9", 422, "the range holds the gateway, 10.77.0.1"),
        ("10.77.0.250", "10.77.0.255", 422, "no host can have the network's or the broadcast address"),
    ] {
        let reply = site.post("/ip-ranges", range(first, last)).await;
        assert_eq!(reply.problem(status, if status == 409 { "conflict" } else { "invalid" }), text);
    }
    let used = site.get(&format!("/subnets/{}/utilisation", subnet["id"])).await.expect(200);
    assert_eq!(
        used,
        json!({ "addresses": 254, "dynamic": 100, "reserved": 0, "machines": 0, "reservations": 0, "leased": 0, "free": 153 })
    );
}

#[tokio::test]
async fn a_subnet_does_not_overlap_or_lose_what_is_in_it() {
    let site = Site::new().await;
    let one = subnet(&site).await;
    let new = json!({ "vlan": one["vlan"], "cidr": "10.77.0.128/25" });
    let text = site.post("/subnets", new).await.problem(409, "conflict");
    assert_eq!(text, "the network overlaps with another subnet");
    let new = json!({ "vlan": one["vlan"], "cidr": "10.78.0.5/24" });
    let text = site.post("/subnets", new).await.problem(422, "invalid");
    assert_eq!(text, "10.78.0.5/24 has host bits; the network is 10.78.0.0/24");
    let new = json!({ "vlan": one["vlan"], "cidr": "10.78.0.0/24", "gateway": "10.79.0.1" });
    assert_eq!(site.post("/subnets", new).await.json()["field"], "gateway");
    let reservation = json!({ "mac": "52:54:00:aa:00:01", "address": "10.77.0.200", "hostname": "printer" });
    site.post("/reservations", reservation).await.expect(201);
    let smaller = json!({ "vlan": one["vlan"], "cidr": "10.77.0.0/25" });
    let path = format!("/subnets/{}", one["id"]);
    let text = site
        .request(Some(Role::Administrator), "PUT", &path, &[], Some(&smaller))
        .await
        .problem(409, "conflict");
    assert_eq!(text, "10.77.0.200 is used in this subnet and does not lie in 10.77.0.0/25");
    let vlan = format!("/vlans/{}", one["vlan"]);
    let text =
        site.request(Some(Role::Administrator), "DELETE", &vlan, &[], None).await.problem(409, "conflict");
    assert_eq!(text, "the VLAN has subnets; remove them first");
}

#[tokio::test]
async fn a_reservation_keeps_out_of_dynamic_ranges() {
    let site = Site::new().await;
    let one = subnet(&site).await;
    let range =
        json!({ "subnet": one["id"], "kind": "dynamic", "first": "10.77.0.100", "last": "10.77.0.110" });
    site.post("/ip-ranges", range).await.expect(201);
    let at = |address: &str, mac: &str| json!({ "mac": mac, "address": address });
    let text =
        site.post("/reservations", at("10.77.0.105", "52:54:00:aa:00:01")).await.problem(409, "conflict");
    assert!(text.contains("lies in the dynamic range 10.77.0.100 to 10.77.0.110"), "{text}");
    let text = site.post("/reservations", at("192.0.2.1", "52:54:00:aa:00:01")).await.problem(422, "invalid");
    assert_eq!(text, "192.0.2.1 lies in no known subnet");
    site.post("/reservations", at("10.77.0.50", "52:54:00:aa:00:01")).await.expect(201);
    let text =
        site.post("/reservations", at("10.77.0.50", "52:54:00:aa:00:02")).await.problem(409, "conflict");
    assert_eq!(text, "this address is already reserved");
    let listed = site.get("/reservations").await.expect(200);
    assert_eq!(listed["items"][0]["address"], "10.77.0.50");
}

#[tokio::test]
async fn the_default_pool_stays_and_a_used_one_too() {
    let site = Site::new().await;
    let admin = Some(Role::Administrator);
    site.request(admin, "PUT", "/pools/gpu", &[], Some(&json!({ "description": "GPUs" }))).await.expect(204);
    site.post("/machines", json!({ "macs": ["52:54:00:00:00:01"], "pool": "gpu" })).await.expect(201);
    let text = site.request(admin, "DELETE", "/pools/gpu", &[], None).await.problem(409, "conflict");
    assert_eq!(text, "there are machines in this pool; move them first");
    site.request(admin, "DELETE", "/pools/default", &[], None).await.problem(409, "conflict");
    let pools = site.get("/pools").await.expect(200);
    assert_eq!(pools["items"][1], json!({ "name": "gpu", "description": "GPUs", "machines": 1 }));
    let text = site.request(admin, "PUT", "/zones/A!", &[], Some(&json!({}))).await.problem(422, "invalid");
    assert!(text.contains("lower-case letters"), "{text}");
}
