//! What a worker decides about an operation, and how that is written: all of it or nothing.

use super::console_tail;
use super::request::record;
use super::steps::StepName;
use crate::db::event::{self, NewEvent};
use crate::db::machine::Machine;
use crate::db::operation::{NextStep, Operation};
use crate::db::{DbError, machine, operation, rack_task, script_run, virtual_interface, work_item};
use crate::network::plan;
use rackwright_common::bmc::BmcAction;
use rackwright_common::lifecycle::{self, Event};
use rackwright_common::{OperationId, Status};
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use std::net::Ipv4Addr;
use std::time::Duration;

/// A change that goes with a decision.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// The machine's status moves.
    Status(Event),
    /// The machine boots the ephemeral environment for this operation, under its present epoch.
    BootEphemeral,
    /// The machine boots its disk.
    BootLocal,
    /// The machine waits in its boot loader: what is on its disk must not run.
    BootHold,
    /// A command for the BMC, once per key.
    Task {
        /// Unique within the operation.
        key: String,
        /// Command.
        action: BmcAction,
    },
    /// Work for the agent, once per ordinal.
    Item {
        /// Place in the list.
        ordinal: i32,
        /// Kind.
        kind: &'static str,
        /// Payload without secrets.
        payload: Value,
    },
    /// A script for the agent.
    Script(Box<ScriptItem>),
    /// The operation may take this much longer from now, if its deadline is earlier.
    Allow {
        /// Seconds, besides what the rest of the operation needs.
        seconds: u64,
    },
    /// The machine has been commissioned.
    Commissioned,
    /// The installed system runs.
    Deployed,
    /// Owner and system are forgotten.
    ClearDeployment,
    /// Somebody answers for an address that was chosen: another one is.
    ChooseOther {
        /// Which.
        address: Ipv4Addr,
    },
    /// Something worth telling.
    Tell {
        /// `info`, `warning`, `error`.
        level: &'static str,
        /// One sentence.
        message: String,
    },
}

/// A script for the agent, with the run that keeps its result.
#[derive(Debug, Clone, PartialEq)]
pub struct ScriptItem {
    /// Place in the list.
    pub ordinal: i32,
    /// Script row.
    pub script: i64,
    /// Script name.
    pub name: String,
    /// `testing`, …
    pub script_type: &'static str,
    /// `storage`, …
    pub hardware_type: &'static str,
    /// Disk serial or MAC; empty for the whole machine.
    pub target: String,
    /// Script, target, values of its parameters, and what may run beside it.
    pub payload: Value,
}

/// What comes next.
#[derive(Debug, Clone, PartialEq)]
pub enum Next {
    /// The same step again after a while.
    Stay {
        /// What it waits for.
        reason: String,
        /// How long.
        again_in: Duration,
    },
    /// The same step, tried anew.
    Retry {
        /// Why.
        reason: String,
        /// After how long.
        again_in: Duration,
    },
    /// Another step.
    Go(StepName),
    /// The operation has reached its end.
    Done,
    /// It cannot.
    Fail(String),
}

/// A decision: effects, something to remember, and what comes next.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// Changes that go with it.
    pub effects: Vec<Effect>,
    /// Merged into the operation's state.
    pub remember: Value,
    /// What comes next.
    pub next: Next,
}

impl Decision {
    /// Wait a second for `reason`; whatever is waited for usually wakes the operation earlier.
    pub fn stay(reason: impl Into<String>) -> Self {
        Next::Stay { reason: reason.into(), again_in: Duration::from_secs(2) }.into()
    }

    /// Give up, for a reason that a person can act on.
    pub fn fail(reason: impl Into<String>) -> Self {
        Next::Fail(reason.into()).into()
    }

    /// With one more effect.
    pub fn with(mut self, effect: Effect) -> Self {
        self.effects.push(effect);
        self
    }

    /// With more effects.
    pub fn with_all(mut self, effects: impl IntoIterator<Item = Effect>) -> Self {
        self.effects.extend(effects);
        self
    }

    /// Remembering `patch`.
    pub fn remembering(mut self, patch: Value) -> Self {
        self.remember = patch;
        self
    }
}

impl From<Next> for Decision {
    fn from(next: Next) -> Self {
        Self { effects: Vec::new(), remember: json!({}), next }
    }
}

