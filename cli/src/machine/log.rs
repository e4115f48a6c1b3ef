//! `rackwright machine log`

use super::Which;
use crate::console::Console;
use anyhow::{Context, Result};
use rackwright_region::model::Page;
use rackwright_region::model::operation::{Operation, OperationQuery};

/// Print what the latest operation of a machine wrote.
#[derive(Debug, clap::Args)]
pub struct Log {
    #[command(flatten)]
    which: Which,
    /// Go on until the operation has ended.
    #[arg(short, long)]
    follow: bool,
}

impl Log {
    /// Does it.
    pub async fn run(self, console: &Console) -> Result<()> {
        let machine = self.which.id(console).await?;
        let query = OperationQuery { machine: Some(machine), limit: Some(1), ..OperationQuery::default() };
        let page: Page<Operation> = console.client.find("/operations", &query).await?;
        let latest = page.items.first().context("nothing was ever done with this machine")?;
        crate::operation::log(console, latest.id.0, self.follow).await
    }
}
