//! Interfaces of machines: bonds, VLANs and bridges, addresses that a deployment chooses, and what is refused.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod support;

use rackwright_common::MachineId;
use rackwright_common::link::{Fact, JournalEntry};
use rackwright_region::db;
use rackwright_region::model::Role;
use rackwright_region::network::plan::{self, Stored};
use rackwright_region::racks::journal::{self, Source};
use serde_json::{Value, json};
use std::net::Ipv4Addr;
use support::machine::World;
use support::{Reply, Site};

struct Wired {
    site: Site,
    machine: Value,
    first: i64,
    vlan: i64,
    tagged: i64,
}

impl Wired {
    /// A machine with three interfaces; 10.77.0.0/24 untagged, 10.20.0.0/24 as VLAN 20.
    async fn new() -> Self {
        let site = Site::new().await;
        let fabric = site.post("/fabrics", json!({ "name": "lab" })).await.expect(201);
        let vlan = async |vid: i32| {
            let new = json!({ "fabric": fabric["id"], "vid": vid, "name": format!("v{vid}") });
            site.post("/vlans", new).await.expect(201)["id"].as_i64().unwrap()
        };
        let (untagged, vlan) = (vlan(0).await, vlan(20).await);
        let subnet = async |vlan: i64, net: &str| {
            let new = json!({ "vlan": vlan, "cidr": format!("{net}.0/24"), "gateway": format!("{net}.1"),
                              "dns_servers": [format!("{net}.2")], "domain": "lab" });
            site.post("/subnets", new).await.expect(201)["id"].as_i64().unwrap()
        };
        let (first, tagged) = (subnet(untagged, "10.77.0").await, subnet(vlan, "10.20.0").await);
        let macs: Vec<String> = (1..4).map(|n| format!("52:54:00:00:00:0{n}")).collect();
        let machine = site.post("/machines", json!({ "hostname": "m1", "macs": macs })).await.expect(201);
        let name = "UPDATE interface SET name = 'eth' || right(mac, 1)";
        sqlx::query(name).execute(&site.pool).await.unwrap();
        let mut wired = Self { site, machine, first, vlan, tagged };
        wired.machine = wired.show().await;
        wired
    }

    fn path(&self) -> String {
        format!("/machines/{}", self.machine["id"].as_str().unwrap())
    }

    async fn show(&self) -> Value {
        self.site.get(&self.path()).await.expect(200)
    }

    fn eth(&self, number: usize) -> i64 {
        self.machine["interfaces"][number - 1]["id"].as_i64().unwrap()
    }

    async fn make(&self, body: Value) -> Reply {
        self.site.post(&format!("{}/virtual-interfaces", self.path()), body).await
    }

    async fn set(&self, number: usize, body: Value) -> Reply {
        let path = format!("{}/interfaces/{}", self.path(), self.eth(number));
        self.site.request(Some(Role::Operator), "PATCH", &path, &[], Some(&body)).await
    }

    fn made(machine: &Value, name: &str) -> i64 {
        let all = machine["virtual_interfaces"].as_array().unwrap();
        all.iter().find(|v| v["name"] == name).unwrap()["id"].as_i64().unwrap()
    }

    async fn plan(&self) -> Value {
        self.site.get(&format!("{}/network-plan", self.path())).await.expect(200)
    }
}

