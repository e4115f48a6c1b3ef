//! `rackwright machine sel`, `sensors`, `fru`: what the BMC knows, asked for now.

use super::Which;
use crate::console::{Console, Format, dash, print};
use crate::operation::wait;
use anyhow::{Context, Result, bail};
use rackwright_common::bmc::{BmcAction, BmcOutcome};
use rackwright_region::model::action::PowerRequest;
use serde_json::json;

/// Asks the BMC behind a machine's path.
pub(super) async fn ask(console: &Console, path: &str, reading: &str) -> Result<BmcOutcome> {
    console.client.get(&format!("{path}/bmc/{reading}")).await
}

/// Read the system event log of a machine's BMC: its newest 200 entries, oldest first.
#[derive(Debug, clap::Args)]
pub struct Sel {
    #[command(flatten)]
    which: Which,
    /// Erase the log, after it was printed. What is added between reading and erasing is lost unread.
    #[arg(long)]
    clear: bool,
}

impl Sel {
    /// Does it.
    pub async fn run(self, console: &Console) -> Result<()> {
        let path = self.which.path(console).await?;
        let BmcOutcome::EventLog { entries } = ask(console, &path, "event-log").await? else {
            bail!("the BMC answered something else than its event log");
        };
        if console.format != Format::Table {
            console.show(&entries, |_| String::new())?;
        } else if entries.is_empty() {
            print("The event log is empty")?;
        } else {
            print(&entries.join("\n"))?;
        }
        if self.clear {
            let request = PowerRequest { action: BmcAction::ClearEventLog };
            let begun = console.client.post(&format!("{path}/power"), &request).await?;
            wait::finish(console, &begun).await.context("the log was read, and not erased")?;
            console.done("The event log was erased")?;
        }
        Ok(())
    }
}

/// Read the sensors of a machine's BMC.
#[derive(Debug, clap::Args)]
pub struct Sensors {
    #[command(flatten)]
    which: Which,
}

impl Sensors {
    /// Does it.
    pub async fn run(self, console: &Console) -> Result<()> {
        let path = self.which.path(console).await?;
        let BmcOutcome::Sensors { readings } = ask(console, &path, "sensors").await? else {
            bail!("the BMC answered something else than its sensors");
        };
        console.list(&readings, &["SENSOR", "VALUE", "UNIT"], |r| {
            vec![r.name.clone(), dash(r.value.map(rounded)), r.unit.clone()]
        })
    }
}

/// At most two decimals, none that are zero.
fn rounded(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Read the inventory (FRU) of a machine's BMC.
#[derive(Debug, clap::Args)]
pub struct Fru {
    #[command(flatten)]
    which: Which,
}

impl Fru {
    /// Does it.
    pub async fn run(self, console: &Console) -> Result<()> {
        let path = self.which.path(console).await?;
        let BmcOutcome::Fru { fields } = ask(console, &path, "fru").await? else {
            bail!("the BMC answered something else than its inventory");
        };
        if console.format == Format::Table {
            return console
                .list(&fields, &["FIELD", "VALUE"], |(name, value)| vec![name.clone(), value.clone()]);
        }
        let named: Vec<_> =
            fields.iter().map(|(name, value)| json!({ "field": name, "value": value })).collect();
        console.show(&named, |_| String::new())
    }
}

#[cfg(test)]
mod tests {
    use super::rounded;

    #[test]
    fn values_are_short() {
        assert_eq!([42.0, 12.06, 0.125, 4800.0, -3.5].map(rounded), ["42", "12.06", "0.12", "4800", "-3.5"]);
    }
}
