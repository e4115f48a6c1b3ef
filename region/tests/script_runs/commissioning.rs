//! Scripts of users in the commissioning.

use crate::bench::{Bench, named, script, store};
use crate::support::machine::World;
use serde_json::json;

#[tokio::test]
async fn an_enlisted_machine_runs_the_users_commissioning_scripts_before_its_tests() {
    let mut world = World::new().await;
    store(&world, "firmware", "script_type: commissioning").await;
    world.power_on().await;
    let machine = world.machine().await;
    world.until(&machine, "ready").await;
    assert_eq!(world.done, [&["inventory", "setup-bmc"][..], &["script"; 5]].concat());
    let names: Vec<String> =
        sqlx::query_scalar("SELECT name || ' ' || script_type FROM script_run ORDER BY id")
            .fetch_all(&world.site.pool)
            .await
            .unwrap();
    assert_eq!(names[..2], ["firmware commissioning", "cpu-quick testing"]);
}

#[tokio::test]
async fn commissioning_runs_the_scripts_that_are_meant_for_the_machine() {
    let mut bench = Bench::new().await;
    bench.disks(&["D1", "D2"]).await;
    bench
        .commissioning_script("raid", "hardware_type: storage\nparameters:\n  storage: {type: storage}")
        .await;
    bench.commissioning_script("ours", "for_hardware: 'system_vendor:Lab'").await;
    bench.commissioning_script("theirs", "for_hardware: [system_vendor:Other, modalias:pci:*]").await;
    bench.commissioning_script("seldom", "tags: noauto, burn").await;
    let operation = bench.commission(json!({ "tests": ["cpu-quick"] })).await;
    // The inventory that the commissioning has just read has one disk.
    for name in ["ours", "raid D1"] {
        assert_eq!(bench.world.status(&bench.machine).await.0, "commissioning");
        let items = bench.next(1).await;
        assert_eq!(named(&items), [name]);
        bench.passed(&items[0]).await;
        bench.step().await;
    }
    assert_eq!(bench.world.status(&bench.machine).await.0, "testing");
    let items = bench.next(1).await;
    assert_eq!(named(&items), ["cpu-quick"]);
    bench.passed(&items[0]).await;
    let machine = bench.machine.clone();
    bench.world.until(&machine, "ready").await;
    let runs = bench.runs(operation).await;
    let kept: Vec<_> =
        runs.iter().map(|r| (r["name"].as_str().unwrap(), r["script_type"].as_str().unwrap())).collect();
    assert_eq!(kept, [("ours", "commissioning"), ("raid", "commissioning"), ("cpu-quick", "testing")]);
    let shown = bench.world.site.get(&format!("/operations/{operation}")).await.expect(200);
    let items: Vec<_> = shown["items"].as_array().unwrap().iter().map(|i| i["subject"].clone()).collect();
    assert_eq!(
        items[items.len() - 3..],
        ["ours", "raid (D1)", "cpu-quick"],
        "in the order in which they ran"
    );
}

#[tokio::test]
async fn commissioning_scripts_are_named_by_name_or_tag_and_may_be_left_out() {
    let mut bench = Bench::new().await;
    bench.commissioning_script("raid", "").await;
    bench.commissioning_script("seldom", "tags: noauto, burn").await;
    let machine = bench.machine.clone();
    for (words, runs) in [
        (json!(["burn"]), vec!["seldom"]),
        (json!(["raid", "noauto"]), vec!["raid", "seldom"]),
        (json!([]), vec![]),
    ] {
        let body = json!({ "commissioning_scripts": words, "tests": [] });
        let operation = bench.world.act(&machine, "commission", body).await["id"].as_i64().unwrap();
        bench.world.until(&machine, "ready").await;
        let ran = bench.runs(operation).await;
        assert_eq!(ran.iter().map(|r| r["name"].as_str().unwrap()).collect::<Vec<_>>(), runs, "{words}");
    }
    let path = format!("/machines/{machine}/commission");
    let body = json!({ "commissioning_scripts": ["cpu-quick"] });
    let refused = bench.world.site.post(&path, body).await.problem(422, "invalid");
    assert!(refused.contains("there is no commissioning script or tag `cpu-quick`"), "{refused}");
    let refused = bench.world.site.post(&path, json!({ "tests": ["raid"] })).await.problem(422, "invalid");
    assert!(refused.contains("there is no testing script or tag `raid`"), "{refused}");
}

