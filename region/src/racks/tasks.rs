//! Hands tasks to a rack and takes their results.

use crate::db::bmc::Bmc;
use crate::db::rack_task::{self, ClaimedTask};
use crate::db::{DbError, bmc, machine, operation, switch_task};
use crate::secrets::MasterKey;
use rackwright_common::MachineId;
use rackwright_common::Secret;
use rackwright_common::bmc::{BmcEndpoint, BmcError, BmcOrder, BmcOutcome, BmcSettings};
use rackwright_common::link::{Task, TaskResult, TaskWork};
use serde::{Deserialize, Serialize};
use sqlx::{Connection, PgConnection};

/// Most tasks that a rack is given at once.
const BATCH: i64 = 32;

/// What is sealed in `bmc.secret`.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct BmcSecret {
    /// Password.
    pub password: String,
    /// IPMI K_g, hexadecimal.
    pub kg: String,
}

/// Claims tasks for a rack and makes the messages that carry them. A task whose BMC cannot be addressed ends here.
/// `beat` is the last heartbeat that was heard of the rack.
pub async fn claim(
    conn: &mut PgConnection,
    keys: &MasterKey,
    rack: i64,
    beat: Option<u64>,
) -> Result<Vec<Task>, DbError> {
    let mut tasks = Vec::new();
    for claimed in rack_task::claim(conn, rack, BATCH).await? {
        match endpoint(conn, keys, &claimed.machine).await? {
            Ok(endpoint) => tasks.push(message(claimed, endpoint, beat)),
            Err(error) => {
                let result = TaskResult { id: claimed.id, claim: claimed.claim, outcome: Err(error) };
                finish(conn, &result).await?;
            }
        }
    }
    Ok(tasks)
}

fn message(claimed: ClaimedTask, endpoint: BmcEndpoint, beat: Option<u64>) -> Task {
    let order = BmcOrder { endpoint, fence: claimed.fence, action: claimed.action };
    Task { id: claimed.id, claim: claimed.claim, beat, work: TaskWork::Bmc(order) }
}

/// Everything needed to reach a machine's BMC, its secrets opened.
async fn endpoint(
    conn: &mut PgConnection,
    keys: &MasterKey,
    machine: &MachineId,
) -> Result<Result<BmcEndpoint, BmcError>, DbError> {
    let Some(found) = bmc::find(conn, machine).await? else {
        return Ok(Err(BmcError::Unsupported(
            "the machine has no BMC; set one with `rackwright machine bmc`".into(),
        )));
    };
    Ok(open(keys, machine, found))
}

/// A stored BMC with its secrets opened.
pub(super) fn open(keys: &MasterKey, machine: &MachineId, found: Bmc) -> Result<BmcEndpoint, BmcError> {
    let secret = match found.secret.as_deref().map(|sealed| keys.open(sealed)).transpose() {
        Ok(opened) => opened
            .and_then(|plain| serde_json::from_slice::<BmcSecret>(plain.expose()).ok())
            .unwrap_or_default(),
        Err(error) => return Err(BmcError::Login(error.to_string())),
    };
    let mut settings: BmcSettings = serde_json::from_value(found.settings).unwrap_or_default();
    settings.kg = Secret::new(secret.kg);
    Ok(BmcEndpoint {
        machine: machine.clone(),
        driver: found.driver.parse().map_err(BmcError::Unsupported)?,
        address: found.address,
        port: found.port,
        username: found.username,
        password: Secret::new(secret.password),
        settings,
    })
}

/// Stores a result and what it says of the machine's power, and wakes the operation. A result under a claim that
/// has expired is dropped: another rack has the task now.
pub async fn finish(conn: &mut PgConnection, result: &TaskResult) -> Result<(), DbError> {
    let mut tx = conn.begin().await?;
    let Some((machine, operation)) =
        rack_task::finish(&mut tx, result.id, result.claim, &result.outcome).await?
    else {
        // A rack of the version before answers so to a task at a switch, and those share the numbers.
        if let Err(BmcError::Unsupported(_)) = result.outcome {
            switch_task::give_back(&mut tx, result.id, result.claim).await?;
            return Ok(tx.commit().await?);
        }
        tracing::info!(
            task.id = result.id,
            task.claim = result.claim,
            "a result came under an old claim; dropped"
        );
        return Ok(());
    };
    match &result.outcome {
        Ok(outcome) => {
            if let BmcOutcome::Power { state } = outcome {
                machine::set_power(&mut tx, &machine, state.as_str()).await?;
            }
            bmc::set_error(&mut tx, &machine, None).await?;
        }
        // That a driver has no such thing says nothing of this BMC.
        Err(BmcError::Unsupported(_)) => {}
        Err(error) => bmc::set_error(&mut tx, &machine, Some(&error.to_string())).await?,
    }
    if let Some(operation) = operation {
        operation::poke(&mut tx, operation).await?;
    }
    tx.commit().await?;
    Ok(())
}
