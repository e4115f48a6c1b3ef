//! `rackwright domain …`

use crate::console::Console;
use anyhow::{Context, Result};
use rackwright_region::model::Page;
use rackwright_region::model::domain::{Domain, NewDomain};

/// What can be done with domains.
#[derive(Debug, clap::Subcommand)]
pub enum DomainCommand {
    /// List domains.
    List,
    /// Make one.
    Create {
        /// Its name, such as lab.example.
        name: String,
        /// Time to live of records that have none of their own, seconds.
        #[arg(long, default_value_t = 60)]
        ttl: i32,
        /// Machines that name no other domain, and all controllers, are in this one.
        #[arg(long)]
        default: bool,
    },
    /// Change one; what is not named stays.
    Set {
        /// Its name.
        name: String,
        /// New name; of a domain without records.
        #[arg(long)]
        rename: Option<String>,
        /// Time to live of records that have none of their own, seconds.
        #[arg(long)]
        ttl: Option<i32>,
        /// Machines that name no other domain, and all controllers, are in this one.
        #[arg(long)]
        default: bool,
    },
    /// Remove one with its records.
    Delete {
        /// Its name.
        name: String,
    },
}

impl DomainCommand {
    /// Does it.
    pub async fn run(self, console: &Console) -> Result<()> {
        let client = &console.client;
        let domains: Vec<Domain> = match self {
            Self::List => client.get::<Page<Domain>>("/domains").await?.items,
            Self::Create { name, ttl, default } => {
                vec![client.post("/domains", &NewDomain { name, ttl, is_default: default }).await?]
            }
            Self::Set { name, rename, ttl, default } => {
                let old = find(console, &name).await?;
                let new = NewDomain {
                    name: rename.unwrap_or(old.name),
                    ttl: ttl.unwrap_or(old.ttl),
                    is_default: default || old.is_default,
                };
                vec![client.put(&format!("/domains/{}", old.id), &new).await?]
            }
            Self::Delete { name } => {
                let old = find(console, &name).await?;
                client.delete(&format!("/domains/{}", old.id)).await?;
                return console.done(&format!("The domain {} was removed", old.name));
            }
        };
        console.list(&domains, &["NAME", "TTL", "RECORDS", "DEFAULT"], |d| {
            let default = if d.is_default { "yes" } else { "" };
            vec![d.name.clone(), d.ttl.to_string(), d.records.to_string(), default.into()]
        })
    }
}

async fn find(console: &Console, name: &str) -> Result<Domain> {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    let domains: Page<Domain> = console.client.get("/domains").await?;
    let found = domains.items.into_iter().find(|d| d.name == name);
    found.with_context(|| format!("there is no domain {name}; `rackwright domain list` names those that are"))
}
