//! Domains and records through the API, and what becomes published of them, of machines and of networks.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod support;

use rackwright_common::Mac;
use rackwright_region::db::lease::{self, Lease};
use rackwright_region::dns::publish::publish;
use rackwright_region::model::Role;
use serde_json::{Value, json};
use support::Site;

async fn lab(site: &Site) -> Value {
    site.post("/domains", json!({ "name": "Lab.Example.", "is_default": true })).await.expect(201)
}

async fn record(site: &Site, name: &str, kind: &str, data: &str) -> Value {
    site.post("/dns-records", json!({ "name": name, "type": kind, "data": data })).await.expect(201)
}

/// Field and text of a refusal.
async fn refused(site: &Site, name: &str, kind: &str, data: &str) -> (String, String) {
    let reply = site.post("/dns-records", json!({ "name": name, "type": kind, "data": data })).await.json();
    let text = |field: &str| reply[field].as_str().unwrap_or_else(|| panic!("{reply}")).to_owned();
    (text("field"), text("detail"))
}

async fn published(site: &Site, query: &str) -> Vec<String> {
    let names = site.get(&format!("/names?{query}")).await.expect(200);
    let line = |n: &Value| {
        format!(
            "{} {} {}",
            n["name"].as_str().unwrap(),
            n["type"].as_str().unwrap(),
            n["data"].as_str().unwrap()
        )
    };
    names["items"].as_array().unwrap().iter().map(line).collect()
}

#[tokio::test]
async fn records_are_checked_and_kept_as_zone_files_have_them() {
    let site = Site::new().await;
    assert_eq!(lab(&site).await["name"], "lab.example");
    let www = record(&site, "WWW.lab.example", "a", " 10.77.0.9 ").await;
    assert_eq!(
        (&www["name"], &www["type"], &www["data"], &www["domain"]),
        (&json!("www.lab.example"), &json!("A"), &json!("10.77.0.9"), &json!("lab.example"))
    );
    for (name, kind, data) in [
        ("lab.example", "MX", "10 mail.lab.example"),
        ("_sip._tcp.lab.example", "SRV", "0 5 5060 sip.lab.example"),
        ("lab.example", "TXT", "v=spf1 -all"),
        ("lab.example", "CAA", "0 issue \"ca.example\""),
        ("sub.lab.example", "NS", "ns.other.example"),
        ("*.apps.lab.example", "A", "10.77.0.10"),
        ("www.lab.example", "AAAA", "fd00::9"),
    ] {
        record(&site, name, kind, data).await;
    }
    for (name, kind, data, field, says) in [
        (
            "www.elsewhere.example",
            "A",
            "10.0.0.1",
            "name",
            "lies in none of the domains (lab.example, rackwright.internal)",
        ),
        ("a_b.lab.example", "A", "10.0.0.1", "name", "not a host name"),
        ("a..lab.example", "A", "10.0.0.1", "name", "is not a name"),
        ("x.lab.example", "PTR", "y.lab.example", "type", "made by Rackwright"),
        ("x.lab.example", "LOC", "1", "type", "there is no record type `LOC`"),
        ("x.lab.example", "A", "10.0.0", "data", "not an IPv4 address"),
        ("x.lab.example", "MX", "10 m_x.lab.example", "data", "m_x.lab.example is not a host name"),
        ("www.lab.example", "A", "10.77.0.9", "data", "already this very record"),
        ("lab.example", "CNAME", "x.example", "name", "cannot be an alias"),
        ("www.lab.example", "CNAME", "x.example", "name", "an alias stands alone"),
    ] {
        let (at, text) = refused(&site, name, kind, data).await;
        assert!(at == field && text.contains(says), "{name} {kind} {data}: {at}: {text}");
    }
}

