//! `rackwright name …`

use crate::console::Console;
use anyhow::Result;
use rackwright_region::model::Page;
use rackwright_region::model::domain::{NameQuery, PublishedName, Zone};

/// What is published.
#[derive(Debug, clap::Subcommand)]
pub enum NameCommand {
    /// List names as they are published, those of machines and controllers too; the first 500.
    List {
        /// Of this zone.
        #[arg(long)]
        zone: Option<String>,
        /// That hold this text, in name or data.
        text: Option<String>,
    },
    /// List the zones: domains, and the reverse names of networks.
    Zones,
}

impl NameCommand {
    /// Does it.
    pub async fn run(self, console: &Console) -> Result<()> {
        match self {
            Self::List { zone, text } => {
                let query = NameQuery { zone, q: text };
                let names: Page<PublishedName> = console.client.find("/names", &query).await?;
                console.list(&names.items, &["NAME", "TYPE", "TTL", "DATA"], |n| {
                    vec![n.name.clone(), n.kind.clone(), n.ttl.to_string(), n.data.clone()]
                })
            }
            Self::Zones => {
                let zones: Page<Zone> = console.client.get("/dns-zones").await?;
                console.list(&zones.items, &["ZONE", "SERIAL", "RECORDS", "CHANGED"], |z| {
                    vec![
                        z.origin.clone(),
                        z.serial.to_string(),
                        z.records.to_string(),
                        z.changed_at.to_string(),
                    ]
                })
            }
        }
    }
}
