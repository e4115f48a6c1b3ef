//! `rackwright discovery …` and `rackwright wiring`

use crate::console::{Console, dash};
use anyhow::Result;
use rackwright_common::{Hostname, MachineId};
use rackwright_region::model::Page;
use rackwright_region::model::discovery::{
    Adoption, Discovery, DiscoveryQuery, Whether, WiringFault, WiringQuery,
};
use rackwright_region::model::machine::Machine;
use rackwright_region::model::network::Reservation;

/// What can be done with who was heard.
#[derive(Debug, clap::Subcommand)]
pub enum DiscoveryCommand {
    /// List who was heard on the networks of machines and nobody has modelled.
    List {
        /// Those too that the model knows or that are ignored.
        #[arg(long)]
        all: bool,
        /// With an address of this subnet.
        #[arg(long)]
        subnet: Option<i64>,
        /// At most this many.
        #[arg(long, default_value_t = 1000)]
        limit: i64,
    },
    /// Enter one as a machine.
    Machine {
        /// Its number.
        id: i64,
        /// Name; what it calls itself when absent.
        #[arg(long)]
        hostname: Option<Hostname>,
        /// Commission it at once.
        #[arg(long)]
        commission: bool,
    },
    /// Reserve the address that one has for it.
    Reserve {
        /// Its number.
        id: i64,
        /// Name; what it calls itself when absent.
        #[arg(long)]
        hostname: Option<Hostname>,
    },
    /// Do not list this MAC any more.
    Ignore {
        /// Its number.
        id: i64,
    },
    /// List it again.
    Heed {
        /// Its number.
        id: i64,
    },
    /// Let racks ask every address of a subnet who has it, once an hour; `--off` stops it.
    Scan {
        /// The subnet's number.
        subnet: i64,
        /// Not any more.
        #[arg(long)]
        off: bool,
    },
}

impl DiscoveryCommand {
    /// Does it.
    pub async fn run(self, console: &Console) -> Result<()> {
        let client = &console.client;
        match self {
            Self::List { all, subnet, limit } => {
                let query = DiscoveryQuery { all, subnet, limit: Some(limit), cursor: None };
                list(console, &client.find::<Page<Discovery>>("/discoveries", &query).await?.items)
            }
            Self::Machine { id, hostname, commission } => {
                let adoption = Adoption { hostname, commission };
                let made: Machine = client.post(&format!("/discoveries/{id}/machine"), &adoption).await?;
                console
                    .done(&format!("It is the machine {} ({}) now", made.summary.hostname, made.summary.id))
            }
            Self::Reserve { id, hostname } => {
                let adoption = Adoption { hostname, commission: false };
                let made: Reservation =
                    client.post(&format!("/discoveries/{id}/reservation"), &adoption).await?;
                console.done(&format!("{} is reserved for {}", made.address, made.mac))
            }
            Self::Ignore { id } => ignore(console, id, true).await,
            Self::Heed { id } => ignore(console, id, false).await,
            Self::Scan { subnet, off } => {
                let () = client.put(&format!("/subnets/{subnet}/scan"), &Whether { on: !off }).await?;
                console.done(if off {
                    "The subnet is not scanned any more"
                } else {
                    "The subnet is scanned from now on"
                })
            }
        }
    }
}

async fn ignore(console: &Console, id: i64, on: bool) -> Result<()> {
    let () = console.client.put(&format!("/discoveries/{id}/ignored"), &Whether { on }).await?;
    console.done(if on { "It is ignored from now on" } else { "It is listed from now on" })
}

fn list(console: &Console, found: &[Discovery]) -> Result<()> {
    console.list(
        found,
        &["ID", "MAC", "VENDOR", "ADDRESS", "NAME", "KNOWN", "SEEN BY", "FIRST", "LAST"],
        |d| {
            let lldp = d
                .lldp
                .as_ref()
                .map(|l| format!("{} port {}", l.system.as_ref().unwrap_or(&l.chassis), l.port));
            vec![
                d.id.to_string(),
                d.mac.to_string(),
                dash(d.vendor.as_ref()),
                dash(d.address.as_ref()),
                dash(d.machine_name.as_ref().or(d.hostname.as_ref()).or(lldp.as_ref())),
                d.known.as_str().to_owned(),
                format!("{} {}", d.rack, d.interface),
                d.first_seen_at.to_string(),
                d.last_seen_at.to_string(),
            ]
        },
    )
}

/// List interfaces that are elsewhere than the model says.
#[derive(Debug, clap::Args)]
pub struct WiringCommand {
    /// Of this machine.
    #[arg(long)]
    machine: Option<MachineId>,
}

impl WiringCommand {
    /// Does it.
    pub async fn run(self, console: &Console) -> Result<()> {
        let query = WiringQuery { machine: self.machine };
        let page: Page<WiringFault> = console.client.find("/wiring-faults", &query).await?;
        console.list(&page.items, &["OF", "INTERFACE", "SWITCH", "PORT", "SEEN", "MODEL", "SINCE"], |f| {
            vec![
                f.name.clone(),
                f.interface.clone(),
                f.switch.clone(),
                f.port.clone(),
                f.seen_vid.to_string(),
                f.model_vid.to_string(),
                f.since.to_string(),
            ]
        })
    }
}
