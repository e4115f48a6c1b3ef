//! Every operation of the OpenAPI document is asked for by everybody: strangers, each role everywhere and in a pool, people who
//! see one pool only, and tokens of each role. Who may follows from the table of roles below; an operation that is not in it
//! fails the test.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod support;

use rackwright_region::auth::token;
use rackwright_region::db;
use rackwright_region::model::Role::{self, Administrator, Operator, User, Viewer};
use serde_json::{Value, json};
use support::{Reply, Site};

/// Operation, the least role that may, and a body that would be taken.
fn table() -> Vec<(&'static str, Role, Value)> {
    let none = Value::Null;
    let record = json!({ "name": "x.rackwright.internal", "type": "A", "data": "10.0.0.1" });
    let subnet = json!({ "vlan": 1, "cidr": "10.0.0.0/24" });
    let bond = json!({ "name": "bond0", "kind": "bond", "parents": [1] });
    let route = json!({ "subnet": 1, "destination": "10.9.0.0/16", "gateway": "10.0.0.2" });
    let vlan = json!({ "fabric": 1, "vid": 5, "name": "x" });
    let key = json!({ "public_key": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl" });
    vec![
        ("abort_machine", User, none.clone()),
        ("accept_hardware_changes", Operator, json!({ "upto": 1 })),
        ("list_hardware_changes", Viewer, none.clone()),
        ("allocate_machine", User, none.clone()),
        ("commission_machine", Operator, none.clone()),
        ("compare_machine", Viewer, none.clone()),
        ("create_device", Operator, json!({ "hostname": "x" })),
        ("create_dns_record", Operator, record.clone()),
        ("create_domain", Administrator, json!({ "name": "x.lab" })),
        ("create_bulk_action", User, json!({ "verb": "lock", "machines": ["aaaaaa"] })),
        ("create_fabric", Administrator, json!({ "name": "x" })),
        ("create_image", Administrator, json!({ "name": "x", "kind": "os", "files": [] })),
        (
            "create_ip_range",
            Administrator,
            json!({ "subnet": 1, "kind": "dynamic", "first": "10.0.0.5", "last": "10.0.0.9" }),
        ),
        ("create_machine", Operator, json!({ "macs": ["52:54:00:00:00:99"] })),
        ("create_rack_token", Administrator, json!({ "name": "rack-9" })),
        ("create_region_token", Administrator, json!({ "name": "region-9" })),
        ("create_reservation", Operator, json!({ "mac": "52:54:00:00:00:98", "address": "10.0.0.7" })),
        ("create_script", Administrator, json!({ "body": "#!/bin/sh" })),
        ("create_dns_key", Administrator, json!({ "zone": "x" })),
        ("create_secondary", Administrator, json!({ "name": "x", "address": "10.0.0.53" })),
        ("create_ssh_key", User, key),
        ("create_space", Administrator, json!({ "name": "x" })),
        ("create_static_route", Administrator, route),
        ("create_subnet", Administrator, subnet.clone()),
        (
            "create_switch",
            Administrator,
            json!({ "name": "x", "address": "10.0.0.3", "access": { "version": "v2c", "community": "x" } }),
        ),
        ("delete_switch", Administrator, none.clone()),
        ("list_switches", Viewer, none.clone()),
        ("read_switch", Operator, none.clone()),
        ("set_switch_port_vlan", Operator, json!({ "vid": 10 })),
        ("show_switch", Viewer, none.clone()),
        ("update_switch", Administrator, json!({ "name": "x", "address": "10.0.0.3" })),
        ("create_token", Viewer, json!({ "name": "x" })),
        ("create_user", Administrator, json!({ "name": "x", "role": "viewer" })),
        ("create_virtual_interface", Operator, bond.clone()),
        ("create_vlan", Administrator, vlan.clone()),
        ("delete_device", Operator, none.clone()),
        ("delete_dns_key", Administrator, none.clone()),
        ("delete_dns_record", Operator, none.clone()),
        ("delete_domain", Administrator, none.clone()),
        ("delete_fabric", Administrator, none.clone()),
        ("delete_image", Administrator, none.clone()),
        ("delete_interface", Operator, none.clone()),
        ("delete_ip_range", Administrator, none.clone()),
        ("delete_machine", Operator, none.clone()),
        ("delete_pool", Administrator, none.clone()),
        ("delete_rack", Administrator, none.clone()),
        ("delete_region", Administrator, none.clone()),
        ("delete_reservation", Operator, none.clone()),
        ("delete_script", Administrator, none.clone()),
        ("delete_session", Viewer, none.clone()),
        ("delete_space", Administrator, none.clone()),
        ("delete_static_route", Administrator, none.clone()),
        ("delete_secondary", Administrator, none.clone()),
        ("delete_ssh_key", User, none.clone()),
        ("delete_subnet", Administrator, none.clone()),
        ("delete_tag", Administrator, none.clone()),
        ("delete_token", Viewer, none.clone()),
        ("delete_user", Administrator, none.clone()),
        ("delete_virtual_interface", Operator, none.clone()),
        ("delete_vlan", Administrator, none.clone()),
        ("delete_zone", Administrator, none.clone()),
        ("discovery_to_machine", Operator, json!({})),
        ("discovery_to_device", Operator, json!({})),
        ("drain_region", Administrator, none.clone()),
        ("deploy_machine", User, none.clone()),
        ("enter_rescue", Operator, none.clone()),
        ("exit_rescue", Operator, none.clone()),
        ("fence_rack", Administrator, json!({})),
        ("list_audit", Administrator, none.clone()),
        ("list_devices", Viewer, none.clone()),
        ("list_dns_keys", Viewer, none.clone()),
        ("list_dns_records", Viewer, none.clone()),
        ("list_dns_zones", Viewer, none.clone()),
        ("list_domains", Viewer, none.clone()),
        ("list_dhcp_shadow", Viewer, none.clone()),
        ("ignore_discovery", Operator, json!({ "on": true })),
        ("list_discoveries", Viewer, none.clone()),
        ("list_scanned_subnets", Viewer, none.clone()),
        ("list_wiring_faults", Viewer, none.clone()),
        ("scan_subnet", Administrator, json!({ "on": true })),
        ("list_events", Viewer, none.clone()),
        ("list_fabrics", Viewer, none.clone()),
        ("list_image_machines", Viewer, none.clone()),
        ("list_images", Viewer, none.clone()),
        ("list_ip_ranges", Viewer, none.clone()),
        ("list_leases", Viewer, none.clone()),
        ("list_machines", Viewer, none.clone()),
        ("list_names", Viewer, none.clone()),
        ("list_operations", Viewer, none.clone()),
        ("list_pools", Viewer, none.clone()),
        ("list_racks", Viewer, none.clone()),
        ("list_regions", Viewer, none.clone()),
        ("list_reservations", Viewer, none.clone()),
        ("list_script_runs", Viewer, none.clone()),
        ("list_script_results", Viewer, none.clone()),
        ("list_scripts", Viewer, none.clone()),
        ("list_sessions", Viewer, none.clone()),
        ("list_spaces", Viewer, none.clone()),
        ("list_static_routes", Viewer, none.clone()),
        ("list_secondaries", Viewer, none.clone()),
        ("list_ssh_keys", Viewer, none.clone()),
        ("list_subnets", Viewer, none.clone()),
        ("list_tags", Viewer, none.clone()),
        ("list_tokens", Viewer, none.clone()),
        ("list_users", Administrator, none.clone()),
        ("list_vlans", Viewer, none.clone()),
        ("list_zones", Viewer, none.clone()),
        ("lock_machine", User, none.clone()),
        ("logout", Viewer, none.clone()),
        ("list_notifications", Viewer, none.clone()),
        ("see_notifications", Viewer, json!({ "upto": 0 })),
        ("list_notification_rules", Administrator, none.clone()),
        ("put_notification_rule", Administrator, json!({ "channel": { "kind": "page" } })),
        ("delete_notification_rule", Administrator, none.clone()),
        ("show_login_provider", Administrator, none.clone()),
        ("delete_login_provider", Administrator, none.clone()),
        (
            "put_login_provider",
            Administrator,
            json!({ "issuer": "https://id.example", "client_id": "x", "base_url": "https://rw.example", "label": "x" }),
        ),
        ("mark_machine_broken", Operator, none.clone()),
        ("mark_machine_fixed", Operator, none.clone()),
        ("override_failed_tests", Operator, none.clone()),
        ("power_machine", User, json!({ "action": "on" })),
        ("open_terminal", Viewer, none.clone()),
        ("put_pool", Administrator, json!({})),
        ("put_zone", Administrator, json!({})),
        ("read_bmc", User, none.clone()),
        ("release_machine", User, none.clone()),
        ("resume_region", Administrator, none.clone()),
        ("set_bmc", Operator, json!({ "driver": "manual" })),
        ("set_default_gateways", Operator, json!({})),
        ("show_bulk_action", Viewer, none.clone()),
        ("show_console", Viewer, none.clone()),
        ("show_device", Viewer, none.clone()),
        ("show_domain", Viewer, none.clone()),
        ("show_image", Viewer, none.clone()),
        ("show_machine", Viewer, none.clone()),
        ("show_network_plan", Viewer, none.clone()),
        ("show_operation", Viewer, none.clone()),
        ("show_operation_log", Viewer, none.clone()),
        ("show_region", Viewer, none.clone()),
        ("show_script", Viewer, none.clone()),
        ("show_script_history", Viewer, none.clone()),
        ("show_script_run", Viewer, none.clone()),
        ("show_session", Viewer, none.clone()),
        ("show_settings", Viewer, none.clone()),
        ("show_status", Viewer, none.clone()),
        ("show_subnet", Viewer, none.clone()),
        ("show_upload", Administrator, none.clone()),
        // Of others; oneself is for everybody.
        ("show_user", Administrator, none.clone()),
        ("show_utilisation", Viewer, none.clone()),
        ("stop_bulk_action", User, none.clone()),
        ("stream_console", Viewer, none.clone()),
        ("stream_events", Viewer, none.clone()),
        ("suppress_script_run", Administrator, json!({ "suppressed": true })),
        ("test_machine", Operator, none.clone()),
        ("unlock_machine", User, none.clone()),
        ("update_device", Operator, json!({ "hostname": "x" })),
        ("update_dns_record", Operator, record),
        ("update_domain", Administrator, json!({ "name": "x.lab" })),
        ("update_fabric", Administrator, json!({ "name": "x" })),
        ("update_interface", Operator, json!({})),
        ("update_machine", User, json!({})),
        ("update_settings", Administrator, json!({})),
        ("update_space", Administrator, json!({ "name": "x" })),
        ("update_subnet", Administrator, subnet),
        ("update_user", Administrator, json!({})),
        ("update_virtual_interface", Operator, bond),
        ("update_vlan", Administrator, vlan),
        ("upload_file", Administrator, none),
    ]
}

/// Operations that need no credentials.
const PUBLIC: &[&str] = &["enroll_rack", "join_region", "login"];

/// Operations beside those on a machine that a role in its pool, or in some pool, allows.
const IN_A_POOL: &[&str] = &["create_bulk_action", "create_machine", "stop_bulk_action"];

/// Operations that no limited token allows, because with them it could get rid of its limit.
const WHOLE: &[&str] = &["create_user", "put_login_provider", "update_user"];

/// Answers that do not end.
const STREAMS: &[&str] = &["stream_console", "stream_events"];

struct Operation {
    id: String,
    method: String,
    path: String,
}

impl Operation {
    fn is_on_a_machine(&self) -> bool {
        self.path.contains(INSIDE)
    }
}

/// A machine in the pool where the subjects have their roles, and one in a pool where they have none.
const INSIDE: &str = "/machines/aaaaaa";
const OUTSIDE: &str = "/machines/bbbbbb";

fn operations() -> Vec<Operation> {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.json")).unwrap();
    let document: Value = serde_json::from_str(&text).unwrap();
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let Some(id) = operation["operationId"].as_str() else { continue };
            let path = path.trim_start_matches("/api/v1");
            // Places that exist or might; who may not is not told which.
            let mut path = path
                .replace("/machines/{id}", INSIDE)
                .replace("{id}", "99")
                .replace("{interface}", "99")
                .replace("{run}", "99")
                .replace("{port}", "99")
                .replace("{reading}", "sensors")
                .replace("{name}", "somebody-else")
                .replace("{image}", "x")
                .replace("{file}", "x");
            if path.contains("/files/") {
                path.push_str(&format!("?sha256={}", "0".repeat(64)));
            }
            assert!(!path.contains('{'), "{path} has a parameter that this test does not know");
            found.push(Operation { id: id.to_owned(), method: method.to_uppercase(), path });
        }
    }
    found
}

