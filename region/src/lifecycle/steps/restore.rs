//! The end of an operation: a machine that held a system runs it again, and the status says how it went.

use super::power::{Answer, ask};
use super::scripts::{self, Phase};
use super::{Look, StepName};
use crate::db::DbError;
use crate::lifecycle::decision::{Decision, Effect, Next};
use crate::lifecycle::request::OperationRequest;
use rackwright_common::Status;
use rackwright_common::bmc::BmcAction;
use rackwright_common::lifecycle::Event;
use sqlx::PgConnection;

pub(super) async fn step(conn: &mut PgConnection, look: &Look<'_>) -> Result<Decision, DbError> {
    if !look.machine.resting_status.keeps_system() || look.machine.bmc_driver.is_none() {
        return Ok(look.onward(StepName::Restore));
    }
    Ok(match ask(conn, look, "on", BmcAction::On).await? {
        Answer::Yes(_) => look.onward(StepName::Restore),
        Answer::Person(message) => {
            look.onward(StepName::Restore).with(Effect::Tell { level: "warning", message })
        }
        Answer::Wait(decision) => decision,
        Answer::No(error) => Decision::fail(error.to_string()),
    })
}

/// What belongs to the end of each kind of operation.
pub(super) fn ending(look: &Look<'_>) -> Decision {
    let resting = look.machine.resting_status;
    let done = Decision::from(Next::Done);
    match look.request {
        // Whether the tests passed is looked up by `verdict` before this decision is written.
        OperationRequest::Commission { .. } => {
            done.with(Effect::Status(Event::TestPassed { back_to: Status::Ready }))
        }
        OperationRequest::Test { .. } => {
            let back_to = if resting == Status::New { Status::Ready } else { resting };
            done.with(Effect::Status(Event::TestPassed { back_to }))
        }
        OperationRequest::Deploy { .. } => {
            done.with_all([Effect::Status(Event::DeployDone), Effect::Deployed])
        }
        OperationRequest::Release { .. } => {
            done.with_all([Effect::Status(Event::ReleaseDone), Effect::ClearDeployment])
        }
        OperationRequest::EnterRescue { .. } => done.with(Effect::Status(Event::RescueEntered)),
        OperationRequest::ExitRescue => done.with(Effect::Status(Event::RescueExited { back_to: resting })),
        OperationRequest::Power { .. } => done,
    }
}

/// Turns the happy end of a test into a failure that names the tests at fault.
pub(super) async fn verdict(
    conn: &mut PgConnection,
    look: &Look<'_>,
    decision: Decision,
) -> Result<Decision, DbError> {
    let tested = matches!(look.request, OperationRequest::Commission { .. } | OperationRequest::Test { .. });
    if !tested || decision.next != Next::Done {
        return Ok(decision);
    }
    Ok(match scripts::failed(conn, look, Phase::Tests).await? {
        Some(names) => {
            Decision::fail(format!("failed tests: {names}; look at their output, retest, or override"))
        }
        None => decision,
    })
}
