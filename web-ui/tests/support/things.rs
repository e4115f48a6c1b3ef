//! More of everything than `seed.sql` has, entered over the API as an administrator does: so that no page is empty.

use super::support::Site;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use rackwright_region::auth::token;
use rackwright_region::db;
use serde_json::{Value, json};
use tower::ServiceExt;

/// An administrator with a token.
pub struct Administrator<'a> {
    site: &'a Site,
    token: String,
}

impl<'a> Administrator<'a> {
    /// Of the site's first administrator.
    pub async fn of(site: &'a Site) -> Self {
        let secret = token::new_token();
        let mut conn = site.pool.acquire().await.unwrap();
        let user: i64 = sqlx::query_scalar(r#"SELECT id FROM "user" WHERE name = 'admin'"#)
            .fetch_one(&mut *conn)
            .await
            .unwrap();
        let hash = token::hash(secret.expose());
        let name: String = secret.expose().chars().take(12).collect();
        db::token::insert(&mut conn, user, &name, &hash, None, None).await.unwrap();
        Self { site, token: secret.expose().clone() }
    }

    /// What the API, or a page, answers.
    pub async fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> (StatusCode, String) {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", format!("Bearer {}", self.token))
            .header("content-type", "application/json");
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        let reply = self.site.router.clone().oneshot(request.body(body).unwrap()).await.unwrap();
        let status = reply.status();
        let bytes = to_bytes(reply.into_body(), 16 << 20).await.unwrap();
        (status, String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Enters something.
    async fn enter(&self, method: &str, path: &str, body: Value) {
        let (status, text) = self.ask(method, &format!("/api/v1/{path}"), Some(&body)).await;
        assert!(status.is_success(), "{method} {path}: {status} {text}");
    }
}

/// Fills a site.
pub async fn add_things(site: &Site) {
    let admin = Administrator::of(site).await;
    let subnet: i64 = id(site, "SELECT id FROM subnet WHERE name = 'machines'").await;
    let spare = id(site, "SELECT id FROM interface WHERE machine_id = 'p5t8rw' ORDER BY id LIMIT 1").await;
    let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl admin@desk";
    let mail = json!({ "kind": "email", "server": "mail.example", "port": 587, "from": "rackwright@lab.example", "to": ["ops@lab.example"] });
    let things = [
        ("POST", "ssh-keys", json!({ "public_key": key })),
        ("POST", "tokens", json!({ "name": "nightly report", "days": 30, "role": "viewer" })),
        ("POST", "users", json!({ "name": "eve", "role": "operator", "password": "twelve letters" })),
        ("POST", "spaces", json!({ "name": "storage", "description": "between disks" })),
        ("POST", "domains", json!({ "name": "lab.example", "ttl": 300 })),
        ("POST", "dns-records", json!({ "name": "www.lab.example", "type": "A", "data": "10.77.0.9" })),
        ("POST", "secondaries", json!({ "name": "ns-1", "address": "192.0.2.53" })),
        ("POST", "devices", json!({ "hostname": "pdu-1", "description": "left of row A" })),
        (
            "POST",
            "static-routes",
            json!({ "subnet": subnet, "destination": "10.9.0.0/16", "gateway": "10.77.0.253" }),
        ),
        (
            "POST",
            "scripts",
            json!({ "name": "burn-in", "body": "#!/bin/sh\n# Ours, for a night.\nexec stress-ng --cpu 0 --timeout 8h\n" }),
        ),
        ("PUT", "pools/research", json!({ "description": "of the institute" })),
        (
            "PUT",
            "notification-rules/on-the-page",
            json!({ "channel": { "kind": "page" }, "level": "warning" }),
        ),
        (
            "PUT",
            "notification-rules/night",
            json!({ "channel": mail, "level": "error", "pool": "build-farm", "kinds": ["machine.*"] }),
        ),
        ("PATCH", "settings", json!({ "ntp_servers": ["10.20.0.123"] })),
        (
            "POST",
            "machines/p5t8rw/virtual-interfaces",
            json!({ "name": "bond0", "kind": "bond", "parents": [spare] }),
        ),
        (
            "POST",
            "switches",
            json!({ "name": "sw-a1", "address": "10.78.0.3", "access": { "version": "v2c", "community": "a word" } }),
        ),
        (
            "POST",
            "bulk-actions",
            json!({ "verb": "add-tag", "machines": ["k3x9ab", "p5t8rw", "a2b4c6"], "parameters": { "value": "audited" } }),
        ),
    ];
    for (method, path, body) in things {
        admin.enter(method, path, body).await;
    }
    site.run(include_str!("things.sql")).await;
}

/// One number of the database.
pub async fn id(site: &Site, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(&site.pool).await.unwrap()
}
