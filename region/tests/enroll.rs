//! A new box becomes a rack: with a secret that is good once, for a short time and for one name.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod support;

use rackwright_common::Secret;
use rackwright_link::{Ca, KeyRequest, fingerprint};
use rackwright_region::model::controller_token::{Controller, TokenContent};
use rackwright_region::model::rack_token::proof;
use rackwright_region::{api, db};
use serde_json::{Value, json};
use std::sync::Arc;
use support::{Reply, Site};

const HOST: (&str, &str) = ("host", "10.0.0.1:5240");

/// A site whose region has an authority and listens for racks at `stream`.
async fn site(stream: &str) -> (Site, Arc<Ca>) {
    let mut site = Site::new().await;
    let ca = Arc::new(Ca::create().unwrap());
    site.router = api::router(site.app.clone().with_ca(ca.clone()));
    let mut conn = site.pool.acquire().await.unwrap();
    let region = db::region::Presence {
        name: "region",
        version: "1",
        instance: uuid::Uuid::new_v4(),
        identity: uuid::Uuid::new_v4(),
        stream,
    };
    assert!(db::region::take_name(&mut conn, &region).await.unwrap());
    drop(conn);
    (site, ca)
}

async fn token(site: &Site, body: Value) -> Reply {
    let role = Some(rackwright_region::model::Role::Administrator);
    site.request(role, "POST", "/racks/tokens", &[HOST], Some(&body)).await
}

async fn token_for(site: &Site, name: &str) -> TokenContent {
    let made = token(site, json!({ "name": name })).await.expect(201);
    TokenContent::parse(Controller::Rack, made["token"].as_str().unwrap()).unwrap()
}

async fn enroll(site: &Site, secret: &str, name: &str, csr: &str) -> Reply {
    let proof = proof(&Secret::new(secret.to_owned()), name, csr);
    let body = json!({ "proof": proof, "name": name, "csr_pem": csr });
    site.request(None, "POST", "/racks/enroll", &[HOST], Some(&body)).await
}

fn csr() -> String {
    KeyRequest::new().unwrap().request_pem
}

/// Refused as a token that is not good, with what to do about it.
#[track_caller]
fn not_good(reply: Reply) {
    let text = reply.problem(401, "unauthenticated");
    assert!(text.contains("make a new one with `rackwright rack token NAME`"), "{text}");
}

#[tokio::test]
async fn a_token_gives_one_certificate_of_the_authority_whose_fingerprint_it_names() {
    let (site, ca) = site("127.0.0.1:5241").await;
    let content = token_for(&site, "rack-1").await;
    assert_eq!(content.name, "rack-1");
    assert_eq!(content.api, ["http://10.0.0.1:5240"]);
    assert_eq!(content.regions, ["10.0.0.1:5241"], "not the region's own name for itself");
    assert_eq!(content.ca_sha256, ca.fingerprint().unwrap());

    let secret = content.secret.expose();
    let given = enroll(&site, secret, "rack-1", &csr()).await.expect(200);
    assert_eq!(fingerprint(given["ca_pem"].as_str().unwrap()).unwrap(), content.ca_sha256);
    assert!(given["certificate_pem"].as_str().unwrap().starts_with("-----BEGIN CERTIFICATE-----"));
    assert_eq!(given["regions"], json!(["10.0.0.1:5241"]));
    not_good(enroll(&site, secret, "rack-1", &csr()).await);

    let kinds: Vec<String> =
        sqlx::query_scalar("SELECT kind FROM event WHERE kind LIKE 'rack.%' ORDER BY id")
            .fetch_all(&site.pool)
            .await
            .unwrap();
    assert_eq!(kinds, ["rack.token", "rack.enrolled"]);
}

#[tokio::test]
async fn an_address_that_other_boxes_can_reach_is_told_as_it_is() {
    let (site, _) = site("region.example:5241").await;
    assert_eq!(token_for(&site, "rack-1").await.regions, ["region.example:5241"]);
}

