//! What a script is told, and what is refused.

use crate::bench::{Bench, named, script};
use serde_json::{Value, json};

const PARAMETERS: &str = "hardware_type: storage\ntimeout: 60\nparameters:\n  storage: {type: storage, argument_format: '{path}'}\n  \
                          runtime: {type: runtime, default: 30, min: 1, max: 3600}\n  key: {type: password, required: false}\n  \
                          mode: {type: choice, choices: [read, write], default: read}";

#[tokio::test]
async fn parameters_reach_the_script_and_stay_with_its_run() {
    let mut bench = Bench::new().await;
    bench.script("speed", PARAMETERS).await;
    bench.disks(&["D1", "D2"]).await;
    let given = json!({ "runtime": "1:30", "speed": { "key": "hunter2", "storage": "sd1" } });
    let operation = bench.begin(json!({ "scripts": ["speed"], "parameters": given })).await;

    let items = bench.next(1).await;
    assert_eq!(named(&items), ["speed D2"]);
    let work = script(&items[0]);
    let told: Vec<_> = work
        .parameters
        .iter()
        .map(|p| (p.name.as_str(), p.value.expose().as_str(), p.format.as_deref(), p.is_target))
        .collect();
    assert_eq!(
        told,
        [
            ("storage", "D2", Some("{path}"), true),
            ("runtime", "90", Some("--runtime={input}"), false),
            ("key", "hunter2", None, false),
            ("mode", "read", Some("--mode={input}"), false),
        ],
        "in the order of the header"
    );
    assert_eq!(work.timeout_seconds, 180, "three times the usual run, three times the usual limit");
    bench.passed(&items[0]).await;

    let runs = bench.runs(operation).await;
    let shown = json!({ "storage": "D2", "runtime": "90", "key": "(secret)", "mode": "read" });
    assert_eq!(runs[0]["parameters"], shown);
    assert_eq!(bench.run(&runs[0]).await["parameters"], shown);
    let stored: String = sqlx::query_scalar(
        "SELECT (SELECT string_agg(params::text, '') FROM operation) || (SELECT string_agg(payload::text, '') FROM work_item)
                || (SELECT coalesce(string_agg(message || data::text, ''), '') FROM event)",
    )
    .fetch_one(&bench.world.site.pool)
    .await
    .unwrap();
    assert!(stored.contains("\"mode\"") && !stored.contains("hunter2"), "{stored}");
}

#[tokio::test]
async fn a_parameter_that_does_not_fit_is_refused_with_its_name_and_the_cure() {
    let bench = Bench::new().await;
    bench.script("speed", PARAMETERS).await;
    bench.script("needy", "parameters:\n  server: {type: url}").await;
    let path = format!("/machines/{}/test", bench.machine);
    for (scripts, given, field, detail) in [
        (
            json!(["speed"]),
            json!({ "speed": { "runtime": 5000 } }),
            "parameters.speed.runtime",
            "`runtime` of the script `speed`: expected seconds from 1 to 3600",
        ),
        (
            json!(["speed"]),
            json!({ "mode": "erase" }),
            "parameters.speed.mode",
            "`mode` of the script `speed`: expected one of read, write",
        ),
        (
            json!(["speed"]),
            json!({ "storage": "sdz" }),
            "parameters.speed.storage",
            "the machine has no `sdz`; it has vda (D1)",
        ),
        (
            json!(["speed"]),
            json!({ "size": 1 }),
            "parameters.size",
            "no script of this run has a parameter `size`: speed has key, mode, runtime, storage",
        ),
        (
            json!(["speed"]),
            json!({ "needy": {} }),
            "parameters.needy",
            "`needy` is not among the scripts of this run: speed",
        ),
        (
            json!(["needy"]),
            json!({}),
            "parameters.needy.server",
            "the script `needy` needs a value for `server`",
        ),
    ] {
        let reply = bench.world.site.post(&path, json!({ "scripts": scripts, "parameters": given })).await;
        let problem: Value = serde_json::from_str(&reply.text).unwrap();
        assert_eq!((problem["field"].as_str(), problem["detail"].as_str()), (Some(field), Some(detail)));
        assert_eq!(reply.status.as_u16(), 422);
    }
    let body = json!({ "tests": ["speed"], "parameters": { "runtime": 0 } });
    let text = bench.world.site.post(&format!("/machines/{}/commission", bench.machine), body).await;
    assert!(text.problem(422, "invalid").contains("expected seconds from 1 to 3600"));
}
