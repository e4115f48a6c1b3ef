//! `rackwright vlan …`

use crate::console::Console;
use anyhow::{Context, Result};
use rackwright_region::model::Page;
use rackwright_region::model::network::{NewVlan, Vlan};

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
            Self::Create { fabric, vid, name, mtu, dhcp } => {
                vec![client.post("/vlans", &NewVlan { fabric, vid, name, mtu, dhcp }).await?]
            }
            Self::Set { id, name, mtu, dhcp } => {
                let old = all().await?.into_iter().find(|v| v.id == id);
                let old = old.with_context(|| format!("there is no VLAN {id}"))?;
                let new = NewVlan {
                    fabric: old.fabric,
                    vid: old.vid,
                    name: name.unwrap_or(old.name),
                    mtu: mtu.unwrap_or(old.mtu),
                    dhcp: dhcp.unwrap_or(old.dhcp),
                };
                vec![client.put(&format!("/vlans/{id}"), &new).await?]
            }
            Self::Delete { id } => {
                client.delete(&format!("/vlans/{id}")).await?;
                return console.done(&format!("The VLAN {id} was removed"));
            }
        };
        console.list(&vlans, &["ID", "FABRIC", "VID", "NAME", "MTU", "DHCP"], |v| {
            vec![
                v.id.to_string(),
                v.fabric.to_string(),
                v.vid.to_string(),
                v.name.clone(),
                v.mtu.to_string(),
                if v.dhcp { "on".into() } else { "off".into() },
            ]
        })
    }
}
