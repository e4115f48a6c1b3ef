//! Bodies of the machine actions. Every field may be left out; so may the body.

use rackwright_common::bmc::BmcAction;
use rackwright_common::storage::{EraseMode, StorageLayout};
use serde::{Deserialize, Serialize};

/// Reads the hardware, sets up the BMC, runs commissioning scripts and tests.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CommissionRequest {
    /// Commissioning scripts by name or tag; when absent, all that are not tagged `noauto` and whose `for_hardware`
    /// is this machine's; none when empty.
    pub commissioning_scripts: Option<Vec<String>>,
    /// Test scripts by name or tag; the default set when absent, none when empty.
    pub tests: Option<Vec<String>>,
    /// Values for the parameters of both, as for a test.
    #[schema(value_type = Object)]
    pub parameters: serde_json::Map<String, serde_json::Value>,
}

/// Runs test scripts.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TestRequest {
    /// By name or tag; the default set when absent.
    pub scripts: Option<Vec<String>>,
    /// Script name to parameter name to value; or parameter name to value, for each script of the run that has one
    /// of that name.
    #[schema(value_type = Object)]
    pub parameters: serde_json::Map<String, serde_json::Value>,
}

/// Installs an operating system.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DeployRequest {
    /// Image as `name` or `name@version`; the default image when absent.
    pub image: Option<String>,
    /// Disk layout; the machine's own when absent.
    pub layout: Option<StorageLayout>,
    /// cloud-init user data: `#cloud-config` or a script.
    pub user_data: Option<String>,
    /// `authorized_keys` lines, besides those of the user who deploys.
    pub ssh_keys: Vec<String>,
}

/// Gives the machine back.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ReleaseRequest {
    /// What happens to its disks; the site's setting when absent.
    pub erase: Option<EraseMode>,
}

/// Boots the ephemeral system with SSH.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RescueRequest {
    /// `authorized_keys` lines, besides those of the user who asks.
    pub ssh_keys: Vec<String>,
}

/// A power command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PowerRequest {
    /// Which.
    #[serde(flatten)]
    pub action: BmcAction,
}

/// Says why, for whoever looks later.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ReasonRequest {
    /// One sentence.
    pub message: String,
}
