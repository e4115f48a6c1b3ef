//! `rackwright machine power`

use super::{Which, reading};
use crate::console::Console;
use crate::operation::wait::WaitOptions;
use anyhow::{Result, bail};
use rackwright_common::bmc::{BmcAction, BmcOutcome};
use rackwright_region::model::action::PowerRequest;
use serde_json::json;

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
    /// Ask the BMC for the state, and wait for its answer.
    #[value(alias = "query")]
    Status,
    /// Restart the BMC itself.
    ResetBmc,
}

/// Switch a machine, or ask whether it is on.
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
            Action::Status => return self.status(console, &path).await,
            Action::On => BmcAction::On,
            Action::Off => BmcAction::Off,
            Action::Soft => BmcAction::Soft,
            Action::Cycle => BmcAction::Cycle,
            Action::Reset => BmcAction::Reset,
            Action::ResetBmc => BmcAction::ResetBmc,
        };
        let begun = console.client.post(&format!("{path}/power"), &PowerRequest { action }).await?;
        self.wait.conclude(console, begun).await
    }

    async fn status(self, console: &Console, path: &str) -> Result<()> {
        let BmcOutcome::Power { state } = reading::ask(console, path, "power").await? else {
            bail!("the BMC answered something else than the state of the power");
        };
        console.show(&json!({ "power": state }), |_| format!("{} is {}", self.which.machine, state.as_str()))
    }
}
