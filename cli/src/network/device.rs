//! `rackwright device …`

use crate::console::Console;
use anyhow::{Context, Result};
use rackwright_common::Hostname;
use rackwright_region::model::Page;
use rackwright_region::model::device::{Device, DeviceAddress, NewDevice};

/// What can be done with devices.
#[derive(Debug, clap::Subcommand)]
pub enum DeviceCommand {
    /// List devices.
    List,
    /// Enter one.
    Create {
        /// Its name in the DNS.
        hostname: Hostname,
        /// One of its addresses, as MAC=ADDRESS; may be given several times.
        #[arg(long = "address", value_parser = address)]
        addresses: Vec<DeviceAddress>,
        /// For people.
        #[arg(long, default_value = "")]
        description: String,
    },
    /// Change one; what is not named stays.
    Set {
        /// Its number.
        id: i64,
        /// Its name in the DNS.
        #[arg(long)]
        hostname: Option<Hostname>,
        /// All its addresses, as MAC=ADDRESS; may be given several times.
        #[arg(long = "address", value_parser = address)]
        addresses: Vec<DeviceAddress>,
        /// None any more.
        #[arg(long, conflicts_with = "addresses")]
        no_addresses: bool,
        /// For people.
        #[arg(long)]
        description: Option<String>,
    },
    /// Remove one.
    Delete {
        /// Its number.
        id: i64,
    },
}

fn address(text: &str) -> Result<DeviceAddress> {
    let (mac, address) = text.split_once('=').context("write MAC=ADDRESS")?;
    Ok(DeviceAddress { mac: mac.parse()?, address: address.parse()? })
}

impl DeviceCommand {
    /// Does it.
    pub async fn run(self, console: &Console) -> Result<()> {
        let client = &console.client;
        let devices: Vec<Device> = match self {
            Self::List => client.get::<Page<Device>>("/devices").await?.items,
            Self::Create { hostname, addresses, description } => {
                vec![client.post("/devices", &NewDevice { hostname, description, addresses }).await?]
            }
            Self::Set { id, hostname, addresses, no_addresses, description } => {
                let path = format!("/devices/{id}");
                let old: Device = client.get(&path).await?;
                let new = NewDevice {
                    hostname: hostname.unwrap_or(old.hostname),
                    description: description.unwrap_or(old.description),
                    addresses: if addresses.is_empty() && !no_addresses { old.addresses } else { addresses },
                };
                vec![client.put(&path, &new).await?]
            }
            Self::Delete { id } => {
                client.delete(&format!("/devices/{id}")).await?;
                return console.done(&format!("The device {id} was removed"));
            }
        };
        console.list(&devices, &["ID", "NAME", "ADDRESSES", "DESCRIPTION"], |d| {
            let addresses: Vec<String> =
                d.addresses.iter().map(|a| format!("{} ({})", a.address, a.mac)).collect();
            vec![d.id.to_string(), d.hostname.to_string(), addresses.join(", "), d.description.clone()]
        })
    }
}
