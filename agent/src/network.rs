//! Looking after the network of the ephemeral environment: `/init` started a DHCP client on the interface that booted;
//! when no rack has answered for long, that client is told to ask again, or started anew when it is gone.

use crate::command;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::path::Path;
use std::process::Stdio;

const STATE: &str = "/run/net";

/// The network of this boot.
#[derive(Debug, Clone, Copy)]
pub struct Network {
    real: bool,
}

impl Network {
    /// `real` is false in tests: then nothing is touched.
    pub fn new(real: bool) -> Self {
        Self { real }
    }

    /// Asks DHCP again on the interface that was configured at boot.
    pub fn renew(self) {
        if !self.real {
            return;
        }
        let Ok(interface) = fs::read_to_string(Path::new(STATE).join("bound")) else { return };
        let interface = interface.trim();
        let pid_file = Path::new(STATE).join(format!("{interface}.pid"));
        let pid =
            fs::read_to_string(&pid_file).ok().and_then(|text| text.trim().parse().ok()).map(Pid::from_raw);
        eprintln!("rackwright-agent: no rack answers; asking DHCP again on {interface}");
        // USR1 is udhcpc's "renew now".
        if pid.is_none_or(|pid| kill(pid, Signal::SIGUSR1).is_err()) {
            start_client(interface, &pid_file);
        }
    }

    /// Brings every physical interface up, so that it shows its link and hears LLDP.
    pub fn bring_up(self, interfaces: &[String]) {
        if self.real {
            for name in interfaces {
                command::run("ip", &["link", "set", name, "up"]).ok();
            }
        }
    }
}

fn start_client(interface: &str, pid_file: &Path) {
    let started = command::command("udhcpc")
        .args(["-f", "-i", interface, "-s", "/etc/udhcpc.sh", "-t", "5", "-T", "1", "-A", "1", "-p"])
        .arg(pid_file)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    if let Err(error) = started {
        eprintln!("rackwright-agent: cannot start the DHCP client: {error}");
    }
}
