//! Markup, quotes and control characters in every text field: of every operation that the OpenAPI document has, and of every form of
//! every page. Whatever takes them refuses them or keeps them, and no page lets them through. What machines, racks and switches say
//! (host names of DHCP clients, LLDP, inventories, consoles) is written into the database as they would.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

#[path = "support/addresses.rs"]
#[allow(dead_code, reason = "the table is held against the router elsewhere")]
mod addresses;
#[path = "support/session.rs"]
mod session;
#[path = "support/things.rs"]
mod things;

use axum::http::StatusCode;
use serde_json::{Map, Value, json};
use session::Session;
use std::collections::{BTreeMap, BTreeSet};
use support::Site;

/// What is written into fields. Elements have a name that no page has, so that they are found wherever they get through.
const WORDS: [&str; 4] = [
    "\"'><hostile onx=1>&lt;hostile&gt;</script></textarea></title><hostile>",
    "nul\u{0}in the middle",
    "escape \u{1b}]0;owned\u{7}\u{1b}[2J and\r\nSet-Cookie: owned=1\u{202e}\u{85}\u{9b}31m",
    "javascript:owned()//<hostile>",
];

/// Bodies that are taken as they are; a field of them is replaced at a time. Operations without one get what their schema says.
fn good(operation: &str) -> Value {
    let vlan = json!({ "fabric": 1, "vid": 5, "name": "x" });
    let subnet =
        json!({ "vlan": 1, "cidr": "10.3.0.0/24", "name": "x", "dns_servers": [], "dhcp_options": [] });
    match operation {
        "create_bulk_action" => json!({ "verb": "mark-broken", "machines": ["p5t8rw"], "parameters": {} }),
        "create_device" | "update_device" => json!({ "hostname": "thing", "addresses": [] }),
        "create_dns_record" | "update_dns_record" => {
            json!({ "name": "x.lab.example", "type": "TXT", "data": "\"x\"" })
        }
        "create_ip_range" => {
            json!({ "subnet": 1, "kind": "reserved", "first": "10.77.0.20", "last": "10.77.0.20" })
        }
        "create_image" => {
            json!({ "name": "x", "kind": "os", "files": [{ "name": "disk", "size": 1, "sha256": "0" }] })
        }
        "create_reservation" => json!({ "mac": "52:54:00:00:00:98", "address": "10.77.0.17" }),
        "create_switch" | "update_switch" => {
            json!({ "name": "sw-z", "address": "10.78.0.4", "access": { "version": "v2c", "community": "x" } })
        }
        "create_subnet" | "update_subnet" => subnet,
        "create_vlan" | "update_vlan" => vlan,
        "create_virtual_interface" | "update_virtual_interface" => {
            json!({ "name": "br0", "kind": "bridge", "parents": [] })
        }
        "create_static_route" => json!({ "subnet": 1, "destination": "10.8.0.0/16", "gateway": "10.77.0.2" }),
        "create_machine" => {
            json!({ "macs": ["52:54:00:77:00:01"], "bmc": { "driver": "ipmi", "address": "10.78.0.9" } })
        }
        "create_secondary" => json!({ "name": "ns-z", "address": "192.0.2.54" }),
        "create_user" => json!({ "name": "mallory", "role": "viewer" }),
        "put_notification_rule" => {
            json!({ "channel": { "kind": "webhook", "url": "https://hook.example/" }, "secret": "a secret of some length" })
        }
        "put_login_provider" => json!({
            "issuer": "https://id.example", "client_id": "x", "base_url": "https://rw.example", "label": "x",
            "roles": [{ "group": "x", "role": "viewer" }],
        }),
        "set_bmc" => json!({ "driver": "ipmi", "address": "10.78.0.9" }),
        "create_script" => json!({ "name": "ours", "body": "#!/bin/sh\n" }),
        _ => json!({}),
    }
}