#[tokio::test]
async fn aliases_stand_alone_and_lead_to_an_end() {
    let site = Site::new().await;
    lab(&site).await;
    record(&site, "a.lab.example", "CNAME", "b.lab.example").await;
    record(&site, "b.lab.example", "CNAME", "c.lab.example").await;
    let (field, text) = refused(&site, "c.lab.example", "CNAME", "a.lab.example").await;
    assert_eq!((field.as_str(), text.as_str()), ("data", "c.lab.example would lead to itself"));
    let (field, text) = refused(&site, "a.lab.example", "A", "10.0.0.1").await;
    assert_eq!(field, "name");
    assert_eq!(text, "a.lab.example is an alias of b.lab.example, and an alias has no other records");
    // Changing an alias is no clash with itself.
    let alias = record(&site, "d.lab.example", "CNAME", "a.lab.example").await;
    let path = format!("/dns-records/{}", alias["id"]);
    let new = json!({ "name": "d.lab.example", "type": "CNAME", "data": "e.example", "ttl": 5 });
    let changed = site.request(Some(Role::Administrator), "PUT", &path, &[], Some(&new)).await.expect(200);
    assert_eq!((&changed["data"], &changed["ttl"]), (&json!("e.example"), &json!(5)));
    site.request(Some(Role::Operator), "DELETE", &path, &[], None).await.expect(204);
}

#[tokio::test]
async fn the_default_domain_stays_and_one_with_records_keeps_its_name() {
    let site = Site::new().await;
    let admin = Some(Role::Administrator);
    let one = lab(&site).await;
    let path = format!("/domains/{}", one["id"]);
    let text = site.request(admin, "DELETE", &path, &[], None).await.problem(409, "conflict");
    assert!(text.contains("make another one it first"), "{text}");
    let domains = site.get("/domains").await.expect(200);
    let old =
        domains["items"].as_array().unwrap().iter().find(|d| d["name"] == "rackwright.internal").unwrap();
    assert_eq!(old["is_default"], false, "there is one default domain");
    record(&site, "www.lab.example", "A", "10.0.0.1").await;
    let renamed = json!({ "name": "other.example", "is_default": true });
    let text = site.request(admin, "PUT", &path, &[], Some(&renamed)).await.problem(409, "conflict");
    assert_eq!(text, "lab.example has records under its name; remove them first");
    let text = site.post("/domains", json!({ "name": "a_b.example" })).await.problem(422, "invalid");
    assert!(text.contains("named like a host"), "{text}");
    let text = site.post("/domains", json!({ "name": "lab.example" })).await.problem(409, "conflict");
    assert_eq!(text, "there is already a domain of this name");
}

#[tokio::test]
async fn what_changes_is_published_once_under_a_serial_that_grows() {
    let site = Site::new().await;
    lab(&site).await;
    let fabric = site.post("/fabrics", json!({ "name": "lab" })).await.expect(201);
    let vlan = json!({ "fabric": fabric["id"], "vid": 0, "name": "untagged" });
    let vlan = site.post("/vlans", vlan).await.expect(201);
    site.post("/subnets", json!({ "vlan": vlan["id"], "cidr": "10.77.0.0/24" })).await.expect(201);
    let printer = json!({ "mac": "52:54:00:aa:00:01", "address": "10.77.0.70", "hostname": "printer" });
    site.post("/reservations", printer).await.expect(201);
    let www = record(&site, "www.lab.example", "A", "10.77.0.9").await;
    // Two domains and a reverse zone.
    assert_eq!(publish(&site.pool, site.app.keys()).await.unwrap(), 3);
    assert_eq!(publish(&site.pool, site.app.keys()).await.unwrap(), 0, "nothing has changed since");
    assert_eq!(
        published(&site, "zone=lab.example").await,
        [
            "lab.example NS region.lab.example",
            "printer.lab.example A 10.77.0.70",
            "www.lab.example A 10.77.0.9"
        ]
    );
    assert_eq!(
        published(&site, "q=PTR").await.len() + published(&site, "q=printer").await.len(),
        2,
        "text is sought in names and data"
    );
    let serial = async || {
        let zones = site.get("/dns-zones").await.expect(200);
        let zone =
            zones["items"].as_array().unwrap().iter().find(|z| z["origin"] == "lab.example").unwrap().clone();
        (zone["serial"].as_i64().unwrap(), zone["records"].as_i64().unwrap())
    };
    let (first, records) = serial().await;
    assert_eq!(records, 3);
    let path = format!("/dns-records/{}", www["id"]);
    site.request(Some(Role::Operator), "DELETE", &path, &[], None).await.expect(204);
    assert_eq!(
        publish(&site.pool, site.app.keys()).await.unwrap(),
        2,
        "its name, and the name of its address"
    );
    let (second, records) = serial().await;
    assert!(second > first && records == 2, "{first}, {second}, {records}");
    // An alias at the name of something with an address is refused.
    let (field, text) = refused(&site, "printer.lab.example", "CNAME", "x.example").await;
    assert!(field == "name" && text.contains("10.77.0.70"), "{text}");
}

