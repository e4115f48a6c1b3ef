//! `rackwright lease …`

use crate::console::{Console, dash};
use anyhow::Result;
use rackwright_region::model::Page;
use rackwright_region::model::network::{Lease, SubnetQuery};

/// What can be done with leases.
#[derive(Debug, clap::Subcommand)]
pub enum LeaseCommand {
    /// List dynamic addresses in use.
    List {
        /// Of this subnet.
        #[arg(long)]
        subnet: Option<i64>,
    },
}

impl LeaseCommand {
    /// Does it.
    pub async fn run(self, console: &Console) -> Result<()> {
        let Self::List { subnet } = self;
        let page: Page<Lease> = console.client.find("/leases", &SubnetQuery { subnet }).await?;
        console.list(&page.items, &["ADDRESS", "MAC", "NAME", "MACHINE", "RACK", "EXPIRES"], |l| {
            vec![
                l.address.to_string(),
                l.mac.to_string(),
                dash(l.hostname.as_ref()),
                dash(l.machine.as_ref()),
                l.rack.clone(),
                l.expires_at.to_string(),
            ]
        })
    }
}
