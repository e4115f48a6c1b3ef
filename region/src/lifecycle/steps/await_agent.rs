//! Evidence that the machine booted: its agent's hello. A BMC's word is none. Without it, a ladder with an end:
//! cycle, reset the BMC and cycle, then a person, with what was seen.

use super::power::{Answer, ask};
use super::{Look, StepName, retry};
use crate::db::{DbError, agent_boot, boot_trace};
use crate::lifecycle::decision::{Decision, Effect, Next};
use rackwright_common::bmc::BmcAction;
use sqlx::PgConnection;

pub(super) async fn step(conn: &mut PgConnection, look: &Look<'_>) -> Result<Decision, DbError> {
    let since_boot = look.op.now.unix_timestamp() as f64 - look.remembered("network_boot_at").unwrap_or(0.0);
    if let Some(boot) = agent_boot::latest(conn, look.op.id).await?
        && boot.age_seconds <= since_boot + 1.0
    {
        return Ok(look.onward(StepName::AwaitAgent));
    }
    let trace = boot_trace::since(conn, &look.op.machine, look.op.id).await?;
    if look.seconds_in_step() < look.timing.boot_seconds as f64 {
        return Ok(Decision::stay(format!("waiting for the ephemeral environment; {}", trace.seen())));
    }
    climb(conn, look, &trace).await
}

/// The ladder: what is tried when a boot shows no sign of life in time.
async fn climb(
    conn: &mut PgConnection,
    look: &Look<'_>,
    trace: &boot_trace::Trace,
) -> Result<Decision, DbError> {
    let gave_up = || {
        Decision::fail(format!(
            "the machine was switched on {} times and its ephemeral environment never reported; {}; {}",
            look.op.attempt + 1,
            trace.seen(),
            trace.advice()
        ))
    };
    if look.machine.bmc_driver.is_none() || look.op.attempt >= 2 {
        return Ok(gave_up());
    }
    if look.op.attempt == 1 {
        match ask(conn, look, "reset-bmc", BmcAction::ResetBmc).await? {
            Answer::Wait(Decision { next: Next::Retry { .. }, .. }) | Answer::No(_) | Answer::Yes(_) => {}
            Answer::Wait(decision) => return Ok(decision),
            Answer::Person(instruction) => return Ok(Decision::fail(instruction)),
        }
    }
    Ok(match ask(conn, look, "cycle", BmcAction::Cycle).await? {
        Answer::Wait(decision) => decision,
        Answer::No(error) => Decision::fail(error.to_string()),
        Answer::Person(instruction) => Decision::fail(instruction),
        Answer::Yes(_) => {
            let message =
                format!("no sign of life in time ({}); the machine was switched off and on", trace.seen());
            retry("waiting for the ephemeral environment after a power cycle", 1)
                .with(Effect::Tell { level: "warning", message })
        }
    })
}
