//! `rackwright lease …`

use crate::console::{Console, dash};
use anyhow::Result;
use rackwright_region::model::Page;
use rackwright_region::model::dhcp_seen::DhcpShadow;
use rackwright_region::model::network::{Lease, SubnetQuery};

/// What can be done with leases.
#[derive(Debug, clap::Subcommand)]
pub enum LeaseCommand {
    /// List dynamic addresses in use, of both families.
    List {
        /// Of this subnet.
        #[arg(long)]
        subnet: Option<i64>,
    },
    /// What racks in shadow mode would have answered, beside what clients got; differences first.
    Shadow {
        /// Of this subnet.
        #[arg(long)]
        subnet: Option<i64>,
    },
}

impl LeaseCommand {
    /// Does it.
    pub async fn run(self, console: &Console) -> Result<()> {
        let subnet = match self {
            Self::List { subnet } => subnet,
            Self::Shadow { subnet } => return shadow(console, subnet).await,
        };
        let page: Page<Lease> = console.client.find("/leases", &SubnetQuery { subnet }).await?;
        console.list(&page.items, &["ADDRESS", "CLIENT", "NAME", "MACHINE", "RACK", "EXPIRES"], |l| {
            vec![
                l.address.to_string(),
                l.mac.map_or_else(|| dash(l.duid.as_ref()), |mac| mac.to_string()),
                dash(l.hostname.as_ref()),
                dash(l.machine.as_ref()),
                l.rack.clone(),
                l.expires_at.to_string(),
            ]
        })
    }
}

async fn shadow(console: &Console, subnet: Option<i64>) -> Result<()> {
    let page: Page<DhcpShadow> = console.client.find("/dhcp-shadow", &SubnetQuery { subnet }).await?;
    console.list(&page.items, &["MAC", "OURS", "THEIRS", "SERVER", "BOOTS", "DIFFERS", "SEEN"], |s| {
        vec![
            s.mac.to_string(),
            dash(s.ours),
            dash(s.theirs),
            dash(s.server),
            dash(s.boot_file.as_ref()),
            if s.differs { "yes".into() } else { "no".into() },
            s.at.to_string(),
        ]
    })
}
