//! `rackwright ip-range …`

use crate::console::Console;
use anyhow::Result;
use rackwright_region::model::Page;
use rackwright_region::model::network::{IpRange, NewIpRange, RangeKind, SubnetQuery};
use std::net::IpAddr;

/// What can be done with ranges.
#[derive(Debug, clap::Subcommand)]
pub enum IpRangeCommand {
    /// List ranges.
    List {
        /// Of this subnet.
        #[arg(long)]
        subnet: Option<i64>,
    },
    /// Make one.
    Create {
        /// Number of its subnet.
        #[arg(long)]
        subnet: i64,
        /// First address.
        first: IpAddr,
        /// Last address, included.
        last: IpAddr,
        /// Keep Rackwright's hands off, instead of giving these out by DHCP.
        #[arg(long)]
        reserved: bool,
        /// For people.
        #[arg(long, default_value = "")]
        comment: String,
    },
    /// Remove one.
    Delete {
        /// Its number.
        id: i64,
        /// Also while its addresses are leased.
        #[arg(long)]
        force: bool,
    },
}

impl IpRangeCommand {
    /// Does it.
    pub async fn run(self, console: &Console) -> Result<()> {
        let client = &console.client;
        let ranges: Vec<IpRange> = match self {
            Self::List { subnet } => {
                client.find::<Page<IpRange>>("/ip-ranges", &SubnetQuery { subnet }).await?.items
            }
            Self::Create { subnet, first, last, reserved, comment } => {
                let kind = if reserved { RangeKind::Reserved } else { RangeKind::Dynamic };
                vec![client.post("/ip-ranges", &NewIpRange { subnet, kind, first, last, comment }).await?]
            }
            Self::Delete { id, force } => {
                client.delete(&format!("/ip-ranges/{id}?force={force}")).await?;
                return console.done(&format!("The range {id} was removed"));
            }
        };
        console.list(&ranges, &["ID", "SUBNET", "KIND", "FIRST", "LAST", "COMMENT"], |r| {
            vec![
                r.id.to_string(),
                r.subnet.to_string(),
                r.kind.as_str().to_owned(),
                r.first.to_string(),
                r.last.to_string(),
                r.comment.clone(),
            ]
        })
    }
}
