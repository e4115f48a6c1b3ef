//! `rackwright event …`

mod follow;
mod list;

use crate::console::Console;
use anyhow::Result;
use rackwright_region::model::event::Event;

/// What can be done with events.
#[derive(Debug, clap::Subcommand)]
pub enum EventCommand {
    /// List the latest events, oldest first.
    List(list::List),
    /// Print events as they happen.
    Follow(follow::Follow),
}

impl EventCommand {
    /// Does it.
    pub async fn run(self, console: &Console) -> Result<()> {
        match self {
            Self::List(command) => command.run(console).await,
            Self::Follow(command) => command.run(console).await,
        }
    }
}

/// One line per event, for people.
fn line(event: &Event) -> String {
    let about = event.machine.as_ref().map_or_else(String::new, |id| format!(" [{id}]"));
    format!("{} {:<7}{about} {} ({})", event.at, event.level.as_str(), event.message, event.actor)
}
