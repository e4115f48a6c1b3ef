//! `rackwright static-route …`

use crate::console::Console;
use anyhow::Result;
use ipnet::IpNet;
use rackwright_region::model::Page;
use rackwright_region::model::network::SubnetQuery;
use rackwright_region::model::static_route::{NewStaticRoute, StaticRoute};
use std::net::IpAddr;

/// What can be done with static routes.
#[derive(Debug, clap::Subcommand)]
pub enum StaticRouteCommand {
    /// List routes.
    List {
        /// From this subnet.
        #[arg(long)]
        subnet: Option<i64>,
    },
    /// Make one; machines get it when they are deployed, DHCP clients with their next lease.
    Create {
        /// Number of the subnet whose machines have it.
        #[arg(long)]
        subnet: i64,
        /// Where to, such as 10.200.0.0/16.
        destination: IpNet,
        /// By way of; an address in the subnet.
        gateway: IpAddr,
        /// Among routes to one destination the lowest is taken.
        #[arg(long, default_value_t = 0)]
        metric: i32,
    },
    /// Remove one.
    Delete {
        /// Its number.
        id: i64,
    },
}

impl StaticRouteCommand {
    /// Does it.
    pub async fn run(self, console: &Console) -> Result<()> {
        let client = &console.client;
        let routes: Vec<StaticRoute> = match self {
            Self::List { subnet } => {
                client.find::<Page<StaticRoute>>("/static-routes", &SubnetQuery { subnet }).await?.items
            }
            Self::Create { subnet, destination, gateway, metric } => {
                let new = NewStaticRoute { subnet, destination, gateway, metric };
                vec![client.post("/static-routes", &new).await?]
            }
            Self::Delete { id } => {
                client.delete(&format!("/static-routes/{id}")).await?;
                return console.done(&format!("The route {id} was removed"));
            }
        };
        console.list(&routes, &["ID", "SUBNET", "DESTINATION", "GATEWAY", "METRIC"], |r| {
            vec![
                r.id.to_string(),
                r.subnet.to_string(),
                r.destination.to_string(),
                r.gateway.to_string(),
                r.metric.to_string(),
            ]
        })
    }
}