#[tokio::test]
async fn a_token_that_has_expired_or_that_nobody_made_is_refused() {
    let (site, _) = site("127.0.0.1:5241").await;
    let content = token_for(&site, "rack-1").await;
    not_good(enroll(&site, "made-up", "rack-1", &csr()).await);
    sqlx::query("UPDATE rack_token SET expires_at = now() - interval '1 second'")
        .execute(&site.pool)
        .await
        .unwrap();
    not_good(enroll(&site, content.secret.expose(), "rack-1", &csr()).await);
    token_for(&site, "rack-2").await;
    let left: i64 =
        sqlx::query_scalar("SELECT count(*) FROM rack_token").fetch_one(&site.pool).await.unwrap();
    assert_eq!(left, 1, "expired tokens go when new ones come");
}

#[tokio::test]
async fn another_name_and_a_request_that_is_none_are_refused_and_use_nothing_up() {
    let (site, _) = site("127.0.0.1:5241").await;
    let content = token_for(&site, "rack-1").await;
    token_for(&site, "rack-2").await;
    let secret = content.secret.expose();
    not_good(enroll(&site, secret, "rack-2", &csr()).await);
    let cut: String = csr().lines().take(2).collect();
    let certificate = Ca::create().unwrap().certificate_pem().to_owned();
    // A request whose signature does not fit: nobody has shown to hold the key.
    let mut forged: Vec<String> = csr().lines().map(str::to_owned).collect();
    let line = forged.len() - 2;
    let middle = if forged[line].as_bytes()[4] == b'A' { "B" } else { "A" };
    forged[line].replace_range(4..5, middle);
    for text in ["", "rubbish", &cut, &certificate, &forged.join("\n")] {
        let reply = enroll(&site, secret, "rack-1", text).await;
        assert_eq!(reply.json()["field"], "csr_pem", "{text}");
        reply.problem(422, "invalid");
    }
    enroll(&site, secret, "rack-1", &csr()).await.expect(200);
}

/// What somebody between box and region could try with what they have seen.
#[tokio::test]
async fn a_proof_that_was_overheard_certifies_no_other_key_and_no_other_name() {
    let (site, _) = site("127.0.0.1:5241").await;
    let content = token_for(&site, "rack-1").await;
    token_for(&site, "rack-2").await;
    let theirs = csr();
    let seen = proof(&content.secret, "rack-1", &theirs);
    let send = async |name: &str, csr: &str| {
        let body = json!({ "proof": seen, "name": name, "csr_pem": csr });
        assert!(!body.to_string().contains(content.secret.expose().as_str()));
        site.request(None, "POST", "/racks/enroll", &[HOST], Some(&body)).await
    };
    not_good(send("rack-1", &csr()).await);
    not_good(send("rack-2", &theirs).await);
    send("rack-1", &theirs).await.expect(200);
}

#[tokio::test]
async fn only_the_hash_is_stored() {
    let (site, _) = site("127.0.0.1:5241").await;
    let content = token_for(&site, "rack-1").await;
    let stored: Vec<u8> =
        sqlx::query_scalar("SELECT secret_hash FROM rack_token").fetch_one(&site.pool).await.unwrap();
    assert_eq!(stored, rackwright_region::auth::token::hash(content.secret.expose()));
}

#[tokio::test]
async fn names_and_times_that_cannot_be_are_said() {
    let (site, _) = site("127.0.0.1:5241").await;
    for name in ["", "a b", "rack/1", "tokens", &"x".repeat(65)] {
        let text = token(&site, json!({ "name": name })).await.problem(422, "invalid");
        assert!(text.contains("1 to 64 letters"), "{text}");
    }
    for seconds in [59, 604_801] {
        let body = json!({ "name": "rack-1", "expires_seconds": seconds });
        let text = token(&site, body).await.problem(422, "invalid");
        assert!(text.contains("60 seconds to 7 days"), "{text}");
    }
}
