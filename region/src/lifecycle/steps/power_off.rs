//! The machine is off before it boots from the network, so that the boot that follows is known to be ours.

use super::power::{Answer, switch_off};
use super::{Look, StepName, addresses};
use crate::db::DbError;
use crate::lifecycle::decision::{Decision, Effect, Next};
use sqlx::PgConnection;

pub(super) async fn step(conn: &mut PgConnection, look: &Look<'_>) -> Result<Decision, DbError> {
    if let Some(decision) = addresses::settle(conn, look).await? {
        return Ok(decision);
    }
    if look.machine.bmc_driver.is_none() {
        return Ok(Next::Go(StepName::NetworkBoot).into());
    }
    Ok(match switch_off(conn, look).await? {
        Answer::Yes(_) => look.onward(StepName::PowerOff),
        Answer::Person(instruction) => {
            look.onward(StepName::PowerOff).with(Effect::Tell { level: "warning", message: instruction })
        }
        Answer::Wait(decision) => decision,
        Answer::No(error) => Decision::fail(error.to_string()),
    })
}