#[tokio::test]
async fn a_commissioning_script_has_parameters_restarts_and_a_place_beside_others_as_a_test_has() {
    let mut bench = Bench::new().await;
    bench.commissioning_script("flash", "may_reboot: true\nparameters:\n  to: {type: string}").await;
    bench.commissioning_script("one", "parallel: any").await;
    bench.commissioning_script("two", "parallel: any").await;
    let path = format!("/machines/{}/commission", bench.machine);
    let refused = bench.world.site.post(&path, json!({})).await.problem(422, "invalid");
    assert!(refused.contains("the script `flash` needs a value for `to`"), "{refused}");
    bench.commission(json!({ "tests": [], "parameters": { "flash": { "to": "2.1" } } })).await;
    let first = bench.next(8).await;
    assert_eq!(named(&first), ["flash"]);
    assert_eq!(script(&first[0]).parameters[0].value.expose(), "2.1");
    bench.world.power_on().await;
    let again = bench.next(8).await;
    assert_eq!((again[0].id, script(&again[0]).has_started), (first[0].id, true));
    bench.passed(&again[0]).await;
    let both = bench.next(8).await;
    assert_eq!(named(&both), ["one", "two"]);
    bench.passed(&both[0]).await;
    bench.passed(&both[1]).await;
    let machine = bench.machine.clone();
    bench.world.until(&machine, "ready").await;
}

#[tokio::test]
async fn a_failed_commissioning_script_ends_the_commissioning_and_says_which() {
    let mut bench = Bench::new().await;
    bench.commissioning_script("broken", "").await;
    bench.commissioning_script("endless", "hardware_type: storage\ntimeout: 5").await;
    bench.commissioning_script("good", "").await;
    let operation = bench.commission(json!({})).await;
    let item = bench.next(1).await.remove(0);
    bench
        .result(&item, json!({ "ok": true, "script": { "exit_code": 3, "stdout": "", "stderr": "no" } }))
        .await;
    let item = bench.next(1).await.remove(0);
    assert_eq!(
        (named(std::slice::from_ref(&item)), script(&item).timeout_seconds),
        (vec!["endless D1".to_owned()], 5)
    );
    let outcome = json!({ "exit_code": null, "timed_out": true, "stdout": "so far\n", "stderr": "" });
    bench.result(&item, json!({ "ok": false, "error": "killed", "script": outcome })).await;
    let item = bench.next(1).await.remove(0);
    bench.passed(&item).await;
    let machine = bench.machine.clone();
    bench.world.until(&machine, "failed-commissioning").await;
    let message = bench.world.status(&machine).await.1;
    assert!(message.starts_with("failed commissioning scripts: broken, endless on D1; look at"), "{message}");
    let runs = bench.runs(operation).await;
    let kept: Vec<_> =
        runs.iter().map(|r| (r["name"].as_str().unwrap(), r["status"].as_str().unwrap())).collect();
    assert_eq!(kept, [("broken", "failed"), ("endless", "timed-out"), ("good", "passed")], "and no test");
    // The way out: without them.
    bench.world.act(&machine, "commission", json!({ "commissioning_scripts": [] })).await;
    bench.world.until(&machine, "ready").await;
}

#[tokio::test]
async fn a_machine_that_vanishes_under_the_tests_of_its_commissioning_comes_back_to_them() {
    let mut bench = Bench::new().await;
    bench.script("slow", "").await;
    bench.commissioning_script("once", "").await;
    let operation = bench.commission(json!({ "tests": ["slow"] })).await;
    let once = bench.next(1).await.remove(0);
    bench.passed(&once).await;
    bench.step().await;
    assert_eq!(named(&bench.next(1).await), ["slow"]);
    for statement in [
        "UPDATE agent_boot SET last_seen_at = now() - interval '200 seconds' WHERE operation_id = $1",
        "UPDATE operation SET step_since = now() - interval '300 seconds' WHERE id = $1",
    ] {
        sqlx::query(statement).bind(operation).execute(&bench.world.site.pool).await.unwrap();
    }
    let machine = bench.machine.clone();
    bench.world.until(&machine, "failed-testing").await;
    let message = bench.world.status(&machine).await.1;
    assert!(message.starts_with("failed tests: slow;"), "a restart fails the run: {message}");
    let runs = bench.runs(operation).await;
    assert_eq!(runs.len(), 2, "nothing ran twice: {runs:?}");
}
