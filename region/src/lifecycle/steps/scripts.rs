//! Scripts under an operation: chosen, handed to the agent, waited for. Commissioning scripts and tests differ in which
//! are chosen and in what a failure means, not in how they run.

use super::Look;
use super::items::{self, Work};
use super::script_plan::plan;
use crate::db::{DbError, script_run};
use crate::lifecycle::decision::{Decision, Effect};
use crate::lifecycle::request::OperationRequest;
use crate::model::script::Script;
use crate::scripts::choice;
use serde_json::{Map, Value};
use sqlx::PgConnection;
use std::ops::Range;

/// What scripts run for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// The end of commissioning.
    Commissioning,
    /// Tests.
    Tests,
}

impl Phase {
    /// Places of its runs in the operation's list.
    pub(super) fn ordinals(self) -> Range<i32> {
        match self {
            Self::Commissioning => 1000..1700,
            Self::Tests => 100..800,
        }
    }

    /// As stored with a run.
    pub(super) fn script_type(self) -> &'static str {
        match self {
            Self::Commissioning => "commissioning",
            Self::Tests => "testing",
        }
    }

    fn noun(self) -> &'static str {
        match self {
            Self::Commissioning => "commissioning scripts",
            Self::Tests => "tests",
        }
    }
}

/// Hands out the scripts of a phase and waits for them. Nothing: they have ended, or there are none.
pub(super) async fn run(
    conn: &mut PgConnection,
    look: &Look<'_>,
    phase: Phase,
) -> Result<Option<Decision>, DbError> {
    let known = items::all(conn, look).await?;
    match items::look_at(conn, look, phase.ordinals(), &known).await? {
        Work::Wait(decision) => Ok(Some(decision)),
        Work::Ended(_) => Ok(None),
        Work::Absent => hand_out(conn, look, phase).await,
    }
}

async fn hand_out(
    conn: &mut PgConnection,
    look: &Look<'_>,
    phase: Phase,
) -> Result<Option<Decision>, DbError> {
    let (scripts, given) = chosen(conn, look, phase).await?;
    let keeps = look.machine.resting_status.keeps_system();
    let plan = match plan(phase, &scripts, &given, look.machine.inventory.as_ref(), keeps) {
        Err(fault) => return Ok(Some(Decision::fail(fault.message))),
        Ok(plan) if plan.runs.is_empty() => return Ok(None),
        Ok(plan) => plan,
    };
    let (runs, possible, noun) = (plan.runs.len(), phase.ordinals().len(), phase.noun());
    Ok(Some(if runs > possible {
        Decision::fail(format!(
            "these would be {runs} runs of {noun}; {possible} are possible at once, so name fewer scripts or disks"
        ))
    } else {
        Decision::stay(format!("{runs} {noun} are handed to the agent"))
            .with(Effect::Allow { seconds: plan.seconds })
            .with_all(plan.runs)
    }))
}

/// The scripts to run, and what was given for their parameters.
async fn chosen(
    conn: &mut PgConnection,
    look: &Look<'_>,
    phase: Phase,
) -> Result<(Vec<Script>, Map<String, Value>), DbError> {
    let (asked, given) = match (look.request, phase) {
        (OperationRequest::Commission { commissioning_scripts, parameters, .. }, Phase::Commissioning) => {
            (commissioning_scripts.as_deref(), parameters.clone())
        }
        (OperationRequest::Commission { tests, parameters, .. }, Phase::Tests) => {
            (tests.as_deref(), parameters.clone())
        }
        (OperationRequest::Test { scripts, parameters }, _) => (scripts.as_deref(), parameters.clone()),
        (
            OperationRequest::Deploy { .. }
            | OperationRequest::Release { .. }
            | OperationRequest::EnterRescue { .. }
            | OperationRequest::ExitRescue
            | OperationRequest::Power { .. },
            _,
        ) => (None, Map::new()),
    };
    let scripts = match phase {
        Phase::Commissioning => choice::commissioning(conn, asked, look.machine.inventory.as_ref()).await?,
        Phase::Tests => choice::tests(conn, asked).await?,
    };
    Ok((scripts, given))
}

/// The scripts of a phase that did not pass, for a sentence.
pub(super) async fn failed(
    conn: &mut PgConnection,
    look: &Look<'_>,
    phase: Phase,
) -> Result<Option<String>, DbError> {
    let failures = script_run::failures(conn, look.op.id, phase.script_type()).await?;
    let name = |(name, target): (String, String)| {
        if target.is_empty() { name } else { format!("{name} on {target}") }
    };
    let names: Vec<String> = failures.into_iter().map(name).collect();
    Ok((!names.is_empty()).then(|| names.join(", ")))
}
