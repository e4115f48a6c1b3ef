//! `rackwright switch …`

use crate::console::{Console, dash};
use crate::profile::read_token;
use anyhow::{Context, Result, bail};
use rackwright_common::Secret;
use rackwright_common::switch::{SnmpAccess, SnmpAuthentication, SnmpPrivacy};
use rackwright_region::model::Page;
use rackwright_region::model::switch::{AccessVlan, NewSwitch, PortDetail, Switch, SwitchDetail};
use std::path::PathBuf;

/// What can be done with switches.
#[derive(Debug, clap::Subcommand)]
pub enum SwitchCommand {
    /// List switches.
    List,
    /// Show a switch's ports and who is plugged in there.
    Show {
        /// Its number or name.
        switch: String,
    },
    /// Enter one; racks read it from now on.
    Create {
        /// Its name here.
        name: String,
        /// Host name or address of its SNMP agent.
        address: String,
        /// UDP port of its SNMP agent.
        #[arg(long, default_value_t = 161)]
        port: u16,
        /// Seconds from one reading to the next.
        #[arg(long, default_value_t = 60)]
        every: i32,
        #[command(flatten)]
        access: AccessOptions,
    },
    /// Change one; what is not named stays.
    Set {
        /// Its number or name.
        switch: String,
        /// Its name here.
        #[arg(long)]
        name: Option<String>,
        /// Host name or address of its SNMP agent; say again how racks are let in.
        #[arg(long)]
        address: Option<String>,
        /// UDP port of its SNMP agent; say again how racks are let in.
        #[arg(long)]
        port: Option<u16>,
        /// Seconds from one reading to the next.
        #[arg(long)]
        every: Option<i32>,
        #[command(flatten)]
        access: AccessOptions,
    },
    /// Read one now.
    Read {
        /// Its number or name.
        switch: String,
    },
    /// Give an access port another VLAN.
    SetVlan {
        /// The switch's number or name.
        switch: String,
        /// The port's name or number.
        port: String,
        /// The VLAN's number; the switch has it.
        vid: u16,
    },
    /// Remove one.
    Delete {
        /// Its number or name.
        switch: String,
    },
}

/// How racks are let in.
#[derive(Debug, clap::Args)]
pub struct AccessOptions {
    /// File that holds the community of SNMPv2c; `RACKWRIGHT_SNMP_COMMUNITY` is read without it.
    #[arg(long, conflicts_with = "user")]
    community_file: Option<PathBuf>,
    /// User of SNMPv3; without one it is SNMPv2c.
    #[arg(long)]
    user: Option<String>,
    /// Hash of SNMPv3: sha1, sha256 or sha512.
    #[arg(long, default_value = "sha256", value_parser = authentication, requires = "user")]
    authentication: SnmpAuthentication,
    /// File that holds its password; `RACKWRIGHT_SNMP_AUTHENTICATION` is read without it.
    #[arg(long, requires = "user")]
    authentication_password_file: Option<PathBuf>,
    /// Cipher of SNMPv3: aes128 or aes256.
    #[arg(long, default_value = "aes128", value_parser = privacy, requires = "user")]
    privacy: SnmpPrivacy,
    /// File that holds its password; `RACKWRIGHT_SNMP_PRIVACY` is read without it.
    #[arg(long, requires = "user")]
    privacy_password_file: Option<PathBuf>,
}

fn authentication(text: &str) -> Result<SnmpAuthentication> {
    serde_json::from_value(text.into()).context("a hash is sha1, sha256 or sha512")
}

fn privacy(text: &str) -> Result<SnmpPrivacy> {
    serde_json::from_value(text.into()).context("a cipher is aes128 or aes256")
}

/// From a file, or from the environment.
fn secret(file: Option<&PathBuf>, variable: &str) -> Result<Option<Secret<String>>> {
    match file {
        Some(file) => read_token(file).map(Some),
        None => Ok(std::env::var(variable).ok().map(Secret::new)),
    }
}

impl AccessOptions {
    /// What they say, if they say anything.
    fn build(&self) -> Result<Option<SnmpAccess>> {
        let Some(username) = self.user.clone() else {
            let community = secret(self.community_file.as_ref(), "RACKWRIGHT_SNMP_COMMUNITY")?;
            return Ok(community.map(|community| SnmpAccess::V2c { community }));
        };
        let first = secret(self.authentication_password_file.as_ref(), "RACKWRIGHT_SNMP_AUTHENTICATION")?;
        let second = secret(self.privacy_password_file.as_ref(), "RACKWRIGHT_SNMP_PRIVACY")?;
        let (Some(authentication_password), Some(privacy_password)) = (first, second) else {
            bail!(
                "SNMPv3 needs two passwords: --authentication-password-file and --privacy-password-file, \
                 or RACKWRIGHT_SNMP_AUTHENTICATION and RACKWRIGHT_SNMP_PRIVACY"
            );
        };
        let (authentication, privacy) = (self.authentication, self.privacy);
        Ok(Some(SnmpAccess::V3 {
            username,
            authentication,
            authentication_password,
            privacy,
            privacy_password,
        }))
    }
}

