//! What a reading of a machine's hardware found otherwise than the one before.

use super::Timestamp;
use rackwright_common::{MachineId, OperationId};
use serde::{Deserialize, Serialize};

/// What has become of a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ChangeKind {
    /// It was there and is not.
    Gone,
    /// It was not there and is.
    New,
    /// It is another, or is otherwise.
    Changed,
}

impl ChangeKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Gone, Self::New, Self::Changed];

    /// As stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gone => "gone",
            Self::New => "new",
            Self::Changed => "changed",
        }
    }
}

/// One difference between two readings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// What has become of it.
    pub kind: ChangeKind,
    /// What people call it, such as `memory module DIMM_A3`.
    pub part: String,
    /// What it was; empty for a new one.
    pub before: String,
    /// What it is; empty for one that is gone.
    pub after: String,
}

impl Difference {
    /// A sentence.
    pub fn message(&self) -> String {
        let Self { part, before, after, .. } = self;
        match self.kind {
            ChangeKind::Gone => format!("{part} is gone ({before})"),
            ChangeKind::New => format!("{part} is new ({after})"),
            ChangeKind::Changed => format!("{part} was {before} and is {after}"),
        }
    }
}

/// A difference that was found at a machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct HardwareChange {
    /// Number; later ones have higher ones.
    pub id: i64,
    /// Machine.
    pub machine: MachineId,
    /// Its name.
    pub hostname: String,
    /// The operation that read the hardware.
    pub operation: Option<OperationId>,
    /// When it was found.
    pub at: Timestamp,
    /// What has become of the part.
    pub kind: ChangeKind,
    /// What people call it, such as `memory module DIMM_A3`.
    pub part: String,
    /// What it was; empty for a new one.
    pub before: String,
    /// What it is; empty for one that is gone.
    pub after: String,
    /// A sentence.
    pub message: String,
    /// Since when it is settled.
    pub accepted_at: Option<Timestamp>,
    /// Who said that it is meant; `rackwright` when the part is back.
    pub accepted_by: Option<String>,
}

/// Which changes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct HardwareChangeQuery {
    /// Of this machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<MachineId>,
    /// Only parts that are gone, and nobody has said that this is meant.
    #[serde(default)]
    pub missing: bool,
}

/// Up to which of a machine's changes somebody says that they are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AcceptedChanges {
    /// Number of the last one.
    pub upto: i64,
}
