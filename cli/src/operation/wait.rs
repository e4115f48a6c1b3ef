//! `rackwright operation wait`, and `--wait` of the commands that begin one.

use super::show;
use crate::client::ClientError;
use crate::console::{Console, Format};
use anyhow::{Result, bail};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use rackwright_common::OperationId;
use rackwright_common::bmc::BmcOutcome;
use rackwright_region::model::operation::{Operation, OperationDetail};
use reqwest::Method;
use std::time::{Duration, Instant};

/// How long a region may be away while we wait; another one, or the same again, goes on with the operation.
const PATIENCE: Duration = Duration::from_secs(120);

/// Wait until an operation has ended.
#[derive(Debug, clap::Args)]
pub struct Wait {
    /// Its number.
    id: i64,
    /// Give up after this many seconds.
    #[arg(long)]
    timeout: Option<u64>,
}

impl Wait {
    /// Does it.
    pub async fn run(self, console: &Console) -> Result<()> {
        let ended = follow(console, OperationId(self.id), self.timeout.map(Duration::from_secs)).await?;
        console.show(&ended, show::text)?;
        verdict(&ended)
    }
}

/// What a command that begins an operation does with it.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct WaitOptions {
    /// Wait until it is done; fails if it fails.
    #[arg(short, long)]
    pub wait: bool,
    /// Give up waiting after this many seconds; the operation goes on.
    #[arg(long, requires = "wait")]
    pub timeout: Option<u64>,
}

impl WaitOptions {
    /// Tells of an operation that has begun, and waits for it when that was asked.
    pub async fn conclude(self, console: &Console, begun: Operation) -> Result<()> {
        self.conclude_as(console, begun, "done").await
    }

    /// As [`Self::conclude`], for an operation that shall end with the status `wanted`.
    pub async fn conclude_as(self, console: &Console, begun: Operation, wanted: &str) -> Result<()> {
        if !self.wait {
            return console.show(&begun, |o| {
                format!(
                    "Operation {} ({} of {}) is under way; `rackwright operation wait {}` waits for it",
                    o.id, o.kind, o.hostname, o.id
                )
            });
        }
        let ended = follow(console, begun.id, self.timeout.map(Duration::from_secs)).await?;
        if console.format != Format::Table {
            console.show(&ended, |_| String::new())?;
        }
        if ended.operation.status != wanted {
            verdict(&ended)?;
        }
        let power = match &ended.result {
            Some(BmcOutcome::Power { state }) => format!("; the BMC says it is {}", state.as_str()),
            _ => String::new(),
        };
        console.done(&format!("{} of {}: {}{power}", begun.kind, begun.hostname, ended.operation.status))
    }
}

/// Waits for the end of an operation that must succeed, without a word for programs.
pub async fn finish(console: &Console, begun: &Operation) -> Result<()> {
    verdict(&follow(console, begun.id, None).await?)
}

fn verdict(ended: &OperationDetail) -> Result<()> {
    let o = &ended.operation;
    match o.status.as_str() {
        "done" => Ok(()),
        "aborted" => bail!("{} of {} was aborted", o.kind, o.hostname),
        _ => bail!(
            "{} of {} failed: {}",
            o.kind,
            o.hostname,
            o.error.as_deref().unwrap_or("no reason was kept")
        ),
    }
}

fn bar(console: &Console) -> ProgressBar {
    let bar = ProgressBar::new(100);
    if !console.is_watched() {
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
    if let Ok(style) =
        ProgressStyle::with_template("{spinner} {prefix} {bar:30} {percent:>3} % {elapsed} {wide_msg}")
    {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// Waits for the end, drawing how far it is.
async fn follow(console: &Console, id: OperationId, timeout: Option<Duration>) -> Result<OperationDetail> {
    let bar = bar(console);
    let until = timeout.map(|t| Instant::now() + t);
    let mut heard = Instant::now();
    loop {
        // Sent once: what to do without an answer is decided here, and shown in the bar.
        let request = console.client.request(Method::GET, &format!("/operations/{id}?wait=2"));
        match console.client.send::<OperationDetail>(request).await {
            Ok(detail) => {
                heard = Instant::now();
                draw(&bar, &detail);
                if !detail.operation.is_running() {
                    bar.finish_and_clear();
                    return Ok(detail);
                }
            }
            Err(error) if is_passing(&error) && heard.elapsed() < PATIENCE => {
                bar.set_message("no region answers; trying again");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            Err(error) => return Err(error),
        }
        if until.is_some_and(|u| Instant::now() > u) {
            bar.finish_and_clear();
            bail!("operation {id} is still running; stopped waiting for it");
        }
    }
}

/// The region is away for a moment: no answer, or its database is.
fn is_passing(error: &anyhow::Error) -> bool {
    match error.downcast_ref::<ClientError>() {
        Some(ClientError::Unreachable { .. }) => true,
        Some(ClientError::Problem { status, .. }) => *status >= 500,
        Some(ClientError::Untrusted { .. }) | None => false,
    }
}

fn draw(bar: &ProgressBar, detail: &OperationDetail) {
    let o = &detail.operation;
    bar.set_prefix(format!("{} {}", o.kind, o.hostname));
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0..=100")]
    bar.set_position(o.percent.unwrap_or(0.0).clamp(0.0, 100.0) as u64);
    let working = detail.items.iter().find(|item| item.status == "given");
    let message = match working {
        Some(item) if item.message.is_empty() => item.subject.clone().unwrap_or_else(|| item.kind.clone()),
        Some(item) => item.message.clone(),
        None if o.message.is_empty() => o.step.clone(),
        None => o.message.clone(),
    };
    bar.set_message(message);
}
