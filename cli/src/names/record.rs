//! `rackwright record …`

use crate::console::{Console, dash};
use anyhow::Result;
use rackwright_region::model::Page;
use rackwright_region::model::domain::{DnsRecord, DomainQuery, NewDnsRecord};

/// What can be done with records.
#[derive(Debug, clap::Subcommand)]
pub enum RecordCommand {
    /// List the records that people entered.
    List {
        /// Of this domain.
        #[arg(long)]
        domain: Option<String>,
    },
    /// Enter one.
    Create {
        /// Its name in full, such as www.lab.example.
        name: String,
        /// A, AAAA, CNAME, MX, NS, SRV, TXT, SSHFP or CAA.
        kind: String,
        /// Data as zone files have it, such as `10.0.0.5` or `10 mail.lab.example`.
        #[arg(required = true, num_args = 1..)]
        data: Vec<String>,
        /// Time to live, seconds; its domain's when absent.
        #[arg(long)]
        ttl: Option<i32>,
    },
    /// Change one; what is not named stays.
    Set {
        /// Its number.
        id: i64,
        /// Data as zone files have it.
        #[arg(long)]
        data: Option<String>,
        /// Time to live, seconds.
        #[arg(long)]
        ttl: Option<i32>,
        /// The time to live of its domain.
        #[arg(long, conflicts_with = "ttl")]
        no_ttl: bool,
    },
    /// Remove one.
    Delete {
        /// Its number.
        id: i64,
    },
}

impl RecordCommand {
    /// Does it.
    pub async fn run(self, console: &Console) -> Result<()> {
        let client = &console.client;
        let records: Vec<DnsRecord> = match self {
            Self::List { domain } => {
                client.find::<Page<DnsRecord>>("/dns-records", &DomainQuery { domain }).await?.items
            }
            Self::Create { name, kind, data, ttl } => {
                let new = NewDnsRecord { name, kind, data: data.join(" "), ttl };
                vec![client.post("/dns-records", &new).await?]
            }
            Self::Set { id, data, ttl, no_ttl } => {
                let all: Page<DnsRecord> = client.get("/dns-records").await?;
                let old = all.items.into_iter().find(|r| r.id == id);
                let Some(old) = old else { anyhow::bail!("there is no record {id}") };
                let new = NewDnsRecord {
                    name: old.name,
                    kind: old.kind,
                    data: data.unwrap_or(old.data),
                    ttl: ttl.or(old.ttl.filter(|_| !no_ttl)),
                };
                vec![client.put(&format!("/dns-records/{id}"), &new).await?]
            }
            Self::Delete { id } => {
                client.delete(&format!("/dns-records/{id}")).await?;
                return console.done(&format!("The record {id} was removed"));
            }
        };
        console.list(&records, &["ID", "NAME", "TYPE", "DATA", "TTL"], |r| {
            vec![r.id.to_string(), r.name.clone(), r.kind.clone(), r.data.clone(), dash(r.ttl)]
        })
    }
}
