//! Runs of scripts from the API's request to the stored result: what they are told, what runs together, and what a
//! restart in their middle means. The machine is played by [`support::machine::World`].

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod support;

use rackwright_common::MachineId;
use rackwright_common::agent::{NextReply, ScriptTarget, ScriptWork, Work, WorkItem};
use rackwright_region::model::Role;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use support::machine::World;

/// A ready machine, and what its agent is asked for by hand.
struct Bench {
    world: World,
    machine: MachineId,
}

impl Bench {
    async fn new() -> Self {
        let (world, machine) = World::ready().await;
        Self { world, machine }
    }

    /// Stores a test with this header.
    async fn script(&self, name: &str, header: &str) {
        store(&self.world, name, &format!("script_type: testing\n{header}")).await;
    }

    /// Stores a commissioning script with this header.
    async fn commissioning_script(&self, name: &str, header: &str) {
        store(&self.world, name, &format!("script_type: commissioning\n{header}")).await;
    }

    /// Gives the machine more disks than the simulated one has.
    async fn disks(&self, serials: &[&str]) {
        let disk = |(i, serial): (usize, &&str)| json!({ "name": format!("sd{i}"), "serial": serial });
        let disks: Vec<Value> = serials.iter().enumerate().map(disk).collect();
        sqlx::query("UPDATE machine SET inventory = inventory || jsonb_build_object('disks', $2::jsonb) WHERE id = $1")
            .bind(self.machine.as_str())
            .bind(json!(disks))
            .execute(&self.world.site.pool)
            .await
            .unwrap();
    }

    /// Begins a test and lets it come as far as the agent.
    async fn begin(&mut self, body: Value) -> i64 {
        let operation = self.world.act(&self.machine, "test", body).await["id"].as_i64().unwrap();
        let deadline = Instant::now() + Duration::from_secs(20);
        while self.items(operation).await.is_empty() {
            self.step().await;
            let seen = self.world.running(&self.machine).await;
            assert!(Instant::now() < deadline, "no work for the agent; the operation is at {seen:?}");
        }
        operation
    }

    /// Commissions the machine and lets it come as far as its first script.
    async fn commission(&mut self, body: Value) -> i64 {
        let operation = self.world.act(&self.machine, "commission", body).await["id"].as_i64().unwrap();
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            self.step().await;
            let step = self.world.running(&self.machine).await.unwrap().0;
            if step == "commissioning-scripts" || step == "tests" {
                return operation;
            }
            self.world.work_agent().await;
            assert!(Instant::now() < deadline, "no script for the agent; the operation is at {step}");
        }
    }

    /// Region and BMC act; the agent does nothing.
    async fn step(&mut self) {
        self.world.hurry().await;
        self.world.work_region().await;
        self.world.work_bmc().await;
    }

    /// Status and attempt of each item, in order.
    async fn items(&self, operation: i64) -> Vec<(String, i32)> {
        sqlx::query_as("SELECT status, attempt FROM work_item WHERE operation_id = $1 ORDER BY ordinal")
            .bind(operation)
            .fetch_all(&self.world.site.pool)
            .await
            .unwrap()
    }

    async fn request(&self, path: &str, mut body: Value) -> support::machine::RelayReply {
        let (token, boot) = self.world.agent.clone().expect("the ephemeral environment runs");
        body["boot_id"] = json!(boot);
        self.world.request("POST", path, Some(format!("Bearer {token}")), body).await
    }

    /// What the agent is given when it can have so many under way.
    async fn next(&self, at_once: u32) -> Vec<WorkItem> {
        let reply = self.request("/agent/v1/next", json!({ "at_once": at_once })).await;
        assert_eq!(reply.status, 200, "{}", reply.body);
        let reply: NextReply = serde_json::from_str(&reply.body).unwrap();
        reply.item.into_iter().chain(reply.beside).collect()
    }

    async fn result(&self, item: &WorkItem, mut result: Value) {
        result["duration_ms"] = json!(5);
        let reply = self.request(&format!("/agent/v1/items/{}/result", item.id), result).await;
        assert_eq!(reply.status, 204, "{}", reply.body);
    }

    async fn passed(&self, item: &WorkItem) {
        let script = json!({ "exit_code": 0, "stdout": "", "stderr": "" });
        self.result(item, json!({ "ok": true, "script": script })).await;
    }

    /// The runs of an operation, in the order in which they were planned.
    async fn runs(&self, operation: i64) -> Vec<Value> {
        let path = format!("/machines/{}/script-runs?operation={operation}", self.machine);
        let mut runs = self.world.site.get(&path).await.expect(200)["items"].as_array().unwrap().clone();
        runs.reverse();
        runs
    }

    async fn run(&self, run: &Value) -> Value {
        self.world
            .site
            .get(&format!("/machines/{}/script-runs/{}", self.machine, run["id"]))
            .await
            .expect(200)
    }
}

