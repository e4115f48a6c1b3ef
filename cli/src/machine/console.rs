//! `rackwright machine console`

use super::Which;
use crate::client::is_loss;
use crate::console::{Console, Format};
use anyhow::Result;
use futures_util::StreamExt;
use rackwright_region::model::console::{ConsoleAfter, ConsolePiece, ConsoleQuery, ConsoleTail};
use reqwest::Method;
use std::io::Write;
use std::time::Duration;

/// Print what a machine wrote to its serial console while it was recorded: that is while an operation works on it, through
/// an IPMI BMC with serial over LAN.
#[derive(Debug, clap::Args)]
pub struct ShowConsole {
    #[command(flatten)]
    which: Which,
    /// Go on as it writes, until interrupted.
    #[arg(short, long)]
    follow: bool,
    /// At most so many bytes of what is there, as the machine wrote them.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(1..=262_144))]
    bytes: Option<i64>,
}

impl ShowConsole {
    /// Does it.
    pub async fn run(self, console: &Console) -> Result<()> {
        let path = format!("{}/console", self.which.path(console).await?);
        let tail: ConsoleTail = console.client.find(&path, &ConsoleQuery { bytes: self.bytes }).await?;
        if !self.follow && console.format != Format::Table {
            return console.show(&tail, |tail| tail.text(false));
        }
        let mut shown = Shown { format: console.format, in_line: false };
        for piece in &tail.pieces {
            shown.piece(piece)?;
        }
        if !self.follow {
            return shown.end(tail.pieces.is_empty());
        }
        let mut after = tail.position;
        loop {
            // A region that dies is followed by another, from the last position that was read.
            match read(console, &path, &mut after, &mut shown).await {
                Err(error) if !is_loss(&error) => return Err(error),
                Ok(()) | Err(_) => tokio::time::sleep(Duration::from_secs(1)).await,
            }
        }
    }
}

async fn read(console: &Console, path: &str, after: &mut i64, shown: &mut Shown) -> Result<()> {
    let query = ConsoleAfter { after: Some(*after) };
    let request = console.client.request(Method::GET, &format!("{path}/stream")).query(&query);
    let mut stream = console.client.open(request).await?.bytes_stream();
    let mut text = Vec::new();
    while let Some(Ok(bytes)) = stream.next().await {
        text.extend_from_slice(&bytes);
        while let Some(end) = text.iter().position(|b| *b == b'\n') {
            let line: Vec<u8> = text.drain(..=end).collect();
            let Some(data) = line.strip_prefix(b"data: ") else { continue };
            let piece: ConsolePiece = serde_json::from_slice(data)?;
            *after = piece.position;
            shown.piece(&piece)?;
        }
    }
    Ok(())
}

/// What is on the screen so far.
struct Shown {
    format: Format,
    /// The last line has not ended.
    in_line: bool,
}

impl Shown {
    fn piece(&mut self, piece: &ConsolePiece) -> Result<()> {
        let mut out = std::io::stdout().lock();
        match self.format {
            Format::Table => {
                let text = piece.shown(self.in_line);
                self.in_line = if text.is_empty() { self.in_line } else { !text.ends_with('\n') };
                out.write_all(text.as_bytes())?;
            }
            Format::Json => writeln!(out, "{}", serde_json::to_string(piece)?)?,
            Format::Yaml => write!(out, "---\n{}", serde_yaml_ng::to_string(piece)?)?,
        }
        Ok(out.flush()?)
    }

    fn end(&self, is_empty: bool) -> Result<()> {
        if is_empty {
            eprintln!(
                "Nothing is recorded. Consoles are recorded while an operation works on the machine, through an IPMI BMC with \
                 serial over LAN; `rackwright event list --machine` tells of trouble with it."
            );
        } else if self.in_line {
            println!();
        }
        Ok(())
    }
}
