//! `rackwright audit …`

use crate::console::{Console, Format, print};
use anyhow::{Result, bail};
use rackwright_region::model::Page;
use rackwright_region::model::audit::{AuditEntry, AuditQuery, Mark, Walk};
use serde_json::Value;

/// What can be done with the audit.
#[derive(Debug, clap::Subcommand)]
pub enum AuditCommand {
    /// List what people did, oldest first.
    List {
        /// By this user.
        #[arg(long)]
        actor: Option<String>,
        /// At most so many, the latest.
        #[arg(long, default_value_t = 50)]
        limit: i64,
    },
    /// Check that no entry was changed, removed or put in. Prints a mark to note elsewhere.
    Verify {
        /// A mark that was noted before: the entry is still there, and the same.
        #[arg(long, value_name = "NUMBER:HASH")]
        mark: Vec<Mark>,
    },
}

impl AuditCommand {
    /// Does it.
    pub async fn run(self, console: &Console) -> Result<()> {
        match self {
            Self::List { actor, limit } => list(console, actor, limit).await,
            Self::Verify { mark } => verify(console, &mark).await,
        }
    }
}

async fn list(console: &Console, actor: Option<String>, limit: i64) -> Result<()> {
    let query = AuditQuery { actor, limit: Some(limit), ..AuditQuery::default() };
    let mut page: Page<AuditEntry> = console.client.find("/audit", &query).await?;
    page.items.reverse();
    if console.format != Format::Table {
        return console.show(&page.items, |_| String::new());
    }
    page.items.iter().try_for_each(|entry| print(&line(entry)))
}

fn line(entry: &AuditEntry) -> String {
    let record: Value = serde_json::from_str(&entry.record).unwrap_or_default();
    let text = |name: &str| record[name].as_str().unwrap_or_default();
    let from = if text("from").is_empty() { String::new() } else { format!(" from {}", text("from")) };
    let machine = if text("machine").is_empty() { String::new() } else { format!(" [{}]", text("machine")) };
    format!("{:>6} {} {}{from}{machine} {}", entry.number, text("at"), text("actor"), text("message"))
}

async fn verify(console: &Console, marks: &[Mark]) -> Result<()> {
    let (mut walk, mut open) = (Walk::default(), marks.to_vec());
    loop {
        let query =
            AuditQuery { after: Some(walk.mark().number), limit: Some(1000), ..AuditQuery::default() };
        let page: Page<AuditEntry> = console.client.find("/audit", &query).await?;
        if page.items.is_empty() {
            break;
        }
        for entry in &page.items {
            if let Err(broken) = walk.step(entry) {
                bail!("the audit is broken: {broken}");
            }
            let here = walk.mark();
            if let Some(at) = open.iter().position(|mark| mark.number == here.number)
                && open.swap_remove(at) != here
            {
                bail!(
                    "the audit is not the one that the mark was taken of: entry {} is another one",
                    here.number
                );
            }
        }
    }
    if let Some(mark) = open.iter().find(|mark| mark.number > 0) {
        bail!(
            "the audit was cut: it ends at entry {}, and the mark was taken at {}",
            walk.mark().number,
            mark.number
        );
    }
    let mark = walk.mark();
    console.done(&format!("{} entries, none changed, removed or put in. Mark: {mark}", mark.number))
}
