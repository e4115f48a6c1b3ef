//! A blank box becomes a region: with a secret that is good once, for a short time and for one name, and never travels.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod support;

use rackwright_common::Secret;
use rackwright_link::Ca;
use rackwright_region::api;
use rackwright_region::app::region_token::Invitation;
use rackwright_region::db::region::{self, Presence};
use rackwright_region::model::Role;
use rackwright_region::model::controller_token::{Controller, TokenContent};
use rackwright_region::model::region_token::{Exchange, RegionRequest, RegionWelcome};
use serde_json::{Value, json};
use std::sync::Arc;
use support::{Reply, Site};
use uuid::Uuid;

const DATABASE: &str = "postgres://rackwright:geheim@10.0.0.9/rackwright";

/// A site whose region `a` may be joined.
async fn site(database_url: &str, stream: &str) -> (Site, Arc<Ca>) {
    let mut site = Site::new().await;
    let ca = Arc::new(Ca::create().unwrap());
    let invitation = Invitation {
        region: "a".into(),
        stream: stream.into(),
        database_url: Secret::new(database_url.into()),
        settings: json!({ "plain_http": true }).as_object().unwrap().clone(),
    };
    let app = site.app.clone().with_ca(ca.clone()).with_invitation(invitation);
    site.router = api::router(app);
    let mut conn = site.pool.acquire().await.unwrap();
    let (instance, identity) = (Uuid::new_v4(), Uuid::new_v4());
    let row = Presence { name: "a", version: "1", instance, identity, stream };
    assert!(region::take_name(&mut conn, &row).await.unwrap());
    drop(conn);
    // It stays alive, however long the test takes.
    let sql = "UPDATE region SET last_seen_at = now() + interval '1 hour'";
    sqlx::query(sql).execute(&site.pool).await.unwrap();
    (site, ca)
}

async fn good_site() -> (Site, Arc<Ca>) {
    site(DATABASE, "10.0.0.1:5241").await
}

async fn token(site: &Site, name: &str) -> Reply {
    let body = json!({ "name": name });
    let host = [("host", "10.0.0.1:5240")];
    site.request(Some(Role::Administrator), "POST", "/regions/tokens", &host, Some(&body)).await
}

async fn token_for(site: &Site, name: &str) -> TokenContent {
    let made = token(site, name).await.expect(201);
    TokenContent::parse(Controller::Region, made["token"].as_str().unwrap()).unwrap()
}

fn request(exchange: &Exchange, token: &TokenContent, change: impl Fn(&mut RegionRequest)) -> Value {
    let mut request = RegionRequest {
        name: token.name.clone(),
        public_key: exchange.public().to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        clock: time::OffsetDateTime::now_utc().unix_timestamp(),
        proof: String::new(),
    };
    change(&mut request);
    if request.proof.is_empty() {
        request.proof = request.prove(&token.secret);
    }
    serde_json::to_value(request).unwrap()
}

async fn join(site: &Site, body: &Value) -> Reply {
    site.request(None, "POST", "/regions/join", &[], Some(body)).await
}

#[tokio::test]
async fn a_token_gives_one_box_everything_that_a_region_is_and_nobody_else_reads_it() {
    let (site, ca) = good_site().await;
    let content = token_for(&site, "b").await;
    assert_eq!((content.name.as_str(), &content.api[..]), ("b", &["http://10.0.0.1:5240".to_owned()][..]));
    assert_eq!(content.ca_sha256, ca.fingerprint().unwrap());
    let exchange = Exchange::new().unwrap();
    let body = request(&exchange, &content, |_| {});
    assert!(!body.to_string().contains(content.secret.expose().as_str()), "the secret does not travel");
    let reply = join(&site, &body).await;
    for secret in ["geheim", "BEGIN", &"07".repeat(32)] {
        assert!(!reply.text.contains(secret), "{secret} is in the clear");
    }
    let welcome: RegionWelcome = serde_json::from_value(reply.expect(200)).unwrap();
    let given = exchange.open(&content.secret, &welcome).unwrap();
    assert_eq!(given.master_key.expose(), &"07".repeat(32));
    assert_eq!(given.ca_key_pem.expose(), ca.key_pem().expose());
    assert_eq!((given.database_url.expose().as_str(), given.region.as_str()), (DATABASE, "a"));
    assert_eq!(given.settings["plain_http"], true);

    // Once, also for who has overheard the request.
    let text = join(&site, &body).await.problem(401, "unauthenticated");
    assert!(text.contains("make a new one with `rackwright region token NAME`"), "{text}");
    let kinds: Vec<String> =
        sqlx::query_scalar("SELECT kind FROM event WHERE kind LIKE 'region.%' ORDER BY id")
            .fetch_all(&site.pool)
            .await
            .unwrap();
    assert_eq!(kinds, ["region.token", "region.joined"]);
}

