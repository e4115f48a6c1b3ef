//! `rackwright machine interface …`: what the installed system makes of a machine's interfaces.

use super::{Which, datasheet};
use crate::console::Console;
use anyhow::{Context, Result, bail};
use rackwright_common::network::{BondMode, BondSettings, BridgeSettings, BridgeType, HashPolicy, LacpRate};
use rackwright_region::model::interface::{
    AddressMode, DefaultGateways, NewInterfaceAddress, NewVirtualInterface, VirtualKind,
};
use rackwright_region::model::machine::{InterfacePatch, Machine};
use reqwest::Method;
use std::net::IpAddr;

/// What can be done with interfaces.
#[derive(Debug, clap::Subcommand)]
pub enum InterfaceCommand {
    /// Change a physical interface; what is not named stays.
    Set {
        #[command(flatten)]
        which: Which,
        /// Its name.
        interface: String,
        /// Its name in the installed system.
        #[arg(long)]
        name: Option<String>,
        /// How it gets its first address: `auto` chooses one, `static` takes the one that is named, `link-up` none.
        #[arg(long, value_parser = ["auto", "static", "dhcp", "link-up"])]
        mode: Option<String>,
        /// Number of the subnet in which `auto` chooses.
        #[arg(long)]
        subnet: Option<i64>,
        /// Its first address.
        #[arg(long)]
        address: Option<IpAddr>,
        /// MTU, bytes; 0 for the usual.
        #[arg(long)]
        mtu: Option<i32>,
        /// A further address: `auto:SUBNET`, `dhcp`, or an address; may be given several times, and replaces all.
        #[arg(long = "more", value_parser = address)]
        more: Vec<NewInterfaceAddress>,
        /// No further addresses.
        #[arg(long, conflicts_with = "more")]
        no_more: bool,
    },
    /// Make several physical interfaces one.
    Bond {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        common: Common,
        /// How members share the work; `active-backup` when nothing else was said.
        #[arg(long, value_parser = ["balance-rr", "active-backup", "balance-xor", "broadcast", "802.3ad", "balance-tlb", "balance-alb"])]
        mode: Option<String>,
        /// LACP: ask for a packet each second (`fast`) or each 30 (`slow`).
        #[arg(long, value_parser = ["slow", "fast"])]
        lacp_rate: Option<String>,
        /// What the hash is made of.
        #[arg(long, value_parser = ["layer2", "layer2+3", "layer3+4", "encap2+3", "encap3+4"])]
        hash_policy: Option<String>,
        /// How often links are looked at, milliseconds.
        #[arg(long)]
        miimon: Option<u32>,
        /// A link that comes back is used after so long, milliseconds.
        #[arg(long)]
        up_delay: Option<u32>,
        /// A link that is lost is given up after so long, milliseconds.
        #[arg(long)]
        down_delay: Option<u32>,
        /// Packets are carried with so many links at least.
        #[arg(long)]
        min_links: Option<u32>,
        /// The member that is used while it has a link.
        #[arg(long)]
        primary: Option<String>,
    },
    /// Make a bridge.
    Bridge {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        common: Common,
        /// Made by Open vSwitch, which the image has to have; `--ovs=false` for the kernel's own.
        #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
        ovs: Option<bool>,
        /// Spanning tree; `--stp=false` ends it.
        #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
        stp: Option<bool>,
        /// Seconds before a port forwards.
        #[arg(long)]
        forward_delay: Option<u32>,
    },
    /// Make a tagged VLAN on an interface.
    Vlan {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        common: Common,
        /// Number of the VLAN, as `vlan list` shows it.
        #[arg(long)]
        vlan: i64,
    },
    /// Choose the subnets whose gateways are the default routes.
    Gateway {
        #[command(flatten)]
        which: Which,
        /// Number of the subnet for IPv4.
        #[arg(long)]
        ipv4: Option<i64>,
        /// Number of the subnet for IPv6.
        #[arg(long)]
        ipv6: Option<i64>,
    },
    /// Remove an interface that is made of others.
    Remove {
        #[command(flatten)]
        which: Which,
        /// Its name.
        interface: String,
    },
}

/// What is said of every interface that is made of others.
#[derive(Debug, clap::Args)]
pub struct Common {
    /// Its name in the installed system; one of that name is changed.
    name: String,
    /// Another name for it.
    #[arg(long)]
    rename: Option<String>,
    /// Name of an interface that it is made of; may be given several times.
    #[arg(long = "on")]
    on: Vec<String>,
    /// An address: `auto:SUBNET`, `dhcp`, or an address; may be given several times.
    #[arg(long = "address", value_parser = address)]
    addresses: Vec<NewInterfaceAddress>,
    /// MTU, bytes.
    #[arg(long)]
    mtu: Option<i32>,
}

fn address(text: &str) -> Result<NewInterfaceAddress> {
    let plain = |mode, subnet, address| NewInterfaceAddress { mode, subnet, address };
    Ok(match text.split_once(':') {
        Some(("auto", subnet)) => plain(AddressMode::Auto, Some(subnet.parse()?), None),
        _ if text == "dhcp" => plain(AddressMode::Dhcp, None, None),
        _ => plain(
            AddressMode::Static,
            None,
            Some(text.parse().context("write auto:SUBNET, dhcp or an address")?),
        ),
    })
}

