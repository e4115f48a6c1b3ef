//! `rackwright ssh-key …`

use crate::console::{Console, ago};
use anyhow::{Context, Result};
use rackwright_region::model::Page;
use rackwright_region::model::user::{NewSshKey, SshKey};
use std::path::PathBuf;

/// What can be done with your SSH keys.
#[derive(Debug, clap::Subcommand)]
pub enum SshKeyCommand {
    /// List your keys.
    List,
    /// Add a key.
    Add {
        /// Its `.pub` file.
        file: PathBuf,
    },
    /// Remove a key.
    Delete {
        /// Its number.
        id: i64,
    },
}

impl SshKeyCommand {
    /// Does it.
    pub async fn run(self, console: &Console) -> Result<()> {
        match self {
            Self::List => {
                let page: Page<SshKey> = console.client.get("/ssh-keys").await?;
                console.list(&page.items, &["ID", "TYPE", "COMMENT", "ADDED"], |k| {
                    let mut words = k.public_key.splitn(3, ' ');
                    let kind = words.next().unwrap_or_default().to_owned();
                    let comment = words.nth(1).unwrap_or_default().to_owned();
                    vec![k.id.to_string(), kind, comment, ago(k.created_at)]
                })
            }
            Self::Add { file } => {
                let public_key = std::fs::read_to_string(&file)
                    .with_context(|| format!("cannot read {}", file.display()))?;
                let key: SshKey = console.client.post("/ssh-keys", &NewSshKey { public_key }).await?;
                console.show(&key, |k| format!("The key {} was added", k.id))
            }
            Self::Delete { id } => {
                console.client.delete(&format!("/ssh-keys/{id}")).await?;
                console.done(&format!("The key {id} was removed"))
            }
        }
    }
}
