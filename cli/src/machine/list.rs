//! `rackwright machine list`

use crate::console::{Console, dash, disk_size, memory_size};
use anyhow::Result;
use rackwright_region::model::machine::MachineSummary;

/// List machines, by name.
#[derive(Debug, clap::Args)]
pub struct List {
    /// Statuses, separated by commas.
    #[arg(long)]
    status: Option<String>,
    /// Tags, separated by commas; all of them.
    #[arg(long)]
    tag: Option<String>,
    /// In this zone.
    #[arg(long)]
    zone: Option<String>,
    /// In this resource pool.
    #[arg(long)]
    pool: Option<String>,
    /// Of this user.
    #[arg(long)]
    owner: Option<String>,
    /// By name, status, since, power, owner, cores, memory, disks, pool or zone; `-memory` begins with the most.
    #[arg(long, allow_hyphen_values = true)]
    sort: Option<String>,
    /// Part of a name, serial number, MAC, address, …
    #[arg(value_name = "TEXT")]
    q: Option<String>,
}

impl List {
    /// Does it.
    pub async fn run(self, console: &Console) -> Result<()> {
        let filters = [
            ("status", self.status),
            ("tag", self.tag),
            ("zone", self.zone),
            ("pool", self.pool),
            ("owner", self.owner),
            ("q", self.q),
            ("sort", self.sort),
        ];
        let query: Vec<_> = filters.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
        let machines: Vec<MachineSummary> = console.client.list_all("/machines", &query).await?;
        let heads =
            ["ID", "NAME", "STATUS", "POWER", "CORES", "MEMORY", "DISKS", "ADDRESS", "IMAGE", "OWNER", ""];
        console.list(&machines, &heads, |m| {
            let lock = if m.locked { " (locked)" } else { "" };
            let note = m.operation.as_ref().map_or_else(|| m.status_message.clone(), |o| o.message.clone());
            vec![
                m.id.to_string(),
                m.hostname.to_string(),
                format!("{}{lock}", m.status),
                m.power_state.as_str().to_owned(),
                if m.cpu_cores == 0 { "-".into() } else { m.cpu_cores.to_string() },
                memory_size(m.memory_mib),
                disk_size(m.storage_bytes),
                dash(m.addresses.first()),
                dash(m.image.as_ref()),
                dash(m.owner.as_ref()),
                note.chars().take(60).collect(),
            ]
        })
    }
}
