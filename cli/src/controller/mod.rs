//! `rackwright region list`, `rackwright rack list`, `rackwright rack enroll`, `rackwright status`. Without a verb,
//! `region` and `rack` run.

mod enroll;
mod status;

pub use status::Status;

use crate::console::{Console, ago, dash, path_part};
use crate::serve;
use anyhow::Result;
use rackwright_region::model::Page;
use rackwright_region::model::controller;

/// Run a region controller, or ask about regions.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Region {
    /// How to run.
    #[command(flatten)]
    pub run: serve::RegionArgs,
    /// What to ask.
    #[command(subcommand)]
    pub command: Option<RegionCommand>,
}

/// What can be asked about regions.
#[derive(Debug, clap::Subcommand)]
pub enum RegionCommand {
    /// List the region controllers.
    List,
}

impl Region {
    /// Asks.
    pub async fn ask(self, console: &Console) -> Result<()> {
        let page: Page<controller::Region> = console.client.get("/regions").await?;
        console.list(&page.items, &["NAME", "STATE", "VERSION", "RACKS DIAL", "STARTED", "LAST SEEN"], |r| {
            vec![
                r.name.clone(),
                state(r.connected),
                r.version.clone(),
                r.stream.clone(),
                ago(r.started_at),
                ago(r.last_seen_at),
            ]
        })
    }
}

/// Run a rack controller, or ask about racks.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Rack {
    /// How to run.
    #[command(flatten)]
    pub run: serve::RackArgs,
    /// What to ask.
    #[command(subcommand)]
    pub command: Option<RackCommand>,
}

/// What can be asked about racks.
#[derive(Debug, clap::Subcommand)]
pub enum RackCommand {
    /// List the rack controllers.
    List,
    /// Remove one that is gone for good.
    Delete {
        /// Its name.
        name: String,
    },
    /// Say that a rack's box is off for certain, so that its addresses go to others after the longest lease.
    Fence {
        /// Its name.
        name: String,
    },
    /// Print a token with which a new box becomes a rack.
    Token(enroll::MakeToken),
    /// Make this box a rack.
    Enroll(enroll::Enroll),
}

impl Rack {
    /// Asks.
    pub async fn ask(self, console: &Console) -> Result<()> {
        match self.command {
            Some(RackCommand::Delete { name }) => {
                console.client.delete(&format!("/racks/{}", path_part(&name))).await?;
                console.done(&format!("The rack {name} was removed"))
            }
            Some(RackCommand::Fence { name }) => {
                let path = format!("/racks/{}/fence", path_part(&name));
                let fence: controller::RackFence = console.client.post(&path, &serde_json::json!({})).await?;
                console.show(&fence, |f| {
                    let free = f.blocks_free_at;
                    format!("The rack {name} counts as off. Its dynamic addresses may go to other racks from {free} on.\n")
                })
            }
            Some(RackCommand::Token(command)) => command.run(console).await,
            Some(RackCommand::Enroll(command)) => command.run(console).await,
            Some(RackCommand::List) | None => {
                let page: Page<controller::Rack> = console.client.get("/racks").await?;
                console.list(
                    &page.items,
                    &["NAME", "STATE", "VERSION", "SERVES", "SNAPSHOT", "LAST SEEN", ""],
                    rack,
                )
            }
        }
    }
}

fn rack(r: &controller::Rack) -> Vec<String> {
    let serves: Vec<_> = r.addresses.iter().map(|a| format!("{} {}", a.interface, a.network)).collect();
    let snapshot = if r.running == r.generation {
        r.running.to_string()
    } else {
        format!("{} of {}", r.running, r.generation)
    };
    vec![
        r.name.clone(),
        if r.fenced_at.is_some() { "declared off".into() } else { state(r.connected) },
        r.version.clone(),
        serves.join(", "),
        snapshot,
        dash(r.last_seen_at.map(ago)),
        r.error.clone().unwrap_or_default(),
    ]
}

fn state(connected: bool) -> String {
    if connected { "connected".into() } else { "away".into() }
}
