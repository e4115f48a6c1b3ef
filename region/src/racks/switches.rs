//! Hands tasks at switches to racks, takes what comes of them, and has every switch read in its time.

use crate::db::event::{self, NewEvent};
use crate::db::switch_task::{self, Claimed, Ended};
use crate::db::{DbError, switch};
use crate::secrets::MasterKey;
use rackwright_common::link::{SwitchResult, Task, TaskWork};
use rackwright_common::switch::{
    SwitchAction, SwitchEndpoint, SwitchError, SwitchOrder, SwitchPort, SwitchReading,
};
use serde_json::json;
use sqlx::{Connection, PgConnection, PgPool};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Most tasks that a rack is given at once.
const BATCH: i64 = 8;
/// How often is looked which switches are due.
const EVERY: Duration = Duration::from_secs(5);

/// Has switches read in their time, until cancelled. Every region does; a reading is written once.
pub async fn run(pool: PgPool, cancel: CancellationToken) {
    let mut tick = tokio::time::interval(EVERY);
    loop {
        tokio::select! {
            () = cancel.cancelled() => return,
            _ = tick.tick() => {}
        }
        let written = async { switch_task::write_due(&mut *pool.acquire().await?).await };
        if let Err(error) = written.await {
            tracing::debug!(error = &error as &dyn std::error::Error, "switches are not looked after now");
        }
    }
}

/// Claims tasks for a rack and makes the messages that carry them. `beat` is the last heartbeat that was heard of it.
pub async fn claim(
    conn: &mut PgConnection,
    keys: &MasterKey,
    rack: i64,
    beat: Option<u64>,
) -> Result<Vec<Task>, DbError> {
    let mut tasks = Vec::new();
    for Claimed { id, claim, switch, action } in switch_task::claim(conn, rack, BATCH).await? {
        let found = match endpoint(conn, keys, switch).await {
            // The switch was removed just now, and its tasks with it.
            Err(DbError::NotFound) => continue,
            found => found?,
        };
        match found {
            Ok(endpoint) => {
                let work = TaskWork::Switch(SwitchOrder { endpoint, action });
                tasks.push(Task { id, claim, beat, work });
            }
            Err(error) => finish(conn, &SwitchResult { id, claim, outcome: Err(error) }).await?,
        }
    }
    Ok(tasks)
}

async fn endpoint(
    conn: &mut PgConnection,
    keys: &MasterKey,
    id: i64,
) -> Result<Result<SwitchEndpoint, SwitchError>, DbError> {
    let (address, port, sealed) = switch::endpoint(conn, id).await?;
    let port = u16::try_from(port).map_err(|_| DbError::Corrupt { what: "port" })?;
    let opened = match keys.open(&sealed) {
        Ok(opened) => opened,
        Err(error) => return Ok(Err(SwitchError::Login(error.to_string()))),
    };
    let access = serde_json::from_slice(opened.expose())
        .map_err(|_| DbError::Corrupt { what: "access to a switch" })?;
    Ok(Ok(SwitchEndpoint { address, port, access }))
}

/// Stores what came of a task. Under a claim that has expired it is dropped: another rack has the task now.
pub async fn finish(conn: &mut PgConnection, result: &SwitchResult) -> Result<(), DbError> {
    let mut tx = conn.begin().await?;
    let error = result.outcome.as_ref().err();
    let Some(ended) = switch_task::finish(&mut tx, result.id, result.claim, error).await? else {
        tracing::info!(
            task.id = result.id,
            task.claim = result.claim,
            "a result came under an old claim; dropped"
        );
        return Ok(());
    };
    match &result.outcome {
        Ok(reading) => store(&mut tx, &ended, reading).await?,
        Err(error) => fail(&mut tx, &ended, error).await?,
    }
    tx.commit().await?;
    Ok(())
}

async fn store(conn: &mut PgConnection, ended: &Ended, reading: &SwitchReading) -> Result<(), DbError> {
    let name = switch::get(conn, ended.switch).await?.name;
    let before = switch::reading(conn, ended.switch).await?;
    let silent = switch::store_reading(conn, ended.switch, ended.rack, reading).await?;
    if silent.is_some() {
        let data = json!({ "switch": name });
        tell(
            conn,
            "switch.answers",
            "info",
            switch_task::NOBODY,
            &format!("The switch {name} is read again"),
            data,
        )
        .await?;
    }
    if let SwitchAction::SetAccessVlan { port, vid } = ended.action {
        let of = |reading: &SwitchReading| reading.ports.iter().find(|p| p.number == port).cloned();
        let port_name = of(reading).map_or_else(|| port.to_string(), |p: SwitchPort| p.name);
        let message = format!("Port {port_name} of the switch {name} is in VLAN {vid}");
        let data = json!({ "switch": name, "port": port, "before": of(&before), "after": of(reading) });
        tell(conn, "switch.port-vlan", "info", &ended.actor, &message, data).await?;
    }
    Ok(())
}

async fn fail(conn: &mut PgConnection, ended: &Ended, error: &SwitchError) -> Result<(), DbError> {
    let name = switch::get(conn, ended.switch).await?.name;
    match ended.action {
        SwitchAction::Read => {
            if switch::store_error(conn, ended.switch, ended.rack, &error.to_string()).await? {
                let message = format!("The switch {name} cannot be read: {error}");
                let data = json!({ "switch": name });
                tell(conn, "switch.silent", "warning", switch_task::NOBODY, &message, data).await?;
            }
        }
        SwitchAction::SetAccessVlan { port, vid } => {
            let message = format!("Port {port} of the switch {name} was not put into VLAN {vid}: {error}");
            let data = json!({ "switch": name, "port": port, "vid": vid });
            tell(conn, "switch.port-vlan-failed", "warning", &ended.actor, &message, data).await?;
        }
    }
    Ok(())
}

async fn tell(
    conn: &mut PgConnection,
    kind: &str,
    level: &str,
    actor: &str,
    message: &str,
    data: serde_json::Value,
) -> Result<(), DbError> {
    event::append(conn, &NewEvent { kind, level, machine: None, operation: None, actor, message, data }).await
}
