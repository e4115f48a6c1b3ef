//! `rackwright region list|show|token|join|drain|remove`, `rackwright rack list|token|enroll|delete`, `rackwright status`.
//! Without a verb, `region` and `rack` run.

mod enroll;
mod join;
mod settle;
mod status;
mod token;

pub use settle::{hand_over, hand_over_one, prepare, write_whole};
pub use status::Status;

use crate::console::{Console, ago, dash, path_part};
use crate::serve;
use anyhow::Result;
use rackwright_region::model::Page;
use rackwright_region::model::controller;
use rackwright_region::model::controller_token::Controller;

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
    /// Show one.
    Show {
        /// Its name.
        name: String,
    },
    /// Print a token with which a blank box becomes one more region.
    Token(token::MakeToken),
    /// Make this box a region.
    Join(join::Join),
    /// Have one take no new work, so that it can be stopped: racks and people go to the others.
    Drain {
        /// Its name.
        name: String,
        /// Have it take work again.
        #[arg(long)]
        undo: bool,
    },
    /// Remove one that is gone for good.
    Remove {
        /// Its name.
        name: String,
    },
}

impl Region {
    /// Asks.
    pub async fn ask(self, console: &Console) -> Result<()> {
        match self.command {
            Some(RegionCommand::Token(command)) => command.run(Controller::Region, console).await,
            Some(RegionCommand::Join(command)) => command.run(console).await,
            Some(RegionCommand::Show { name }) => {
                let found: controller::Region =
                    console.client.get(&format!("/regions/{}", path_part(&name))).await?;
                console.show(&found, shown)
            }
            Some(RegionCommand::Drain { name, undo }) => {
                let verb = if undo { "resume" } else { "drain" };
                let path = format!("/regions/{}/{verb}", path_part(&name));
                let after: controller::Region = console.client.post(&path, &serde_json::json!({})).await?;
                console.done(&format!("The region {name} is {} now", region_state(&after)))
            }
            Some(RegionCommand::Remove { name }) => {
                console.client.delete(&format!("/regions/{}", path_part(&name))).await?;
                console.done(&format!(
                    "The region {name} was removed. Its box still holds the site's keys: erase its data folder"
                ))
            }
            Some(RegionCommand::List) | None => {
                let page: Page<controller::Region> = console.client.get("/regions").await?;
                let heads =
                    ["NAME", "STATE", "VERSION", "RACKS DIAL", "RACKS", "IMAGES", "STARTED", "LAST SEEN"];
                console.list(&page.items, &heads, |r| {
                    vec![
                        r.name.clone(),
                        region_state(r).to_owned(),
                        r.version.clone(),
                        r.stream.clone(),
                        r.racks.len().to_string(),
                        images(r),
                        ago(r.started_at),
                        ago(r.last_seen_at),
                    ]
                })
            }
        }
    }
}

fn region_state(region: &controller::Region) -> &'static str {
    match (region.connected, region.draining) {
        (true, false) => "connected",
        (true, true) => "draining",
        (false, _) => "away",
    }
}

fn images(region: &controller::Region) -> String {
    match region.lacks.len() {
        0 => "all".to_owned(),
        files => format!("lacks {files}"),
    }
}

fn shown(region: &controller::Region) -> String {
    let mut text = format!(
        "{} {} (version {})\n  Racks dial  {}\n  Racks       {}\n  Started     {}\n  Last seen   {}\n  Images      {}\n",
        region.name,
        region_state(region),
        region.version,
        region.stream,
        if region.racks.is_empty() { "none".to_owned() } else { region.racks.join(", ") },
        ago(region.started_at),
        ago(region.last_seen_at),
        images(region),
    );
    for file in &region.lacks {
        text.push_str(&format!("    {file}\n"));
    }
    if let Some(because) = &region.lacks_because {
        text.push_str(&format!("    {because}\n"));
    }
    text
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
    #[command(visible_alias = "remove")]
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
    Token(token::MakeToken),
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
            Some(RackCommand::Token(command)) => command.run(Controller::Rack, console).await,
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
