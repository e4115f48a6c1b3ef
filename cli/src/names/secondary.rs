//! `rackwright secondary …`

use crate::console::{Console, path_part};
use anyhow::Result;
use rackwright_region::model::Page;
use rackwright_region::model::domain::{Secondary, SecondaryKey};
use std::net::IpAddr;

/// What can be done with secondary name servers.
#[derive(Debug, clap::Subcommand)]
pub enum SecondaryCommand {
    /// List them.
    List,
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
                console.list(&page.items, &["NAME", "ADDRESS", "PORT"], |s| {
                    vec![s.name.clone(), s.address.to_string(), s.port.to_string()]
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
