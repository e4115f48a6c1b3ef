//! `rackwright status`

use super::{region_state, state};
use crate::console::{Console, ago};
use anyhow::Result;
use rackwright_common::ntp::{TimeReport, TimeState};
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
    text.push_str(&format!("\n  Operations  {} under way", status.operations_running));
    let owners: Vec<_> =
        status.operations_by_region.iter().map(|(name, count)| format!("{name} {count}")).collect();
    if !owners.is_empty() {
        text.push_str(&format!(" (looked at last by: {})", owners.join(", ")));
    }
    text.push('\n');
    if let Some(t) = &status.last_takeover {
        text.push_str(&format!(
            "  Takeover    {}: operation {} from {} to {}, {:.1} s after that was heard last\n",
            ago(t.at),
            t.operation,
            t.from,
            t.to,
            t.seconds
        ));
    }
    for server in &status.database {
        let lag = server.lag_bytes.map_or_else(String::new, |lag| format!(", {lag} bytes behind"));
        text.push_str(&format!("  Database    {} {}{lag}\n", server.name, server.role.as_str()));
    }
    for region in &status.regions {
        text.push_str(&format!(
            "  Region      {} {} ({}), racks: {}\n",
            region.name,
            region_state(region),
            region.version,
            names(&region.racks)
        ));
        time(&mut text, region.time.as_ref());
    }
    for rack in &status.racks {
        text.push_str(&format!(
            "  Rack        {} {} ({}), snapshot {} of {}, {} addresses in {} blocks, regions: {}\n",
            rack.name,
            state(rack.connected),
            rack.version,
            rack.running,
            rack.generation,
            rack.block_addresses,
            rack.blocks,
            names(&rack.regions)
        ));
        time(&mut text, rack.time.as_ref());
        if let Some(free) = rack.blocks_free_at {
            let sooner = if rack.fenced_at.is_some() {
                String::new()
            } else {
                format!("; if its box is off for good: `rackwright rack fence {}`", rack.name)
            };
            text.push_str(&format!(
                "              not heard; others may have its addresses from {free} on{sooner}\n"
            ));
        }
    }
    text
}

fn time(text: &mut String, time: Option<&TimeReport>) {
    let Some(time) = time.filter(|time| time.state != TimeState::Off) else { return };
    let dash = if time.message.is_empty() { "" } else { ": " };
    text.push_str(&format!("              time {}{dash}{}\n", time.state.as_str(), time.message));
}

fn names(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(" ") }
}