/// Somebody who asks.
struct Subject {
    name: String,
    user: i64,
    token: String,
    /// What they may everywhere.
    role: Role,
    /// What they may in the pool of the machine inside, when that is more.
    pool: Role,
    /// They see that pool only.
    restricted: bool,
    /// The most that their token lets them do.
    scope: Option<Role>,
}

impl Subject {
    async fn make(
        site: &Site,
        role: Role,
        pool: Option<Role>,
        restricted: bool,
        scope: Option<Role>,
    ) -> Self {
        let pool_name = pool.map_or(String::new(), |pool| format!("-{pool}-in-pool"));
        let scope_name = scope.map_or(String::new(), |scope| format!("-token-{scope}"));
        let name = format!("{role}{}{pool_name}{scope_name}", if restricted { "-restricted" } else { "" });
        let mut conn = site.pool.acquire().await.unwrap();
        let user = db::user::insert(&mut conn, &format!("the-{name}"), role, None).await.unwrap();
        let mut row = db::user::get(&mut conn, user).await.unwrap();
        row.user.restricted = restricted;
        db::user::update(&mut conn, &row).await.unwrap();
        if let Some(pool) = pool {
            db::user::set_pools(&mut conn, user, &[("default".to_owned(), pool)].into()).await.unwrap();
        }
        let secret = token::new_token();
        let hash = token::hash(secret.expose());
        db::token::insert(&mut conn, user, "test", &hash, None, scope).await.unwrap();
        let least = scope.unwrap_or(Administrator);
        let pool = pool.map_or(role, |pool| pool.max(role));
        let token = secret.expose().clone();
        Self { name, user, token, role: role.min(least), pool: pool.min(least), restricted, scope }
    }

