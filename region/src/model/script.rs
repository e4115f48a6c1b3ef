//! Scripts and what came of running them.

use super::Timestamp;
use rackwright_common::script::ScriptMetadata;
use rackwright_common::{MachineId, OperationId};
use serde::{Deserialize, Serialize};

/// One version of a script.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Script {
    /// Number of this version's row.
    pub id: i64,
    /// Name.
    pub name: String,
    /// Counts up with each upload; the highest runs.
    pub version: i32,
    /// Comes with Rackwright.
    pub builtin: bool,
    /// Of its header.
    pub metadata: ScriptMetadata,
    /// When this version arrived.
    pub created_at: Timestamp,
    /// The program; only when one script is shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
}

impl Script {
    /// Has this tag.
    pub fn has_tag(&self, tag: &str) -> bool {
        self.metadata.tags.iter().any(|t| t == tag)
    }

    /// Whether `word` means it, of all scripts of a type: it has that name, or that tag where none has the name.
    pub fn is_meant_by(&self, word: &str, all: &[Self]) -> bool {
        self.name == word || (self.has_tag(word) && !all.iter().any(|script| script.name == word))
    }
}

/// A script to store. The name comes from its header when absent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewScript {
    /// Name, when the header has none.
    #[serde(default)]
    pub name: Option<String>,
    /// The program with its header.
    pub body: String,
}

/// One run of a script on one machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ScriptRun {
    /// Number.
    pub id: i64,
    /// Where.
    pub machine: MachineId,
    /// Under which operation.
    pub operation: OperationId,
    /// Which script.
    pub name: String,
    /// `commissioning`, `testing`, `release`.
    pub script_type: String,
    /// `node`, `cpu`, `memory`, `storage`, `network`, `gpu`.
    pub hardware_type: String,
    /// The disk's serial or the NIC's MAC; empty for the whole machine.
    pub target: String,
    /// `pending`, `running`, `passed`, `failed`, `degraded`, `skipped`, `timed-out`, `aborted`.
    pub status: String,
    /// Exit code.
    #[serde(default)]
    pub exit_code: Option<i32>,
    /// Name to number or text.
    #[schema(value_type = Object)]
    pub results: serde_json::Value,
    /// An administrator says that it does not count.
    pub suppressed: bool,
    /// Parameter name to the value it ran with; passwords are not shown.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub parameters: serde_json::Value,
    /// To how many boots of the machine it was given; more than one where a script may restart it.
    #[serde(default)]
    pub boots: i32,
    /// Why it did not pass, one sentence, where its output does not say: it took too long, the machine restarted.
    #[serde(default)]
    pub error: String,
    /// When it began.
    #[serde(default)]
    pub started_at: Option<Timestamp>,
    /// When it ended.
    #[serde(default)]
    pub ended_at: Option<Timestamp>,
    /// Standard output; only when one run is shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stdout: Option<String>,
    /// Standard error; only when one run is shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stderr: Option<String>,
}

/// Which runs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ScriptRunQuery {
    /// Of this script.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Under this operation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<i64>,
    /// Only the latest of each script and target.
    #[serde(default)]
    pub latest: bool,
}
