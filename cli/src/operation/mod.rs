//! `rackwright operation …`

mod list;
mod show;
pub mod wait;

use crate::console::Console;
use anyhow::Result;

/// What can be done with operations.
#[derive(Debug, clap::Subcommand)]
pub enum OperationCommand {
    /// List operations, newest first.
    List(list::List),
    /// Show one with its steps.
    Show(show::Show),
    /// Wait until one has ended; fails if it failed.
    Wait(wait::Wait),
    /// Print what the work wrote.
    Log(show::Log),
}

impl OperationCommand {
    /// Does it.
    pub async fn run(self, console: &Console) -> Result<()> {
        match self {
            Self::List(command) => command.run(console).await,
            Self::Show(command) => command.run(console).await,
            Self::Wait(command) => command.run(console).await,
            Self::Log(command) => command.run(console).await,
        }
    }
}

/// Prints the log of an operation.
pub async fn log(console: &Console, id: i64, follow: bool) -> Result<()> {
    show::Log { id, follow }.run(console).await
}
