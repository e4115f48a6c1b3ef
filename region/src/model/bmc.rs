//! What can be asked of a BMC without changing anything.

use rackwright_common::bmc::BmcAction;
use serde::{Deserialize, Serialize};

/// A question to a BMC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Reading {
    /// Whether the machine is on.
    Power,
    /// Every sensor's value.
    Sensors,
    /// The newest 200 entries of the system event log, oldest first.
    EventLog,
    /// The inventory (FRU).
    Fru,
}

impl Reading {
    /// The command that asks it.
    pub fn action(self) -> BmcAction {
        match self {
            Self::Power => BmcAction::Query,
            Self::Sensors => BmcAction::Sensors,
            Self::EventLog => BmcAction::EventLog,
            Self::Fru => BmcAction::Fru,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_changes_nothing() {
        for reading in [Reading::Power, Reading::Sensors, Reading::EventLog, Reading::Fru] {
            assert!(reading.action().only_reads(), "{reading:?}");
        }
    }
}
