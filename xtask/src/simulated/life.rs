//! Asking a site for what a machine is to do, and waiting for the end of it.

use crate::cluster::Cluster;
use anyhow::{Context, Result, bail};
use rackwright_lab::poll;
use serde_json::{Value, json};
use std::time::Duration;

/// How an operation ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// Its number.
    pub operation: i64,
    /// Status of the machine.
    pub machine: String,
    /// Why it is in that status, where it says so.
    pub message: String,
}

/// Asks for an action; the operation's number. A request that is not answered is made again, under one key.
pub fn begin(cluster: &Cluster<'_>, machine: &str, action: &str, body: &Value) -> Result<i64> {
    let key = std::fs::read_to_string("/proc/sys/kernel/random/uuid")?.trim().to_owned();
    let path = format!("/api/v1/machines/{machine}/{action}");
    let answer = poll::until(Duration::from_secs(90), &format!("{action} to be taken"), || {
        let answer = cluster.ask(|api| api.post_once(&path, &key, body))?;
        match answer.status {
            200..300 => Ok(Some(Ok(answer.body))),
            409 | 500.. => bail!("{} {}", answer.status, answer.body),
            _ => Ok(Some(Err(anyhow::anyhow!("{action}: {} {}", answer.status, answer.body)))),
        }
    })??;
    answer["id"].as_i64().context("the answer names no operation")
}

/// Waits until an operation is over, however it ends.
pub fn until_over(cluster: &Cluster<'_>, machine: &str, operation: i64, limit: Duration) -> Result<Ended> {
    poll::until(limit, &format!("operation {operation} of {machine} to be over"), || {
        let state = cluster.ask(|api| api.get(&format!("/api/v1/operations/{operation}")))?;
        let shown = cluster.ask(|api| api.get(&format!("/api/v1/machines/{machine}")))?;
        if state["status"] == "running" || !shown["operation"].is_null() {
            bail!("{} {}: {}", shown["status"], state["step"], state["message"]);
        }
        let text = |key: &str| shown[key].as_str().unwrap_or_default().to_owned();
        Ok(Some(Ended { operation, machine: text("status"), message: text("status_message") }))
    })
}

/// Asks for an action, and fails unless it ends in this status.
pub fn act(cluster: &Cluster<'_>, machine: &str, action: &str, body: &Value, goal: &str) -> Result<i64> {
    let operation = begin(cluster, machine, action, body)?;
    let ended = until_over(cluster, machine, operation, Duration::from_secs(180))?;
    if ended.machine != goal {
        bail!("{action} ended in {}: {}", ended.machine, ended.message);
    }
    Ok(operation)
}

/// Commissioned, deployed, released.
pub fn whole(cluster: &Cluster<'_>, machine: &str) -> Result<()> {
    act(cluster, machine, "commission", &json!({}), "ready")?;
    act(cluster, machine, "deploy", &json!({ "image": super::images::SYSTEM }), "deployed")?;
    act(cluster, machine, "release", &json!({ "erase": "quick" }), "ready").map(drop)
}