#[tokio::test]
async fn a_bond_a_vlan_and_a_bridge_with_static_routes_are_planned_as_they_will_be() {
    let wired = Wired::new().await;
    wired.set(1, json!({ "mode": "static", "address": "10.77.0.20" })).await.expect(200);
    let bond = json!({ "name": "bond0", "kind": "bond", "parents": [wired.eth(2), wired.eth(3)],
                       "settings": { "mode": "802.3ad", "lacp_rate": "fast", "xmit_hash_policy": "layer3+4" } });
    let machine = wired.make(bond).await.expect(201);
    let on = Wired::made(&machine, "bond0");
    let vlan = json!({ "name": "bond0.20", "kind": "vlan", "vlan": wired.vlan, "parents": [on] });
    let machine = wired.make(vlan).await.expect(201);
    let bridge = json!({ "name": "br20", "kind": "bridge", "parents": [Wired::made(&machine, "bond0.20")], "mtu": 1400,
                         "addresses": [{ "mode": "auto", "subnet": wired.tagged }] });
    wired.make(bridge).await.expect(201);
    let route = json!({ "subnet": wired.tagged, "destination": "10.200.0.0/16", "gateway": "10.20.0.9" });
    wired.site.post("/static-routes", route).await.expect(201);
    let plan = wired.plan().await;
    assert_eq!(plan["problems"], json!([]));
    let names: Vec<_> =
        plan["interfaces"].as_array().unwrap().iter().map(|i| i["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["eth1", "eth2", "eth3", "bond0", "bond0.20", "br20"]);
    let bridge = &plan["interfaces"][5];
    assert_eq!(
        (&bridge["addresses"], &bridge["chosen"]),
        (&json!(["10.20.0.3/24"]), &json!(["10.20.0.3"])),
        "1, 2 and 9 are somebody's"
    );
    assert_eq!(bridge["routes"], json!(["10.200.0.0/16 via 10.20.0.9"]));
    assert_eq!(
        plan["interfaces"][0]["routes"],
        json!(["default via 10.77.0.1"]),
        "one default route, the boot interface's"
    );
    assert_eq!(plan["nameservers"], json!(["10.77.0.2", "10.20.0.2"]));
    let network = &plan["netplan"]["network"];
    assert_eq!(network["bonds"]["bond0"]["interfaces"], json!(["eth2", "eth3"]));
    assert_eq!(network["vlans"]["bond0.20"], json!({ "id": 20, "link": "bond0" }));
    assert_eq!(
        (&network["bridges"]["br20"]["mtu"], &network["ethernets"]["eth2"]["addresses"]),
        (&json!(1400), &Value::Null)
    );
    assert_eq!(plan["dhcp"][0], json!({ "mac": "52:54:00:00:00:01", "address": "10.77.0.20" }));
    // Nothing was taken for the plan.
    assert_eq!(wired.show().await["virtual_interfaces"][2]["addresses"][0]["address"], Value::Null);
    let gateways = json!({ "ipv4": wired.tagged });
    let path = format!("{}/default-gateways", wired.path());
    wired.site.request(Some(Role::Operator), "PUT", &path, &[], Some(&gateways)).await.expect(200);
    let plan = wired.plan().await;
    assert_eq!(plan["interfaces"][0]["routes"], json!([]));
    assert_eq!(plan["interfaces"][5]["routes"][0], "default via 10.20.0.1");
}

#[tokio::test]
async fn what_cannot_be_is_refused_by_the_name_of_the_field() {
    let wired = Wired::new().await;
    let (eth1, eth2) = (wired.eth(1), wired.eth(2));
    let refused = async |body: Value, status: u16, field: &str, text: &str| {
        let reply = wired.make(body).await;
        assert_eq!(
            (reply.status.as_u16(), &reply.json()["field"]),
            (status, &json!(field)),
            "{}",
            reply.text
        );
        let said = reply.json()["detail"].as_str().unwrap().to_owned();
        assert!(said.contains(text), "{said}");
    };
    refused(
        json!({ "name": "bond0", "kind": "bond", "parents": [] }),
        422,
        "parents",
        "a bond needs members",
    )
    .await;
    refused(
        json!({ "name": "eth1", "kind": "bond", "parents": [eth2] }),
        409,
        "name",
        "already has an interface called eth1",
    )
    .await;
    refused(json!({ "name": "a b", "kind": "bridge" }), 422, "name", "is not an interface name").await;
    refused(
        json!({ "name": "v", "kind": "vlan", "vlan": wired.vlan, "parents": [eth1, eth2] }),
        422,
        "parents",
        "a VLAN is on one interface",
    )
    .await;
    refused(
        json!({ "name": "v", "kind": "vlan", "vlan": 999, "parents": [eth1] }),
        422,
        "vlan",
        "there is no VLAN 999",
    )
    .await;
    refused(
        json!({ "name": "b", "kind": "bridge", "parents": [77777] }),
        422,
        "parents",
        "has no interface 77777",
    )
    .await;
    let machine = wired.make(json!({ "name": "bond0", "kind": "bond", "parents": [eth2] })).await.expect(201);
    let bond = Wired::made(&machine, "bond0");
    refused(
        json!({ "name": "br0", "kind": "bridge", "parents": [eth2] }),
        422,
        "parents",
        "bond0 is already made of one",
    )
    .await;
    refused(
        json!({ "name": "bond1", "kind": "bond", "parents": [bond] }),
        422,
        "parents",
        "is not a physical one",
    )
    .await;
    let path = format!("{}/virtual-interfaces/{bond}", wired.path());
    let itself = json!({ "name": "bond0", "kind": "bridge", "parents": [bond] });
    let operator = Some(Role::Operator);
    let text = wired.site.request(operator, "PUT", &path, &[], Some(&itself)).await.problem(422, "invalid");
    assert!(text.contains("has no interface") || text.contains("made of itself"), "{text}");
    let under = format!("{}/interfaces/{eth2}", wired.path());
    let text = wired.site.request(operator, "DELETE", &under, &[], None).await.problem(409, "conflict");
    assert_eq!(text, "bond0 is made of this interface; change or remove it first");
    let text = wired.set(1, json!({ "mode": "static" })).await.problem(422, "invalid");
    assert_eq!(text, "a static interface needs an address");
    let text = wired.set(1, json!({ "address": "192.0.2.5" })).await.problem(422, "invalid");
    assert_eq!(text, "192.0.2.5 lies in no known subnet");
    let text = wired.set(1, json!({ "address": "10.77.0.1" })).await.problem(409, "conflict");
    assert_eq!(text, "the gateway of 10.77.0.0/24 has the address 10.77.0.1");
    let text = wired.set(1, json!({ "mtu": 100 })).await.problem(422, "invalid");
    assert_eq!(text, "an MTU is 552 to 65535 bytes");
    sqlx::query("UPDATE machine SET status = 'deployed'").execute(&wired.site.pool).await.unwrap();
    let text = wired.set(1, json!({ "mode": "dhcp" })).await.problem(409, "conflict");
    assert!(text.starts_with("interfaces are changed while no system is on the machine"), "{text}");
}

#[tokio::test]
async fn a_tagged_vlan_cannot_have_larger_packets_than_what_it_is_on_and_a_bond_gives_its_own_to_its_members()
{
    let wired = Wired::new().await;
    let bond = |mtu: Option<i32>| {
        json!({ "name": "bond0", "kind": "bond", "parents": [wired.eth(2), wired.eth(3)], "mtu": mtu,
                                          "addresses": [{ "mode": "auto", "subnet": wired.first }] })
    };
    let made = Wired::made(&wired.make(bond(None)).await.expect(201), "bond0");
    let vlan =
        json!({ "name": "bond0.20", "kind": "vlan", "vlan": wired.vlan, "parents": [made], "mtu": 9000 });
    wired.make(vlan).await.expect(201);
    let why = json!(["the MTU of bond0.20, 9000, is larger than that of bond0, 1500"]);
    assert_eq!(wired.plan().await["problems"], why);
    let path = format!("{}/virtual-interfaces/{made}", wired.path());
    wired.site.request(Some(Role::Operator), "PUT", &path, &[], Some(&bond(Some(9000)))).await.expect(200);
    assert_eq!(wired.plan().await["problems"], json!([]));
}

#[tokio::test]
async fn two_deployments_at_once_never_choose_one_address() {
    let wired = Wired::new().await;
    let mut machines = Vec::new();
    for number in 10..22 {
        let new = json!({ "macs": [format!("52:54:00:00:01:{number}")] });
        let machine = wired.site.post("/machines", new).await.expect(201);
        let path = format!(
            "/machines/{}/interfaces/{}",
            machine["id"].as_str().unwrap(),
            machine["interfaces"][0]["id"]
        );
        let auto = json!({ "subnet": wired.first });
        wired.site.request(Some(Role::Operator), "PATCH", &path, &[], Some(&auto)).await.expect(200);
        machines.push(machine["id"].as_str().unwrap().parse::<MachineId>().unwrap());
    }
    let mut choosing = tokio::task::JoinSet::new();
    for machine in machines {
        let pool = wired.site.pool.clone();
        choosing.spawn(async move {
            let mut tx = pool.begin().await.unwrap();
            assert_eq!(plan::choose_addresses(&mut tx, &machine, None).await.unwrap(), Vec::<String>::new());
            tx.commit().await.unwrap();
            let stored = Stored::load(&mut pool.acquire().await.unwrap(), &machine).await.unwrap();
            stored.physical[0].address.unwrap()
        });
    }
    let mut addresses: Vec<Ipv4Addr> = choosing.join_all().await;
    addresses.sort();
    let expected: Vec<Ipv4Addr> = (3..15).map(|n| Ipv4Addr::new(10, 77, 0, n)).collect();
    assert_eq!(addresses, expected);
}

#[tokio::test]
async fn an_unmanaged_subnet_gives_only_what_is_reserved_and_a_full_one_is_a_problem() {
    let wired = Wired::new().await;
    let admin = Some(Role::Administrator);
    let path = format!("/subnets/{}", wired.tagged);
    let body = json!({ "vlan": wired.vlan, "cidr": "10.20.0.0/24", "managed": false });
    wired.site.request(admin, "PUT", &path, &[], Some(&body)).await.expect(200);
    wired.set(2, json!({ "mode": "auto", "subnet": wired.tagged })).await.expect(200);
    let plan = wired.plan().await;
    assert_eq!(plan["problems"], json!(["10.20.0.0/24 has no free address"]));
    let range =
        json!({ "subnet": wired.tagged, "kind": "reserved", "first": "10.20.0.50", "last": "10.20.0.51" });
    wired.site.post("/ip-ranges", range).await.expect(201);
    assert_eq!(wired.plan().await["interfaces"][1]["addresses"], json!(["10.20.0.50/24"]));
}

#[tokio::test]
async fn an_address_that_somebody_answers_for_is_left_alone_and_another_is_chosen_and_goes_with_the_release()
{
    let mut world = World::new().await;
    let machine = world
        .site
        .post(
            "/machines",
            json!({ "macs": ["52:54:00:00:00:01", "52:54:00:00:00:02"],
        "bmc": { "driver": "ipmi", "address": "10.78.0.1" } }),
        )
        .await
        .expect(201);
    let id: MachineId = machine["id"].as_str().unwrap().parse().unwrap();
    sqlx::query("UPDATE machine SET status = 'ready', resting_status = 'ready'")
        .execute(&world.site.pool)
        .await
        .unwrap();
    let subnet = world.site.get("/subnets").await.expect(200)["items"][0]["id"].as_i64().unwrap();
    let path = format!("/machines/{id}/interfaces/{}", machine["interfaces"][1]["id"]);
    let auto = json!({ "mode": "auto", "subnet": subnet });
    world.site.request(Some(Role::Operator), "PATCH", &path, &[], Some(&auto)).await.expect(200);
    world.site.post(&format!("/machines/{id}/deploy"), json!({ "image": "debian-12" })).await.expect(202);
    let pool = world.site.pool.clone();
    let chosen = async || {
        let stored = Stored::load(&mut pool.acquire().await.unwrap(), &id).await.unwrap();
        stored.physical[1].address
    };
    assert_eq!(chosen().await, Some(Ipv4Addr::new(10, 77, 0, 2)), "the rack is 10.77.0.1");
    let source = Source { id: world.rack, name: "rack-1".into(), addresses: vec![] };
    let mut seq = 0;
    let mut answer = async |world: &World, taken: &[&str]| {
        let mut conn = world.site.pool.acquire().await.unwrap();
        let claimed = db::address_probe::claim(&mut conn, world.rack).await.unwrap();
        assert!(
            db::address_probe::claim(&mut conn, world.rack).await.unwrap().is_empty(),
            "one rack asks at a time"
        );
        for (operation, addresses) in claimed {
            let mac = "52:54:00:99:00:01".parse().unwrap();
            let answered = addresses
                .iter()
                .filter(|a| taken.contains(&a.to_string().as_str()))
                .map(|a| (*a, mac))
                .collect();
            seq += 1;
            let fact = Fact::Probed { operation, addresses, answered };
            let at = time::OffsetDateTime::now_utc();
            journal::store(&mut conn, &world.inband, &source, &[JournalEntry { seq, at, fact }])
                .await
                .unwrap();
        }
    };
    world.work_region().await;
    answer(&world, &["10.77.0.2"]).await;
    world.hurry().await;
    world.work_region().await;
    assert_eq!(chosen().await, Some(Ipv4Addr::new(10, 77, 0, 3)));
    answer(&world, &["10.77.0.2"]).await;
    world.until(&id, "deployed").await;
    let events = world.site.get("/events?limit=200").await.expect(200);
    let told = events["items"]
        .as_array()
        .unwrap()
        .iter()
        .any(|e| e["message"].as_str().unwrap().starts_with("10.77.0.2 is in use by 52:54:00:99:00:01"));
    assert!(told, "{events}");
    world.site.post(&format!("/machines/{id}/release"), json!({ "erase": "none" })).await.expect(202);
    world.until(&id, "ready").await;
    assert_eq!(chosen().await, None);
}

#[tokio::test]
async fn a_machine_that_boots_through_a_member_has_the_name_of_its_bond() {
    let wired = Wired::new().await;
    wired.set(1, json!({ "mode": "static", "address": "10.77.0.20" })).await.expect(200);
    let names = async || {
        let mut conn = wired.site.pool.acquire().await.unwrap();
        let found = db::name_source::load(&mut conn).await.unwrap().interfaces;
        found.iter().map(|i| format!("{} {}", i.name, i.address)).collect::<Vec<_>>()
    };
    assert_eq!(names().await, ["eth1 10.77.0.20"]);
    let bond = json!({ "name": "bond0", "kind": "bond", "parents": [wired.eth(1), wired.eth(2)],
                       "addresses": [{ "mode": "static", "address": "10.77.0.30" }] });
    wired.make(bond).await.expect(201);
    assert_eq!(names().await, ["bond0 10.77.0.30", "eth1 10.77.0.20"]);
}
