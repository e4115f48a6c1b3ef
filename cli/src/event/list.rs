//! `rackwright event list`

use crate::console::{Console, Format, print};
use anyhow::Result;
use rackwright_common::MachineId;
use rackwright_region::model::Page;
use rackwright_region::model::event::{Event, EventQuery};

/// List the latest events, oldest first.
#[derive(Debug, clap::Args)]
pub struct List {
    /// About this machine.
    #[arg(long)]
    machine: Option<MachineId>,
    /// Under this operation.
    #[arg(long)]
    operation: Option<i64>,
    /// By this user, rack or part of Rackwright.
    #[arg(long)]
    actor: Option<String>,
    /// At most so many.
    #[arg(long, default_value_t = 50)]
    limit: i64,
}

impl List {
    /// Does it.
    pub async fn run(self, console: &Console) -> Result<()> {
        let query = EventQuery {
            machine: self.machine,
            operation: self.operation,
            actor: self.actor,
            limit: Some(self.limit),
            ..EventQuery::default()
        };
        let mut page: Page<Event> = console.client.find("/events", &query).await?;
        page.items.reverse();
        if console.format != Format::Table {
            return console.show(&page.items, |_| String::new());
        }
        page.items.iter().try_for_each(|event| print(&super::line(event)))
    }
}
