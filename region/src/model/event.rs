//! What happened: one stream for the pages, the API and the audit.

use super::Timestamp;
use rackwright_common::{MachineId, OperationId};
use serde::{Deserialize, Serialize};
use std::fmt;

/// How much an event matters.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// For those who look for a fault.
    Debug,
    /// As it should be.
    #[default]
    Info,
    /// Somebody may want to look.
    Warning,
    /// Somebody has to act.
    Error,
}

impl Level {
    /// As stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }

    /// Of a stored name; an unknown one is `info`.
    pub fn parse(text: &str) -> Self {
        match text {
            "debug" => Self::Debug,
            "warning" => Self::Warning,
            "error" => Self::Error,
            _ => Self::Info,
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Event {
    /// Grows.
    pub id: i64,
    /// When.
    pub at: Timestamp,
    /// Stable name, such as `machine.status`.
    pub kind: String,
    /// How much it matters.
    pub level: Level,
    /// About which machine.
    #[serde(default)]
    pub machine: Option<MachineId>,
    /// Under which operation.
    #[serde(default)]
    pub operation: Option<OperationId>,
    /// User name, `rackwright`, or `rack:NAME`.
    pub actor: String,
    /// One sentence for people.
    pub message: String,
    /// Details for programs; of a change: `before` and `after`.
    #[schema(value_type = Object)]
    pub data: serde_json::Value,
}

/// Which events.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct EventQuery {
    /// Of this machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(value_type = Option<String>)]
    pub machine: Option<MachineId>,
    /// Of this operation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<i64>,
    /// By this user, rack or part of Rackwright.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// At least this level.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(inline)]
    pub level: Option<Level>,
    /// Those after this number, oldest first; without it the newest come first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<i64>,
    /// Those before this number, newest first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<i64>,
    /// At most this many, 1 to 1000; 100 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<i64>,
}
