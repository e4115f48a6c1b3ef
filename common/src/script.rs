//! Commissioning and test scripts, with MAAS's metadata header.
//!
//! The header is YAML in comment lines between `--- Start MAAS 1.0 script metadata ---` and
//! `--- End MAAS 1.0 script metadata ---`. Only the fields below are read; others are kept out of the way.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a script is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum ScriptType {
    /// Runs while commissioning.
    Commissioning,
    /// Tests hardware. As in MAAS, a header that says nothing means this.
    #[default]
    Testing,
    /// Runs while releasing.
    Release,
}

impl ScriptType {
    /// As stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Commissioning => "commissioning",
            Self::Testing => "testing",
            Self::Release => "release",
        }
    }
}

/// Which hardware a script is about; it is run once per disk or NIC where that is the hardware.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum HardwareType {
    /// The machine as a whole.
    #[default]
    Node,
    /// Processors.
    Cpu,
    /// Memory.
    Memory,
    /// Each disk.
    Storage,
    /// Each network interface.
    Network,
    /// Accelerators.
    Gpu,
}

/// What may run at the same time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Parallel {
    /// Nothing else.
    #[default]
    Disabled,
    /// Other runs of this script, on other hardware.
    Instance,
    /// Anything.
    Any,
}

/// The metadata of a script.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ScriptMetadata {
    /// Unique name.
    pub name: String,
    /// For people.
    pub title: String,
    /// For people, longer.
    pub description: String,
    /// Free words; `noauto` keeps it out of the default run.
    pub tags: Vec<String>,
    /// What for.
    pub script_type: ScriptType,
    /// About which hardware.
    pub hardware_type: HardwareType,
    /// What may run beside it.
    pub parallel: Parallel,
    /// Seconds; 0 means no limit.
    pub timeout_seconds: u64,
    /// May restart the machine.
    pub may_reboot: bool,
    /// Destroys data; never run on a machine that keeps a system.
    pub destructive: bool,
    /// Needs the toolbox.
    pub toolbox: bool,
    /// Hardware that a commissioning script is for, such as `system_vendor:Dell Inc.` or `pci:8086:1572`; any when
    /// empty.
    pub for_hardware: Vec<String>,
    /// Parameters: name to its description (`type`, `min`, `max`, `default`, …).
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub parameters: BTreeMap<String, serde_json::Value>,
    /// Their names in the order of the header, which is the order of a script's arguments.
    pub parameter_order: Vec<String>,
    /// Result names to their titles.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub results: serde_json::Value,
}