    async fn all(site: &Site) -> Vec<Self> {
        let mut all = Vec::new();
        for role in Role::ALL {
            all.push(Self::make(site, role, None, false, None).await);
            all.push(Self::make(site, Viewer, Some(role), true, None).await);
            all.push(Self::make(site, Administrator, None, false, Some(role)).await);
        }
        all.push(Self::make(site, Viewer, Some(Operator), false, None).await);
        all.push(Self::make(site, Viewer, Some(Operator), false, Some(User)).await);
        all
    }

    async fn ask(&self, site: &Site, operation: &Operation, path: &str, body: Option<&Value>) -> Reply {
        let authorization = format!("Bearer {}", self.token);
        site.request(None, &operation.method, path, &[("authorization", &authorization)], body).await
    }

    /// What has to be answered about the machine inside, or about what has no pool: 403, or no refusal.
    fn inside(&self, operation: &Operation, least: Role) -> Option<u16> {
        let in_a_pool = operation.is_on_a_machine() || IN_A_POOL.contains(&operation.id.as_str());
        let may = if in_a_pool { self.pool } else { self.role };
        let narrow = self.scope.is_some() && WHOLE.contains(&operation.id.as_str());
        (may < least || narrow).then_some(403)
    }

    /// The same about the machine outside, which is not there to whoever does not see its pool.
    fn outside(&self, least: Role) -> Option<u16> {
        if self.pool < least {
            Some(403)
        } else if self.restricted {
            Some(404)
        } else {
            (self.role < least).then_some(403)
        }
    }
}

