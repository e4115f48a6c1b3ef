//! From power-on to the agent, or to the installed system: an address, a boot script, what the script names.

use super::{Happened, Played, chassis};
use crate::http::Client;
use anyhow::{Context, Result, bail};
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

/// udhcpc calls this with the event as its argument; what it knows is in the environment.
const SCRIPT: &str = r#"#!/bin/sh
[ "$1" = bound ] || exit 0
ip address flush dev "$interface"
ip address add "$ip/${mask:-24}" dev "$interface"
echo "$serverid" >"$0.part" && mv "$0.part" "$0.server"
"#;

/// What a boot script says.
#[derive(Debug, PartialEq, Eq)]
enum Decision {
    Local,
    PowerOff,
    Wait,
    Ephemeral { token: String, racks: Vec<String>, blobs: Vec<String> },
}

/// Writes the script that udhcpc calls.
pub(super) fn write_script(file: &Path) -> Result<()> {
    fs::write(file, SCRIPT)?;
    Ok(fs::set_permissions(file, fs::Permissions::from_mode(0o755))?)
}

impl Played {
    /// Boots until it is off, restarted from outside, or the installed system runs.
    pub(super) fn boot(&mut self, boot: u64) {
        while self.lasts(boot) {
            self.tell(Happened::Booted);
            match self.boot_once(boot) {
                Ok(true) => return,
                // Firmware tries again, for ever.
                Ok(false) | Err(_) => thread::sleep(Duration::from_millis(500)),
            }
        }
    }

    /// Whether there is nothing more to do in this power-on.
    fn boot_once(&mut self, boot: u64) -> Result<bool> {
        let first = self.address()?;
        let script = self.script(&first)?;
        match read(&script) {
            Decision::Wait => Ok(false),
            Decision::PowerOff => chassis::switch_off(&self.folder).map(|()| true),
            Decision::Local => Ok(self.start_system(boot)),
            Decision::Ephemeral { token, racks, blobs } => {
                self.racks = racks;
                for blob in blobs {
                    self.blob(&blob, None)?;
                }
                self.run_agent(boot, token)
            }
        }
    }

    /// An address from whichever rack answers; that rack.
    fn address(&self) -> Result<String> {
        let server = self.lease.with_extension("server");
        drop(fs::remove_file(&server));
        let mut udhcpc = Command::new("busybox");
        udhcpc.args(["udhcpc", "-f", "-n", "-q", "-i", "eth0", "-t", "4", "-T", "1", "-A", "1", "-s"]);
        rackwright_lab::ns::run(udhcpc.arg(&self.lease))?;
        let rack = fs::read_to_string(server).context("no server has named itself")?;
        Ok(format!("{}:5248", rack.trim()))
    }

    /// The boot script, of the rack that gave the address or another one.
    fn script(&self, first: &str) -> Result<String> {
        let path = format!("/boot/ipxe?mac={}&uuid={}", self.mac, self.uuid);
        for rack in std::iter::once(first).chain(self.racks.iter().map(String::as_str)) {
            if let Ok((200, body)) = at(rack, 3)?.exchange("GET", &path, &[], "") {
                return Ok(String::from_utf8_lossy(&body).into_owned());
            }
        }
        bail!("no rack gave a script")
    }

    /// A file, or from `range` on the bytes of it, from any rack.
    pub(super) fn blob(&self, sha256: &str, range: Option<(usize, usize)>) -> Result<Vec<u8>> {
        let headers: Vec<_> =
            range.iter().map(|(from, to)| ("Range", format!("bytes={from}-{to}"))).collect();
        for rack in &self.racks {
            let answer = at(rack, 5)?.exchange("GET", &format!("/blob/{sha256}"), &headers, "");
            match answer {
                Ok((200 | 206, body)) if !body.is_empty() => return Ok(body),
                _ => {}
            }
        }
        bail!("no rack gave {sha256}")
    }
}

/// A rack's HTTP service, with this many seconds of patience.
pub(super) fn at(rack: &str, seconds: u64) -> Result<Client> {
    let address: SocketAddr = rack.parse().with_context(|| format!("the address of a rack: {rack:?}"))?;
    Ok(Client::new(address).with_patience(Duration::from_secs(seconds)))
}

fn read(script: &str) -> Decision {
    let word = |name: &str| script.split_whitespace().find_map(|word| word.strip_prefix(name));
    if let (Some(token), Some(racks)) = (word("rackwright.token="), word("rackwright.racks=")) {
        let mut blobs = Vec::new();
        for line in script.lines().filter(|line| line.starts_with("kernel ") || line.starts_with("initrd ")) {
            let blob = line.split_whitespace().find_map(|word| word.split_once("/blob/")).map(|(_, sha)| sha);
            blobs.extend(blob.map(str::to_owned).filter(|sha| !blobs.contains(sha)));
        }
        let racks = racks.split(',').map(str::to_owned).collect();
        return Decision::Ephemeral { token: token.to_owned(), racks, blobs };
    }
    if script.contains("poweroff") {
        return Decision::PowerOff;
    }
    if script.lines().any(|line| line.ends_with("exit")) { Decision::Local } else { Decision::Wait }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_says_what_to_boot() {
        let script = "#!ipxe\nset arguments initrd=initrd rackwright.racks=10.0.0.1:5248,10.0.0.2:5248 rackwright.token=t\n:try0\nkernel --timeout 8000 http://10.0.0.1:5248/blob/aa ${arguments} || goto try1\ninitrd --name initrd http://10.0.0.1:5248/blob/bb || goto try1\n:try1\nkernel http://10.0.0.2:5248/blob/aa\n";
        let expected = Decision::Ephemeral {
            token: "t".to_owned(),
            racks: vec!["10.0.0.1:5248".to_owned(), "10.0.0.2:5248".to_owned()],
            blobs: vec!["aa".to_owned(), "bb".to_owned()],
        };
        assert_eq!(read(script), expected);
        assert_eq!(read("#!ipxe\niseq ${platform} efi && exit 1 || exit\n"), Decision::Local);
        assert_eq!(read("#!ipxe\necho Waiting: x\n:again\nsleep 5\ngoto again\n"), Decision::Wait);
        assert_eq!(read("#!ipxe\necho Powering off.\npoweroff ||\n"), Decision::PowerOff);
    }
}