/// The places of text in a schema, as keys with `[]` for a member of a list.
fn text_fields(document: &Value, schema: &Value, path: &[String], found: &mut Vec<Vec<String>>) {
    if path.len() > 4 {
        return;
    }
    if let Some(name) = schema["$ref"].as_str().and_then(|r| r.rsplit('/').next()) {
        return text_fields(document, &document["components"]["schemas"][name], path, found);
    }
    for alternative in ["oneOf", "anyOf", "allOf"].iter().filter_map(|of| schema[of].as_array()).flatten() {
        text_fields(document, alternative, path, found);
    }
    let kinds = schema["type"].to_string();
    if kinds.contains("\"string\"") && schema.get("enum").is_none() && !found.contains(&path.to_vec()) {
        found.push(path.to_vec());
    }
    let deeper = |key: &str| [path, &[key.to_owned()]].concat();
    if kinds.contains("\"array\"") {
        text_fields(document, &schema["items"], &deeper("[]"), found);
    }
    for (key, schema) in schema["properties"].as_object().into_iter().flatten() {
        text_fields(document, schema, &deeper(key), found);
    }
}

/// Writes `word` there, making what is missing on the way.
fn write(body: &mut Value, path: &[String], word: &str) {
    let Some((first, rest)) = path.split_first() else { return *body = word.into() };
    if first == "[]" {
        if !body.is_array() {
            *body = json!([]);
        }
        let list = body.as_array_mut().unwrap();
        if list.is_empty() {
            list.push(Value::Null);
        }
        return write(&mut list[0], rest, word);
    }
    if !body.is_object() {
        *body = Value::Object(Map::new());
    }
    write(&mut body[first], rest, word);
}

/// Operations whose text ends the test's own session or standing.
const NOT_ASKED: [&str; 3] = ["login", "enroll_rack", "join_region"];

