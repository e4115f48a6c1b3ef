//! What a restart in the middle of a script means.

use crate::bench::{Bench, named, script};
use serde_json::json;

#[tokio::test]
async fn a_script_that_may_restart_the_machine_is_given_again_after_each_boot() {
    let mut bench = Bench::new().await;
    bench.script("flash", "may_reboot: true\nparallel: any").await;
    bench.script("quick", "parallel: any").await;
    let operation = bench.begin(json!({ "scripts": ["flash", "quick"] })).await;
    let first = bench.next(8).await;
    assert_eq!(named(&first), ["flash"], "it has the machine for itself");
    assert_eq!((script(&first[0]).has_started, script(&first[0]).boots), (false, 1));
    let late = bench.world.agent.clone().unwrap();
    bench.world.power_on().await;
    let second = bench.next(8).await;
    assert_eq!(second[0].id, first[0].id);
    assert_eq!((script(&second[0]).has_started, script(&second[0]).boots), (true, 2));
    // A word of the boot before comes too late.
    let now = bench.world.agent.replace(late);
    let path = format!("/agent/v1/items/{}/result", first[0].id);
    assert_eq!(bench.request(&path, json!({ "ok": false })).await.status, 410);
    bench.world.agent = now;
    bench.passed(&second[0]).await;
    let quick = bench.next(8).await;
    bench.passed(&quick[0]).await;
    let machine = bench.machine.clone();
    bench.world.until(&machine, "ready").await;
    let runs = bench.runs(operation).await;
    assert_eq!((&runs[0]["status"], &runs[0]["boots"]), (&json!("passed"), &json!(2)));
}

#[tokio::test]
async fn a_script_that_restarts_the_machine_for_ever_is_ended_and_says_so() {
    let mut bench = Bench::new().await;
    bench.script("flash", "may_reboot: true").await;
    let operation = bench.begin(json!({ "scripts": ["flash"] })).await;
    for boot in 1..=6 {
        assert_eq!(script(&bench.next(1).await[0]).boots, boot);
        bench.world.power_on().await;
    }
    assert!(bench.next(1).await.is_empty(), "it is not given a seventh time");
    let machine = bench.machine.clone();
    bench.world.until(&machine, "failed-testing").await;
    let run = bench.runs(operation).await.remove(0);
    assert_eq!(run["error"], "the machine restarted 6 times while flash ran; 5 times are allowed");
    assert_eq!((&run["status"], &run["boots"]), (&json!("failed"), &json!(6)));
}

#[tokio::test]
async fn a_restart_under_any_other_script_fails_the_run_and_the_rest_goes_on() {
    let mut bench = Bench::new().await;
    bench.disks(&["D1", "D2"]).await;
    bench.script("each", "hardware_type: storage\nparallel: instance").await;
    bench.script("last", "parallel: any").await;
    let operation = bench.begin(json!({ "scripts": ["each", "last"] })).await;
    let both = bench.next(8).await;
    bench.passed(&both[1]).await;
    let progress = json!({ "seq": 1, "log": "block 17 is bad\n" });
    let path = format!("/agent/v1/items/{}/progress", both[0].id);
    assert_eq!(bench.request(&path, progress).await.status, 204);
    bench.world.power_on().await;
    let rest = bench.next(8).await;
    assert_eq!(named(&rest), ["last"]);
    bench.passed(&rest[0]).await;
    let machine = bench.machine.clone();
    bench.world.until(&machine, "failed-testing").await;
    let runs = bench.runs(operation).await;
    let statuses: Vec<_> = runs.iter().map(|r| r["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["failed", "passed", "passed"]);
    let failed = bench.run(&runs[0]).await;
    assert_eq!(
        failed["error"],
        "the machine restarted while each ran; a script that restarts it on purpose says `may_reboot: true`"
    );
    assert_eq!(failed["stdout"], "block 17 is bad\n", "what it wrote until then is kept");
    let message = bench.world.status(&machine).await.1;
    assert!(message.starts_with("failed tests: each on D1;"), "{message}");
}

#[tokio::test]
async fn a_machine_that_a_script_restarts_has_the_time_of_a_boot_before_it_counts_as_lost() {
    for (header, patient) in [("may_reboot: true", true), ("may_reboot: false", false)] {
        let mut bench = Bench::new().await;
        bench.script("flash", header).await;
        let operation = bench.begin(json!({ "scripts": ["flash"] })).await;
        bench.next(1).await;
        for statement in [
            "UPDATE agent_boot SET last_seen_at = now() - interval '200 seconds' WHERE operation_id = $1",
            "UPDATE operation SET step_since = now() - interval '300 seconds' WHERE id = $1",
        ] {
            sqlx::query(statement).bind(operation).execute(&bench.world.site.pool).await.unwrap();
        }
        bench.world.hurry().await;
        bench.world.work_region().await;
        let step = bench.world.running(&bench.machine).await.unwrap().0;
        assert_eq!(step == "tests", patient, "{header}: {step}");
    }
}