#[tokio::test]
async fn what_is_wrong_with_the_new_box_is_said_and_uses_nothing_up() {
    let (site, _) = good_site().await;
    let content = token_for(&site, "b").await;
    let refused = async |change: fn(&mut RegionRequest), code: u16| {
        let body = request(&Exchange::new().unwrap(), &content, change);
        let reply = join(&site, &body).await;
        assert_eq!(reply.status.as_u16(), code, "{}", reply.text);
        reply.json()["detail"].as_str().unwrap().to_owned()
    };
    let text = refused(|r| r.clock -= 7 * 60 + 5, 409).await;
    assert!(text.contains("7 minutes behind") && text.contains("chronyc makestep"), "{text}");
    let text = refused(|r| r.clock += 90, 409).await;
    assert!(text.contains("90 seconds ahead of") || text.contains("89 seconds ahead of"), "{text}");
    let text = refused(|r| r.version = "9.0.0".into(), 409).await;
    assert!(text.contains("do not work side by side") && text.contains("install"), "{text}");
    let text = refused(|r| r.public_key = "zz".into(), 422).await;
    assert!(text.contains("the token is still good"), "{text}");
    refused(|r| r.proof = "00".repeat(32), 401).await;
    refused(|r| r.name = "c".into(), 401).await;
    let body = request(&Exchange::new().unwrap(), &content, |_| {});
    join(&site, &body).await.expect(200);
}

#[tokio::test]
async fn the_name_of_a_region_that_lives_is_taken() {
    let (site, _) = good_site().await;
    let text = token(&site, "a").await.problem(409, "conflict");
    assert!(text.contains("choose another name"), "{text}");
    // It came to life after the token was made.
    let content = token_for(&site, "b").await;
    sqlx::query("UPDATE region SET name = 'b'").execute(&site.pool).await.unwrap();
    let body = request(&Exchange::new().unwrap(), &content, |_| {});
    let text = join(&site, &body).await.problem(409, "conflict");
    assert!(text.contains("there is a region `b` that lives"), "{text}");
    for name in ["", "a b", "tokens", "join"] {
        token(&site, name).await.problem(422, "invalid");
    }
}

#[tokio::test]
async fn an_expired_token_and_a_racks_are_refused() {
    let (site, _) = good_site().await;
    let content = token_for(&site, "b").await;
    let body = request(&Exchange::new().unwrap(), &content, |_| {});
    sqlx::query("UPDATE rack_token SET controller = 'rack'").execute(&site.pool).await.unwrap();
    join(&site, &body).await.problem(401, "unauthenticated");
    sqlx::query("UPDATE rack_token SET controller = 'region', expires_at = now() - interval '1 second'")
        .execute(&site.pool)
        .await
        .unwrap();
    join(&site, &body).await.problem(401, "unauthenticated");
}

#[tokio::test]
async fn a_region_whose_database_or_stream_is_its_own_boxs_alone_says_what_to_change() {
    for url in ["postgres://rackwright@localhost/rackwright?host=/var/lib/x/run", "postgres://u@127.0.0.1/x"]
    {
        let (site, _) = site(url, "10.0.0.1:5241").await;
        let text = token(&site, "b").await.problem(409, "conflict");
        assert!(text.contains("`database_url`") && text.contains("docs/several-regions.md"), "{text}");
    }
    let (site, _) = site(DATABASE, "127.0.0.1:5241").await;
    let text = token(&site, "b").await.problem(409, "conflict");
    assert!(text.contains("`stream_address`"), "{text}");
}
