//! Uploading images and scripts through the API.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod support;

use axum::body::Body;
use axum::http::Request;
use rackwright_common::link::RackHello;
use rackwright_region::db::rack;
use rackwright_region::images::sweep::{self, Keep};
use rackwright_region::model::Role;
use serde_json::json;
use std::time::Duration;
use support::{Reply, Site};

const HELLO: &str = "b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9";

async fn upload(site: &Site, sha256: &str, range: Option<&str>, body: &'static str) -> Reply {
    let mut request = Request::builder()
        .method("POST")
        .uri(format!("/api/v1/images/x/files/disk?sha256={sha256}"))
        .header("authorization", format!("Bearer {}", site.token(Role::Administrator)))
        .header("content-type", "application/octet-stream");
    if let Some(range) = range {
        request = request.header("content-range", range);
    }
    site.send(request.body(Body::from(body)).unwrap()).await
}

#[tokio::test]
async fn a_file_arrives_in_parts_and_becomes_an_image() {
    let site = Site::new().await;
    let admin = Some(Role::Administrator);
    let part = upload(&site, HELLO, Some("bytes 0-5/11"), "hello ").await.expect(200);
    assert_eq!((&part["received"], &part["complete"]), (&json!(6), &json!(false)));
    let state = format!("/images/x/files/disk?sha256={HELLO}");
    assert_eq!(site.request(admin, "GET", &state, &[], None).await.expect(200)["received"], 6);
    let text = upload(&site, HELLO, Some("bytes 3-10/11"), "lo world").await.problem(409, "conflict");
    assert_eq!(text, "the upload stands at byte 6, not 3; go on from there");
    let file = json!({ "name": "disk", "sha256": HELLO, "size": 11, "uncompressed_size": 4096 });
    let image = json!({ "name": "hello", "kind": "os", "title": "Hello", "files": [file] });
    let text = site.post("/images", image.clone()).await.problem(409, "conflict");
    assert!(text.contains("`disk`") && text.contains("has not been uploaded"), "{text}");
    let whole = upload(&site, HELLO, Some("bytes 6-10/11"), "world").await.expect(200);
    assert_eq!(whole["complete"], true);
    assert_eq!(site.post("/images", image.clone()).await.expect(201)["version"], 1);
    assert_eq!(site.post("/images", image).await.expect(201)["version"], 2);
    let shown = site.get("/images/hello").await.expect(200);
    assert_eq!((&shown["version"], &shown["files"][0]["sha256"]), (&json!(2), &json!(HELLO)));
    site.request(admin, "DELETE", "/images/hello@2", &[], None).await.expect(204);
    assert_eq!(site.get("/images/hello").await.expect(200)["version"], 1);
    assert_eq!(site.get("/images/hello@2").await.problem(404, "not-found"), "there is no image hello@2");
}

#[tokio::test]
async fn an_image_says_which_racks_have_all_of_it() {
    let site = Site::new().await;
    upload(&site, HELLO, None, "hello world").await.expect(200);
    let file = json!({ "name": "disk", "sha256": HELLO, "size": 11, "uncompressed_size": 4096 });
    site.post("/images", json!({ "name": "hello", "kind": "os", "title": "", "files": [file] }))
        .await
        .expect(201);
    let mut conn = site.pool.acquire().await.unwrap();
    for (name, blobs) in [("near", Some(vec![HELLO.to_owned()])), ("far", Some(vec![])), ("silent", None)] {
        let hello = RackHello {
            version: env!("CARGO_PKG_VERSION").into(),
            generation: 0,
            addresses: vec![],
            instance: Default::default(),
            clock: None,
        };
        let id = rack::hello(&mut conn, name, &hello).await.unwrap();
        if let Some(blobs) = blobs {
            rack::set_blobs(&mut conn, id, &blobs).await.unwrap();
        }
    }
    assert_eq!(site.get("/images/hello").await.expect(200)["on_racks"], json!(["near"]));
}

#[tokio::test]
async fn damaged_content_is_refused() {
    let site = Site::new().await;
    let text = upload(&site, HELLO, None, "hello wurld").await.problem(422, "invalid");
    assert!(text.contains("damaged on the way"), "{text}");
    assert_eq!(upload(&site, HELLO, None, "hello world").await.expect(200)["complete"], true);
    upload(&site, "nonsense", None, "x").await.problem(422, "invalid");
}

#[tokio::test]
async fn content_without_an_image_is_swept_when_it_is_old() {
    let site = Site::new().await;
    let admin = Some(Role::Administrator);
    let young = Keep::default();
    let old = Keep { blobs: Duration::ZERO, uploads: Duration::ZERO };
    let sweep = async |keep| sweep::once(site.app.store(), site.app.pool(), keep).await.unwrap();
    upload(&site, HELLO, None, "hello world").await.expect(200);
    upload(&site, &"0".repeat(64), Some("bytes 0-1/4"), "ha").await.expect(200);
    assert_eq!(sweep(young).await, 0, "an image may be about to name it");
    let file = json!({ "name": "disk", "sha256": HELLO, "size": 11, "uncompressed_size": 4096 });
    let image = json!({ "name": "hello", "kind": "os", "title": "Hello", "files": [file] });
    site.post("/images", image.clone()).await.expect(201);
    assert_eq!(sweep(old).await, 1, "the upload that nobody went on with");
    assert!(site.app.store().find(HELLO).await.is_some());
    site.request(admin, "DELETE", "/images/hello@1", &[], None).await.expect(204);
    assert_eq!(sweep(old).await, 1);
    assert_eq!(site.app.store().find(HELLO).await, None);
    let text = site.post("/images", image).await.problem(409, "conflict");
    assert!(text.contains("has not been uploaded"), "{text}");
}

#[tokio::test]
async fn scripts_have_versions_and_built_in_ones_stay() {
    let site = Site::new().await;
    let body = "#!/bin/sh\n# --- Start MAAS 1.0 script metadata ---\n# name: burn-in\n# script_type: testing\n\
                # timeout: 01:00:00\n# --- End MAAS 1.0 script metadata ---\ntrue\n";
    let made = site.post("/scripts", json!({ "body": body })).await.expect(201);
    assert_eq!((&made["version"], &made["metadata"]["timeout_seconds"]), (&json!(1), &json!(3600)));
    let made = site.post("/scripts", json!({ "body": format!("{body}# again\n") })).await.expect(201);
    assert_eq!(made["version"], 2);
    assert_eq!(site.get("/scripts/burn-in?version=1").await.expect(200)["body"], body);
    let text = site.post("/scripts", json!({ "body": body.replace("01:00:00", "soon") })).await;
    assert_eq!(text.problem(422, "invalid"), "line 5: timeout: expected seconds, or HH:MM:SS");
    let text = site.post("/scripts", json!({ "body": body.replace("burn-in", "cpu-quick") })).await;
    assert!(text.problem(409, "conflict").contains("comes with Rackwright"));
    let listed = site.get("/scripts").await.expect(200);
    assert_eq!(listed["total"], 14);
    let admin = Some(Role::Administrator);
    site.request(admin, "DELETE", "/scripts/burn-in", &[], None).await.expect(204);
    site.request(admin, "DELETE", "/scripts/cpu-quick", &[], None).await.problem(409, "conflict");
}
