//! `rackwright event follow`

use crate::client::ClientError;
use crate::console::{Console, Format, print};
use anyhow::Result;
use futures_util::StreamExt;
use rackwright_common::MachineId;
use rackwright_region::model::event::{Event, EventQuery};
use reqwest::Method;
use std::time::Duration;

/// Print events as they happen, until interrupted.
#[derive(Debug, clap::Args)]
pub struct Follow {
    /// About this machine.
    #[arg(long)]
    machine: Option<MachineId>,
    /// Under this operation.
    #[arg(long)]
    operation: Option<i64>,
    /// Those after this number first.
    #[arg(long)]
    after: Option<i64>,
}

impl Follow {
    /// Goes on at the last event after a lost connection, so that nothing is lost or told twice.
    pub async fn run(mut self, console: &Console) -> Result<()> {
        let mut connected = false;
        loop {
            match self.read(console, &mut connected).await {
                Err(error) if connected && is_loss(&error) => {}
                Err(error) => return Err(error),
                Ok(()) => {}
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    async fn read(&mut self, console: &Console, connected: &mut bool) -> Result<()> {
        let query = EventQuery {
            machine: self.machine.clone(),
            operation: self.operation,
            after: self.after,
            ..EventQuery::default()
        };
        let request = console.client.request(Method::GET, "/events/stream").query(&query);
        let mut stream = console.client.open(request).await?.bytes_stream();
        *connected = true;
        let mut text = Vec::new();
        while let Some(Ok(bytes)) = stream.next().await {
            text.extend_from_slice(&bytes);
            while let Some(end) = text.iter().position(|b| *b == b'\n') {
                let line: Vec<u8> = text.drain(..=end).collect();
                let Some(data) = line.strip_prefix(b"data: ") else { continue };
                let event: Event = serde_json::from_slice(data)?;
                self.after = Some(event.id);
                match console.format {
                    Format::Table => print(&super::line(&event))?,
                    Format::Json => print(&serde_json::to_string(&event)?)?,
                    Format::Yaml => print(&format!("---\n{}", serde_yaml_ng::to_string(&event)?))?,
                }
            }
        }
        Ok(())
    }
}

fn is_loss(error: &anyhow::Error) -> bool {
    match error.downcast_ref::<ClientError>() {
        Some(ClientError::Unreachable { .. }) => true,
        Some(ClientError::Problem { status, .. }) => *status >= 500,
        Some(ClientError::Untrusted { .. }) | None => false,
    }
}