/// One machine in a pool where the subjects have their roles, and one where they have none; both are the subject's.
async fn set_machines(site: &Site, owner: i64) {
    sqlx::query("DELETE FROM machine").execute(&site.pool).await.unwrap();
    sqlx::query(
        "INSERT INTO machine (id, hostname, pool, status, owner_id) VALUES ('aaaaaa', 'inside', 'default', 'ready', $1),
                                                                           ('bbbbbb', 'outside', 'other', 'ready', $1)",
    )
    .bind(owner)
    .execute(&site.pool)
    .await
    .unwrap();
}

/// What is wrong with an answer, if anything. Past the door a request may fail for other reasons.
fn judge(reply: &Reply, expected: Option<u16>) -> Option<String> {
    let status = reply.status.as_u16();
    let right = match expected {
        Some(expected) => status == expected,
        None => status != 401 && status != 403 && status < 500,
    };
    (!right).then(|| format!("{status} {}", reply.text))
}

#[tokio::test]
async fn every_operation_is_for_those_who_may_and_for_nobody_else() {
    let site = Site::new().await;
    sqlx::query("INSERT INTO pool (name) VALUES ('other')").execute(&site.pool).await.unwrap();
    let (subjects, table) = (Subject::all(&site).await, table());
    let mut seen = 0;
    let mut wrong = Vec::new();
    for operation in operations() {
        let Operation { id, method, path } = &operation;
        if PUBLIC.contains(&id.as_str()) {
            continue;
        }
        let (_, least, body) = table
            .iter()
            .find(|(name, ..)| name == id)
            .unwrap_or_else(|| panic!("{id} has no line in the table of roles"));
        let body = (!body.is_null()).then_some(body);
        site.request(None, method, path, &[], body).await.problem(401, "unauthenticated");
        let unknown = [("authorization", "Bearer rwt_wrong")];
        site.request(None, method, path, &unknown, body).await.problem(401, "unauthenticated");
        for subject in &subjects {
            let mut places = vec![(path.clone(), subject.inside(&operation, *least))];
            if operation.is_on_a_machine() {
                set_machines(&site, subject.user).await;
                places.push((path.replace(INSIDE, OUTSIDE), subject.outside(*least)));
            }
            for (path, expected) in places {
                if expected.is_none() && STREAMS.contains(&id.as_str()) {
                    continue;
                }
                let reply = subject.ask(&site, &operation, &path, body).await;
                let fault = judge(&reply, expected);
                wrong.extend(fault.map(|f| format!("{id} {path} as {}: {f}", subject.name)));
            }
        }
        seen += 1;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(seen, table.len(), "the table names an operation that is not in the document");
}
