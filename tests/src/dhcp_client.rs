//! BusyBox's udhcpc on a host of the lab: a DHCP client that nobody here wrote.

use anyhow::{Context, Result, bail};
use rackwright_lab::{Lab, Signal, poll};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// udhcpc calls this with the event as its argument; what it knows is in the environment.
const SCRIPT: &str = r#"#!/bin/sh
out="$RACKWRIGHT_TEST_ANSWERS/$1"
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
}

/// A client on `eth0` of a host.
pub struct DhcpClient<'a> {
    lab: &'a Lab,
    host: String,
    folder: PathBuf,
}

impl<'a> DhcpClient<'a> {
    /// A client with this MAC that has not asked yet.
    pub fn new(lab: &'a Lab, host: &str, mac: &str) -> Result<Self> {
        let folder = lab.state().folder().join("clients").join(host);
        std::fs::create_dir_all(&folder)?;
        let script = folder.join("script");
        std::fs::write(&script, SCRIPT)?;
        let client = Self { lab, host: host.to_owned(), folder };
        client.run(&["chmod", "755", &script.to_string_lossy()])?;
        client.run(&["ip", "link", "set", "eth0", "down"])?;
        client.run(&["ip", "link", "set", "eth0", "address", mac, "up"])?;
        Ok(client)
    }

    /// Asks for an address and keeps it; how long it took to get it.
    pub fn start(&self) -> Result<(Told, Duration)> {
        let begun = Instant::now();
        let mut command = self.lab.exec(&self.host, "busybox");
        command.args(["udhcpc", "-f", "-i", "eth0", "-t", "20", "-A", "1", "-s"]);
        command.arg(self.folder.join("script")).env("RACKWRIGHT_TEST_ANSWERS", &self.folder);
        self.lab.spawn(&self.process(), &command)?;
        Ok((self.wait_for("bound")?, begun.elapsed()))
    }

    /// Asks to keep its address, and waits for the answer.
    pub fn renew(&self) -> Result<Told> {
        drop(std::fs::remove_file(self.folder.join("renew")));
        drop(std::fs::remove_file(self.folder.join("bound")));
        let running = self.lab.process(&self.process()).context("the client does not run")?;
        running.signal(Signal::SIGUSR1);
        self.wait_for("renew")
    }

    fn process(&self) -> String {
        format!("udhcpc-{}", self.host)
    }

    fn wait_for(&self, event: &str) -> Result<Told> {
        poll::until(Duration::from_secs(60), &format!("{} to be {event}", self.host), || {
            if event == "renew" && self.folder.join("bound").exists() {
                bail!("it lost its address and got another");
            }
            let text = std::fs::read_to_string(self.folder.join(event))?;
            let values: BTreeMap<_, _> = text.lines().filter_map(|line| line.split_once('=')).collect();
            let value = |name: &str| values.get(name).map(|value| (*value).to_owned());
            let (address, server) =
                (value("ip").context("an address")?, value("serverid").context("a server")?);
            Ok(Some(Told { address, server }))
        })
    }

    fn run(&self, words: &[&str]) -> Result<()> {
        let (program, arguments) = words.split_first().context("a program")?;
        let output = self.lab.exec(&self.host, program).args(arguments).output()?;
        if output.status.success() {
            return Ok(());
        }
        bail!("{words:?} on {}: {}", self.host, String::from_utf8_lossy(&output.stderr))
    }
}
