//! At the end the machine is off, and boots its disk when somebody switches it on.

use super::power::{Answer, switch_off};
use super::{Look, StepName, items};
use crate::db::{DbError, agent_boot};
use crate::lifecycle::decision::{Decision, Effect};
use serde_json::json;
use sqlx::PgConnection;

const POWER_OFF: i32 = 900;
pub(super) async fn step(conn: &mut PgConnection, look: &Look<'_>) -> Result<Decision, DbError> {
    if look.machine.bmc_driver.is_none() {
        return without_bmc(conn, look).await;
    }
    Ok(match switch_off(conn, look).await? {
        Answer::Yes(_) => look.onward(StepName::FinishOff).with(Effect::BootLocal),
        Answer::Person(instruction) => look
            .onward(StepName::FinishOff)
            .with_all([Effect::BootLocal, Effect::Tell { level: "warning", message: instruction }]),
        Answer::Wait(decision) => decision,
        Answer::No(error) => Decision::fail(error.to_string()),
    })
}

/// A machine without BMC switches itself off, while its agent is there to do it.
async fn without_bmc(conn: &mut PgConnection, look: &Look<'_>) -> Result<Decision, DbError> {
    let agent = agent_boot::latest(conn, look.op.id).await?.is_some_and(|b| b.silent_seconds < 60.0);
    if agent && let Some(decision) = items::one(conn, look, POWER_OFF, "power-off", json!({})).await? {
        return Ok(decision);
    }
    Ok(look.onward(StepName::FinishOff).with(Effect::BootLocal))
}
