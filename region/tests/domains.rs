//! Domains and records through the API, and what becomes published of them, of machines and of networks.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod support;

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
    assert_eq!(publish(&site.pool).await.unwrap(), 3);
    assert_eq!(publish(&site.pool).await.unwrap(), 0, "nothing has changed since");
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
    assert_eq!(publish(&site.pool).await.unwrap(), 2, "its name, and the name of its address");
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
        let all = [publish(&site.pool), publish(&site.pool), publish(&site.pool)];
        let [a, b, c] = all.map(Box::pin);
        let (a, b, c) = tokio::join!(a, b, c);
        let changed = a.unwrap() + b.unwrap() + c.unwrap();
        assert_eq!(changed, if number == 0 { 2 } else { 1 }, "one of them publishes");
    }
    assert_eq!(published(&site, "zone=lab.example").await.len(), 6);
}
