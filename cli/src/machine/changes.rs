//! `rackwright machine changes`

use super::Which;
use crate::console::{Console, ago};
use anyhow::Result;
use rackwright_region::model::Page;
use rackwright_region::model::hardware_change::{AcceptedChanges, HardwareChange, HardwareChangeQuery};

/// What readings of its hardware found otherwise than the ones before.
#[derive(Debug, clap::Args)]
pub struct Changes {
    #[command(flatten)]
    which: Which,
    /// Say that all of it is meant.
    #[arg(long)]
    accept: bool,
}

impl Changes {
    /// Does it.
    pub async fn run(self, console: &Console) -> Result<()> {
        let machine = self.which.id(console).await?;
        let query = HardwareChangeQuery { machine: Some(machine.clone()), missing: false };
        let mut page: Page<HardwareChange> = console.client.find("/hardware-changes", &query).await?;
        if let (true, Some(newest)) = (self.accept, page.items.first()) {
            let body = AcceptedChanges { upto: newest.id };
            page =
                console.client.put(&format!("/machines/{machine}/hardware-changes/accepted"), &body).await?;
        }
        console.list(&page.items, &["CHANGE", "FOUND", "WHAT", "MEANT"], |c| {
            let meant = match &c.accepted_by {
                Some(by) if by == "rackwright" => "is back".to_owned(),
                Some(by) => format!("says {by}"),
                None => "-".to_owned(),
            };
            vec![c.id.to_string(), ago(c.at), c.message.clone(), meant]
        })
    }
}
