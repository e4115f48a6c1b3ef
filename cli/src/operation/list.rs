//! `rackwright operation list`

use crate::console::{Console, ago, dash};
use anyhow::Result;
use rackwright_common::MachineId;
use rackwright_region::model::Page;
use rackwright_region::model::operation::{Operation, OperationQuery};

/// List operations, newest first.
#[derive(Debug, clap::Args)]
pub struct List {
    /// On this machine.
    #[arg(long)]
    machine: Option<MachineId>,
    /// `running`, `done`, `failed`, `aborted`.
    #[arg(long)]
    status: Option<String>,
    /// `deploy`, `commission`, …
    #[arg(long)]
    kind: Option<String>,
    /// At most so many.
    #[arg(long, default_value_t = 50)]
    limit: i64,
}

impl List {
    /// Does it.
    pub async fn run(self, console: &Console) -> Result<()> {
        let query = OperationQuery {
            machine: self.machine,
            status: self.status,
            kind: self.kind,
            limit: Some(self.limit),
            cursor: None,
        };
        let page: Page<Operation> = console.client.find("/operations", &query).await?;
        console.list(
            &page.items,
            &["ID", "MACHINE", "KIND", "STATUS", "STEP", "BEGAN", "OWNER", "MESSAGE"],
            |o| {
                vec![
                    o.id.to_string(),
                    o.hostname.clone(),
                    o.kind.clone(),
                    o.status.clone(),
                    o.step.clone(),
                    ago(o.created_at),
                    dash(o.owner.clone()),
                    o.error.clone().unwrap_or_else(|| o.message.clone()),
                ]
            },
        )
    }
}
