//! `rackwright dns-key …`

use crate::console::Console;
use anyhow::Result;
use rackwright_region::model::Page;
use rackwright_region::model::dns_key::{DnsKey, NewDnsKey};

/// What can be done with the keys that zones are signed with (DNSSEC).
#[derive(Debug, clap::Subcommand)]
pub enum DnsKeyCommand {
    /// List them, with the DS record that the zone above has to have.
    List,
    /// Make one: the first begins to sign the zone, a second one is for changing keys.
    Create {
        /// The zone: a domain, or reverse names as `rackwright name zones` lists them.
        zone: String,
    },
    /// Remove one.
    Delete {
        /// Its number.
        id: i64,
        /// Also the last one of a zone, which is then not signed any more.
        #[arg(long)]
        unsign: bool,
    },
}

impl DnsKeyCommand {
    /// Does it.
    pub async fn run(self, console: &Console) -> Result<()> {
        let client = &console.client;
        let keys: Vec<DnsKey> = match self {
            Self::List => client.get::<Page<DnsKey>>("/dns-keys").await?.items,
            Self::Create { zone } => vec![client.post("/dns-keys", &NewDnsKey { zone }).await?],
            Self::Delete { id, unsign } => {
                client.delete(&format!("/dns-keys/{id}?unsign={unsign}")).await?;
                return console.done(&format!("The key {id} was removed"));
            }
        };
        console.list(&keys, &["ID", "ZONE", "TAG", "SINCE", "DS OF THE ZONE ABOVE"], |k| {
            vec![k.id.to_string(), k.zone.clone(), k.tag.to_string(), k.created_at.to_string(), k.ds.clone()]
        })
    }
}