#[tokio::test]
async fn regions_that_publish_at_the_same_time_agree() {
    let site = Site::new().await;
    lab(&site).await;
    for number in 0..5 {
        record(&site, &format!("n{number}.lab.example"), "A", "10.77.0.9").await;
        let all = [
            publish(&site.pool, site.app.keys()),
            publish(&site.pool, site.app.keys()),
            publish(&site.pool, site.app.keys()),
        ];
        let [a, b, c] = all.map(Box::pin);
        let (a, b, c) = tokio::join!(a, b, c);
        let changed = a.unwrap() + b.unwrap() + c.unwrap();
        assert_eq!(changed, if number == 0 { 2 } else { 1 }, "one of them publishes");
    }
    assert_eq!(published(&site, "zone=lab.example").await.len(), 6);
}

#[tokio::test]
async fn a_signed_zone_is_never_published_without_its_signatures() {
    let site = Site::new().await;
    lab(&site).await;
    record(&site, "www.lab.example", "A", "10.77.0.9").await;
    let refused = site.post("/dns-keys", json!({ "zone": "other.example" })).await.problem(422, "invalid");
    assert!(refused.contains("there is no zone other.example"), "{refused}");
    site.post("/dns-keys", json!({ "zone": "lab.example" })).await.expect(201);
    assert_eq!(publish(&site.pool, site.app.keys()).await.unwrap(), 2);
    assert_eq!(publish(&site.pool, site.app.keys()).await.unwrap(), 0, "what is signed is not signed again");
    let rows = async |what: &str| -> i64 {
        let count = format!(
            "SELECT count(*) FROM dns_published WHERE zone = 'lab.example' AND until IS NULL AND {what}"
        );
        sqlx::query_scalar(sqlx::AssertSqlSafe(count)).fetch_one(&site.pool).await.unwrap()
    };
    // The zone and www: a link and its signature each, one of NS, A and SOA each, the key and its signature.
    assert_eq!(rows("type IN ('RRSIG', 'NSEC', 'DNSKEY')").await, 9);
    // A region with another master key leaves it as it is.
    record(&site, "new.lab.example", "A", "10.77.0.10").await;
    let foreign = rackwright_region::secrets::MasterKey::from_bytes([9; 32]);
    assert_eq!(publish(&site.pool, &foreign).await.unwrap(), 0);
    assert_eq!(rows("name = 'new.lab.example'").await, 0);
    assert_eq!(publish(&site.pool, site.app.keys()).await.unwrap(), 1);
    assert_eq!(rows("name = 'new.lab.example'").await, 4, "the address, the link, and a signature of each");
    // So does one of an older version: the database refuses what is not signed.
    let unsigned = "UPDATE dns_zone SET content_hash = 'x' WHERE origin = 'lab.example'";
    let error = sqlx::query(unsigned).execute(&site.pool).await.unwrap_err().to_string();
    assert!(error.contains("the zone lab.example is signed"), "{error}");
}

/// A rack tells that a client has an address under its own name, or (with no time left) that it is over.
async fn leased(site: &Site, address: [u8; 4], mac: u8, hostname: &str, minutes: i64, seq: i64) {
    let mut conn = site.pool.acquire().await.unwrap();
    let rack = sqlx::query_scalar("SELECT id FROM rack").fetch_one(&mut *conn).await.unwrap();
    let lease = Lease {
        seq,
        mac: Mac([2, 0, 0, 0, 0, mac]),
        address: address.into(),
        expires: time::OffsetDateTime::now_utc() + time::Duration::minutes(minutes),
        hostname: Some(hostname),
    };
    lease::put(&mut conn, rack, &[lease]).await.unwrap();
}

