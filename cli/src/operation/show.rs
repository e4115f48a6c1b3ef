//! `rackwright operation show` and `log`

use crate::console::{Console, Format, dash, duration};
use anyhow::Result;
use rackwright_region::model::Page;
use rackwright_region::model::operation::{LogChunk, OperationDetail};
use std::io::Write;
use std::time::Duration;

/// Show an operation with its steps.
#[derive(Debug, clap::Args)]
pub struct Show {
    /// Its number.
    id: i64,
}

impl Show {
    /// Does it.
    pub async fn run(self, console: &Console) -> Result<()> {
        let detail: OperationDetail = console.client.get(&format!("/operations/{}", self.id)).await?;
        console.show(&detail, text)
    }
}

/// An operation for people.
pub fn text(detail: &OperationDetail) -> String {
    let o = &detail.operation;
    let ended = o.finished_at.map_or_else(time::OffsetDateTime::now_utc, |at| at.0);
    let mut text = format!(
        "Operation {}: {} of {} ({})\n  Status     {}\n  Step       {}, try {}\n  Asked by   {} at {}\n  Took       {}\n",
        o.id,
        o.kind,
        o.hostname,
        o.machine,
        o.status,
        o.step,
        o.attempt + 1,
        o.requested_by,
        o.created_at,
        duration(o.created_at.seconds_ago(ended)),
    );
    if let Some(owner) = &o.owner {
        text.push_str(&format!("  Owner      {owner}, claim {}\n", o.epoch));
    }
    if !o.message.is_empty() {
        text.push_str(&format!("  Waits for  {}\n", o.message));
    }
    if let Some(error) = &o.error {
        text.push_str(&format!("  Error      {error}\n"));
    }
    if !detail.items.is_empty() {
        text.push_str("\nWork\n");
    }
    for item in &detail.items {
        let took = item.duration_ms.map(|ms| format!("{}.{} s", ms / 1000, ms % 1000 / 100));
        let name = item.subject.as_ref().map_or_else(|| item.kind.clone(), |s| format!("{} {s}", item.kind));
        let note = if item.error.is_empty() { &item.message } else { &item.error };
        text.push_str(&format!("  {:<40} {:<8} {:>10}  {note}\n", name, item.status, dash(took)));
    }
    if !detail.console_tail.is_empty() {
        text.push_str("\nLast lines of the machine's console\n");
    }
    for line in &detail.console_tail {
        text.push_str(&format!("  {line}\n"));
    }
    text
}

/// Print what an operation's work wrote.
#[derive(Debug, clap::Args)]
pub struct Log {
    /// Its number.
    pub id: i64,
    /// Go on until the operation has ended.
    #[arg(short, long)]
    pub follow: bool,
}

impl Log {
    /// Does it.
    pub async fn run(self, console: &Console) -> Result<()> {
        let mut after = 0;
        loop {
            let running = console
                .client
                .get::<OperationDetail>(&format!("/operations/{}", self.id))
                .await?
                .operation
                .is_running();
            let page: Page<LogChunk> =
                console.client.find(&format!("/operations/{}/log", self.id), &[("after", after)]).await?;
            after = page.items.last().map_or(after, |chunk| chunk.position);
            for chunk in &page.items {
                if console.format == Format::Table {
                    std::io::stdout().write_all(chunk.text.as_bytes())?;
                } else {
                    println!("{}", serde_json::to_string(chunk)?);
                }
            }
            std::io::stdout().flush()?;
            if page.items.is_empty() {
                if !self.follow || !running {
                    return Ok(());
                }
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        }
    }
}
