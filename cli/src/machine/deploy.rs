//! `rackwright machine deploy` and `release`

use super::Which;
use super::layout::LayoutOptions;
use crate::console::Console;
use crate::operation::wait::WaitOptions;
use anyhow::{Context, Result};
use rackwright_common::storage::EraseMode;
use rackwright_region::model::action::{DeployRequest, ReleaseRequest};
use rackwright_region::model::interface::NetworkPlanView;
use rackwright_region::model::machine::Machine;
use std::path::PathBuf;

/// Install an operating system.
#[derive(Debug, clap::Args)]
pub struct Deploy {
    #[command(flatten)]
    which: Which,
    /// Image as `name` or `name@version`; the site's default image when absent.
    #[arg(long, short)]
    image: Option<String>,
    #[command(flatten)]
    layout: LayoutOptions,
    /// File with cloud-init user data.
    #[arg(long)]
    user_data: Option<PathBuf>,
    /// File with SSH public keys, besides those of your account; may be given several times.
    #[arg(long = "ssh-key-file")]
    ssh_key_files: Vec<PathBuf>,
    /// Change nothing: show the installed system's addresses, routes and name servers, and what DHCP will answer.
    #[arg(long)]
    plan: bool,
    #[command(flatten)]
    wait: WaitOptions,
}

impl Deploy {
    /// Does it.
    pub async fn run(self, console: &Console) -> Result<()> {
        let path = self.which.path(console).await?;
        if self.plan {
            let plan: NetworkPlanView = console.client.get(&format!("{path}/network-plan")).await?;
            console.show(&plan, plan_text)?;
            anyhow::ensure!(plan.problems.is_empty(), "it cannot be deployed like this");
            return Ok(());
        }
        let layout = if self.layout.is_named() {
            let machine: Machine = console.client.get(&path).await?;
            Some(self.layout.over(machine.storage_layout))
        } else {
            None
        };
        let body = DeployRequest {
            image: self.image,
            layout,
            user_data: self.user_data.map(|f| read(&f)).transpose()?,
            ssh_keys: keys(&self.ssh_key_files)?,
        };
        let begun = console.client.post(&format!("{path}/deploy"), &body).await?;
        self.wait.conclude(console, begun).await
    }
}

/// A plan for people.
fn plan_text(plan: &NetworkPlanView) -> String {
    let mut lines = Vec::new();
    for interface in &plan.interfaces {
        let mut what: Vec<String> = Vec::new();
        if interface.dhcp {
            what.push("by DHCP".into());
        }
        for address in &interface.addresses {
            let chosen = interface.chosen.contains(&address.addr());
            what.push(if chosen { format!("{address} (free now)") } else { address.to_string() });
        }
        if what.is_empty() {
            what.push("up, without address".into());
        }
        what.extend(interface.mtu.map(|mtu| format!("MTU {mtu}")));
        lines.push(format!("{:<12} {:<9} {}", interface.name, interface.kind, what.join(", ")));
        lines.extend(interface.routes.iter().map(|route| format!("{:<12} route     {route}", "")));
    }
    let servers: Vec<String> = plan.nameservers.iter().map(ToString::to_string).collect();
    let or_none = |text: String| if text.is_empty() { "none".to_owned() } else { text };
    lines.push(format!("name servers {}", or_none(servers.join(", "))));
    lines.push(format!("search       {}", or_none(plan.search.join(", "))));
    for answer in &plan.dhcp {
        let address = answer.address.map_or_else(|| "one of a dynamic range".to_owned(), |a| a.to_string());
        lines.push(format!("DHCP         {} gets {address}", answer.mac));
    }
    lines.extend(plan.problems.iter().map(|problem| format!("PROBLEM      {problem}")));
    lines.join("\n")
}

fn read(file: &PathBuf) -> Result<String> {
    std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
}

/// The public keys in files, one a line.
pub fn keys(files: &[PathBuf]) -> Result<Vec<String>> {
    let mut keys = Vec::new();
    for file in files {
        let text = read(file)?;
        keys.extend(
            text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#')).map(str::to_owned),
        );
    }
    Ok(keys)
}

/// Give a machine back.
#[derive(Debug, clap::Args)]
pub struct Release {
    #[command(flatten)]
    which: Which,
    /// What happens to its disks; the site's setting when absent.
    #[arg(long, value_parser = ["none", "quick", "full"])]
    erase: Option<String>,
    #[command(flatten)]
    wait: WaitOptions,
}

impl Release {
    /// Does it.
    pub async fn run(self, console: &Console) -> Result<()> {
        let path = self.which.path(console).await?;
        let erase = self.erase.as_deref().map(|mode| match mode {
            "full" => EraseMode::Full,
            "quick" => EraseMode::Quick,
            _ => EraseMode::None,
        });
        let begun = console.client.post(&format!("{path}/release"), &ReleaseRequest { erase }).await?;
        self.wait.conclude(console, begun).await
    }
}
