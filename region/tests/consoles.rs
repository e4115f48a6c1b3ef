//! Serial consoles in the region: which are recorded, what is kept of them, how they are read, and what of them goes
//! with a failure.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod support;

use axum::body::Body;
use axum::http::Request;
use futures_util::StreamExt;
use rackwright_common::MachineId;
use rackwright_common::link::ConsoleChunk;
use rackwright_region::model::Role;
use rackwright_region::racks::console::{Wishes, store};
use serde_json::{Value, json};
use std::time::Duration;
use support::Site;
use support::machine::World;
use time::OffsetDateTime;
use tower::ServiceExt;
use uuid::Uuid;

fn chunk(machine: &MachineId, session: u128, offset: u64, text: &str) -> ConsoleChunk {
    ConsoleChunk {
        machine: machine.clone(),
        session: Uuid::from_u128(session),
        began: OffsetDateTime::from_unix_timestamp(1_700_000_000).unwrap(),
        offset,
        text: text.to_owned(),
    }
}

async fn record(site: &Site, chunks: &[ConsoleChunk]) {
    let mut conn = site.pool.acquire().await.unwrap();
    store(&mut conn, "rack-1", chunks).await.unwrap();
}

/// Texts of the pieces and what is said before each.
async fn shown(site: &Site, machine: &MachineId, query: &str) -> Vec<(String, Value, i64)> {
    let tail = site.get(&format!("/machines/{machine}/console{query}")).await.expect(200);
    let pieces = tail["pieces"].as_array().unwrap();
    assert_eq!(pieces.last().map_or(&tail["position"], |p| &p["position"]), &tail["position"]);
    pieces
        .iter()
        .map(|p| {
            (p["text"].as_str().unwrap().to_owned(), p["recording"].clone(), p["lost"].as_i64().unwrap())
        })
        .collect()
}

#[tokio::test]
async fn the_console_of_a_machine_is_recorded_while_an_operation_works_on_it() {
    let (mut world, id) = World::ready().await;
    let keys = world.site.app.keys().clone();
    let mut conn = world.site.pool.acquire().await.unwrap();
    let mut wishes = Wishes::default();
    assert_eq!(wishes.news(&mut conn, &keys).await.unwrap(), Some(Vec::new()), "it rests");
    assert_eq!(wishes.news(&mut conn, &keys).await.unwrap(), None, "nothing new");

    world.act(&id, "deploy", json!({ "image": "debian-12" })).await;
    let told = wishes.news(&mut conn, &keys).await.unwrap().expect("news");
    assert_eq!(told.len(), 1);
    assert_eq!((&told[0].machine, told[0].address.as_str(), told[0].port), (&id, "10.78.0.1", None));
    assert!(!told[0].password.expose().is_empty(), "the rack needs the password");
    assert_eq!(wishes.news(&mut conn, &keys).await.unwrap(), None);

    let off = json!({ "record_consoles": false });
    world.site.request(Some(Role::Administrator), "PATCH", "/settings", &[], Some(&off)).await.expect(200);
    assert_eq!(wishes.news(&mut conn, &keys).await.unwrap(), Some(Vec::new()), "the setting is off");
    let on = json!({ "record_consoles": true });
    world.site.request(Some(Role::Administrator), "PATCH", "/settings", &[], Some(&on)).await.expect(200);
    assert_eq!(wishes.news(&mut conn, &keys).await.unwrap().map(|list| list.len()), Some(1));

    drop(conn);
    world.until(&id, "deployed").await;
    let mut conn = world.site.pool.acquire().await.unwrap();
    assert_eq!(wishes.news(&mut conn, &keys).await.unwrap(), Some(Vec::new()), "it is given back");
}

