//! `rackwright secondary …`

use crate::console::{Console, dash, path_part};
use anyhow::Result;
use rackwright_region::model::Page;
use rackwright_region::model::domain::{Secondary, SecondaryKey};
use std::net::IpAddr;

/// What can be done with secondary name servers.
#[derive(Debug, clap::Subcommand)]
pub enum SecondaryCommand {
    /// List them, with when each got its last copy and what it lags behind in.
    List,
    /// List what one copied last, of each zone.
    Copies {
        /// Its name.
        name: String,
    },
    /// Enter one; prints the key with which it proves who it is.
    Create {
        /// Its name, and that of its key.
        name: String,
        /// Where it is told of changes.
        address: IpAddr,
        /// Its port.
        #[arg(long, default_value_t = 53)]
        port: u16,
    },
    /// Remove one; its key opens nothing any more.
    Delete {
        /// Its name.
        name: String,
    },
}

impl SecondaryCommand {
    /// Does it.
    pub async fn run(self, console: &Console) -> Result<()> {
        let client = &console.client;
        match self {
            Self::List => {
                let page: Page<Secondary> = client.get("/secondaries").await?;
                console.list(&page.items, &["NAME", "ADDRESS", "PORT", "ZONES", "LAST COPY", "BEHIND"], |s| {
                    let behind: Vec<_> =
                        s.copies.iter().filter(|c| c.behind).map(|c| c.zone.as_str()).collect();
                    let last = s.copies.iter().map(|c| c.copied_at).max();
                    vec![
                        s.name.clone(),
                        s.address.to_string(),
                        s.port.to_string(),
                        s.copies.len().to_string(),
                        dash(last),
                        behind.join(" "),
                    ]
                })
            }
            Self::Copies { name } => {
                let page: Page<Secondary> = client.get("/secondaries").await?;
                let found = page.items.into_iter().find(|s| s.name == name);
                let Some(found) = found else { anyhow::bail!("there is no secondary {name}") };
                console.list(&found.copies, &["ZONE", "SERIAL", "COPIED", "BEHIND"], |c| {
                    let behind = if c.behind { "yes" } else { "" };
                    vec![c.zone.clone(), c.serial.to_string(), c.copied_at.to_string(), behind.into()]
                })
            }
            Self::Create { name, address, port } => {
                let new = serde_json::json!({ "name": name, "address": address, "port": port });
                let key: SecondaryKey = client.post("/secondaries", &new).await?;
                console.show(&key, |key| {
                    format!(
                        "The key is shown this once. For BIND:\n  key \"{}\" {{ algorithm {}; secret \"{}\"; }};\n\
                         For Knot:\n  key:\n  - id: {}\n    algorithm: {}\n    secret: {}",
                        key.name,
                        key.algorithm,
                        key.secret.expose(),
                        key.name,
                        key.algorithm,
                        key.secret.expose()
                    )
                })
            }
            Self::Delete { name } => {
                client.delete(&format!("/secondaries/{}", path_part(&name))).await?;
                console.done(&format!("The secondary {name} was removed"))
            }
        }
    }
}
