//! Clients that are services of their own, systemd-networkd and NetworkManager, on the client's side of a [`Link`].
//!
//! Each runs with mounts of its own: `/run`, its state and the system bus are folders in memory that end with it, `/sys` is
//! read-only, by which both know that there is no udev to wait for. What they would tell the box's resolver stays there.

use std::process::{Child, Command, Stdio};

use crate::link::{Link, wait};

/// What both need: a bus on which root may do everything, and no udev.
const SURROUNDINGS: &str = r#"
mount --make-rprivate /
for folder in /run /var/lib/NetworkManager /etc/NetworkManager; do [ ! -d $folder ] || mount -t tmpfs none $folder; done
mkdir -p /run/dbus /run/systemd/netif/links /run/systemd/netif/leases /run/systemd/netif/lldp /run/systemd/network
chown -R systemd-network: /run/systemd/netif
mount -o remount,ro /sys
cat >/run/bus.conf <<EOF
<busconfig><type>system</type><listen>unix:path=/run/dbus/system_bus_socket</listen><auth>EXTERNAL</auth>
<policy context="default"><allow user="*"/><allow own="*"/><allow send_type="method_call"/><allow send_type="signal"/>
<allow send_requested_reply="true"/><allow receive_requested_reply="true"/></policy></busconfig>
EOF
dbus-daemon --config-file=/run/bus.conf --nofork --nopidfile &
until [ -S /run/dbus/system_bus_socket ]; do sleep 0.05; done
"#;

const NETWORKD: &str = r#"
cat >/run/systemd/network/eth0.network <<EOF
[Match]
Name=eth0
[Network]
DHCP=yes
IPv6AcceptRA=yes
[DHCPv4]
SendHostname=yes
Hostname=daemon-1
UseDomains=yes
UseMTU=yes
EOF
exec /lib/systemd/systemd-networkd
"#;

const NETWORK_MANAGER: &str = r#"
mkdir -p -m 700 /etc/NetworkManager/system-connections
cat >/etc/NetworkManager/NetworkManager.conf <<EOF
[main]
plugins=keyfile
dhcp=internal
rc-manager=unmanaged
auth-polkit=false
EOF
cat >/etc/NetworkManager/system-connections/eth0.nmconnection <<EOF
[connection]
id=eth0
type=ethernet
interface-name=eth0
[ipv4]
method=auto
[ipv6]
method=auto
addr-gen-mode=eui64
EOF
chmod 600 /etc/NetworkManager/system-connections/eth0.nmconnection
exec NetworkManager --no-daemon --log-level=INFO
"#;

/// A running service; it, its bus and its mounts end with the value.
pub struct Daemon<'a> {
    link: &'a Link,
    child: Child,
}

impl Daemon<'_> {
    pub fn networkd(link: &Link) -> Daemon<'_> {
        Self::start(link, NETWORKD)
    }

    pub fn network_manager(link: &Link) -> Daemon<'_> {
        Self::start(link, NETWORK_MANAGER)
    }

    fn start<'a>(link: &'a Link, script: &str) -> Daemon<'a> {
        let log = std::fs::File::create(link.folder.join("daemon.log")).unwrap();
        let mut command = Command::new("ip");
        // Processes in a namespace of their own end with the first of them.
        command.args([
            "netns",
            "exec",
            link.client_namespace(),
            "unshare",
            "--pid",
            "--fork",
            "--mount-proc",
        ]);
        command.args(["--kill-child", "sh", "-e", "-c"]).arg(format!("{SURROUNDINGS}{script}"));
        command.env_remove("DBUS_SYSTEM_BUS_ADDRESS").stdin(Stdio::null());
        command.stdout(log.try_clone().unwrap()).stderr(log);
        Daemon { link, child: command.spawn().unwrap() }
    }

    /// A command among its mounts; what it prints.
    pub fn run(&self, line: &str) -> String {
        // The shell that became the service is the only child of `unshare`.
        let children = format!("/proc/{0}/task/{0}/children", self.child.id());
        let inside = std::fs::read_to_string(children).unwrap_or_default();
        let mut command = Command::new("nsenter");
        command.args(["-t", inside.trim(), "-m", "-n", "-p", "sh", "-c", line]);
        let output = command.output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
    }

    /// Waits until what the command prints is as wanted; what it printed.
    pub fn until(&self, what: &str, line: &str, wanted: impl Fn(&str) -> bool) -> String {
        wait(what, 30, || {
            let text = self.run(line);
            let log = || std::fs::read_to_string(self.link.folder.join("daemon.log")).unwrap_or_default();
            if wanted(&text) { Ok(text) } else { Err(format!("{text}\n{}", log())) }
        })
    }
}

impl Drop for Daemon<'_> {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
