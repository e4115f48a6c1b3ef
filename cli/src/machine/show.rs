//! `rackwright machine show`

use super::{Which, datasheet};
use crate::console::{Console, Format};
use anyhow::Result;
use rackwright_region::model::Page;
use rackwright_region::model::machine::Machine;
use rackwright_region::model::operation::{Operation, OperationDetail, OperationQuery};

/// Lines of the console that the datasheet of a failed machine ends with.
const LAST_WORDS: usize = 5;

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
        if console.format != Format::Table || !machine.summary.status.is_failed() {
            return console.show(&machine, datasheet::text);
        }
        let sheet = datasheet::text(&machine) + &last_words(console, &machine).await?;
        console.show(&machine, |_| sheet)
    }
}

/// The end of the console when the machine's last operation failed.
async fn last_words(console: &Console, machine: &Machine) -> Result<String> {
    let id = machine.summary.id.clone();
    let query = OperationQuery { machine: Some(id), limit: Some(1), ..OperationQuery::default() };
    let page: Page<Operation> = console.client.find("/operations", &query).await?;
    let Some(latest) = page.items.first() else { return Ok(String::new()) };
    let detail: OperationDetail = console.client.get(&format!("/operations/{}", latest.id)).await?;
    let from = detail.console_tail.len().saturating_sub(LAST_WORDS);
    let lines: String = detail.console_tail.iter().skip(from).map(|line| format!("  {line}\n")).collect();
    let title = format!("\nEnd of the console; `rackwright operation show {}` has more\n", latest.id);
    Ok(if lines.is_empty() { lines } else { title + &lines })
}