#[tokio::test]
async fn what_was_recorded_is_shown_readable_with_its_breaks() {
    let site = Site::new().await;
    let id = site.machine("alpha", 1).await;
    assert_eq!(shown(&site, &id, "").await, []);
    let kernel = "\u{1b}[2J[    0.0] Linux\u{0}\r\n\u{1b}[1;31mpanic\u{1b}[0m\r\n";
    let length = kernel.len() as u64;
    let first = [chunk(&id, 1, 0, ""), chunk(&id, 1, 0, kernel), chunk(&id, 1, length, "next \u{20ac}")];
    record(&site, &first).await;
    record(&site, &first).await;
    let recording = json!({ "began": "2023-11-14T22:13:20Z", "rack": "rack-1" });
    let expected = ("[    0.0] Linux\npanic\nnext \u{20ac}".to_owned(), recording.clone(), 0);
    assert_eq!(shown(&site, &id, "").await, std::slice::from_ref(&expected), "sent twice, stored once");

    record(&site, &[chunk(&id, 1, length + 100, "after a gap")]).await;
    record(&site, &[chunk(&id, 2, 0, "another recording")]).await;
    let expected = [
        expected,
        ("after a gap".to_owned(), Value::Null, 92),
        ("another recording".to_owned(), recording, 0),
    ];
    assert_eq!(shown(&site, &id, "").await, expected);
    let last = shown(&site, &id, "?bytes=9").await;
    assert_eq!(last, [("recording".to_owned(), Value::Null, 0)]);
    for wrong in ["?bytes=0", "?bytes=300000", "?bytes=x"] {
        site.get(&format!("/machines/{id}/console{wrong}")).await.problem(422, "invalid");
    }
    site.get("/machines/zzzzzz/console").await.problem(404, "not-found");
}

#[tokio::test]
async fn a_bmc_that_replays_its_memory_adds_only_what_is_new() {
    let site = Site::new().await;
    let id = site.machine("alpha", 1).await;
    let lines =
        |from: u32, to: u32| (from..to).map(|n| format!("line {n} of the boot\r\n")).collect::<String>();
    record(
        &site,
        &[chunk(&id, 1, 0, &lines(0, 300)), chunk(&id, 1, lines(0, 300).len() as u64, &lines(300, 320))],
    )
    .await;
    record(&site, &[chunk(&id, 2, 0, ""), chunk(&id, 2, 0, &lines(250, 325))]).await;
    // All of a replay is known: the recording begins with the first that is not.
    let replay = lines(310, 325);
    record(&site, &[chunk(&id, 3, 0, &replay)]).await;
    record(&site, &[chunk(&id, 3, replay.len() as u64, &lines(325, 326))]).await;
    let shown = shown(&site, &id, "").await;
    let texts: Vec<_> = shown.iter().map(|(text, ..)| text.replace('\n', "\r\n")).collect();
    assert_eq!(texts, [lines(0, 320), lines(320, 325), lines(325, 326)]);
    assert!(shown.iter().all(|(_, recording, lost)| recording.is_object() && *lost == 0), "{shown:?}");
}

#[tokio::test]
async fn the_oldest_is_removed_many_chunks_at_a_time() {
    let site = Site::new().await;
    let (id, other) = (site.machine("alpha", 1).await, site.machine("beta", 2).await);
    record(&site, &[chunk(&other, 9, 0, "of another")]).await;
    let line = |n: u64| format!("{n:>998}\r\n");
    for n in 0..1000 {
        record(&site, &[chunk(&id, 1, n * 1000, &line(n))]).await;
    }
    let (chunks, bytes): (i64, i64) =
        sqlx::query_as("SELECT count(*), sum(length(bytes)) FROM console_chunk WHERE machine_id = $1")
            .bind(id.as_str())
            .fetch_one(&site.pool)
            .await
            .unwrap();
    let kept = rackwright_region::db::console::KEEP;
    assert!((kept..kept + 70_000).contains(&bytes) && chunks == bytes / 1000, "{bytes} in {chunks}");
    let shown_now = shown(&site, &id, "?bytes=262144").await;
    assert!(shown_now[0].0.ends_with(" 999\n"));
    assert_eq!(shown(&site, &other, "").await[0].0, "of another");

    site.request(Some(Role::Administrator), "DELETE", &format!("/machines/{id}?force=true"), &[], None)
        .await
        .expect(204);
    // What a rack still sends of a machine that is gone is no error.
    record(&site, &[chunk(&id, 1, 1_000_000, "late"), chunk(&other, 9, 10, "!")]).await;
    assert_eq!(shown(&site, &other, "").await[0].0, "of another!");
    let left: i64 =
        sqlx::query_scalar("SELECT count(*) FROM console_chunk").fetch_one(&site.pool).await.unwrap();
    assert_eq!(left, 2);
}

