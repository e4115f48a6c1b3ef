//! `rackwright tag …`

use crate::console::{Console, path_part};
use anyhow::Result;
use rackwright_region::model::Page;
use rackwright_region::model::network::Group;

/// What can be done with tags; `machine set --add-tag` gives one to a machine.
#[derive(Debug, clap::Subcommand)]
pub enum TagCommand {
    /// List them.
    List,
    /// Take one away from all machines.
    Delete {
        /// Its name.
        name: String,
    },
}

impl TagCommand {
    /// Does it.
    pub async fn run(self, console: &Console) -> Result<()> {
        match self {
            Self::List => {
                let page: Page<Group> = console.client.get("/tags").await?;
                console.list(&page.items, &["NAME", "MACHINES"], |g| {
                    vec![g.name.clone(), g.machines.to_string()]
                })
            }
            Self::Delete { name } => {
                console.client.delete(&format!("/tags/{}", path_part(&name))).await?;
                console.done(&format!("No machine has the tag {name} any more"))
            }
        }
    }
}
