//! BusyBox's udhcpc on a host of the lab: a DHCP client that nobody here wrote.

use super::site::Site;
use anyhow::{Context, Result, ensure};
use rackwright_dhcp::racks::responsible;
use rackwright_dhcp::{ClientKey, MacAddr};
use rackwright_lab::process::ProcessId;
use rackwright_lab::{Lab, Signal, ns, poll};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// udhcpc calls this with the event as its argument; what it knows is in the environment.
const SCRIPT: &str = r#"#!/bin/sh
out="$RACKWRIGHT_BENCH_ANSWERS/$1"
case "$1" in
  bound) ip address flush dev "$interface"; ip address add "$ip/${mask:-24}" dev "$interface" ;;
esac
env > "$out.part" && mv "$out.part" "$out"
"#;

/// What a client was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// Its address.
    pub address: String,
    /// The server that answered.
    pub server: String,
    /// Where firmware finds its first file.
    pub next: String,
    /// That file, empty without one.
    pub file: String,
}

/// How a client asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// As udhcpc does: again after 3 s.
    Stock,
    /// As BIOS firmware that boots from the network, which is told a file; again after 1 s.
    Firmware,
}

/// A client on `eth0` of a host.
#[derive(Clone)]
pub struct DhcpClient {
    namespace: String,
    folder: PathBuf,
    /// Its hardware address.
    pub mac: String,
}

impl DhcpClient {
    /// A client with this MAC that has no address.
    pub fn new(site: &Site<'_>, host: &str, mac: String) -> Result<Self> {
        let folder = site.client_folder(host)?;
        let script = folder.join("script");
        fs::write(&script, SCRIPT)?;
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?;
        let client = Self { namespace: site.lab.namespace(host), folder, mac };
        client.take_over()?;
        Ok(client)
    }

    /// The host becomes this client, when it was another one meanwhile.
    pub fn take_over(&self) -> Result<()> {
        let lines = ["down".to_owned(), format!("address {}", self.mac), "up".to_owned()];
        let mut lines: Vec<_> = lines.iter().map(|line| format!("link set eth0 {line}")).collect();
        lines.push("address flush dev eth0".to_owned());
        ns::batch(&self.namespace, &lines)
    }

    fn command(&self, manner: Manner) -> Command {
        let mut command = ns::command(&self.namespace, "busybox");
        command.args(["udhcpc", "-f", "-i", "eth0", "-A", "1", "-s"]).arg(self.folder.join("script"));
        command.env("RACKWRIGHT_BENCH_ANSWERS", &self.folder);
        match manner {
            Manner::Stock => command.args(["-t", "10"]),
            // Its class, architecture 0, and that it wants a server and a file.
            Manner::Firmware => command
                .args(["-t", "8", "-T", "1", "-V", "PXEClient:Arch:00000:UNDI:002001", "-x", "0x5d:0000"])
                .args(["-O", "66", "-O", "67"]),
        };
        command
    }

    /// A whole exchange: DISCOVER, OFFER, REQUEST, ACK.
    pub fn exchange(&self, manner: Manner) -> Result<Told> {
        drop(fs::remove_file(self.folder.join("bound")));
        ns::run(self.command(manner).args(["-n", "-q"])).context("a DHCP exchange")?;
        self.told("bound")
    }

    /// Starts it for good, known to the lab by this name.
    pub fn start(&self, lab: &Lab, name: &str) -> Result<Told> {
        drop(fs::remove_file(self.folder.join("bound")));
        lab.spawn(name, &self.command(Manner::Stock))?;
        poll::until(Duration::from_secs(30), &format!("{name} to have an address"), || {
            self.told("bound").map(Some)
        })
    }

    /// The running client asks to keep its address, and is answered.
    pub fn renew(&self, running: &ProcessId) -> Result<Told> {
        drop(fs::remove_file(self.folder.join("renew")));
        drop(fs::remove_file(self.folder.join("bound")));
        ensure!(running.signal(Signal::SIGUSR1), "the client does not run");
        poll::until(Duration::from_secs(10), "a renewal", || {
            if self.folder.join("bound").exists() {
                return Ok(Some(Err(anyhow::anyhow!("it lost its address and got another"))));
            }
            self.told("renew").map(|told| Some(Ok(told)))
        })?
    }

    fn told(&self, event: &str) -> Result<Told> {
        let file = self.folder.join(event);
        let text = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
        let values: BTreeMap<_, _> = text.lines().filter_map(|line| line.split_once('=')).collect();
        let value = |names: &[&str]| {
            let found = names.iter().find_map(|name| values.get(name)).map(|value| (*value).to_owned());
            found.filter(|value| !value.is_empty())
        };
        let server = value(&["serverid"]).context("a server")?;
        Ok(Told {
            address: value(&["ip"]).context("an address")?,
            next: value(&["siaddr", "tftp"]).unwrap_or_else(|| server.clone()),
            file: value(&["boot_file", "bootfile"]).unwrap_or_default(),
            server,
        })
    }
}

/// Numbers of the racks, in the order of their names.
pub fn racks(site: &Site<'_>) -> Result<Vec<i64>> {
    let told = site.ask_until("/api/v1/racks")?;
    let mut racks: Vec<_> = told["items"].as_array().context("racks")?.iter().collect();
    racks.sort_by_key(|rack| rack["name"].as_str());
    racks.iter().map(|rack| rack["id"].as_i64().context("a rack has a number")).collect()
}

/// The MAC of a client that rack `number` of `racks` answers first, while all live. Different for each `family` and `member`.
pub fn mac_of(number: i64, racks: &[i64], family: u8, member: u8) -> Result<String> {
    let mut live = racks.to_vec();
    live.sort_unstable();
    let belongs = |last: &u8| {
        let client = ClientKey::ethernet(MacAddr([2, 0, 0x7a, family, member, *last]));
        responsible(&client, &live) == Some(number)
    };
    let last = (0..=255).find(belongs).context("a rack that answers nobody")?;
    Ok(format!("02:00:7a:{family:02x}:{member:02x}:{last:02x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rack_has_clients_and_they_differ() {
        let racks = [7, 3];
        let one = mac_of(3, &racks, 1, 1).unwrap();
        let two = mac_of(7, &racks, 1, 1).unwrap();
        assert!(one != two && one.starts_with("02:00:7a:01:01:") && mac_of(3, &racks, 1, 2).unwrap() != one);
        assert!(mac_of(9, &racks, 1, 1).is_err());
    }
}
