//! A machine whose agent is asked for by hand.

use crate::support;
use crate::support::machine::World;
use rackwright_common::MachineId;
use rackwright_common::agent::{NextReply, ScriptTarget, ScriptWork, Work, WorkItem};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// A ready machine, and what its agent is asked for by hand.
pub struct Bench {
    pub world: World,
    pub machine: MachineId,
}

impl Bench {
    pub async fn new() -> Self {
        let (world, machine) = World::ready().await;
        Self { world, machine }
    }

    /// Stores a test with this header.
    pub async fn script(&self, name: &str, header: &str) {
        store(&self.world, name, &format!("script_type: testing\n{header}")).await;
    }

    /// Stores a commissioning script with this header.
    pub async fn commissioning_script(&self, name: &str, header: &str) {
        store(&self.world, name, &format!("script_type: commissioning\n{header}")).await;
    }

    /// Gives the machine more disks than the simulated one has.
    pub async fn disks(&self, serials: &[&str]) {
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
    pub async fn begin(&mut self, body: Value) -> i64 {
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
    pub async fn commission(&mut self, body: Value) -> i64 {
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
    pub async fn step(&mut self) {
        self.world.hurry().await;
        self.world.work_region().await;
        self.world.work_bmc().await;
    }

    /// Status and attempt of each item, in order.
    pub async fn items(&self, operation: i64) -> Vec<(String, i32)> {
        sqlx::query_as("SELECT status, attempt FROM work_item WHERE operation_id = $1 ORDER BY ordinal")
            .bind(operation)
            .fetch_all(&self.world.site.pool)
            .await
            .unwrap()
    }

    pub async fn request(&self, path: &str, mut body: Value) -> support::machine::RelayReply {
        let (token, boot) = self.world.agent.clone().expect("the ephemeral environment runs");
        body["boot_id"] = json!(boot);
        self.world.request("POST", path, Some(format!("Bearer {token}")), body).await
    }

    /// What the agent is given when it can have so many under way.
    pub async fn next(&self, at_once: u32) -> Vec<WorkItem> {
        let reply = self.request("/agent/v1/next", json!({ "at_once": at_once })).await;
        assert_eq!(reply.status, 200, "{}", reply.body);
        let reply: NextReply = serde_json::from_str(&reply.body).unwrap();
        reply.item.into_iter().chain(reply.beside).collect()
    }

    pub async fn result(&self, item: &WorkItem, mut result: Value) {
        result["duration_ms"] = json!(5);
        let reply = self.request(&format!("/agent/v1/items/{}/result", item.id), result).await;
        assert_eq!(reply.status, 204, "{}", reply.body);
    }

    pub async fn passed(&self, item: &WorkItem) {
        let script = json!({ "exit_code": 0, "stdout": "", "stderr": "" });
        self.result(item, json!({ "ok": true, "script": script })).await;
    }

    /// The runs of an operation, in the order in which they were planned.
    pub async fn runs(&self, operation: i64) -> Vec<Value> {
        let path = format!("/machines/{}/script-runs?operation={operation}", self.machine);
        let mut runs = self.world.site.get(&path).await.expect(200)["items"].as_array().unwrap().clone();
        runs.reverse();
        runs
    }

    pub async fn run(&self, run: &Value) -> Value {
        self.world
            .site
            .get(&format!("/machines/{}/script-runs/{}", self.machine, run["id"]))
            .await
            .expect(200)
    }
}

pub async fn store(world: &World, name: &str, header: &str) {
    let lines: String = header.lines().map(|l| format!("# {l}\n")).collect();
    let body = format!(
        "#!/bin/sh\n# --- Start MAAS 1.0 script metadata ---\n# name: {name}\n{lines}\
         # --- End MAAS 1.0 script metadata ---\n"
    );
    world.site.post("/scripts", json!({ "body": body })).await.expect(201);
}

pub fn script(item: &WorkItem) -> &ScriptWork {
    match &item.work {
        Work::Script(work) => work,
        other => panic!("no script: {other:?}"),
    }
}

/// Name and disk or interface of each.
pub fn named(items: &[WorkItem]) -> Vec<String> {
    let one = |item: &WorkItem| match &script(item).target {
        Some(ScriptTarget::Disk { serial, .. }) => {
            format!("{} {}", script(item).name, serial.clone().unwrap_or_default())
        }
        Some(ScriptTarget::Interface { mac }) => format!("{} {mac}", script(item).name),
        None => script(item).name.clone(),
    };
    items.iter().map(one).collect()
}
