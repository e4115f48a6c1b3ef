//! How scripts came to be and how they did, over all machines.

use super::Timestamp;
use super::script::ScriptRun;
use serde::{Deserialize, Serialize};

/// Versions and last runs of one script.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ScriptHistory {
    /// Newest first.
    pub versions: Vec<ScriptVersion>,
    /// Its last 50 runs, newest first, without output.
    pub runs: Vec<SiteRun>,
}

/// A version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ScriptVersion {
    /// Number.
    pub version: i32,
    /// When it arrived.
    pub created_at: Timestamp,
}

/// A run with the name of its machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SiteRun {
    /// The run.
    #[serde(flatten)]
    pub run: ScriptRun,
    /// Name of the machine.
    pub hostname: String,
    /// Version of the script that ran.
    pub version: i32,
}

/// How a script did among the site's last 2000 runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ScriptResults {
    /// Script.
    pub name: String,
    /// Runs that passed.
    pub passed: i64,
    /// Runs that failed or took too long.
    pub failed: i64,
    /// Runs that ended otherwise: degraded, skipped, aborted.
    pub other: i64,
    /// When the last one ended.
    #[serde(default)]
    pub last_at: Option<Timestamp>,
}
