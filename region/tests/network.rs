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
        json!({ "addresses": 254, "dynamic": 100, "reserved": 0, "machines": 0, "reservations": 0, "leased": 0, "free": 153,
                "ranges": [{ "range": used["ranges"][0]["range"], "addresses": 100, "used": 0 }], "warnings": [] })
    );
}

#[tokio::test]
async fn a_subnet_stays_while_a_rack_that_nobody_hears_may_give_its_addresses() {
    let site = Site::new().await;
    let subnet = subnet(&site).await;
    let path = format!("/subnets/{}", subnet["id"]);
    let block = "WITH rack AS (INSERT INTO rack (name, heard_at, last_seen_at) VALUES ('rack-1', now(), now()) RETURNING id)
                 INSERT INTO lease_block (subnet_id, rack_id, first, last, epoch)
                 SELECT $1, id, '10.77.0.100', '10.77.0.131', 1 FROM rack";
    sqlx::query(block).bind(subnet["id"].as_i64()).execute(&site.pool).await.unwrap();
    let silent = "UPDATE rack SET heard_at = now() - interval '20 seconds', last_seen_at = now() - interval '20 seconds'";
    sqlx::query(silent).execute(&site.pool).await.unwrap();
    let admin = Some(Role::Administrator);
    let text = site.request(admin, "DELETE", &path, &[], None).await.problem(409, "conflict");
    assert!(text.contains("rack-1") && text.contains("rackwright rack fence rack-1"), "{text}");
    let racks = site.get("/racks").await.expect(200);
    let free = racks["items"][0]["blocks_free_at"].as_str().unwrap().to_owned();
    sqlx::query("UPDATE rack SET fenced_at = now()").execute(&site.pool).await.unwrap();
    let racks = site.get("/racks").await.expect(200);
    let fenced = racks["items"][0]["blocks_free_at"].as_str().unwrap();
    assert!(fenced < free.as_str(), "a fence frees them earlier: {fenced}, without {free}");

    sqlx::query("UPDATE rack SET heard_at = now()").execute(&site.pool).await.unwrap();
    site.request(admin, "DELETE", &path, &[], None).await.expect(204);
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
    assert_eq!(text, "the VLAN is in use: subnet 10.77.0.0/24; remove or change that first");
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

async fn vlan(site: &Site, fabric: &Value, vid: i32, relay: Option<&Value>) -> Value {
    let new = json!({ "fabric": fabric["id"], "vid": vid, "name": format!("v{vid}"), "relay": relay.map(|v| &v["id"]) });
    site.post("/vlans", new).await.expect(201)
}

#[tokio::test]
async fn a_relay_passes_on_to_racks_and_never_to_another_relay() {
    let site = Site::new().await;
    let fabric = site.post("/fabrics", json!({ "name": "lab" })).await.expect(201);
    let racks = vlan(&site, &fabric, 10, None).await;
    let relayed = vlan(&site, &fabric, 20, Some(&racks)).await;
    assert_eq!(relayed["relay"], racks["id"]);
    let put = |of: &Value, relay: &Value| {
        let path = format!("/vlans/{}", of["id"]);
        let body = json!({ "fabric": of["fabric"], "vid": of["vid"], "name": of["name"], "relay": relay });
        (path, body)
    };
    let admin = Some(Role::Administrator);
    let further = json!({ "fabric": fabric["id"], "vid": 30, "name": "v30", "relay": relayed["id"] });
    let refused = site.post("/vlans", further).await;
    assert_eq!(refused.json()["field"], "relay");
    assert!(refused.problem(409, "conflict").starts_with("VLAN v20 relays to v10 itself"));
    let (path, body) = put(&racks, &relayed["id"]);
    let text = site.request(admin, "PUT", &path, &[], Some(&body)).await.problem(409, "conflict");
    assert!(text.starts_with("VLAN v20 relays to v10 itself"), "{text}");
    let (path, body) = put(&racks, &racks["id"]);
    let text = site.request(admin, "PUT", &path, &[], Some(&body)).await.problem(409, "conflict");
    assert_eq!(text, "a VLAN cannot relay to itself");
    // The database refuses what two people do at the same time.
    let id = |vlan: &Value| vlan["id"].as_i64().unwrap();
    let other = vlan(&site, &fabric, 40, None).await;
    let race =
        sqlx::query("UPDATE vlan SET relay_vlan_id = $2 WHERE id = $1").bind(id(&racks)).bind(id(&other));
    let error = race.execute(&site.pool).await.unwrap_err();
    assert_eq!(error.as_database_error().unwrap().constraint(), Some("vlan_relay_chain"));
    let path = format!("/vlans/{}", racks["id"]);
    let text = site.request(admin, "DELETE", &path, &[], None).await.problem(409, "conflict");
    assert_eq!(text, "the VLAN is in use: VLAN v20, which relays to it; remove or change that first");
    let twice = json!({ "fabric": fabric["id"], "vid": 10, "name": "again" });
    assert_eq!(site.post("/vlans", twice).await.json()["field"], "vid");
}

#[tokio::test]
async fn options_have_types_and_the_servers_own_are_refused() {
    let site = Site::new().await;
    let one = subnet(&site).await;
    let path = format!("/subnets/{}", one["id"]);
    let with = |options: Value| {
        json!({ "vlan": one["vlan"], "cidr": "10.77.0.0/24", "managed": false, "reverse_dns": "off",
                "boot_architectures": ["bios", "uefi-x64"], "dhcp_options": options })
    };
    let put = async |options: Value| {
        site.request(Some(Role::Administrator), "PUT", &path, &[], Some(&with(options))).await
    };
    for (option, text) in [
        (
            json!({ "code": 6, "type": "addresses", "value": "10.0.0.1" }),
            "option 6: Rackwright sets it (set the subnet's DNS servers)",
        ),
        (json!({ "code": 4, "type": "text", "value": "x" }), "option 4: time-servers has the type addresses"),
        (
            json!({ "code": 224, "type": "u8", "value": "300" }),
            "option 224: `300` is not a number from 0 to 255",
        ),
    ] {
        let refused = put(json!([option])).await;
        assert_eq!(refused.json()["field"], "dhcp_options");
        assert_eq!(refused.problem(422, "invalid"), text);
    }
    let kept = json!([{ "code": 224, "type": "text", "value": "abc" }]);
    let changed = put(kept.clone()).await.expect(200);
    assert_eq!(
        (&changed["dhcp_options"], &changed["managed"], &changed["reverse_dns"]),
        (&kept, &json!(false), &json!("off"))
    );
    assert_eq!(changed["boot_architectures"], json!(["bios", "uefi-x64"]));
}

#[tokio::test]
async fn a_static_route_goes_somewhere_else_through_its_subnet() {
    let site = Site::new().await;
    let one = subnet(&site).await;
    let route = |to: &str, by: &str| json!({ "subnet": one["id"], "destination": to, "gateway": by });
    for (to, by, field, text) in [
        ("10.200.0.0/16", "10.78.0.1", "gateway", "10.78.0.1 does not lie in 10.77.0.0/24"),
        (
            "10.200.0.1/16",
            "10.77.0.9",
            "destination",
            "10.200.0.1/16 has host bits; the network is 10.200.0.0/16",
        ),
        (
            "10.77.0.128/25",
            "10.77.0.9",
            "destination",
            "10.77.0.128/25 lies in 10.77.0.0/24, which needs no route",
        ),
        ("0.0.0.0/0", "10.77.0.9", "destination", "the default route is the subnet's gateway"),
    ] {
        let refused = site.post("/static-routes", route(to, by)).await;
        assert_eq!(refused.json()["field"], field);
        assert_eq!(refused.problem(422, "invalid"), text);
    }
    site.post("/static-routes", route("10.200.0.0/16", "10.77.0.9")).await.expect(201);
    let again = site.post("/static-routes", route("10.200.0.0/16", "10.77.0.9")).await;
    assert_eq!(again.problem(409, "conflict"), "the subnet already has this route");
    let path = format!("/static-routes?subnet={}", one["id"]);
    assert_eq!(site.get(&path).await.expect(200)["items"][0]["gateway"], "10.77.0.9");
}

#[tokio::test]
async fn a_device_keeps_its_addresses_and_stands_in_the_way_by_name() {
    let site = Site::new().await;
    let one = subnet(&site).await;
    let admin = Some(Role::Administrator);
    let printer = json!({ "hostname": "printer", "addresses": [{ "mac": "52:54:00:aa:00:01", "address": "10.77.0.200" }] });
    let made = site.post("/devices", printer.clone()).await.expect(201);
    let text = site.post("/devices", printer).await.problem(409, "conflict");
    assert_eq!(text, "there is already a device of this name");
    let other = json!({ "mac": "52:54:00:aa:00:02", "address": "10.77.0.200" });
    let text = site.post("/reservations", other).await.problem(409, "conflict");
    assert_eq!(text, "device printer has the address 10.77.0.200");
    let range =
        json!({ "subnet": one["id"], "kind": "dynamic", "first": "10.77.0.150", "last": "10.77.0.210" });
    let text = site.post("/ip-ranges", range).await.problem(409, "conflict");
    assert_eq!(text, "the range holds 10.77.0.200, which device printer has; leave it out");
    let path = format!("/subnets/{}", one["id"]);
    let text = site.request(admin, "DELETE", &path, &[], None).await.problem(409, "conflict");
    assert_eq!(text, "the subnet is in use: device printer; remove or change that first");
    let moved = json!({ "hostname": "printer-2", "addresses": [{ "mac": "52:54:00:aa:00:01", "address": "10.77.0.201" }] });
    let device = format!("/devices/{}", made["id"]);
    let changed = site.request(admin, "PUT", &device, &[], Some(&moved)).await.expect(200);
    assert_eq!(changed["addresses"][0]["address"], "10.77.0.201");
    let listed = site.get("/reservations").await.expect(200);
    assert_eq!(
        (listed["items"].as_array().unwrap().len(), &listed["items"][0]["hostname"]),
        (1, &json!("printer-2"))
    );
    site.request(admin, "DELETE", &device, &[], None).await.expect(204);
    assert_eq!(site.get("/reservations").await.expect(200)["items"], json!([]));
}

#[tokio::test]
async fn the_database_itself_keeps_addresses_in_their_subnet_and_apart() {
    let site = Site::new().await;
    let one = subnet(&site).await;
    let id = one["id"].as_i64().unwrap();
    let range =
        json!({ "subnet": one["id"], "kind": "dynamic", "first": "10.77.0.100", "last": "10.77.0.110" });
    site.post("/ip-ranges", range).await.expect(201);
    site.post("/machines", json!({ "macs": ["52:54:00:00:00:01"] })).await.expect(201);
    let refused = async |sql: &str| {
        let error =
            sqlx::query(sqlx::AssertSqlSafe(sql.to_owned())).bind(id).execute(&site.pool).await.unwrap_err();
        error.as_database_error().unwrap().constraint().unwrap().to_owned()
    };
    for (sql, constraint) in [
        ("UPDATE interface SET subnet_id = $1, address = '10.78.0.1'", "fixed_address_inside"),
        ("UPDATE interface SET subnet_id = $1, address = '10.77.0.255'", "fixed_address_host"),
        ("UPDATE interface SET subnet_id = $1, address = '10.77.0.105'", "fixed_address_dynamic"),
        (
            "INSERT INTO ip_range (subnet_id, kind, first, last) VALUES ($1, 'reserved', '10.77.0.200', '10.77.1.5')",
            "ip_range_inside",
        ),
        (
            "INSERT INTO static_route (subnet_id, destination, gateway) VALUES ($1, '10.9.0.0/16', '10.78.0.1')",
            "static_route_gateway_inside",
        ),
        ("UPDATE subnet SET cidr = '10.77.0.0/26', gateway = NULL WHERE id = $1", "subnet_holds"),
    ] {
        assert_eq!(refused(sql).await, constraint, "{sql}");
    }
}

#[tokio::test]
async fn a_range_that_runs_low_is_warned_about_once() {
    let site = Site::new().await;
    let one = subnet(&site).await;
    let range =
        json!({ "subnet": one["id"], "kind": "dynamic", "first": "10.77.0.100", "last": "10.77.0.103" });
    site.post("/ip-ranges", range).await.expect(201);
    let rack: i64 = sqlx::query_scalar("INSERT INTO rack (name) VALUES ('r1') RETURNING id")
        .fetch_one(&site.pool)
        .await
        .unwrap();
    for last in 100..104 {
        let lease = "INSERT INTO lease (address, mac, rack_id, seq, expires_at)
                     VALUES ($1::inet, $2, $3, 1, now() + interval '1 hour')";
        let query =
            sqlx::query(lease).bind(format!("10.77.0.{last}")).bind(format!("52:54:00:00:01:{last:02x}"));
        query.bind(rack).execute(&site.pool).await.unwrap();
    }
    let used = site.get(&format!("/subnets/{}/utilisation", one["id"])).await.expect(200);
    assert_eq!((&used["ranges"][0]["used"], &used["ranges"][0]["addresses"]), (&json!(4), &json!(4)));
    assert!(
        used["warnings"][0].as_str().unwrap().starts_with("0 of 4 addresses are left in the dynamic range")
    );
    for _ in 0..2 {
        rackwright_region::network::warn_of_low(&mut site.pool.acquire().await.unwrap()).await.unwrap();
    }
    let events = site.get("/events").await.expect(200);
    let warned = events["items"].as_array().unwrap().iter().filter(|e| e["kind"] == "subnet.low").count();
    assert_eq!(warned, 1);
    let path = format!("/subnets/{}", one["id"]);
    let text =
        site.request(Some(Role::Administrator), "DELETE", &path, &[], None).await.problem(409, "conflict");
    assert!(
        text.starts_with("the subnet is in use: the lease of 10.77.0.100 to 52:54:00:00:01:64"),
        "{text}"
    );
    site.request(Some(Role::Administrator), "DELETE", &format!("{path}?force=true"), &[], None)
        .await
        .expect(204);
}

#[tokio::test]
async fn what_clients_call_themselves_goes_into_the_dns_only_when_it_is_a_name_and_nobody_elses() {
    let site = Site::new().await;
    subnet(&site).await;
    site.post("/machines", json!({ "hostname": "web", "macs": ["52:54:00:00:00:01"] })).await.expect(201);
    site.post("/devices", json!({ "hostname": "printer" })).await.expect(201);
    let rack: i64 = sqlx::query_scalar("INSERT INTO rack (name) VALUES ('r1') RETURNING id")
        .fetch_one(&site.pool)
        .await
        .unwrap();
    let names = ["Laptop", "laptop", "web", "printer", "r1", "no good", "-x", "localhost", "tv"];
    for (at, name) in names.iter().enumerate() {
        let lease = "INSERT INTO lease (address, mac, hostname, rack_id, seq, expires_at, named_at)
                     VALUES ($1::inet, $2, $3, $4, 1, now() + interval '1 hour', now() - make_interval(mins => $5))";
        let query =
            sqlx::query(lease).bind(format!("10.77.0.{}", 100 + at)).bind(format!("52:54:00:00:01:{at:02x}"));
        let minutes = i32::try_from(at).unwrap();
        query.bind(name).bind(rack).bind(minutes).execute(&site.pool).await.unwrap();
    }
    let mut conn = site.pool.acquire().await.unwrap();
    let found = rackwright_region::db::lease::client_names(&mut conn).await.unwrap();
    let found: Vec<(String, String)> =
        found.iter().map(|n| (n.hostname.to_string(), n.address.to_string())).collect();
    let pair = |name: &str, address: &str| (name.to_owned(), address.to_owned());
    assert_eq!(found, [pair("laptop", "10.77.0.101"), pair("tv", "10.77.0.108")]);
}
