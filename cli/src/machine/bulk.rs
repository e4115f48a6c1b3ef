//! `rackwright machine bulk`

use super::Which;
use crate::console::Console;
use anyhow::{Result, bail};
use rackwright_common::storage::EraseMode;
use rackwright_region::model::bulk::{Bulk as Progress, BulkParameters, BulkVerb, NewBulk};
use std::time::Duration;

/// Do one thing with many machines. A refusal ends nothing: each is told with its reason.
#[derive(Debug, clap::Args)]
pub struct Bulk {
    /// deploy, commission, test, release, allocate, abort, power-on, power-off, lock, unlock, mark-broken, mark-fixed, override,
    /// add-tag, remove-tag, set-pool, set-zone or delete.
    #[arg(value_parser = verb)]
    verb: BulkVerb,
    /// Identifiers or host names.
    #[arg(required = true, value_name = "MACHINE")]
    machines: Vec<String>,
    /// To deploy: the image; the site's default image when absent.
    #[arg(long)]
    image: Option<String>,
    /// To release: none, quick or full; the site's setting when absent.
    #[arg(long, value_parser = erase)]
    erase: Option<EraseMode>,
    /// To commission: run no tests afterwards.
    #[arg(long)]
    no_tests: bool,
    /// To mark broken or fixed, or to override: why.
    #[arg(long, short, default_value = "")]
    message: String,
    /// The tag, pool or zone.
    #[arg(long, default_value = "")]
    value: String,
    /// Do not wait until every machine was looked at.
    #[arg(long)]
    no_wait: bool,
}

fn verb(text: &str) -> Result<BulkVerb, String> {
    serde_json::from_value(text.into()).map_err(|_| format!("`{text}` cannot be done with many machines"))
}

fn erase(text: &str) -> Result<EraseMode, String> {
    serde_json::from_value(text.into()).map_err(|_| "none, quick or full".to_owned())
}

impl Bulk {
    /// Does it.
    pub async fn run(self, console: &Console) -> Result<()> {
        let mut machines = Vec::with_capacity(self.machines.len());
        for machine in self.machines {
            machines.push(Which { machine }.id(console).await?);
        }
        let Self { verb, image, erase, no_tests, message, value, .. } = self;
        let parameters = BulkParameters { image, erase, no_tests, message, value };
        let new = NewBulk { verb, machines, parameters };
        let mut progress: Progress = console.client.post("/bulk-actions", &new).await?;
        while !self.no_wait && progress.finished_at.is_none() {
            tokio::time::sleep(Duration::from_millis(500)).await;
            progress = console.client.get(&format!("/bulk-actions/{}", progress.id)).await?;
        }
        show(console, &progress)?;
        if progress.refused > 0 {
            bail!("{} of {} machines refused", progress.refused, progress.total);
        }
        Ok(())
    }
}

fn show(console: &Console, progress: &Progress) -> Result<()> {
    console.show(progress, |p| {
        let refused = p.refusals.iter().map(|r| format!("\n  {}: {}", r.hostname, r.message));
        let stopped = p.stopped_by.as_ref().map(|by| format!("; stopped by {by}")).unwrap_or_default();
        let head =
            format!("Action {}: {} of {} taken, {} refused{stopped}", p.id, p.done, p.total, p.refused);
        head + &refused.collect::<String>()
    })
}

/// End an action on many machines before its next machine. Those that were not begun are told so.
#[derive(Debug, clap::Args)]
pub struct StopBulk {
    /// Number of the action.
    #[arg(value_name = "ACTION")]
    id: i64,
}

impl StopBulk {
    /// Does it.
    pub async fn run(self, console: &Console) -> Result<()> {
        let none = serde_json::json!({});
        let ended: Progress = console.client.post(&format!("/bulk-actions/{}/stop", self.id), &none).await?;
        show(console, &ended)
    }
}
