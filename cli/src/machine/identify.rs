//! `rackwright machine identify`

use super::Which;
use crate::console::Console;
use crate::operation::wait::WaitOptions;
use anyhow::Result;
use rackwright_common::bmc::BmcAction;
use rackwright_region::model::action::PowerRequest;

/// Light a machine's chassis, to find it in the room.
#[derive(Debug, clap::Args)]
pub struct Identify {
    #[command(flatten)]
    which: Which,
    /// For how long, 255 at most; 0 ends it.
    #[arg(long, default_value_t = 60)]
    seconds: u8,
    #[command(flatten)]
    wait: WaitOptions,
}

impl Identify {
    /// Does it.
    pub async fn run(self, console: &Console) -> Result<()> {
        let path = self.which.path(console).await?;
        let request = PowerRequest { action: BmcAction::Identify { seconds: self.seconds } };
        let begun = console.client.post(&format!("{path}/power"), &request).await?;
        self.wait.conclude(console, begun).await
    }
}
