//! `rackwright machine set`

use super::layout::LayoutOptions;
use super::{Which, datasheet};
use crate::console::Console;
use anyhow::{Result, bail};
use rackwright_common::Hostname;
use rackwright_region::model::machine::{Machine, MachinePatch};
use reqwest::Method;

/// Change a machine.
#[derive(Debug, clap::Args)]
pub struct Set {
    #[command(flatten)]
    which: Which,
    /// New name.
    #[arg(long)]
    hostname: Option<Hostname>,
    /// For people.
    #[arg(long)]
    description: Option<String>,
    /// Resource pool.
    #[arg(long)]
    pool: Option<String>,
    /// Zone.
    #[arg(long)]
    zone: Option<String>,
    /// All its tags, separated by commas or blanks; empty for none.
    #[arg(long, conflicts_with_all = ["add_tag", "remove_tag"])]
    tags: Option<String>,
    /// One more tag.
    #[arg(long)]
    add_tag: Vec<String>,
    /// One tag less.
    #[arg(long)]
    remove_tag: Vec<String>,
    #[command(flatten)]
    layout: LayoutOptions,
}

impl Set {
    /// Does it. The change is refused when somebody else changed the machine since its tags were read.
    pub async fn run(self, console: &Console) -> Result<()> {
        let path = self.which.path(console).await?;
        let before: Machine = console.client.get(&path).await?;
        let tags = match &self.tags {
            Some(tags) => Some(tags.split([',', ' ']).filter(|t| !t.is_empty()).map(str::to_owned).collect()),
            None if self.add_tag.is_empty() && self.remove_tag.is_empty() => None,
            None => {
                let mut tags = before.summary.tags.clone();
                tags.retain(|t| !self.remove_tag.contains(t));
                tags.extend(self.add_tag);
                Some(tags)
            }
        };
        let patch = MachinePatch {
            hostname: self.hostname,
            description: self.description,
            pool: self.pool,
            zone: self.zone,
            tags,
            storage_layout: self.layout.is_named().then(|| self.layout.over(before.storage_layout)),
        };
        if patch == MachinePatch::default() {
            bail!("nothing to change was named; see `rackwright machine set --help`");
        }
        let etag = format!("\"{}\"", before.summary.version);
        let request = console.client.request(Method::PATCH, &path).header("if-match", etag).json(&patch);
        let machine: Machine = console.client.send(request).await?;
        console.show(&machine, datasheet::text)
    }
}
