//! Machines without a BMC: a person is asked, and the life cycle waits for evidence.

use async_trait::async_trait;
use rackwright_common::bmc::{Bmc, BmcAction, BmcEndpoint, BmcError, BmcOutcome, BootDevice, PowerState};

/// Turns every action into an instruction for a person.
#[derive(Debug, Clone, Copy, Default)]
pub struct ManualDriver;

#[async_trait]
impl Bmc for ManualDriver {
    async fn perform(&self, endpoint: &BmcEndpoint, action: BmcAction) -> Result<BmcOutcome, BmcError> {
        let machine = &endpoint.machine;
        let instruction = match action {
            BmcAction::Query => return Ok(BmcOutcome::Power { state: PowerState::Unknown }),
            BmcAction::On => format!("switch machine {machine} on"),
            BmcAction::Off => format!("switch machine {machine} off"),
            BmcAction::Soft => format!("shut machine {machine} down"),
            BmcAction::Cycle => format!("switch machine {machine} off and on again"),
            BmcAction::Reset => format!("press the reset button of machine {machine}"),
            BmcAction::SetBoot { device, .. } => {
                let from = match device {
                    BootDevice::Network => "the network",
                    BootDevice::Disk => "its disk",
                    BootDevice::Setup => "its firmware set-up",
                };
                format!("let machine {machine} start from {from} next")
            }
            BmcAction::Identify { .. } => format!("find machine {machine}: it has no light to switch"),
            BmcAction::ResetBmc
            | BmcAction::Sensors
            | BmcAction::EventLog
            | BmcAction::ClearEventLog
            | BmcAction::Fru => {
                return Err(BmcError::Unsupported("the machine has no BMC".into()));
            }
        };
        Err(BmcError::NeedsHuman(instruction))
    }
}
