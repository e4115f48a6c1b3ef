//! How runs end, and how long they may take.

use crate::bench::Bench;
use rackwright_region::model::Role;
use serde_json::json;

#[tokio::test]
async fn a_script_that_was_killed_keeps_its_output_and_blocks_the_machine() {
    let mut bench = Bench::new().await;
    bench.script("endless", "timeout: 5").await;
    bench.script("gone", "hardware_type: storage").await;
    let operation = bench.begin(json!({ "scripts": ["endless", "gone"] })).await;
    let item = bench.next(1).await.remove(0);
    let outcome = json!({ "exit_code": null, "timed_out": true, "stdout": "so far\n", "stderr": "" });
    let error = "endless was killed after 5 seconds";
    bench.result(&item, json!({ "ok": false, "error": error, "script": outcome })).await;
    let item = bench.next(1).await.remove(0);
    let error = "the disk D1 is not in this machine any more; it has none";
    bench.result(&item, json!({ "ok": false, "error": error })).await;
    let machine = bench.machine.clone();
    bench.world.until(&machine, "failed-testing").await;
    let runs = bench.runs(operation).await;
    let endless = bench.run(&runs[0]).await;
    assert_eq!((&endless["status"], &endless["stdout"]), (&json!("timed-out"), &json!("so far\n")));
    assert_eq!(endless["error"], "endless was killed after 5 seconds");
    let gone = bench.run(&runs[1]).await;
    assert_eq!((&gone["status"], &gone["error"]), (&json!("failed"), &json!(error)));
    let message = bench.world.status(&machine).await.1;
    assert!(message.starts_with("failed tests: endless, gone on D1;"), "{message}");
}

#[tokio::test]
async fn an_operation_has_the_time_that_its_tests_may_take() {
    let mut bench = Bench::new().await;
    let hours = "SELECT extract(epoch FROM deadline - now())::float8 / 3600 FROM operation WHERE id = $1";
    for (name, least) in [("network-gateway", 23.0), ("disk-badblocks", 168.0)] {
        let operation = bench.begin(json!({ "scripts": [name] })).await;
        let left: f64 =
            sqlx::query_scalar(hours).bind(operation).fetch_one(&bench.world.site.pool).await.unwrap();
        assert!((least..least + 2.5).contains(&left), "{name}: {left} hours");
        let machine = bench.machine.clone();
        bench.world.act(&machine, "abort", json!({})).await;
        bench.world.until(&machine, "ready").await;
    }
}

#[tokio::test]
async fn a_test_that_destroys_data_is_refused_on_a_machine_that_keeps_a_system() {
    let mut bench = Bench::new().await;
    let machine = bench.machine.clone();
    bench.world.act(&machine, "deploy", json!({ "image": "debian-12" })).await;
    bench.world.until(&machine, "deployed").await;
    let body = json!({ "scripts": ["disk-badblocks"] });
    let admin = Some(Role::Administrator);
    let refused =
        bench.world.site.request(admin, "POST", &format!("/machines/{machine}/test"), &[], Some(&body)).await;
    let text = refused.problem(409, "conflict");
    assert!(text.contains("`disk-badblocks` destroys what is on the disks"), "{text}");
    assert_eq!(bench.world.status(&machine).await.0, "deployed");
}
