//! `rackwright machine show`

use super::{Which, datasheet};
use crate::console::Console;
use anyhow::Result;
use rackwright_region::model::machine::Machine;

/// Show a machine as a datasheet.
#[derive(Debug, clap::Args)]
pub struct Show {
    #[command(flatten)]
    which: Which,
}

impl Show {
    /// Does it.
    pub async fn run(self, console: &Console) -> Result<()> {
        let machine: Machine = console.client.get(&self.which.path(console).await?).await?;
        console.show(&machine, datasheet::text)
    }
}
