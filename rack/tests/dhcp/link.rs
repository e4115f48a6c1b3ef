//! Two namespaces joined by a veth pair, and the clients in one of them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

const SCRIPT: &str = r#"#!/bin/sh
# Both clients call this; what they know is in the environment.
out="$RWDHCP_DIR/answer.${reason:-$1}"
ip=${ip:-$new_ip_address}
case "${reason:-$1}" in
  PREINIT) ip link set dev "$interface" up ;;
  bound|BOUND|REBOOT)
    ip address flush dev "$interface"
    ip address add "$ip/${mask:-24}" dev "$interface"
    [ -z "${router:-$new_routers}" ] || ip route add default via "${router:-$new_routers}" dev "$interface" ;;
esac
env > "$out.part" && mv "$out.part" "$out"
"#;

/// The network of one test; removed with it.
pub struct Link {
    pub server_namespace: String,
    client_namespace: String,
    relay: Option<Relay>,
    pub folder: PathBuf,
}

struct Relay {
    namespace: String,
    dnsmasq: Child,
}

pub fn run(command: &str) {
    let output = Command::new("sh").args(["-c", command]).output().unwrap();
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Waits until `probe` gives something; fails with what was last seen.
pub fn wait<T>(what: &str, seconds: u64, mut probe: impl FnMut() -> Result<T, String>) -> T {
    let deadline = Instant::now() + Duration::from_secs(seconds);
    loop {
        match probe() {
            Ok(found) => return found,
            Err(seen) if Instant::now() > deadline => {
                panic!("{what} did not come in {seconds} s; last seen: {seen}")
            }
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

/// Waits until a process in a namespace listens, or says why it ended.
pub fn wait_for_port_67(child: &Child) {
    let sockets = Path::new("/proc").join(child.id().to_string()).join("net/udp");
    wait("a socket on port 67", 20, || match std::fs::read_to_string(&sockets) {
        Ok(text) if text.contains("00000000:0043") => Ok(()),
        other => Err(format!("{other:?}")),
    });
}

/// A process that ends with the test.
pub struct Other(Child);

impl Drop for Other {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

static NEXT: AtomicU32 = AtomicU32::new(0);

impl Link {
    /// Client and server side by side, 10.77.0.1/24 the server's address.
    pub fn new() -> Link {
        let link = Link::empty();
        link.join();
        link.finish()
    }

    fn join(&self) {
        let (s, c) = (&self.server_namespace, &self.client_namespace);
        run(&format!("ip link add eth0 netns {s} type veth peer name eth0 netns {c}"));
    }

    /// Both ends go away and come back.
    pub fn make_anew(&self) {
        run(&format!("ip -n {} link del eth0", self.server_namespace));
        self.join();
        self.bring_up();
    }

    /// A relay between them: 10.77.0.254 on the server's side, 10.88.0.1 on the client's.
    pub fn with_relay() -> Link {
        Link::relayed_by(
            "exec dnsmasq --no-daemon --port=0 --conf-file=/dev/null --dhcp-relay=10.88.0.1,10.77.0.1 --interface=down0 \
             --interface=up0",
        )
    }

    /// The same with ISC's relay, which adds option 82.
    pub fn with_isc_relay() -> Link {
        Link::relayed_by("exec dhcrelay -4 -d --no-pid -a -id down0 -iu up0 10.77.0.1")
    }

    /// ISC's relay for DHCPv6: fd00:92::fe on the server's side, fd00:93::1 on the client's.
    pub fn with_isc_relay6() -> Link {
        Link::relayed_by(
            "ip address add fd00:92::fe/64 dev up0 nodad; ip address add fd00:93::1/64 dev down0 nodad; \
             while ip -6 address show tentative | grep -q .; do sleep 0.1; done; \
             exec dhcrelay -6 -d --no-pid -l down0 -u fd00:92::1%up0",
        )
    }

    fn relayed_by(program: &str) -> Link {
        let mut link = Link::empty();
        let (s, c) = (link.server_namespace.clone(), link.client_namespace.clone());
        let r = s.replace("-s", "-r");
        run(&format!(
            "ip netns add {r} && ip link add eth0 netns {s} type veth peer name up0 netns {r} && \
             ip link add down0 netns {r} type veth peer name eth0 netns {c} && ip -n {r} link set lo up && \
             ip -n {r} address add 10.77.0.254/24 dev up0 && ip -n {r} link set up0 up && \
             ip -n {r} address add 10.88.0.1/24 dev down0 && ip -n {r} link set down0 up && \
             ip netns exec {r} sysctl -qw net.ipv4.ip_forward=1"
        ));
        let dnsmasq = Command::new("ip")
            .args(["netns", "exec", &r, "sh", "-c", program])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        link.relay = Some(Relay { namespace: r, dnsmasq });
        let link = link.finish();
        run(&format!("ip -n {s} route add 10.88.0.0/24 via 10.77.0.254"));
        link
    }

    fn empty() -> Link {
        remove_leftovers();
        let name = format!("rwdhcp-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(&name);
        std::fs::create_dir_all(&folder).unwrap();
        let script = folder.join("script");
        std::fs::write(&script, SCRIPT).unwrap();
        run(&format!("chmod 755 {} && ip netns add {name}-s && ip netns add {name}-c", script.display()));
        Link {
            server_namespace: format!("{name}-s"),
            client_namespace: format!("{name}-c"),
            relay: None,
            folder,
        }
    }

    fn finish(self) -> Link {
        let (s, c) = (&self.server_namespace, &self.client_namespace);
        run(&format!("ip -n {s} link set lo up && ip -n {c} link set lo up"));
        self.bring_up();
        self
    }

    fn bring_up(&self) {
        let (s, c) = (&self.server_namespace, &self.client_namespace);
        run(&format!("ip -n {s} address add 10.77.0.1/24 dev eth0 && ip -n {s} link set eth0 up"));
        run(&format!("ip -n {c} link set eth0 up"));
    }

    /// The namespace that clients are in.
    pub fn client_namespace(&self) -> &str {
        &self.client_namespace
    }

    /// A foreign DHCP server beside ours.
    pub fn dnsmasq_on_the_server(&self) -> Other {
        let child = Command::new("ip")
            .args(["netns", "exec", &self.server_namespace, "dnsmasq", "--no-daemon", "--port=0"])
            .args(["--conf-file=/dev/null", "--dhcp-range=10.77.0.200,10.77.0.210", "--interface=eth0"])
            .arg(format!("--dhcp-leasefile={}", self.folder.join("dnsmasq.leases").display()))
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        wait_for_port_67(&child);
        Other(child)
    }

    /// Somebody on the client's side has this address.
    pub fn add_client_address(&self, address: &str) {
        run(&format!("ip -n {} address add {address}/24 dev eth0", self.client_namespace));
    }

    /// A DHCP server that is not ours, on the client's side.
    pub fn foreign_server(&self) -> Other {
        self.add_client_address("10.77.0.66");
        let leases = self.folder.join("foreign.leases");
        let mut command =
            self.client("dnsmasq --no-daemon --port=0 --conf-file=/dev/null --no-ping --interface=eth0");
        command
            .arg("--dhcp-range=10.77.0.200,10.77.0.210")
            .arg(format!("--dhcp-leasefile={}", leases.display()));
        let child = command.stderr(Stdio::null()).spawn().unwrap();
        wait_for_port_67(&child);
        Other(child)
    }

    /// dhcpcd's lease; it ends as soon as it has one. What it remembers is kept from other tests and from the box.
    pub fn dhcpcd(&self) -> BTreeMap<String, String> {
        let folder = self.folder.display();
        let mut command = self.client("sh -c");
        // `ip netns exec` gives its program mounts of its own, which end with it.
        let output = command.arg(format!(
            "mount -t tmpfs none /var/lib/dhcpcd && exec dhcpcd -4 -B -1 -A -L -t 60 -c {folder}/script -e RWDHCP_DIR={folder} eth0"
        ));
        let output = output.output().unwrap();
        self.take("BOUND").unwrap_or_else(|| panic!("no lease: {}", String::from_utf8_lossy(&output.stderr)))
    }

    /// perfdhcp as a relay at 10.77.0.250: what it prints.
    pub fn perfdhcp(&self, arguments: &str) -> String {
        self.perfdhcp_by("10.77.0.250", "10.77.0.1", arguments)
    }

    /// perfdhcp as a relay with this address, by way of another relay or straight to the server. It counts a release, which
    /// nobody answers, among what was lost.
    pub fn perfdhcp_by(&self, own: &str, next: &str, arguments: &str) -> String {
        self.add_client_address(own);
        let output = self.client(&format!("perfdhcp -4 {arguments} -l eth0 {next}")).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
    }

    /// perfdhcp as many clients of DHCPv6: what it prints.
    pub fn perfdhcp6(&self, arguments: &str) -> String {
        let output = self.client(&format!("perfdhcp -6 {arguments} -l eth0 all")).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    pub fn set_client_mac(&self, mac: &str) {
        let c = &self.client_namespace;
        run(&format!("ip -n {c} link set eth0 down && ip -n {c} link set eth0 address {mac} up"));
        run(&format!("ip -n {c} address flush dev eth0"));
    }

    fn client(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.client_namespace]).args(program.split(' '));
        command.env("RWDHCP_DIR", &self.folder).stdin(Stdio::null());
        command
    }

    fn take(&self, event: &str) -> Option<BTreeMap<String, String>> {
        let path = self.folder.join(format!("answer.{event}"));
        let text = std::fs::read_to_string(&path).ok()?;
        std::fs::remove_file(&path).unwrap();
        Some(text.lines().filter_map(|l| l.split_once('=')).map(|(k, v)| (k.into(), v.into())).collect())
    }

    fn udhcpc_command(&self) -> Command {
        let mut command = self.client("busybox udhcpc -f -i eth0 -T 1 -A 1");
        command.arg("-s").arg(self.folder.join("script"));
        command
    }

    /// One exchange; what the script was told.
    pub fn udhcpc(&self, arguments: &[&str]) -> BTreeMap<String, String> {
        let output = self.udhcpc_command().args(["-n", "-q", "-t", "8"]).args(arguments).output().unwrap();
        self.take("bound").unwrap_or_else(|| panic!("no lease: {}", String::from_utf8_lossy(&output.stderr)))
    }

    /// One exchange that may fail.
    pub fn try_udhcpc(&self) -> Result<BTreeMap<String, String>, String> {
        let output = self.udhcpc_command().args(["-n", "-q", "-t", "2"]).output().unwrap();
        self.take("bound").ok_or_else(|| String::from_utf8_lossy(&output.stderr).into_owned())
    }

    /// An exchange that gets nothing; udhcpc's last word.
    pub fn udhcpc_fails(&self) -> String {
        let output = self.udhcpc_command().args(["-n", "-q", "-t", "2"]).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        text.lines().last().unwrap_or("").trim_start_matches("udhcpc: ").to_owned()
    }

    /// A client that keeps its lease until told otherwise.
    pub fn udhcpc_that_stays(&self) -> Client<'_> {
        let child = self.udhcpc_command().args(["-t", "8"]).stderr(Stdio::null()).spawn().unwrap();
        Client { link: self, child }
    }

    fn dhclient_command(&self, more: &str) -> Command {
        let folder = self.folder.display();
        self.client(&format!(
            "dhclient -4 -v {more} -lf {folder}/dhclient.leases -pf {folder}/dhclient.pid -sf {folder}/script \
             -e RWDHCP_DIR={folder} eth0"
        ))
    }

    /// Starts dhclient, waits for its lease, and ends it as a power cut would.
    pub fn dhclient(&self) -> BTreeMap<String, String> {
        let mut child = self.dhclient_command("-d -1").stderr(Stdio::null()).spawn().unwrap();
        let answer = wait("dhclient's lease", 20, || {
            self.take("BOUND").or_else(|| self.take("REBOOT")).ok_or_else(|| "no answer".to_owned())
        });
        child.kill().unwrap();
        child.wait().unwrap();
        answer
    }

    /// A dhclient that asks for what it remembers.
    pub fn dhclient_that_asks(&self) -> Other {
        Other(self.dhclient_command("-d -1").stderr(Stdio::null()).spawn().unwrap())
    }

    /// udhcpc, whatever comes of it.
    pub fn udhcpc_quietly(&self, arguments: &[&str]) {
        self.udhcpc_command().args(arguments).output().unwrap();
    }

    pub fn dhclient_release(&self) {
        let output = self.dhclient_command("-r").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// Captures DHCP on the client's side until the test asks what was seen.
    pub fn capture(&self) -> Capture {
        let file = self.folder.join("capture.pcap");
        let mut command = self.client("tcpdump -i eth0 -U -w");
        let child = command.arg(&file).arg("port 67 or port 68").stderr(Stdio::null()).spawn().unwrap();
        // The file's head is written when the capture has begun.
        wait("tcpdump", 10, || match std::fs::metadata(&file) {
            Ok(data) if data.len() >= 24 => Ok(()),
            other => Err(format!("{other:?}")),
        });
        Capture { child, file }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        if let Some(relay) = &mut self.relay {
            drop(relay.dnsmasq.kill());
            drop(relay.dnsmasq.wait());
            remove_namespace(&relay.namespace);
        }
        remove_namespace(&self.server_namespace);
        remove_namespace(&self.client_namespace);
        drop(std::fs::remove_dir_all(&self.folder));
    }
}

fn remove_namespace(name: &str) {
    drop(Command::new("ip").args(["netns", "del", name]).stderr(Stdio::null()).status());
}

/// Namespaces of test processes that were killed.
fn remove_leftovers() {
    let output = Command::new("ip").args(["netns", "list"]).output().unwrap();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let Some(name) = line.split(' ').next().filter(|n| n.starts_with("rwdhcp-")) else { continue };
        let process = name.split('-').nth(1).unwrap_or("");
        if process.parse::<u32>().is_ok() && !Path::new("/proc").join(process).exists() {
            remove_namespace(name);
        }
    }
}

/// A udhcpc that runs on.
pub struct Client<'a> {
    link: &'a Link,
    child: Child,
}

impl Client<'_> {
    pub fn wait_for(&self, event: &str) -> BTreeMap<String, String> {
        wait(event, 20, || self.link.take(event).ok_or_else(|| "no answer".to_owned()))
    }

    pub fn renew(&self) {
        self.signal("USR1");
    }

    pub fn release(&self) {
        self.signal("USR2");
    }

    fn signal(&self, name: &str) {
        run(&format!("kill -{name} {}", self.child.id()));
    }
}

impl Drop for Client<'_> {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A running tcpdump.
pub struct Capture {
    child: Child,
    file: PathBuf,
}

impl Capture {
    /// What tcpdump makes of the packets, once `line` has been seen `times` times.
    pub fn text(&self, line: &str, times: usize) -> String {
        wait(line, 10, || {
            let output = Command::new("tcpdump").args(["-vvnr"]).arg(&self.file).output().unwrap();
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            if text.matches(line).count() >= times { Ok(text) } else { Err(text) }
        })
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
