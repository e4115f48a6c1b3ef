//! Work in progress as users see it.

use super::{PageQuery, Timestamp};
use rackwright_common::bmc::BmcOutcome;
use rackwright_common::{MachineId, OperationId};
use serde::{Deserialize, Serialize};

/// A long action on one machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Operation {
    /// Number.
    pub id: OperationId,
    /// `commission`, `test`, `deploy`, `release`, `enter-rescue`, `exit-rescue`, `power`.
    pub kind: String,
    /// On which machine.
    pub machine: MachineId,
    /// Its name.
    pub hostname: String,
    /// `running`, `done`, `failed`, `aborted`.
    pub status: String,
    /// Where it is.
    pub step: String,
    /// What it waits for, one sentence.
    pub message: String,
    /// Why it failed, one sentence.
    #[serde(default)]
    pub error: Option<String>,
    /// Tries of the present step.
    pub attempt: i32,
    /// The worker that looked at it last, as `REGION/NUMBER`; the next look may be another's.
    #[serde(default)]
    pub owner: Option<String>,
    /// How often it was claimed.
    #[serde(default)]
    pub epoch: i64,
    /// How far the whole is, 0 to 100, as far as it can be told.
    #[serde(default)]
    pub percent: Option<f32>,
    /// When it fails for having taken too long.
    pub deadline: Timestamp,
    /// Who asked for it.
    pub requested_by: String,
    /// When.
    pub created_at: Timestamp,
    /// Since when it is in its step.
    pub step_since: Timestamp,
    /// When it ended.
    #[serde(default)]
    pub finished_at: Option<Timestamp>,
}

impl Operation {
    /// Still under way.
    pub fn is_running(&self) -> bool {
        self.status == "running"
    }
}

/// An operation with the work it gave to the machine's agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct OperationDetail {
    /// The operation.
    #[serde(flatten)]
    pub operation: Operation,
    /// Its work items, in order.
    pub items: Vec<WorkItem>,
    /// Of a failed operation: the last lines that the machine wrote to its serial console meanwhile.
    #[serde(default)]
    pub console_tail: Vec<String>,
    /// What the BMC answered to a power command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<BmcOutcome>,
}

/// A piece of work of the agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct WorkItem {
    /// Number.
    pub id: i64,
    /// What: `inventory`, `script`, `install`, …
    pub kind: String,
    /// Script name or image, where it has one.
    #[serde(default)]
    pub subject: Option<String>,
    /// `pending`, `given`, `done`, `failed`.
    pub status: String,
    /// How far, 0 to 100.
    #[serde(default)]
    pub percent: Option<f32>,
    /// One line.
    pub message: String,
    /// Why it failed.
    pub error: String,
    /// When the agent got it.
    #[serde(default)]
    pub given_at: Option<Timestamp>,
    /// When it ended.
    #[serde(default)]
    pub finished_at: Option<Timestamp>,
    /// How long it took.
    #[serde(default)]
    pub duration_ms: Option<i64>,
}

/// Which operations; newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct OperationQuery {
    /// On this machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(value_type = Option<String>)]
    pub machine: Option<MachineId>,
    /// `running`, `done`, `failed`, `aborted`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// `deploy`, `commission`, …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Rows on the page, 1 to 1000; 100 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<i64>,
    /// `next_cursor` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

impl OperationQuery {
    /// The page asked for.
    pub fn page(&self) -> PageQuery {
        PageQuery { limit: self.limit, cursor: self.cursor.clone() }
    }
}

/// How long to wait for the end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct WaitQuery {
    /// Seconds to hold the answer back while the operation runs; 60 at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait: Option<u64>,
}

/// One piece of an operation's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct LogChunk {
    /// Grows; give the last one back as `after`.
    pub position: i64,
    /// Of which work item.
    pub item: i64,
    /// When it arrived.
    pub at: Timestamp,
    /// Text as it was written; may end in the middle of a line.
    pub text: String,
}
