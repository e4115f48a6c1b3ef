//! `rackwright subnet …`

use crate::console::{Console, dash};
use anyhow::Result;
use ipnet::IpNet;
use rackwright_region::model::Page;
use rackwright_region::model::network::{NewSubnet, Subnet, Utilisation};
use std::net::IpAddr;

/// What is said of a subnet.
#[derive(Debug, clap::Args)]
pub struct Fields {
    /// Number of its VLAN.
    #[arg(long)]
    vlan: Option<i64>,
    /// Its name; the network when absent.
    #[arg(long)]
    name: Option<String>,
    /// Default route of its machines.
    #[arg(long)]
    gateway: Option<IpAddr>,
    /// Name server of its machines; may be given several times.
    #[arg(long = "dns-server")]
    dns_servers: Vec<IpAddr>,
    /// Domain name of its machines.
    #[arg(long)]
    domain: Option<String>,
    /// Lease time of dynamic addresses, seconds.
    #[arg(long)]
    lease_seconds: Option<i32>,
}

/// What can be done with subnets.
#[derive(Debug, clap::Subcommand)]
pub enum SubnetCommand {
    /// List subnets.
    List,
    /// Make one.
    Create {
        /// The network, such as 10.77.0.0/24.
        cidr: IpNet,
        #[command(flatten)]
        fields: Fields,
    },
    /// Change one; what is not named stays.
    Set {
        /// Its number.
        id: i64,
        #[command(flatten)]
        fields: Fields,
    },
    /// Show how its addresses are used.
    Show {
        /// Its number.
        id: i64,
    },
    /// Remove one with its ranges and reservations.
    Delete {
        /// Its number.
        id: i64,
    },
}

impl SubnetCommand {
    /// Does it.
    pub async fn run(self, console: &Console) -> Result<()> {
        let client = &console.client;
        let subnets: Vec<Subnet> = match self {
            Self::List => client.get::<Page<Subnet>>("/subnets").await?.items,
            Self::Create { cidr, fields } => {
                let start = NewSubnet {
                    vlan: 0,
                    name: String::new(),
                    cidr,
                    gateway: None,
                    dns_servers: Vec::new(),
                    domain: None,
                    lease_seconds: 600,
                };
                vec![client.post("/subnets", &fields.over(start)).await?]
            }
            Self::Set { id, fields } => {
                let path = format!("/subnets/{id}");
                let old: Subnet = client.get(&path).await?;
                let start = NewSubnet {
                    vlan: old.vlan,
                    name: old.name,
                    cidr: old.cidr,
                    gateway: old.gateway,
                    dns_servers: old.dns_servers,
                    domain: old.domain,
                    lease_seconds: old.lease_seconds,
                };
                vec![client.put(&path, &fields.over(start)).await?]
            }
            Self::Show { id } => return show(console, id).await,
            Self::Delete { id } => {
                client.delete(&format!("/subnets/{id}")).await?;
                return console.done(&format!("The subnet {id} was removed"));
            }
        };
        console.list(&subnets, &["ID", "VLAN", "NETWORK", "NAME", "GATEWAY", "DNS", "DOMAIN"], |s| {
            let dns: Vec<_> = s.dns_servers.iter().map(IpAddr::to_string).collect();
            vec![
                s.id.to_string(),
                s.vlan.to_string(),
                s.cidr.to_string(),
                s.name.clone(),
                dash(s.gateway),
                if dns.is_empty() { "rack".into() } else { dns.join(",") },
                dash(s.domain.as_ref()),
            ]
        })
    }
}

impl Fields {
    /// What was named, over what there was.
    fn over(self, old: NewSubnet) -> NewSubnet {
        NewSubnet {
            vlan: self.vlan.unwrap_or(old.vlan),
            name: self.name.unwrap_or(old.name),
            cidr: old.cidr,
            gateway: self.gateway.or(old.gateway),
            dns_servers: if self.dns_servers.is_empty() { old.dns_servers } else { self.dns_servers },
            domain: self.domain.or(old.domain),
            lease_seconds: self.lease_seconds.unwrap_or(old.lease_seconds),
        }
    }
}

async fn show(console: &Console, id: i64) -> Result<()> {
    let subnet: Subnet = console.client.get(&format!("/subnets/{id}")).await?;
    let used: Utilisation = console.client.get(&format!("/subnets/{id}/utilisation")).await?;
    console.show(&used, |u| {
        format!(
            "{} ({})\n  Addresses     {}\n  Dynamic       {}, {} leased\n  Reserved      {}\n  Machines      {}\n  \
             Reservations  {}\n  Free          {}",
            subnet.cidr, subnet.name, u.addresses, u.dynamic, u.leased, u.reserved, u.machines, u.reservations, u.free
        )
    })
}