#[tokio::test]
async fn clients_have_the_names_they_call_themselves_first_come_first_served() {
    let site = Site::new().await;
    lab(&site).await;
    let fabric = site.post("/fabrics", json!({ "name": "office" })).await.expect(201);
    let vlan = json!({ "fabric": fabric["id"], "vid": 0, "name": "untagged" });
    let vlan = site.post("/vlans", vlan).await.expect(201);
    for cidr in ["10.77.0.0/24", "fd00:77::/64"] {
        site.post("/subnets", json!({ "vlan": vlan["id"], "cidr": cidr })).await.expect(201);
    }
    let printer = json!({ "mac": "52:54:00:aa:00:01", "address": "10.77.0.70", "hostname": "printer" });
    site.post("/reservations", printer).await.expect(201);
    sqlx::query("INSERT INTO rack (name) VALUES ('rack-1')").execute(&site.pool).await.unwrap();
    let names = async || {
        publish(&site.pool, site.app.keys()).await.unwrap();
        let mut names = published(&site, "q=10.77.0.1").await;
        names.retain(|name| name.contains(" A 10.77.0.1"));
        names
    };
    // The name of a reservation, of a controller, names that none can be, and one of a whole domain.
    for (last, name) in
        [(101, "Printer"), (102, "rack-1"), (103, "a_b"), (104, "-x"), (105, "PC-1.evil.example")]
    {
        leased(&site, [10, 77, 0, last], last, name, 10, 1).await;
    }
    assert_eq!(names().await, ["pc-1.lab.example A 10.77.0.105"]);

    // Another of that name waits, although its address is lower and the first one renews.
    leased(&site, [10, 77, 0, 100], 100, "pc-1", 5, 2).await;
    leased(&site, [10, 77, 0, 105], 105, "PC-1.evil.example", 20, 3).await;
    assert_eq!(names().await, ["pc-1.lab.example A 10.77.0.105"]);
    leased(&site, [10, 77, 0, 105], 105, "PC-1.evil.example", -1, 4).await;
    assert_eq!(names().await, ["pc-1.lab.example A 10.77.0.100"], "with the lease goes the name");
    record(&site, "pc-1.lab.example", "TXT", "kept for somebody").await;
    assert_eq!(names().await, Vec::<String>::new(), "what people enter goes before");
}

#[tokio::test]
async fn leases_of_both_families_are_listed() {
    let site = Site::new().await;
    sqlx::query("INSERT INTO rack (name) VALUES ('rack-1')").execute(&site.pool).await.unwrap();
    leased(&site, [10, 77, 0, 100], 1, "pc-1", 10, 1).await;
    let mut conn = site.pool.acquire().await.unwrap();
    let rack = sqlx::query_scalar("SELECT id FROM rack").fetch_one(&mut *conn).await.unwrap();
    let now = time::OffsetDateTime::now_utc();
    for (last, mac, minutes) in [(7, Some(Mac([2, 0, 0, 0, 0, 7])), 10), (8, None, 10), (9, None, 0)] {
        let lease = lease::Lease6 {
            rack,
            address: std::net::Ipv6Addr::new(0xfd00, 0x77, 0, 0, 1, 0, 0, last),
            duid: "0004aa",
            mac,
            expires: now + time::Duration::minutes(minutes),
        };
        lease::put6(&mut conn, &lease).await.unwrap();
    }
    let listed = site.get("/leases").await.expect(200);
    let line = |l: &Value| format!("{} {} {}", l["address"], l["mac"], l["duid"]);
    assert_eq!(
        listed["items"].as_array().unwrap().iter().map(line).collect::<Vec<_>>(),
        [
            r#""10.77.0.100" "02:00:00:00:00:01" null"#,
            r#""fd00:77::1:0:0:7" "02:00:00:00:00:07" "0004aa""#,
            r#""fd00:77::1:0:0:8" null "0004aa""#,
        ]
    );
}