/// Reads from a console's stream until `wanted` has come; identifiers and texts.
async fn follow(site: &Site, machine: &MachineId, last: &str, wanted: &str) -> Vec<(i64, String)> {
    let request = Request::get(format!("/api/v1/machines/{machine}/console/stream"))
        .header("authorization", format!("Bearer {}", site.token(Role::Viewer)))
        .header("last-event-id", last)
        .body(Body::empty())
        .unwrap();
    let response = site.router.clone().oneshot(request).await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut stream = response.into_body().into_data_stream();
    let mut text = String::new();
    let reading = async {
        while !text.contains(wanted) || !text.ends_with("\n\n") {
            text.push_str(&String::from_utf8_lossy(&stream.next().await.unwrap().unwrap()));
        }
    };
    let in_time = tokio::time::timeout(Duration::from_secs(20), reading).await;
    assert!(in_time.is_ok(), "waited for {wanted:?}, saw {text:?}");
    let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
    let pieces = data.map(|data| serde_json::from_str::<Value>(data).unwrap());
    pieces.map(|p| (p["position"].as_i64().unwrap(), p["text"].as_str().unwrap().to_owned())).collect()
}

#[tokio::test]
async fn a_reader_follows_and_goes_on_where_the_stream_broke_off() {
    let site = Site::new().await;
    let id = site.machine("alpha", 1).await;
    record(&site, &[chunk(&id, 1, 0, "one\u{1b}[")]).await;
    let later = async {
        // In the middle of an escape sequence; the reader keeps its place in it.
        tokio::time::sleep(Duration::from_millis(700)).await;
        record(&site, &[chunk(&id, 1, 5, "1mtwo")]).await;
    };
    let (pieces, ()) = tokio::join!(follow(&site, &id, "0", "two"), later);
    assert_eq!(pieces, [(5, "one".to_owned()), (10, "two".to_owned())]);
    record(&site, &[chunk(&id, 1, 10, "three")]).await;
    assert_eq!(follow(&site, &id, "10", "three").await, [(15, "three".to_owned())]);
    assert_eq!(follow(&site, &id, "12", "ree").await, [(15, "ree".to_owned())]);
}

#[tokio::test]
async fn a_deployment_whose_system_never_reports_fails_with_the_end_of_its_console() {
    let (mut world, id) = World::ready().await;
    world.system_reports = false;
    record(&world.site, &[chunk(&id, 1, 0, "of an earlier boot\r\n")]).await;
    world.act(&id, "deploy", json!({ "image": "debian-12" })).await;
    world.until_step(&id, "await-system").await;
    let boot: String =
        (0..200).map(|n| format!("[{n:>4}] \u{1b}[32mstarting\u{1b}[0m unit {n}\r\n")).collect();
    record(
        &world.site,
        &[chunk(&id, 2, 0, &boot), chunk(&id, 2, boot.len() as u64, "Give root password for maintenance: ")],
    )
    .await;
    sqlx::query("UPDATE operation SET deadline = now() WHERE status = 'running'")
        .execute(&world.site.pool)
        .await
        .unwrap();
    world.until(&id, "failed-deployment").await;

    let page = world.site.get(&format!("/operations?machine={id}&status=failed")).await.expect(200);
    let number = page["items"][0]["id"].as_i64().unwrap();
    assert!(page["items"][0].get("console_tail").is_none(), "lists stay short");
    let detail = world.site.get(&format!("/operations/{number}")).await.expect(200);
    let tail: Vec<&str> =
        detail["console_tail"].as_array().unwrap().iter().map(|l| l.as_str().unwrap()).collect();
    assert_eq!(tail.len(), 40);
    assert_eq!(tail[38..], ["[ 199] starting unit 199", "Give root password for maintenance:"]);
    let error = detail["error"].as_str().unwrap();
    assert!(!error.contains("starting unit"), "the reason stays one sentence: {error}");
    let events = world.site.get(&format!("/events?operation={number}&level=error")).await.expect(200);
    let failed =
        events["items"].as_array().unwrap().iter().find(|e| e["kind"] == "operation.failed").unwrap();
    assert_eq!(failed["data"]["console_tail"], detail["console_tail"]);
}

#[tokio::test]
async fn a_failure_without_a_recorded_console_has_none() {
    let (mut world, id) = World::ready().await;
    record(&world.site, &[chunk(&id, 1, 0, "of an earlier operation\r\n")]).await;
    world.fails = Some(("install", "no disk"));
    world.act(&id, "deploy", json!({ "image": "debian-12" })).await;
    world.until(&id, "failed-deployment").await;
    let page = world.site.get(&format!("/operations?machine={id}&status=failed")).await.expect(200);
    let detail = world.site.get(&format!("/operations/{}", page["items"][0]["id"])).await.expect(200);
    assert_eq!(
        (&detail["error"], &detail["console_tail"]),
        (&json!("debian-12@1 could not be installed: no disk"), &json!([]))
    );
}
