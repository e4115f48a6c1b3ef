//! The machine is off before it boots from the network, so that the boot that follows is known to be ours.

use super::power::{Answer, ask};
use super::{Look, StepName, retry};
use crate::db::DbError;
use crate::lifecycle::decision::{Decision, Effect, Next};
use rackwright_common::bmc::{BmcAction, BmcOutcome, PowerState};
use sqlx::PgConnection;

/// How often a BMC may say "off" is done and then "on" is true.
const LIES: i32 = 5;

pub(super) async fn step(conn: &mut PgConnection, look: &Look<'_>) -> Result<Decision, DbError> {
    if look.machine.bmc_driver.is_none() {
        return Ok(Next::Go(StepName::NetworkBoot).into());
    }
    Ok(match ask(conn, look, "off", BmcAction::Off).await? {
        Answer::Yes(BmcOutcome::Power { state: PowerState::On }) if look.op.attempt < LIES => {
            retry("the BMC took the command but says the machine is still on", 2)
        }
        Answer::Yes(BmcOutcome::Power { state: PowerState::On }) => Decision::fail(
            "the BMC takes the command to switch off, but the machine stays on; look at the machine",
        ),
        Answer::Yes(_) => look.onward(StepName::PowerOff),
        Answer::Person(instruction) => {
            look.onward(StepName::PowerOff).with(Effect::Tell { level: "warning", message: instruction })
        }
        Answer::Wait(decision) => decision,
        Answer::No(error) => Decision::fail(error.to_string()),
    })
}