/// Writes a decision in one transaction that begins by checking that the claim still holds.
pub async fn commit(
    conn: &mut PgConnection,
    op: &Operation,
    found: &Machine,
    decision: &Decision,
) -> Result<(), DbError> {
    let mut tx = conn.begin().await?;
    operation::hold(&mut tx, op).await?;
    let mut status = found.status;
    for effect in &decision.effects {
        apply(&mut tx, op, found, &mut status, effect).await?;
    }
    let keep = |step, attempt, again_in: Duration, message| NextStep {
        step,
        state: &decision.remember,
        attempt,
        again_in: again_in.as_secs_f64(),
        message,
    };
    match &decision.next {
        Next::Stay { reason, again_in } => {
            operation::put_back(&mut tx, op, &keep(&op.step, op.attempt, *again_in, reason)).await?
        }
        Next::Retry { reason, again_in } => {
            operation::put_back(&mut tx, op, &keep(&op.step, op.attempt + 1, *again_in, reason)).await?
        }
        Next::Go(step) => {
            record(&mut tx, &op.machine, Some(op.id), "operation.step", "debug", step.label(), ACTOR).await?;
            operation::put_back(&mut tx, op, &keep(step.as_str(), 0, Duration::ZERO, step.label())).await?;
        }
        Next::Done => {
            operation::put_back(&mut tx, op, &keep(&op.step, op.attempt, Duration::ZERO, "")).await?;
            operation::finish(&mut tx, op.id, "done", None).await?;
            record(
                &mut tx,
                &op.machine,
                Some(op.id),
                "operation.done",
                "info",
                &format!("{} done", op.kind),
                ACTOR,
            )
            .await?;
        }
        Next::Fail(reason) => fail(&mut tx, op, found, status, reason).await?,
    }
    tx.commit().await?;
    Ok(())
}

const ACTOR: &str = "rackwright";

async fn apply(
    conn: &mut PgConnection,
    op: &Operation,
    found: &Machine,
    status: &mut Status,
    effect: &Effect,
) -> Result<(), DbError> {
    match effect {
        Effect::Status(event) => set_status(conn, op, status, *event, "").await,
        Effect::BootEphemeral => {
            machine::set_boot(conn, &op.machine, "ephemeral", Some((op.id, op.epoch))).await
        }
        Effect::BootLocal => machine::set_boot(conn, &op.machine, "local", None).await,
        Effect::BootHold => machine::set_boot(conn, &op.machine, "hold", None).await,
        Effect::Task { key, action } => {
            let key = format!("{}:{key}", op.id);
            let task = rack_task::NewTask {
                machine: &op.machine,
                fence: op.fence(),
                key: &key,
                action: *action,
                expires_in: 60.0,
            };
            rack_task::ensure(conn, &task).await
        }
        Effect::Item { ordinal, kind, payload } => {
            work_item::ensure(conn, op.id, *ordinal, kind, payload).await.map(drop)
        }
        Effect::Script(script) => add_script(conn, op, script).await,
        Effect::Allow { seconds } => operation::allow(conn, op.id, *seconds).await,
        Effect::Commissioned => machine::set_commissioned(conn, &found.id).await,
        Effect::Deployed => machine::set_deployed(conn, &found.id).await,
        Effect::ClearDeployment => {
            virtual_interface::release(conn, &found.id).await?;
            machine::clear_deployment(conn, &found.id).await
        }
        Effect::ChooseOther { address } => {
            plan::give_up(conn, &found.id, *address).await?;
            plan::choose_addresses(conn, &found.id, Some(op.id)).await.map(drop)
        }
        Effect::Tell { level, message } => {
            record(conn, &op.machine, Some(op.id), "operation.note", level, message, ACTOR).await
        }
    }
}

async fn add_script(conn: &mut PgConnection, op: &Operation, item: &ScriptItem) -> Result<(), DbError> {
    let id = work_item::ensure(conn, op.id, item.ordinal, "script", &item.payload).await?;
    let script = script_run::script(conn, item.script).await?;
    let run = script_run::NewRun {
        machine: &op.machine,
        operation: op.id,
        item: id,
        script: &script,
        script_type: item.script_type,
        hardware_type: item.hardware_type,
        target: &item.target,
    };
    script_run::ensure(conn, &run).await
}

async fn set_status(
    conn: &mut PgConnection,
    op: &Operation,
    status: &mut Status,
    event: Event,
    message: &str,
) -> Result<(), DbError> {
    let before = *status;
    *status = lifecycle::next(before, event).map_err(|illegal| {
        tracing::error!(operation.id = op.id.0, %illegal, "a step decided an illegal transition");
        DbError::Corrupt { what: "status" }
    })?;
    machine::set_status(conn, &op.machine, *status, message).await?;
    let text = if message.is_empty() {
        format!("{before} → {status}")
    } else {
        format!("{before} → {status}: {message}")
    };
    let level = if status.is_failed() { "error" } else { "info" };
    record(conn, &op.machine, Some(op.id), "machine.status", level, &text, ACTOR).await
}

