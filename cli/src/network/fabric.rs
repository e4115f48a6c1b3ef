//! `rackwright fabric …`

use crate::console::Console;
use anyhow::Result;
use rackwright_region::model::Page;
use rackwright_region::model::network::{Fabric, NewFabric};

/// What can be done with fabrics.
#[derive(Debug, clap::Subcommand)]
pub enum FabricCommand {
    /// List fabrics.
    List,
    /// Make one.
    Create {
        /// Its name.
        name: String,
    },
    /// Rename one.
    Set {
        /// Its number.
        id: i64,
        /// Its new name.
        name: String,
    },
    /// Remove one without VLANs.
    Delete {
        /// Its number.
        id: i64,
    },
}

impl FabricCommand {
    /// Does it.
    pub async fn run(self, console: &Console) -> Result<()> {
        let client = &console.client;
        let fabrics: Vec<Fabric> = match self {
            Self::List => client.get::<Page<Fabric>>("/fabrics").await?.items,
            Self::Create { name } => vec![client.post("/fabrics", &NewFabric { name }).await?],
            Self::Set { id, name } => vec![client.put(&format!("/fabrics/{id}"), &NewFabric { name }).await?],
            Self::Delete { id } => {
                client.delete(&format!("/fabrics/{id}")).await?;
                return console.done(&format!("The fabric {id} was removed"));
            }
        };
        console.list(&fabrics, &["ID", "NAME"], |f| vec![f.id.to_string(), f.name.clone()])
    }
}
