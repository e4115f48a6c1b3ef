//! `rackwright machine delete`

use super::Which;
use crate::console::Console;
use anyhow::Result;

/// Remove a machine. What is installed on it stays there.
#[derive(Debug, clap::Args)]
pub struct Delete {
    #[command(flatten)]
    which: Which,
    /// Also when it is deployed, locked or busy.
    #[arg(long)]
    force: bool,
}

impl Delete {
    /// Does it.
    pub async fn run(self, console: &Console) -> Result<()> {
        let path = self.which.path(console).await?;
        console.client.delete(&format!("{path}?force={}", self.force)).await?;
        console.done(&format!("{} was removed", self.which.machine))
    }
}
