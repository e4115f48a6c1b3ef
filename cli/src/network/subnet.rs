//! `rackwright subnet …`

use crate::console::{Console, dash};
use anyhow::Result;
use ipnet::IpNet;
use rackwright_common::dhcp_option::DhcpOption;
use rackwright_region::model::Page;
use rackwright_region::model::network::{
    BootArchitecture, IpRange, NewSubnet, ReverseDns, Subnet, SubnetQuery, Utilisation,
};
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
    /// No default route.
    #[arg(long, conflicts_with = "gateway")]
    no_gateway: bool,
    /// Name server of its machines; may be given several times.
    #[arg(long = "dns-server")]
    dns_servers: Vec<IpAddr>,
    /// No name servers of its own: the racks are.
    #[arg(long, conflicts_with = "dns_servers")]
    no_dns_servers: bool,
    /// Domain name of its machines.
    #[arg(long)]
    domain: Option<String>,
    /// No domain of its own.
    #[arg(long, conflicts_with = "domain")]
    no_domain: bool,
    /// Lease time of dynamic addresses, seconds.
    #[arg(long)]
    lease_seconds: Option<i32>,
    /// Whether addresses are given from all of it; otherwise only from its reserved ranges.
    #[arg(long)]
    managed: Option<bool>,
    /// How its addresses get names.
    #[arg(long, value_parser = ["off", "on", "rfc2317"])]
    reverse_dns: Option<String>,
    /// Firmware that may boot here, separated by commas: bios, uefi-x64, uefi-arm64, http-x64, http-arm64, u-boot;
    /// `all` or `none`.
    #[arg(long)]
    boot_architectures: Option<String>,
    /// A DHCP option for its clients, as NAME=VALUE or CODE:TYPE=VALUE; may be given several times, and replaces all.
    #[arg(long = "dhcp-option")]
    dhcp_options: Vec<DhcpOption>,
    /// No DHCP options.
    #[arg(long, conflicts_with = "dhcp_options")]
    no_dhcp_options: bool,
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
        /// Another network, which has to hold what is in it.
        #[arg(long)]
        cidr: Option<IpNet>,
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
        /// Also while addresses of it are leased, or devices have some.
        #[arg(long)]
        force: bool,
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
                    managed: true,
                    reverse_dns: ReverseDns::default(),
                    boot_architectures: None,
                    dhcp_options: Vec::new(),
                };
                vec![client.post("/subnets", &fields.over(start)?).await?]
            }
            Self::Set { id, cidr, fields } => {
                let path = format!("/subnets/{id}");
                let old: Subnet = client.get(&path).await?;
                let start = NewSubnet {
                    vlan: old.vlan,
                    name: old.name,
                    cidr: cidr.unwrap_or(old.cidr),
                    gateway: old.gateway,
                    dns_servers: old.dns_servers,
                    domain: old.domain,
                    lease_seconds: old.lease_seconds,
                    managed: old.managed,
                    reverse_dns: old.reverse_dns,
                    boot_architectures: old.boot_architectures,
                    dhcp_options: old.dhcp_options,
                };
                vec![client.put(&path, &fields.over(start)?).await?]
            }
            Self::Show { id } => return show(console, id).await,
            Self::Delete { id, force } => {
                client.delete(&format!("/subnets/{id}?force={force}")).await?;
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
    fn over(self, old: NewSubnet) -> Result<NewSubnet> {
        let architectures = match self.boot_architectures.as_deref() {
            None => old.boot_architectures,
            Some("all") => None,
            Some("none") => Some(Vec::new()),
            Some(names) => {
                let all: Result<Vec<BootArchitecture>, String> = names.split(',').map(str::parse).collect();
                Some(all.map_err(anyhow::Error::msg)?)
            }
        };
        Ok(NewSubnet {
            vlan: self.vlan.unwrap_or(old.vlan),
            name: self.name.unwrap_or(old.name),
            cidr: old.cidr,
            gateway: self.gateway.or(old.gateway.filter(|_| !self.no_gateway)),
            dns_servers: match self.dns_servers {
                _ if self.no_dns_servers => Vec::new(),
                servers if servers.is_empty() => old.dns_servers,
                servers => servers,
            },
            domain: self.domain.or(old.domain.filter(|_| !self.no_domain)),
            lease_seconds: self.lease_seconds.unwrap_or(old.lease_seconds),
            managed: self.managed.unwrap_or(old.managed),
            reverse_dns: self.reverse_dns.as_deref().map_or(old.reverse_dns, ReverseDns::of),
            boot_architectures: architectures,
            dhcp_options: match self.dhcp_options {
                _ if self.no_dhcp_options => Vec::new(),
                options if options.is_empty() => old.dhcp_options,
                options => options,
            },
        })
    }
}

async fn show(console: &Console, id: i64) -> Result<()> {
    let subnet: Subnet = console.client.get(&format!("/subnets/{id}")).await?;
    let used: Utilisation = console.client.get(&format!("/subnets/{id}/utilisation")).await?;
    let ranges = client_ranges(console, id).await?;
    console.show(&used, |u| {
        let mut text = format!(
            "{} ({})\n  Addresses     {}\n  Dynamic       {}, {} leased\n  Reserved      {}\n  Machines      {}\n  \
             Reservations  {}\n  Free          {}",
            subnet.cidr, subnet.name, u.addresses, u.dynamic, u.leased, u.reserved, u.machines, u.reservations, u.free
        );
        for range in &ranges {
            let of_range = u.ranges.iter().find(|r| r.range == range.id);
            let used = of_range.map_or_else(String::new, |r| format!(", {} of {} used", r.used, r.addresses));
            text += &format!("\n  Range         {} to {}, {}{used}", range.first, range.last, range.kind.as_str());
        }
        for warning in &u.warnings {
            text += &format!("\n  Warning       {warning}");
        }
        text
    })
}

async fn client_ranges(console: &Console, subnet: i64) -> Result<Vec<IpRange>> {
    let query = SubnetQuery { subnet: Some(subnet) };
    Ok(console.client.find::<Page<IpRange>>("/ip-ranges", &query).await?.items)
}
