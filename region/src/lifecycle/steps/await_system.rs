//! The installed system has booted when its own cloud-init says so.

use super::power::{Answer, ask};
use super::{Look, StepName, retry};
use crate::db::DbError;
use crate::lifecycle::decision::{Decision, Effect};
use rackwright_common::bmc::BmcAction;
use sqlx::PgConnection;

pub(super) async fn step(conn: &mut PgConnection, look: &Look<'_>) -> Result<Decision, DbError> {
    let said = |name: &str| look.op.state.get(name).and_then(serde_json::Value::as_str);
    match said("cloud_init") {
        Some("done") => return Ok(look.onward(StepName::AwaitSystem)),
        Some("failed") => {
            let why = said("cloud_init_message").unwrap_or("it gave no reason");
            return Ok(Decision::fail(format!("cloud-init of the installed system failed: {why}")));
        }
        Some(_) | None => {}
    }
    let heard = said("cloud_init_message");
    let last = heard.unwrap_or("nothing yet");
    // A machine that hangs in its restart gets one push after half of the time. A system that was heard runs, and may take all of
    // it: without power in its first start it would lose what is not on the disk yet.
    let limit = look.timing.system_seconds as f64 / if heard.is_some() { 1.0 } else { 2.0 };
    if look.seconds_in_step() < limit {
        return Ok(Decision::stay(format!(
            "waiting for cloud-init of the installed system; last heard: {last}"
        )));
    }
    let gave_up = || {
        Decision::fail(format!(
            "the installed system did not report; last heard from cloud-init: {last}; look at the machine's console: \
             does it boot its disk, and does it reach the rack over the network?"
        ))
    };
    if heard.is_some() || look.op.attempt >= 1 || look.machine.bmc_driver.is_none() {
        return Ok(gave_up());
    }
    Ok(match ask(conn, look, "cycle", BmcAction::Cycle).await? {
        Answer::Wait(decision) => decision,
        Answer::No(_) | Answer::Person(_) => gave_up(),
        Answer::Yes(_) => retry("waiting for cloud-init after a power cycle", 1).with(Effect::Tell {
            level: "warning",
            message: format!("the installed system did not report (last heard: {last}); the machine was switched off and on"),
        }),
    })
}
