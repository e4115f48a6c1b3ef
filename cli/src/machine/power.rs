//! `rackwright machine power`

use super::Which;
use crate::console::Console;
use crate::operation::wait::WaitOptions;
use anyhow::Result;
use rackwright_common::bmc::BmcAction;
use rackwright_region::model::action::PowerRequest;

/// What to do.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Action {
    /// Be on.
    On,
    /// Be off, at once.
    Off,
    /// Ask the operating system to shut down.
    Soft,
    /// Off, then on.
    Cycle,
    /// Reset without cutting power.
    Reset,
    /// Read the state.
    Query,
    /// Restart the BMC itself.
    ResetBmc,
    /// Read the sensors.
    Sensors,
    /// Read the system event log.
    EventLog,
    /// Light the chassis for a minute.
    Identify,
}

/// Switch a machine.
#[derive(Debug, clap::Args)]
pub struct Power {
    #[command(flatten)]
    which: Which,
    /// What to do.
    #[arg(value_enum)]
    action: Action,
    #[command(flatten)]
    wait: WaitOptions,
}

impl Power {
    /// Does it.
    pub async fn run(self, console: &Console) -> Result<()> {
        let path = self.which.path(console).await?;
        let action = match self.action {
            Action::On => BmcAction::On,
            Action::Off => BmcAction::Off,
            Action::Soft => BmcAction::Soft,
            Action::Cycle => BmcAction::Cycle,
            Action::Reset => BmcAction::Reset,
            Action::Query => BmcAction::Query,
            Action::ResetBmc => BmcAction::ResetBmc,
            Action::Sensors => BmcAction::Sensors,
            Action::EventLog => BmcAction::EventLog,
            Action::Identify => BmcAction::Identify { seconds: 60 },
        };
        let begun = console.client.post(&format!("{path}/power"), &PowerRequest { action }).await?;
        self.wait.conclude(console, begun).await
    }
}
