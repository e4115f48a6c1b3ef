//! A machine's result values beside those of its model: which runs count, and which do not.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod support;

use rackwright_common::MachineId;
use serde_json::{Value, json};
use support::Site;

/// A machine of a model with one disk.
async fn server(site: &Site, name: &str, end: u8, product: &str) -> MachineId {
    let id = site.machine(name, end).await;
    let inventory = json!({ "disks": [{ "name": "sda", "serial": format!("S{end}"), "model": "MZQL21T9" }, { "name": "sdb" }] });
    sqlx::query("UPDATE machine SET vendor = 'Supermicro', product = $2, inventory = $3 WHERE id = $1")
        .bind(id.as_str())
        .bind(product)
        .bind(inventory)
        .execute(&site.pool)
        .await
        .unwrap();
    id
}

/// A run of a script that ended so.
async fn run(site: &Site, id: &MachineId, script: &str, target: &str, status: &str, results: Value) {
    sqlx::query(
        "WITH op AS (INSERT INTO operation (kind, machine_id, status, step, requested_by, deadline, next_attempt_at)
                     VALUES ('test', $1, 'done', 'finish-off', 'ann', now(), now()) RETURNING id),
              item AS (INSERT INTO work_item (operation_id, ordinal, kind, payload, status)
                       SELECT id, 1, 'script', '{}', 'done' FROM op RETURNING id, operation_id)
         INSERT INTO script_run (machine_id, operation_id, work_item_id, script_id, name, script_type, hardware_type, target, status, results)
         SELECT $1, item.operation_id, item.id, s.id, s.name, 'testing', s.metadata ->> 'hardware_type', $3, $4, $5
         FROM item, script s WHERE s.name = $2",
    )
    .bind(id.as_str())
    .bind(script)
    .bind(target)
    .bind(status)
    .bind(results)
    .execute(&site.pool)
    .await
    .unwrap();
}

#[tokio::test]
async fn the_latest_value_of_each_machine_of_the_model_counts() {
    let site = Site::new().await;
    let one = server(&site, "one", 1, "SYS-111C").await;
    let two = server(&site, "two", 2, "SYS-111C").await;
    let other = server(&site, "other", 3, "SYS-222").await;
    let cpu = |rate: f64| json!({ "mib_per_second": rate, "note": "fast" });
    run(&site, &one, "cpu-quick", "", "passed", cpu(10.0)).await;
    run(&site, &one, "cpu-quick", "", "passed", cpu(100.5)).await;
    run(&site, &two, "cpu-quick", "", "failed", cpu(90.0)).await;
    // None of these: another model, not carried out, a value that `one` does not have.
    run(&site, &other, "cpu-quick", "", "passed", cpu(1.0)).await;
    run(&site, &two, "cpu-quick", "", "aborted", cpu(2.0)).await;
    run(&site, &two, "ntp-offset", "", "passed", json!({ "offset_ms": 3 })).await;
    let seen = site.get(&format!("/machines/{one}/comparison")).await.expect(200);
    assert_eq!(seen["machines"], 2);
    assert_eq!(seen["values"].as_array().unwrap().len(), 1, "{seen}");
    let value = &seen["values"][0];
    assert_eq!(value["values"], json!([90.0, 100.5]));
    assert_eq!(
        (&value["script"], &value["name"], &value["title"]),
        (&json!("cpu-quick"), &json!("mib_per_second"), &json!("Hashed"))
    );
    assert_eq!(value["description"], "MiB per second over all cores");
    assert_eq!(value["own"].as_array().unwrap().len(), 1);
    assert_eq!((&value["own"][0]["value"], &value["own"][0]["target"]), (&json!(100.5), &json!("")));
}

#[tokio::test]
async fn disks_are_compared_with_disks_of_their_own_model() {
    let site = Site::new().await;
    let one = server(&site, "one", 1, "SYS-111C").await;
    let two = server(&site, "two", 2, "SYS-111C").await;
    let read = |rate: i64| json!({ "read_mib_per_second": rate });
    for (machine, target, rate) in
        [(&one, "S1", 2700), (&one, "sdb", 250), (&two, "S2", 2650), (&two, "sdb", 240)]
    {
        run(&site, machine, "disk-read", target, "passed", read(rate)).await;
    }
    // A disk that was taken out since.
    run(&site, &two, "disk-read", "S9", "passed", read(1)).await;
    let seen = site.get(&format!("/machines/{one}/comparison")).await.expect(200);
    let rows: Vec<_> =
        seen["values"].as_array().unwrap().iter().map(|v| (v["part"].clone(), v["values"].clone())).collect();
    assert_eq!(rows, [(json!(""), json!([240.0, 250.0])), (json!("MZQL21T9"), json!([2650.0, 2700.0]))]);
    assert_eq!(seen["values"][1]["own"][0]["target"], "S1");
}

#[tokio::test]
async fn a_machine_without_results_has_nothing_to_compare() {
    let site = Site::new().await;
    let one = site.machine("one", 1).await;
    let nothing = json!({ "machines": 0, "values": [] });
    assert_eq!(site.get(&format!("/machines/{one}/comparison")).await.expect(200), nothing);
    site.get("/machines/zzzzzz/comparison").await.problem(404, "not-found");
}

#[tokio::test]
async fn a_script_tells_its_versions_and_how_it_did() {
    let site = Site::new().await;
    let body = |echo: &str| json!({ "name": "ours", "body": format!("#!/bin/sh\necho {echo}\n") });
    site.post("/scripts", body("one")).await.expect(201);
    let one = site.machine("one", 1).await;
    run(&site, &one, "ours", "", "failed", json!({ "errors": 3 })).await;
    site.post("/scripts", body("two")).await.expect(201);
    run(&site, &one, "cpu-quick", "", "passed", json!({})).await;
    run(&site, &one, "cpu-quick", "", "aborted", json!({})).await;
    let seen = site.get("/scripts/ours/history").await.expect(200);
    let versions: Vec<_> =
        seen["versions"].as_array().unwrap().iter().map(|v| v["version"].clone()).collect();
    assert_eq!(versions, [2, 1]);
    assert_eq!(seen["runs"].as_array().unwrap().len(), 1);
    assert_eq!((&seen["runs"][0]["hostname"], &seen["runs"][0]["version"]), (&json!("one"), &json!(1)));
    assert_eq!(
        (&seen["runs"][0]["status"], &seen["runs"][0]["results"]),
        (&json!("failed"), &json!({ "errors": 3 }))
    );
    let page = site.get("/script-results").await.expect(200);
    let counted: Vec<_> = page["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| json!([r["name"], r["passed"], r["failed"], r["other"]]))
        .collect();
    assert_eq!(counted, [json!(["cpu-quick", 1, 0, 1]), json!(["ours", 0, 1, 0])]);
    site.get("/scripts/nobodys/history").await.problem(404, "not-found");
}
