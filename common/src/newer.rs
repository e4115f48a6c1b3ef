//! What a peer of a newer version says, as this version reads it.
//!
//! Messages grow by fields, which are ignored where they are not known, and by variants. A variant that is not known must
//! cost that one thing and not the stream that carried it, nor what stands beside it in the same message: so whatever
//! can be one has a value for it.

use crate::bmc::{BmcError, BmcOutcome};
use crate::link::{Fact, TaskWork, ToRack, ToRegion};
use crate::snapshot::BootDecision;
use crate::switch::{SwitchError, SwitchReading};
use serde::de::{Deserialize, DeserializeOwned, Deserializer};
use serde_json::Value;

/// A type whose newer variants can be read.
pub trait FromNewer: DeserializeOwned {
    /// What stands for one that is not known here.
    fn from_newer() -> Self;
}

/// For `#[serde(deserialize_with)]`: the value, or what stands for it.
pub fn read<'de, D: Deserializer<'de>, T: FromNewer>(deserializer: D) -> Result<T, D::Error> {
    let value = Value::deserialize(deserializer)?;
    Ok(T::deserialize(value).unwrap_or_else(|_| T::from_newer()))
}

impl FromNewer for ToRack {
    fn from_newer() -> Self {
        Self::Unknown
    }
}

impl FromNewer for ToRegion {
    fn from_newer() -> Self {
        Self::Unknown
    }
}

impl FromNewer for Fact {
    fn from_newer() -> Self {
        Self::Unknown
    }
}

impl FromNewer for TaskWork {
    /// The region is told that this rack is too old for it.
    fn from_newer() -> Self {
        Self::Unknown
    }
}

impl FromNewer for Result<BmcOutcome, BmcError> {
    fn from_newer() -> Self {
        Err(BmcError::Protocol(
            "the rack is newer than this region and answers what only newer regions understand; upgrade the regions"
                .into(),
        ))
    }
}

impl FromNewer for Result<SwitchReading, SwitchError> {
    fn from_newer() -> Self {
        Err(SwitchError::Protocol(
            "the rack is newer than this region and answers what only newer regions understand; upgrade the regions"
                .into(),
        ))
    }
}

impl FromNewer for BootDecision {
    /// The machine waits in its boot loader and asks again: another rack, or this one after its upgrade, knows.
    fn from_newer() -> Self {
        Self::Hold {
            reason: "this rack is older than its region and does not know what to boot; upgrade it".into(),
        }
    }
}
