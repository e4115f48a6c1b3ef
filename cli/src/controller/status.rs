//! `rackwright status`

use super::{region_state, state};
use crate::console::Console;
use anyhow::Result;
use rackwright_region::model::controller::SiteStatus;

/// How the site does.
#[derive(Debug, clap::Args)]
pub struct Status {}

impl Status {
    /// Does it.
    pub async fn run(self, console: &Console) -> Result<()> {
        let status: SiteStatus = console.client.get("/status").await?;
        console.show(&status, text)
    }
}

fn text(status: &SiteStatus) -> String {
    let machines: i64 = status.machines.values().sum();
    let by_status: Vec<_> = status.machines.iter().map(|(name, count)| format!("{count} {name}")).collect();
    let mut text = format!("Rackwright {}\n  Machines    {machines}", status.version);
    if !by_status.is_empty() {
        text.push_str(&format!(" ({})", by_status.join(", ")));
    }
    text.push_str(&format!("\n  Operations  {} under way\n", status.operations_running));
    for region in &status.regions {
        text.push_str(&format!(
            "  Region      {} {} ({})\n",
            region.name,
            region_state(region),
            region.version
        ));
    }
    for rack in &status.racks {
        text.push_str(&format!("  Rack        {} {} ({})\n", rack.name, state(rack.connected), rack.version));
    }
    text
}
