//! What an item's result says, stored where it belongs.

use super::Refusal;
use super::difference;
use super::hello::local_address;
use crate::db::bmc::{self, Bmc};
use crate::db::event::{self, NewEvent};
use crate::db::script_run::{self, Ended};
use crate::db::work_item::Item;
use crate::db::{DbError, hardware_change, interface, machine};
use crate::model::hardware_change::{ChangeKind, Difference};
use crate::network;
use crate::racks::tasks::BmcSecret;
use crate::secrets::MasterKey;
use rackwright_common::agent::{BmcFound, ItemResult, ScriptOutcome};
use rackwright_common::inventory::Inventory;
use rackwright_common::link::Relay;
use serde_json::{Value, json};
use sqlx::PgConnection;

/// Stores a result, once per item.
pub(super) async fn store(
    conn: &mut PgConnection,
    keys: &MasterKey,
    relay: &Relay,
    item: &Item,
    said: &ItemResult,
) -> Result<(), Refusal> {
    if let Some(inventory) = &said.inventory {
        store_inventory(conn, relay, item, inventory).await?;
    }
    if let Some(found) = &said.bmc {
        store_bmc(conn, keys, item, found).await?;
    }
    match (&said.script, item.kind.as_str()) {
        (Some(outcome), _) => store_script(conn, item, outcome).await?,
        (None, "script") => {
            let end = Ended {
                status: "failed",
                exit_code: None,
                stdout: "",
                stderr: &said.error,
                results: &json!({}),
            };
            script_run::ended(conn, item.id, &end).await?;
        }
        (None, _) => {}
    }
    Ok(())
}

async fn store_inventory(
    conn: &mut PgConnection,
    relay: &Relay,
    item: &Item,
    inventory: &Inventory,
) -> Result<(), Refusal> {
    let before = machine::inventory(conn, &item.machine).await?;
    machine::set_inventory(conn, &item.machine, inventory).await?;
    if let Some(before) = before {
        tell_differences(conn, item, &difference::between(&before, inventory)).await?;
    }
    for found in &inventory.interfaces {
        let owner = interface::ensure(conn, &item.machine, found.mac, found.boot).await?;
        if owner == item.machine {
            interface::describe(conn, &item.machine, found).await?;
        } else {
            let message = format!(
                "{} ({}) is also claimed by machine {owner}; one of the two must be wrong",
                found.mac, found.name
            );
            tell(conn, item, "warning", "machine.mac-conflict", &message).await?;
        }
    }
    if let Some(rack) = local_address(relay) {
        network::allocate(conn, &item.machine, rack).await?;
    }
    let message = format!(
        "hardware read: {} cores, {} MiB of memory, {} disks, {} interfaces",
        inventory.cpu.cores,
        inventory.memory_mib,
        inventory.disks.len(),
        inventory.interfaces.len()
    );
    Ok(tell(conn, item, "info", "machine.inventory", &message).await?)
}

async fn tell_differences(conn: &mut PgConnection, item: &Item, found: &[Difference]) -> Result<(), Refusal> {
    if found.is_empty() {
        return Ok(());
    }
    hardware_change::insert(conn, &item.machine, item.operation, found).await?;
    let gone = found.iter().any(|d| d.kind == ChangeKind::Gone);
    let words: Vec<String> = found.iter().map(Difference::message).collect();
    let message = format!("the hardware is otherwise than before: {}", words.join("; "));
    Ok(tell(conn, item, if gone { "warning" } else { "info" }, "machine.hardware-changed", &message).await?)
}

async fn store_bmc(
    conn: &mut PgConnection,
    keys: &MasterKey,
    item: &Item,
    found: &BmcFound,
) -> Result<(), Refusal> {
    let secret = BmcSecret { password: keys.bmc_password(&item.machine).expose().clone(), kg: String::new() };
    let plain = serde_json::to_vec(&secret).map_err(|_| DbError::Corrupt { what: "BMC secret" })?;
    let new = Bmc {
        driver: "ipmi".into(),
        address: found.address.clone(),
        port: None,
        username: found.username.clone(),
        secret: Some(keys.seal(&plain)),
        settings: json!({}),
        source: "in-band".into(),
    };
    bmc::put(conn, &item.machine, &new).await?;
    let message = format!("the BMC at {} was found from inside and has Rackwright's user now", found.address);
    Ok(tell(conn, item, "info", "machine.bmc", &message).await?)
}

async fn store_script(conn: &mut PgConnection, item: &Item, outcome: &ScriptOutcome) -> Result<(), Refusal> {
    let (said, results) = parse_results(&outcome.result_yaml);
    let status = match (&said, outcome.exit_code) {
        _ if outcome.timed_out => "timed-out",
        (Some(status), _) => status.as_str(),
        (None, Some(0)) => "passed",
        (None, _) => "failed",
    };
    let end = Ended {
        status,
        exit_code: outcome.exit_code,
        stdout: &outcome.stdout,
        stderr: &outcome.stderr,
        results: &results,
    };
    Ok(script_run::ended(conn, item.id, &end).await?)
}

/// Reads a result file: `status`, which overrules the exit code, and `results`, numbers kept as numbers.
fn parse_results(yaml: &str) -> (Option<String>, Value) {
    let Ok(Value::Object(file)) = serde_yaml_ng::from_str::<Value>(yaml) else { return (None, json!({})) };
    let known = ["passed", "failed", "degraded", "skipped", "timed-out"];
    let status =
        file.get("status").and_then(Value::as_str).map(|s| if s == "timedout" { "timed-out" } else { s });
    let status = status.filter(|s| known.contains(s)).map(str::to_owned);
    let results = file.get("results").filter(|r| r.is_object()).cloned().unwrap_or_else(|| json!({}));
    (status, results)
}

async fn tell(
    conn: &mut PgConnection,
    item: &Item,
    level: &str,
    kind: &str,
    message: &str,
) -> Result<(), DbError> {
    let event = NewEvent {
        kind,
        level,
        machine: Some(&item.machine),
        operation: Some(item.operation),
        actor: "agent",
        message,
        data: json!({}),
    };
    event::append(conn, &event).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_keep_numbers_and_a_known_status() {
        let (status, results) =
            parse_results("status: degraded\nresults:\n  read_mbps: 512.5\n  note: slow\n");
        assert_eq!(status.as_deref(), Some("degraded"));
        assert_eq!(results, json!({ "read_mbps": 512.5, "note": "slow" }));
    }

    #[test]
    fn a_result_file_that_is_none_changes_nothing() {
        for yaml in ["", "just text", "- a\n- b", "status: whatever", "results: 3", "a: [", "\u{0}"] {
            assert_eq!(parse_results(yaml), (None, json!({})), "{yaml:?}");
        }
    }
}
