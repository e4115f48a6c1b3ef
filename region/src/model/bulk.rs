//! One action on many machines.

use super::Timestamp;
use rackwright_common::MachineId;
use rackwright_common::storage::EraseMode;
use serde::{Deserialize, Serialize};

/// What can be done with many machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BulkVerb {
    /// Install an operating system.
    Deploy,
    /// Read the hardware.
    Commission,
    /// Run the site's default tests.
    Test,
    /// Give back.
    Release,
    /// Take for oneself.
    Allocate,
    /// End what is under way.
    Abort,
    /// Switch on.
    PowerOn,
    /// Switch off at once.
    PowerOff,
    /// Protect.
    Lock,
    /// End the protection.
    Unlock,
    /// Not to be used.
    MarkBroken,
    /// To be used again.
    MarkFixed,
    /// Take in spite of failed tests.
    Override,
    /// One more tag: `value`.
    AddTag,
    /// One tag less: `value`.
    RemoveTag,
    /// Into the pool `value`.
    SetPool,
    /// Into the zone `value`.
    SetZone,
    /// Away from Rackwright.
    Delete,
}

/// How it is meant; what an action does not need is left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BulkParameters {
    /// To deploy: the image; the site's default image when absent.
    pub image: Option<String>,
    /// To release: what happens to the disks; the site's setting when absent.
    pub erase: Option<EraseMode>,
    /// To commission: run no tests afterwards.
    pub no_tests: bool,
    /// To mark broken or fixed, or to override: why.
    pub message: String,
    /// The tag, pool or zone.
    pub value: String,
}

/// An action to carry out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewBulk {
    /// What.
    pub verb: BulkVerb,
    /// With which machines, 1 to 10000.
    #[schema(value_type = Vec<String>)]
    pub machines: Vec<MachineId>,
    /// How.
    #[serde(default)]
    pub parameters: BulkParameters,
}

/// An action and how far it is. Machines do not wait for one another: a refusal ends nothing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Bulk {
    /// Number.
    pub id: i64,
    /// What.
    pub verb: BulkVerb,
    /// Who asked for it.
    pub requested_by: String,
    /// When.
    pub created_at: Timestamp,
    /// When the last machine was looked at.
    #[serde(default)]
    pub finished_at: Option<Timestamp>,
    /// Who ended it before its last machine.
    #[serde(default)]
    pub stopped_by: Option<String>,
    /// Machines.
    pub total: i64,
    /// Of those, done, or begun as an operation.
    pub done: i64,
    /// Of those, refused.
    pub refused: i64,
    /// Those that were refused, at most 500.
    pub refusals: Vec<BulkRefusal>,
}

/// A machine with which it was not done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct BulkRefusal {
    /// Which.
    pub machine: MachineId,
    /// Its name.
    pub hostname: String,
    /// Why, one sentence.
    pub message: String,
}