/// The failure event of a transient status.
pub(super) fn failure_event(status: Status) -> Option<Event> {
    match status {
        Status::Commissioning => Some(Event::CommissionFailed),
        Status::Testing => Some(Event::TestFailed),
        Status::Deploying => Some(Event::DeployFailed),
        Status::Releasing => Some(Event::ReleaseFailed),
        Status::DiskErasing => Some(Event::EraseFailed),
        Status::EnteringRescueMode => Some(Event::RescueEnterFailed),
        Status::ExitingRescueMode => Some(Event::RescueExitFailed),
        Status::New
        | Status::FailedCommissioning
        | Status::FailedTesting
        | Status::Ready
        | Status::Allocated
        | Status::FailedDeployment
        | Status::Deployed
        | Status::FailedReleasing
        | Status::FailedDiskErasing
        | Status::FailedEnteringRescueMode
        | Status::RescueMode
        | Status::FailedExitingRescueMode
        | Status::Broken => None,
    }
}

/// Ends a failed operation: the machine gets its failure status and its reason, the operation the last lines of the
/// machine's console; the machine is switched off unless it holds
/// somebody's system, and never boots a half-written disk.
async fn fail(
    conn: &mut PgConnection,
    op: &Operation,
    found: &Machine,
    mut status: Status,
    reason: &str,
) -> Result<(), DbError> {
    let was = status;
    if let Some(event) = failure_event(status) {
        set_status(conn, op, &mut status, event, reason).await?;
    }
    leave(conn, op, found, was, "failed").await?;
    operation::finish(conn, op.id, "failed", Some(reason)).await?;
    let console = console_tail::last(conn, op).await?;
    let mut data = json!({});
    if !console.is_empty() {
        operation::keep_console_tail(conn, op.id, &console.join("\n")).await?;
        data = json!({ "console_tail": console });
    }
    let failed = NewEvent {
        kind: "operation.failed",
        level: "error",
        machine: Some(&op.machine),
        operation: Some(op.id),
        actor: ACTOR,
        message: &format!("{} failed: {reason}", op.kind),
        data,
    };
    event::append(conn, &failed).await
}

/// Ends an operation because somebody asked for it.
pub async fn abort(
    conn: &mut PgConnection,
    op: &Operation,
    found: &Machine,
    by: &str,
) -> Result<(), DbError> {
    let mut tx = conn.begin().await?;
    operation::hold(&mut tx, op).await?;
    let mut status = found.status;
    let event = Event::Abort { back_to: found.resting_status };
    if lifecycle::next(status, event).is_ok() {
        set_status(&mut tx, op, &mut status, event, &format!("aborted by {by}")).await?;
    } else if let Some(event) = failure_event(status) {
        set_status(&mut tx, op, &mut status, event, &format!("aborted by {by}")).await?;
    }
    leave(&mut tx, op, found, found.status, "aborted").await?;
    operation::finish(&mut tx, op.id, "aborted", Some(&format!("aborted by {by}"))).await?;
    record(
        &mut tx,
        &op.machine,
        Some(op.id),
        "operation.aborted",
        "warning",
        &format!("{} aborted", op.kind),
        by,
    )
    .await?;
    tx.commit().await?;
    Ok(())
}

/// What an operation that did not reach its end leaves behind.
async fn leave(
    conn: &mut PgConnection,
    op: &Operation,
    found: &Machine,
    was: Status,
    how: &str,
) -> Result<(), DbError> {
    rack_task::cancel_pending(conn, op.id).await?;
    script_run::abort_open(conn, op.id).await?;
    if !was.is_transient() {
        return Ok(());
    }
    let half_written = matches!(was, Status::Deploying | Status::DiskErasing);
    let boot = if half_written { "hold" } else { "local" };
    machine::set_boot(conn, &op.machine, boot, None).await?;
    if found.bmc_driver.is_some() {
        let system = found.resting_status.keeps_system();
        let action = if system && !half_written { BmcAction::Cycle } else { BmcAction::Off };
        let key = format!("{}:{how}", op.id);
        let task = rack_task::NewTask {
            machine: &op.machine,
            fence: op.fence(),
            key: &key,
            action,
            expires_in: 300.0,
        };
        rack_task::ensure(conn, &task).await?;
    }
    Ok(())
}

/// An operation's number as part of a task key: keys are unique per machine.
pub fn task_key(operation: OperationId, key: &str) -> String {
    format!("{operation}:{key}")
}