impl SwitchCommand {
    /// Does it.
    pub async fn run(self, console: &Console) -> Result<()> {
        let client = &console.client;
        let switches: Vec<Switch> = match self {
            Self::List => client.get::<Page<Switch>>("/switches").await?.items,
            Self::Show { switch } => {
                let id = find(console, &switch).await?.id;
                return show(console, &client.get(&format!("/switches/{id}")).await?);
            }
            Self::Read { switch } => {
                let id = find(console, &switch).await?.id;
                return show(console, &client.post(&format!("/switches/{id}/read"), &()).await?);
            }
            Self::SetVlan { switch, port, vid } => {
                let id = find(console, &switch).await?.id;
                let detail: SwitchDetail = client.get(&format!("/switches/{id}")).await?;
                let named = |p: &&PortDetail| p.port.name == port || p.port.number.to_string() == port;
                let Some(found) = detail.ports.iter().find(named) else {
                    bail!("the switch {switch} has no port {port}; see `rackwright switch show {switch}`");
                };
                let path = format!("/switches/{id}/ports/{}/vlan", found.port.number);
                return show(console, &client.put(&path, &AccessVlan { vid }).await?);
            }
            Self::Create { name, address, port, every, access } => {
                let new = NewSwitch { name, address, port, access: access.build()?, poll_seconds: every };
                vec![client.post("/switches", &new).await?]
            }
            Self::Set { switch, name, address, port, every, access } => {
                let old = find(console, &switch).await?;
                let new = NewSwitch {
                    name: name.unwrap_or(old.name),
                    address: address.unwrap_or(old.address),
                    port: port.unwrap_or(old.port),
                    access: access.build()?,
                    poll_seconds: every.unwrap_or(old.poll_seconds),
                };
                vec![client.put(&format!("/switches/{}", old.id), &new).await?]
            }
            Self::Delete { switch } => {
                let id = find(console, &switch).await?.id;
                client.delete(&format!("/switches/{id}")).await?;
                return console.done(&format!("The switch {switch} was removed"));
            }
        };
        console.list(&switches, &["ID", "NAME", "ADDRESS", "ACCESS", "PORTS", "READ", "BY", "ERROR"], |s| {
            vec![
                s.id.to_string(),
                s.name.clone(),
                format!("{}:{}", s.address, s.port),
                s.access.clone(),
                s.port_count.to_string(),
                dash(s.read_at),
                dash(s.rack.clone()),
                dash(s.error.clone()),
            ]
        })
    }
}

/// By number or name.
async fn find(console: &Console, switch: &str) -> Result<Switch> {
    let all: Page<Switch> = console.client.get("/switches").await?;
    let found = all.items.into_iter().find(|s| s.name == switch || s.id.to_string() == switch);
    found.with_context(|| format!("there is no switch {switch}; see `rackwright switch list`"))
}

fn show(console: &Console, detail: &SwitchDetail) -> Result<()> {
    console.list(
        &detail.ports,
        &["PORT", "NAME", "LINK", "MBIT/S", "VLAN", "TAGGED", "THERE", "NEIGHBOUR"],
        |p| {
            let tagged: Vec<String> = p.port.tagged.iter().map(u16::to_string).collect();
            let neighbour = p.port.neighbour.as_ref();
            vec![
                p.port.number.to_string(),
                p.port.name.clone(),
                if p.port.up { "up" } else { "down" }.to_owned(),
                dash((p.port.speed_mbps > 0).then_some(p.port.speed_mbps)),
                dash(p.port.pvid),
                dash((!tagged.is_empty()).then(|| tagged.join(","))),
                there(p),
                dash(neighbour.map(|n| format!("{} {}", n.system.as_ref().unwrap_or(&n.chassis), n.port))),
            ]
        },
    )
}

/// Who is at a port: machines by name, else the first by its address.
fn there(port: &PortDetail) -> String {
    let name = |h: &rackwright_region::model::switch::HeardAt| {
        let interface = h.interface.as_deref().unwrap_or_default();
        h.machine_name.as_ref().map_or_else(|| h.mac.to_string(), |m| format!("{m} {interface}"))
    };
    let shown: Vec<String> = port.heard.iter().take(2).map(name).collect();
    match (shown.is_empty(), port.heard_count.saturating_sub(shown.len())) {
        (true, _) => "-".to_owned(),
        (false, 0) => shown.join(", "),
        (false, more) => format!("{} and {more} more", shown.join(", ")),
    }
}