/// A word that clap has let through, as the type that it stands for.
fn word<T: serde::de::DeserializeOwned>(text: Option<String>) -> Result<Option<T>> {
    Ok(text.map(|t| serde_json::from_value(t.into())).transpose()?)
}

impl InterfaceCommand {
    /// Does it.
    pub async fn run(self, console: &Console) -> Result<()> {
        let machine = match self {
            Self::Set { which, interface, name, mode, subnet, address, mtu, more, no_more } => {
                let path = which.path(console).await?;
                let before: Machine = console.client.get(&path).await?;
                let id = before.interfaces.iter().find(|i| i.name == interface).map(|i| i.id);
                let id = id.with_context(|| format!("the machine has no interface {interface}"))?;
                let more = (no_more || !more.is_empty()).then_some(more);
                let patch = InterfacePatch { name, mode, subnet, mtu, more, address };
                let request = console.client.request(Method::PATCH, &format!("{path}/interfaces/{id}"));
                console.client.send(request.json(&patch)).await?
            }
            Self::Bond {
                which,
                common,
                mode,
                lacp_rate,
                hash_policy,
                miimon,
                up_delay,
                down_delay,
                min_links,
                primary,
            } => {
                let (mode, lacp_rate) = (word::<BondMode>(mode)?, word::<LacpRate>(lacp_rate)?);
                let hash_policy = word::<HashPolicy>(hash_policy)?;
                let over = |old: Option<VirtualKind>| {
                    let old = match old {
                        Some(VirtualKind::Bond { settings }) => settings,
                        _ => BondSettings::default(),
                    };
                    let settings = BondSettings {
                        mode: mode.unwrap_or(old.mode),
                        lacp_rate: lacp_rate.or(old.lacp_rate),
                        xmit_hash_policy: hash_policy.or(old.xmit_hash_policy),
                        miimon: miimon.or(old.miimon),
                        up_delay: up_delay.or(old.up_delay),
                        down_delay: down_delay.or(old.down_delay),
                        min_links: min_links.or(old.min_links),
                        primary: primary.or(old.primary),
                    };
                    VirtualKind::Bond { settings }
                };
                put(console, &which, common, over).await?
            }
            Self::Bridge { which, common, ovs, stp, forward_delay } => {
                let over = |old: Option<VirtualKind>| {
                    let old = match old {
                        Some(VirtualKind::Bridge { settings }) => settings,
                        _ => BridgeSettings::default(),
                    };
                    let r#type = match ovs {
                        Some(true) => BridgeType::Ovs,
                        Some(false) => BridgeType::Standard,
                        None => old.r#type,
                    };
                    let forward_delay = forward_delay.or(old.forward_delay);
                    let settings = BridgeSettings { r#type, stp: stp.unwrap_or(old.stp), forward_delay };
                    VirtualKind::Bridge { settings }
                };
                put(console, &which, common, over).await?
            }
            Self::Vlan { which, common, vlan } => {
                put(console, &which, common, |_| VirtualKind::Vlan { vlan }).await?
            }
            Self::Gateway { which, ipv4, ipv6 } => {
                let path = which.path(console).await?;
                console
                    .client
                    .put(&format!("{path}/default-gateways"), &DefaultGateways { ipv4, ipv6 })
                    .await?
            }
            Self::Remove { which, interface } => {
                let path = which.path(console).await?;
                let before: Machine = console.client.get(&path).await?;
                let made = before.virtual_interfaces.iter().find(|v| v.name == interface);
                let Some(made) = made else {
                    bail!("the machine has no interface {interface} that is made of others")
                };
                console.client.delete(&format!("{path}/virtual-interfaces/{}", made.id)).await?;
                return console.done(&format!("{interface} was removed"));
            }
        };
        console.show(&machine, datasheet::text)
    }
}

/// Makes an interface, or changes the one of that name: `over` lays what was named over what it is.
async fn put(
    console: &Console,
    which: &Which,
    common: Common,
    over: impl FnOnce(Option<VirtualKind>) -> VirtualKind,
) -> Result<Machine> {
    let path = which.path(console).await?;
    let before: Machine = console.client.get(&path).await?;
    let number = |name: &String| {
        let physical = before.interfaces.iter().find(|i| i.name == *name).map(|i| i.id);
        let made = || before.virtual_interfaces.iter().find(|v| v.name == *name).map(|v| v.id);
        physical.or_else(made).with_context(|| format!("the machine has no interface {name}"))
    };
    let old = before.virtual_interfaces.iter().find(|v| v.name == common.name);
    let new = NewVirtualInterface {
        parents: common.on.iter().map(number).collect::<Result<_>>()?,
        name: common.rename.unwrap_or(common.name),
        kind: over(old.map(|v| v.kind.clone())),
        mac: old.and_then(|v| v.mac),
        mtu: common.mtu,
        addresses: common.addresses,
    };
    let path = format!("{path}/virtual-interfaces");
    match old {
        Some(old) => console.client.put(&format!("{path}/{}", old.id), &new).await,
        None => console.client.post(&path, &new).await,
    }
}
