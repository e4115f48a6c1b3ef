//! `rackwright space …`

use crate::console::Console;
use anyhow::Result;
use rackwright_region::model::Page;
use rackwright_region::model::space::{NewSpace, Space};

/// What can be done with spaces.
#[derive(Debug, clap::Subcommand)]
pub enum SpaceCommand {
    /// List spaces.
    List,
    /// Make one.
    Create {
        /// Its name.
        name: String,
        /// For people.
        #[arg(long, default_value = "")]
        description: String,
    },
    /// Change one.
    Set {
        /// Its number.
        id: i64,
        /// Its name.
        name: String,
        /// For people.
        #[arg(long, default_value = "")]
        description: String,
    },
    /// Remove one without VLANs.
    Delete {
        /// Its number.
        id: i64,
    },
}

impl SpaceCommand {
    /// Does it.
    pub async fn run(self, console: &Console) -> Result<()> {
        let client = &console.client;
        let spaces: Vec<Space> = match self {
            Self::List => client.get::<Page<Space>>("/spaces").await?.items,
            Self::Create { name, description } => {
                vec![client.post("/spaces", &NewSpace { name, description }).await?]
            }
            Self::Set { id, name, description } => {
                vec![client.put(&format!("/spaces/{id}"), &NewSpace { name, description }).await?]
            }
            Self::Delete { id } => {
                client.delete(&format!("/spaces/{id}")).await?;
                return console.done(&format!("The space {id} was removed"));
            }
        };
        console.list(&spaces, &["ID", "NAME", "VLANS", "DESCRIPTION"], |s| {
            let vlans: Vec<String> = s.vlans.iter().map(i64::to_string).collect();
            vec![s.id.to_string(), s.name.clone(), vlans.join(","), s.description.clone()]
        })
    }
}