#[tokio::test(flavor = "multi_thread")]
async fn no_text_field_of_the_api_lets_markup_through_to_a_page() {
    let site = full_site().await;
    let administrator = things::Administrator::of(&site).await;
    let text = include_str!("../../region/openapi.json");
    let document: Value = serde_json::from_str(text).unwrap();
    let places = addresses::numbers(&site).await;
    let (mut asked, mut taken, mut wrong) = (0, BTreeMap::<String, usize>::new(), Vec::new());
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
            let id = operation["operationId"].as_str().unwrap_or_default();
            if schema.is_null() || NOT_ASKED.contains(&id) {
                continue;
            }
            let mut fields = Vec::new();
            text_fields(&document, schema, &[], &mut fields);
            for field in &fields {
                for word in WORDS {
                    let mut body = good(id);
                    write(&mut body, field, word);
                    let (status, text) =
                        administrator.ask(&method.to_uppercase(), &place(path, &places), Some(&body)).await;
                    asked += 1;
                    *taken.entry(id.to_owned()).or_default() += usize::from(status.is_success());
                    if status.is_server_error() || status == StatusCode::UNAUTHORIZED {
                        wrong.push(format!("{method} {path} {}: {word:?}: {status} {text}", field.join(".")));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    let operations_that_took = taken.values().filter(|n| **n > 0).count();
    assert!(
        asked > 400 && operations_that_took > 12,
        "asked {asked} times, taken by {operations_that_took}: {taken:?}"
    );
    let session = Session::begin(&site).await;
    for (page, address) in addresses::pages(&site).await {
        wrong.extend(harm_in(&session, &address).await.map(|harm| format!("{page}: {harm}")));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    let shown = session.get("/events?level=debug").await.1
        + &session.get("/networks").await.1
        + &session.get("/audit").await.1;
    assert!(shown.contains("hostile onx=1"), "what was taken is on no page");
}

/// An address of the API with something that is there.
fn place(path: &str, numbers: &BTreeMap<&str, String>) -> String {
    let noun = path.trim_start_matches("/api/v1/").split('/').next().unwrap_or_default();
    let number = |name: &str| numbers[name].clone();
    let id = match noun {
        "machines" => "g4h6j3".to_owned(),
        "switches" => number("{switch}"),
        "domains" => number("{domain}"),
        "dns-records" => number("{record}"),
        "subnets" => number("{subnet}"),
        "vlans" => number("{vlan}"),
        "fabrics" => number("{fabric}"),
        _ => "1".to_owned(),
    };
    let name = match noun {
        "users" => "ben",
        "pools" => "research",
        "zones" => "row-a",
        _ => "hook",
    };
    path.replace("{id}", &id)
        .replace("{name}", name)
        .replace("{interface}", &number("{bond}"))
        .replace("{run}", &number("{run}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn no_field_of_a_form_lets_markup_through() {
    let site = full_site().await;
    let session = Session::begin(&site).await;
    let (mut filled, mut wrong, mut seen) = (0, Vec::new(), BTreeSet::new());
    for (_, address) in addresses::pages(&site).await {
        let (_, page) = session.get(&address).await;
        for form in page.split("<form").skip(1) {
            let form = form.split("</form>").next().unwrap();
            let Some(action) = attribute(form, "action") else { continue };
            let ends = ["/delete", "/logout", "/end", "/theme", "/password", "/remove", "/login"];
            // Machines have the same forms.
            let names: Vec<_> =
                form.split(" name=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
            if !seen.insert((action.rsplit('/').next().map(str::to_owned), names.concat())) {
                continue;
            }
            if !form.contains("method=\"post\"") || ends.iter().any(|end| action.ends_with(end)) {
                continue;
            }
            for word in [WORDS[0], WORDS[1], WORDS[2]] {
                let mut body = format!("csrf={}", session.csrf);
                for input in form.split(['<']).filter(|tag| {
                    tag.starts_with("input") || tag.starts_with("textarea") || tag.starts_with("select")
                }) {
                    let Some(name) = attribute(input, "name").filter(|name| name != "csrf") else { continue };
                    let kind = attribute(input, "type").unwrap_or_default();
                    let text = input.starts_with("textarea")
                        || (input.starts_with("input") && matches!(kind.as_str(), "" | "text" | "search"));
                    let value =
                        if text { word.to_owned() } else { attribute(input, "value").unwrap_or_default() };
                    filled += usize::from(text);
                    body += &format!("&{name}={}", encoded(&value));
                }
                let (status, shown) = session.post(&action.replace("&#38;", "&"), body).await;
                // A rack that cannot do what it is asked for is no fault of the text.
                if status == StatusCode::INTERNAL_SERVER_ERROR {
                    wrong.push(format!("{address}: {action}: {word:?}: {status}"));
                }
                wrong.extend(harm(&shown).map(|harm| format!("{address}: {action} shows {harm}")));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(filled > 200, "only {filled} fields were filled");
    // … and what was taken.
    for (page, address) in addresses::pages(&site).await {
        wrong.extend(harm_in(&session, &address).await.map(|harm| format!("{page}: {harm}")));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_clients_neighbours_and_consoles_say_is_shown_as_text() {
    let site = full_site().await;
    let word = WORDS[0].replace('\'', "''");
    let controls = WORDS[2].replace('\'', "''");
    site.run(&format!(
        "UPDATE lease SET hostname = '{word}';
         UPDATE discovery SET hostname = '{word}{controls}', lldp = jsonb_build_object('chassis', '{word}'::text, 'port', '{word}'::text, 'system', '{controls}{word}'::text);
         UPDATE wiring_fault SET switch = '{word}', port = '{controls}', message = '{word}';
         UPDATE switch SET reading = jsonb_set(jsonb_set(reading, '{{ports,0,alias}}', to_jsonb('{word}{controls}'::text)), '{{name}}', to_jsonb('{word}'::text)), error = '{word}';
         UPDATE rack SET error = '{word}'; UPDATE bmc SET error = '{controls}{word}';
         UPDATE machine SET status_message = '{word}{controls}' WHERE id IN ('d8e2f5', 'g4h6j3');
         UPDATE operation SET console_tail = '{word}{controls}', error = '{word}{controls}' WHERE id = 118;
         UPDATE work_log SET text = '{word}{controls}'; UPDATE script_run SET stdout = '{word}{controls}', stderr = '{controls}{word}';
         UPDATE console_chunk SET bytes = convert_to('{word}{controls}', 'UTF8'); UPDATE console SET total = (SELECT max(position + length(bytes)) FROM console_chunk);
         UPDATE event SET message = '{word}{controls}' WHERE kind LIKE 'machine.%';"
    ))
    .await;
    let session = Session::begin(&site).await;
    let mut wrong = Vec::new();
    let parts = addresses::ROUTES.iter().filter_map(|(_, behind)| match behind {
        addresses::Behind::Part(address) => Some(((*address), (*address).to_owned())),
        _ => None,
    });
    let mut shows = 0;
    for (page, address) in
        addresses::pages(&site).await.into_iter().chain(parts).filter(|(page, _)| *page != "/login")
    {
        let (status, text) = session.get(&address).await;
        assert!(status.is_success(), "{page}: {status}");
        // A console that is read as text has what was written; it is no page, and says so.
        if address.ends_with("/console") || address.ends_with("/log") {
            continue;
        }
        shows += usize::from(text.contains("hostile onx=1"));
        wrong.extend(harm(&text).map(|harm| format!("{page}: {harm}")));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(shows > 12, "only {shows} pages show what was said");
}

/// A site with everything in it, and a machine whose every text is markup.
async fn full_site() -> Site {
    let site = Site::start("127.0.0.1:0").await;
    things::add_things(&site).await;
    site.add_hostile_machine().await;
    site
}

async fn harm_in(session: &Session<'_>, address: &str) -> impl Iterator<Item = String> {
    let (status, text) = session.get(address).await;
    let failed = status.is_server_error().then(|| format!("{status}: {text}"));
    failed.into_iter().chain(harm(&text).collect::<Vec<_>>())
}

/// What in a page could do harm.
fn harm(html: &str) -> impl Iterator<Item = String> {
    let near = |at: usize| {
        let from = (0..=at.saturating_sub(80)).rev().find(|i| html.is_char_boundary(*i)).unwrap_or(0);
        html[from..].chars().take(200).collect::<String>()
    };
    let mut found: Vec<_> =
        ["<hostile", "</hostile", "href=\"javascript:", "action=\"javascript:", "src=\"javascript:"]
            .iter()
            .filter_map(|bad| html.find(bad).map(|at| format!("{bad} in {:?}", near(at))))
            .collect();
    let text = without_values(html);
    let unseen = |c: char| {
        (c.is_control() && !"\t\r\n".contains(c))
            || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let around =
        |c: char| text.split(c).next().unwrap_or_default().chars().rev().take(80).collect::<String>();
    found.extend(
        text.chars().find(|c| unseen(*c)).map(|c| format!("{c:?} after (backwards) {:?}", around(c))),
    );
    found.into_iter()
}

/// A page without what stands in the fields of its forms: that is what somebody typed, and comes back as it is.
fn without_values(html: &str) -> String {
    let mut parts = html.split("<textarea");
    let mut text = parts.next().unwrap_or_default().to_owned();
    text.extend(parts.map(|part| part.split_once("</textarea>").map_or("", |(_, rest)| rest)));
    let mut parts = text.split(" value=\"");
    let mut rest = parts.next().unwrap_or_default().to_owned();
    rest.extend(parts.map(|part| part.split_once('"').map_or("", |(_, after)| after)));
    rest
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let tag = tag.split('>').next()?;
    Some(tag.split_once(&format!(" {name}=\""))?.1.split('"').next()?.to_owned())
}

fn encoded(text: &str) -> String {
    text.bytes()
        .map(|b| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") })
        .collect()
}
