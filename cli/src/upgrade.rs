//! `rackwright upgrade plan`: what runs which version, and in which order to change that (`docs/upgrades.md`).

use crate::console::Console;
use anyhow::Result;
use rackwright_region::model::controller::{Rack, Region, SiteStatus};
use serde::Serialize;

/// What can be asked about upgrades.
#[derive(Debug, clap::Subcommand)]
pub enum UpgradeCommand {
    /// Say what runs which version, and the order of the steps to this program's version.
    Plan {
        /// The version to come to; this program's own when absent.
        #[arg(long, default_value = env!("CARGO_PKG_VERSION"))]
        to: String,
    },
}

impl UpgradeCommand {
    /// Does it.
    pub async fn run(self, console: &Console) -> Result<()> {
        let Self::Plan { to } = self;
        let status: SiteStatus = console.client.get("/status").await?;
        console.show(&Plan::new(&to, &status), Plan::text)
    }
}

/// The steps of an upgrade.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Plan {
    /// The version to come to.
    to: String,
    /// What runs, by version: `region NAME` or `rack NAME`.
    running: std::collections::BTreeMap<String, Vec<String>>,
    /// What has to be mended first.
    first: Vec<String>,
    /// In order.
    steps: Vec<String>,
}

impl Plan {
    /// Regions first, one after the other, because the first new one brings the schema; then racks, one after the other. What
    /// answers is the last of its kind, so that there is somebody to ask.
    fn new(to: &str, status: &SiteStatus) -> Self {
        let mut running = std::collections::BTreeMap::<String, Vec<String>>::new();
        for region in &status.regions {
            running.entry(region.version.clone()).or_default().push(format!("region {}", region.name));
        }
        for rack in &status.racks {
            running.entry(rack.version.clone()).or_default().push(format!("rack {}", rack.name));
        }
        let old_regions: Vec<&Region> = status.regions.iter().filter(|r| r.version != to).collect();
        let old_racks: Vec<&Rack> = status.racks.iter().filter(|r| r.version != to).collect();
        let mut steps = Vec::new();
        if !old_regions.is_empty() {
            steps.push("keep a backup: `rackwright backup FILE` on the box of a region".to_owned());
        }
        let alone = status.regions.iter().filter(|r| r.connected).count() < 2;
        steps.extend(old_regions.iter().map(|r| region_step(r, to, alone)));
        steps.extend(old_racks.iter().map(|r| {
            format!("rack {}: install {to} on its box and restart the service; wait until `rackwright status` says it runs its newest snapshot", r.name)
        }));
        Self { to: to.to_owned(), running, first: first(status), steps }
    }

    fn text(&self) -> String {
        let mut text = String::new();
        for (version, names) in &self.running {
            text.push_str(&format!("{version} runs on {}\n", names.join(", ")));
        }
        if self.steps.is_empty() {
            text.push_str(&format!("Everything runs {}.\n", self.to));
            return text;
        }
        if !self.first.is_empty() {
            text.push_str(&format!("\nMend first:\n  {}\n", self.first.join("\n  ")));
        }
        text.push_str(&format!("\nTo come to {}, one step after the other:\n", self.to));
        for (number, step) in self.steps.iter().enumerate() {
            text.push_str(&format!("  {}. {step}\n", number + 1));
        }
        text
    }
}

fn region_step(region: &Region, to: &str, alone: bool) -> String {
    let name = &region.name;
    if alone {
        return format!(
            "region {name}: install {to} on its box and restart the service; it is the only one, so the API is away meanwhile \
             (racks serve on, operations wait)"
        );
    }
    format!(
        "region {name}: `rackwright region drain {name}`, install {to} on its box, restart the service, wait until it is ready, \
         `rackwright region drain {name} --undo`"
    )
}

/// What is not well now: a site that has lost its spare parts is not taken apart further.
fn first(status: &SiteStatus) -> Vec<String> {
    let regions =
        status.regions.iter().filter(|r| !r.connected).map(|r| format!("region {} is not heard", r.name));
    let drained = status
        .regions
        .iter()
        .filter(|r| r.connected && r.draining)
        .map(|r| format!("region {} is drained", r.name));
    let racks = status.racks.iter().filter(|r| !r.connected).map(|r| format!("rack {} is not heard", r.name));
    let behind = status.racks.iter().filter(|r| r.connected && r.error.is_some());
    regions
        .chain(drained)
        .chain(racks)
        .chain(behind.map(|r| format!("rack {} refused its snapshot", r.name)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn status(versions: [&str; 3], lost: bool) -> SiteStatus {
        let region = |name: &str, version: &str, connected: bool| {
            json!({ "name": name, "version": version, "connected": connected, "stream": "",
                    "started_at": "2026-11-22T06:00:00Z", "last_seen_at": "2026-11-22T06:00:00Z" })
        };
        let rack = json!({ "id": 1, "name": "rack-1", "version": versions[2], "connected": true, "addresses": [],
                           "running": 1, "generation": 1, "created_at": "2026-11-22T06:00:00Z" });
        serde_json::from_value(json!({
            "version": "0.1.0", "machines": {}, "operations_running": 0, "racks": [rack],
            "regions": [region("region-1", versions[0], true), region("region-2", versions[1], !lost)],
        }))
        .unwrap()
    }

    #[test]
    fn regions_come_first_one_after_the_other_and_then_racks() {
        let plan = Plan::new("0.2.0", &status(["0.1.0", "0.2.0", "0.1.0"], false));
        assert_eq!(plan.running["0.1.0"], ["region region-1", "rack rack-1"]);
        assert_eq!(plan.running["0.2.0"], ["region region-2"]);
        assert_eq!(plan.first, Vec::<String>::new());
        assert_eq!(plan.steps.len(), 3);
        assert!(plan.steps[0].starts_with("keep a backup"));
        assert!(plan.steps[1].starts_with("region region-1: `rackwright region drain region-1`"));
        assert!(plan.steps[2].starts_with("rack rack-1: install 0.2.0"));
        assert!(plan.text().contains("  3. rack rack-1"));
    }

    #[test]
    fn what_is_lost_is_mended_first_and_the_last_region_is_not_drained() {
        let plan = Plan::new("0.2.0", &status(["0.1.0", "0.1.0", "0.2.0"], true));
        assert_eq!(plan.first, ["region region-2 is not heard"]);
        assert!(
            plan.steps.iter().any(|s| s.starts_with("region region-1") && s.contains("it is the only one"))
        );
    }

    #[test]
    fn with_nothing_to_do_it_says_so() {
        let plan = Plan::new("0.1.0", &status(["0.1.0"; 3], false));
        assert!(plan.steps.is_empty());
        assert!(plan.text().ends_with("Everything runs 0.1.0.\n"));
    }
}
