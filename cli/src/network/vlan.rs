//! `rackwright vlan …`

use crate::console::{Console, dash};
use anyhow::{Context, Result};
use rackwright_common::dhcp_option::DhcpOption;
use rackwright_region::model::Page;
use rackwright_region::model::network::{DhcpMode, NewVlan, Vlan};

/// What more is said of a VLAN.
#[derive(Debug, clap::Args)]
pub struct More {
    /// What racks do where DHCP is on: give addresses, listen and report only, or give boot information only.
    #[arg(long, value_parser = ["serve", "shadow", "proxy"])]
    dhcp_mode: Option<String>,
    /// Number of the VLAN whose racks answer what a relay passes on from here; 0 for none.
    #[arg(long)]
    relay: Option<i64>,
    /// Number of its space; 0 for none.
    #[arg(long)]
    space: Option<i64>,
    /// A DHCP option for its clients, as NAME=VALUE or CODE:TYPE=VALUE; may be given several times, and replaces all.
    #[arg(long = "dhcp-option")]
    dhcp_options: Vec<DhcpOption>,
    /// No DHCP options.
    #[arg(long, conflicts_with = "dhcp_options")]
    no_dhcp_options: bool,
}

impl More {
    /// What was named, over what there was.
    fn over(self, old: NewVlan) -> NewVlan {
        let reference = |named: Option<i64>, old| named.map_or(old, |id| Some(id).filter(|id| *id != 0));
        NewVlan {
            dhcp_mode: self.dhcp_mode.as_deref().map_or(old.dhcp_mode, DhcpMode::of),
            relay: reference(self.relay, old.relay),
            space: reference(self.space, old.space),
            dhcp_options: match self.dhcp_options {
                _ if self.no_dhcp_options => Vec::new(),
                options if options.is_empty() => old.dhcp_options,
                options => options,
            },
            ..old
        }
    }
}

/// What can be done with VLANs.
#[derive(Debug, clap::Subcommand)]
pub enum VlanCommand {
    /// List VLANs.
    List,
    /// Make one.
    Create {
        /// Number of its fabric.
        #[arg(long)]
        fabric: i64,
        /// 802.1Q number; 0 for untagged.
        #[arg(long, default_value_t = 0)]
        vid: i32,
        /// Its name.
        #[arg(long)]
        name: String,
        /// MTU, bytes.
        #[arg(long, default_value_t = 1500)]
        mtu: i32,
        /// Racks serve DHCP here.
        #[arg(long)]
        dhcp: bool,
        #[command(flatten)]
        more: More,
    },
    /// Change one.
    Set {
        /// Its number, as `vlan list` shows it.
        id: i64,
        /// Its name.
        #[arg(long)]
        name: Option<String>,
        /// MTU, bytes.
        #[arg(long)]
        mtu: Option<i32>,
        /// Whether racks serve DHCP here.
        #[arg(long)]
        dhcp: Option<bool>,
        #[command(flatten)]
        more: More,
    },
    /// Remove one without subnets.
    Delete {
        /// Its number, as `vlan list` shows it.
        id: i64,
    },
}

impl VlanCommand {
    /// Does it.
    pub async fn run(self, console: &Console) -> Result<()> {
        let client = &console.client;
        let all = async || anyhow::Ok(client.get::<Page<Vlan>>("/vlans").await?.items);
        let vlans: Vec<Vlan> = match self {
            Self::List => all().await?,
            Self::Create { fabric, vid, name, mtu, dhcp, more } => {
                let (dhcp_mode, dhcp_options) = (DhcpMode::Serve, Vec::new());
                let new = NewVlan {
                    fabric,
                    vid,
                    name,
                    mtu,
                    dhcp,
                    dhcp_mode,
                    relay: None,
                    space: None,
                    dhcp_options,
                };
                vec![client.post("/vlans", &more.over(new)).await?]
            }
            Self::Set { id, name, mtu, dhcp, more } => {
                let old = all().await?.into_iter().find(|v| v.id == id);
                let old = old.with_context(|| format!("there is no VLAN {id}"))?;
                let new = NewVlan {
                    fabric: old.fabric,
                    vid: old.vid,
                    name: name.unwrap_or(old.name),
                    mtu: mtu.unwrap_or(old.mtu),
                    dhcp: dhcp.unwrap_or(old.dhcp),
                    dhcp_mode: old.dhcp_mode,
                    relay: old.relay,
                    space: old.space,
                    dhcp_options: old.dhcp_options,
                };
                vec![client.put(&format!("/vlans/{id}"), &more.over(new)).await?]
            }
            Self::Delete { id } => {
                client.delete(&format!("/vlans/{id}")).await?;
                return console.done(&format!("The VLAN {id} was removed"));
            }
        };
        console.list(
            &vlans,
            &["ID", "FABRIC", "VID", "NAME", "MTU", "DHCP", "RELAY", "SPACE", "FOREIGN DHCP"],
            |v| {
                let foreign: Vec<String> = v.foreign_dhcp.iter().map(ToString::to_string).collect();
                vec![
                    v.id.to_string(),
                    v.fabric.to_string(),
                    v.vid.to_string(),
                    v.name.clone(),
                    v.mtu.to_string(),
                    match (v.dhcp, v.dhcp_mode) {
                        (false, _) => "off".into(),
                        (true, DhcpMode::Serve) => "on".into(),
                        (true, mode) => mode.as_str().into(),
                    },
                    dash(v.relay),
                    dash(v.space),
                    foreign.join(","),
                ]
            },
        )
    }
}