async fn store(world: &World, name: &str, header: &str) {
    let lines: String = header.lines().map(|l| format!("# {l}\n")).collect();
    let body = format!(
        "#!/bin/sh\n# --- Start MAAS 1.0 script metadata ---\n# name: {name}\n{lines}\
         # --- End MAAS 1.0 script metadata ---\n"
    );
    world.site.post("/scripts", json!({ "body": body })).await.expect(201);
}

fn script(item: &WorkItem) -> &ScriptWork {
    match &item.work {
        Work::Script(work) => work,
        other => panic!("no script: {other:?}"),
    }
}

/// Name and disk or interface of each.
fn named(items: &[WorkItem]) -> Vec<String> {
    let one = |item: &WorkItem| match &script(item).target {
        Some(ScriptTarget::Disk { serial, .. }) => {
            format!("{} {}", script(item).name, serial.clone().unwrap_or_default())
        }
        Some(ScriptTarget::Interface { mac }) => format!("{} {mac}", script(item).name),
        None => script(item).name.clone(),
    };
    items.iter().map(one).collect()
}

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

#[tokio::test]
async fn runs_of_one_script_on_several_disks_are_given_together_as_places_come_free() {
    let mut bench = Bench::new().await;
    bench.disks(&["D1", "D2", "D3"]).await;
    bench.script("alone", "hardware_type: storage").await;
    bench.script("each", "hardware_type: storage\nparallel: instance").await;
    bench.script("other", "parallel: any").await;
    bench.script("quick", "parallel: any").await;
    bench.begin(json!({ "scripts": ["other", "each", "alone", "quick"] })).await;
    for disk in ["D1", "D2", "D3"] {
        let items = bench.next(8).await;
        assert_eq!(named(&items), [format!("alone {disk}")], "a script that is alone is alone on each disk");
        bench.passed(&items[0]).await;
    }
    assert_eq!(named(&bench.next(0).await), ["each D1"], "an agent that does not say gets one");
    let two = bench.next(2).await;
    assert_eq!(named(&two), ["each D1", "each D2"], "what it has is named again");
    bench.passed(&two[0]).await;
    let rest = bench.next(2).await;
    assert_eq!(named(&rest), ["each D2", "each D3"], "the free place is filled");
    bench.passed(&rest[1]).await;
    assert_eq!(named(&bench.next(8).await), ["each D2"], "another script waits for the last of them");
    bench.passed(&rest[0]).await;
    let any = bench.next(8).await;
    assert_eq!(named(&any), ["other", "quick"]);
    bench.passed(&any[1]).await;
    bench.passed(&any[0]).await;
    bench.passed(&any[0]).await;
    let machine = bench.machine.clone();
    bench.world.until(&machine, "ready").await;
}

#[tokio::test]
async fn what_does_not_fit_into_one_answer_is_given_in_the_next() {
    let mut bench = Bench::new().await;
    for name in ["large", "larger"] {
        let body = format!(
            "#!/bin/sh\n# --- Start MAAS 1.0 script metadata ---\n# name: {name}\n# script_type: testing\n# parallel: any\n\
             # --- End MAAS 1.0 script metadata ---\n{}",
            "true #########################################################\n".repeat(11_000)
        );
        bench.world.site.post("/scripts", json!({ "body": body })).await.expect(201);
    }
    let operation = bench.begin(json!({ "scripts": ["large", "larger"] })).await;
    let items = bench.next(8).await;
    assert_eq!(named(&items), ["large"]);
    let statuses: Vec<Value> = bench.runs(operation).await.into_iter().map(|r| r["status"].clone()).collect();
    assert_eq!(statuses, ["running", "pending"]);
    bench.step().await;
    let waits = bench.world.running(&bench.machine).await.unwrap().1;
    assert!(waits.starts_with("the agent works on large"), "{waits}");
    bench.passed(&items[0]).await;
    assert_eq!(named(&bench.next(8).await), ["larger"]);
}

#[tokio::test]
async fn a_region_that_died_after_giving_work_gives_the_same_again() {
    let mut bench = Bench::new().await;
    bench.disks(&["D1", "D2", "D3"]).await;
    bench.script("each", "hardware_type: storage\nparallel: instance").await;
    let operation = bench.begin(json!({ "scripts": ["each"] })).await;
    let first = bench.next(2).await;
    // Another owner, a later epoch; the answers got lost, and one result was told twice.
    bench.world.claim_and_die().await;
    bench.world.expire_claims().await;
    bench.step().await;
    let again = bench.next(2).await;
    assert_eq!(named(&again), named(&first));
    assert_eq!(again[0].id, first[0].id);
    assert_eq!(bench.items(operation).await[0].1, 1, "the same boot is one attempt");
    bench.passed(&first[0]).await;
    bench.passed(&first[0]).await;
    assert_eq!(named(&bench.next(2).await), ["each D2", "each D3"]);
}

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
