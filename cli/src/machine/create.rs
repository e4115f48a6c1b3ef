//! `rackwright machine create`

use super::bmc::BmcOptions;
use super::datasheet;
use crate::console::Console;
use anyhow::Result;
use rackwright_common::{Hostname, Mac};
use rackwright_region::model::machine::{Machine, NewMachine};

/// Enter a machine by hand, before it has booted.
#[derive(Debug, clap::Args)]
pub struct Create {
    /// Name; made up when absent.
    #[arg(long)]
    hostname: Option<Hostname>,
    /// Hardware address of an interface; the first is the one it boots from.
    #[arg(long = "mac", required = true)]
    macs: Vec<Mac>,
    /// For people.
    #[arg(long, default_value = "")]
    description: String,
    /// Resource pool.
    #[arg(long)]
    pool: Option<String>,
    /// Zone.
    #[arg(long)]
    zone: Option<String>,
    /// Free word; may be given several times.
    #[arg(long = "tag")]
    tags: Vec<String>,
    /// `x86_64` or `aarch64`.
    #[arg(long)]
    architecture: Option<String>,
    #[command(flatten)]
    bmc: BmcOptions,
    /// Commission it at once.
    #[arg(long)]
    commission: bool,
}

impl Create {
    /// Does it.
    pub async fn run(self, console: &Console) -> Result<()> {
        let new = NewMachine {
            hostname: self.hostname,
            description: self.description,
            macs: self.macs,
            bmc: self.bmc.build()?,
            pool: self.pool,
            zone: self.zone,
            tags: self.tags,
            architecture: self.architecture,
            commission: self.commission,
        };
        let machine: Machine = console.client.post("/machines", &new).await?;
        console.show(&machine, datasheet::text)
    }
}
