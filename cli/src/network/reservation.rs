//! `rackwright reservation …`

use crate::console::{Console, dash};
use anyhow::Result;
use rackwright_common::dhcp_option::DhcpOption;
use rackwright_common::{Hostname, Mac};
use rackwright_region::model::Page;
use rackwright_region::model::network::{NewReservation, Reservation, SubnetQuery};
use std::net::IpAddr;

/// What can be done with reservations.
#[derive(Debug, clap::Subcommand)]
pub enum ReservationCommand {
    /// List reservations.
    List {
        /// Of this subnet.
        #[arg(long)]
        subnet: Option<i64>,
    },
    /// Reserve an address for a MAC.
    Create {
        /// Hardware address.
        mac: Mac,
        /// The address it shall get.
        address: IpAddr,
        /// Name told to the client.
        #[arg(long)]
        hostname: Option<Hostname>,
        /// For people.
        #[arg(long, default_value = "")]
        comment: String,
        /// A DHCP option for this client, as NAME=VALUE or CODE:TYPE=VALUE; may be given several times.
        #[arg(long = "dhcp-option")]
        dhcp_options: Vec<DhcpOption>,
    },
    /// Remove one.
    Delete {
        /// Its number.
        id: i64,
    },
}

impl ReservationCommand {
    /// Does it.
    pub async fn run(self, console: &Console) -> Result<()> {
        let client = &console.client;
        let reservations: Vec<Reservation> = match self {
            Self::List { subnet } => {
                client.find::<Page<Reservation>>("/reservations", &SubnetQuery { subnet }).await?.items
            }
            Self::Create { mac, address, hostname, comment, dhcp_options } => {
                let new = NewReservation { mac, address, hostname, comment, dhcp_options };
                vec![client.post("/reservations", &new).await?]
            }
            Self::Delete { id } => {
                client.delete(&format!("/reservations/{id}")).await?;
                return console.done(&format!("The reservation {id} was removed"));
            }
        };
        console.list(&reservations, &["ID", "SUBNET", "ADDRESS", "MAC", "NAME"], |r| {
            vec![
                r.id.to_string(),
                r.subnet.to_string(),
                r.address.to_string(),
                r.mac.to_string(),
                dash(r.hostname.as_ref()),
            ]
        })
    }
}
