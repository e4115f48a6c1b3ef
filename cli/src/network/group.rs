//! `rackwright pool …` and `rackwright zone …`

use crate::console::{Console, path_part};
use anyhow::Result;
use rackwright_region::model::Page;
use rackwright_region::model::network::Group;

/// What can be done with groups of machines.
#[derive(Debug, clap::Subcommand)]
pub enum GroupCommand {
    /// List them.
    List,
    /// Make one, or change its description.
    Create {
        /// Its name.
        name: String,
        /// For people.
        #[arg(long, default_value = "")]
        description: String,
    },
    /// Remove an empty one.
    Delete {
        /// Its name.
        name: String,
    },
}

impl GroupCommand {
    /// Does it, for `pools` or `zones`.
    pub async fn run(self, noun: &str, console: &Console) -> Result<()> {
        match self {
            Self::List => {
                let page: Page<Group> = console.client.get(&format!("/{noun}")).await?;
                console.list(&page.items, &["NAME", "MACHINES", "DESCRIPTION"], |g| {
                    vec![g.name.clone(), g.machines.to_string(), g.description.clone()]
                })
            }
            Self::Create { name, description } => {
                let body = serde_json::json!({ "description": description });
                let () = console.client.put(&format!("/{noun}/{}", path_part(&name)), &body).await?;
                console.done(&format!("{name} was set"))
            }
            Self::Delete { name } => {
                console.client.delete(&format!("/{noun}/{}", path_part(&name))).await?;
                console.done(&format!("{name} was removed"))
            }
        }
    }
}
