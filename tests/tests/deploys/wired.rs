//! A machine whose two interfaces are a bond, with a tagged VLAN on it and a bridge on that, and a static route: what the
//! installed system makes of it, of names and of time is asked by peers on both networks, before and after a restart, and
//! with a cable out.
//!
//! The kernel that the tests run on may know no VLANs: the peer's side of the VLAN is tagged by this test.

use rackwright_lab::plan::{BOOT_VLAN, Host, Nic, NicModel};
use rackwright_lab::qemu::BootOrder;
use rackwright_lab::{Lab, LabPlan, Machine, ns, poll};
use rackwright_tests::site::{LIMIT, Site};
use serde_json::Value;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

const VID: [u8; 4] = [0x81, 0, 0, 20];
const PEER: &str = "10.20.0.9";
/// An address of the peer that only the static route leads to.
const FAR: &str = "10.200.0.1";

/// At every start the installed system writes to its console what a name is and, once its clock is set, by whom.
const TELLS: &str = r#"#cloud-config
bootcmd:
 - setsid sh -c 'until [ "$(timedatectl show --property=NTPSynchronized --value)" = yes ]; do sleep 1; done;
   echo "time by $(timedatectl show-timesync --property=ServerAddress --value)" > /dev/console' &
 - n=; until [ -n "$n" ]; do n=$(getent ahostsv4 other.rackwright.internal | head -n1); sleep 1; done;
   echo "looked up $n" > /dev/console
"#;

/// The host `peer` on VLAN 20 of the machines' network: two taps, and the tag put on and taken off between them.
struct Peer {
    folder: PathBuf,
    ended: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Peer {
    fn new(lab: &Lab) -> Self {
        let folder = std::env::temp_dir().join(format!("rackwright-peer-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let trunk = end(lab, &folder, "site", "trunk", "TUN");
        let access = end(lab, &folder, "peer", "access", &format!("TUN:{PEER}/24"));
        poll::until(Duration::from_secs(10), "the peer's taps", || {
            let line = format!("link set trunk addrgenmode none master br-{BOOT_VLAN} up");
            ns::batch(&lab.namespace("site"), &[line])?;
            ns::batch(&lab.namespace("peer"), &[format!("address replace {FAR}/32 dev access")]).map(Some)
        })
        .unwrap();
        let ended = Arc::new(AtomicBool::new(false));
        let threads = vec![
            carry(&trunk, &access, &ended, |frame| {
                (frame.get(12..16)? == VID).then(|| [&frame[..12], &frame[16..]].concat())
            }),
            carry(&access, &trunk, &ended, |frame| {
                Some([frame.get(..12)?, &VID[..], frame.get(12..)?].concat())
            }),
        ];
        Self { folder, ended, threads }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            drop(thread.join());
        }
        drop(std::fs::remove_dir_all(&self.folder));
    }
}

/// A tap on a host, whose frames come and go at the socket.
fn end(lab: &Lab, folder: &Path, host: &str, name: &str, tun: &str) -> Arc<UnixDatagram> {
    let (ours, theirs) = (folder.join(name), folder.join(format!("{name}.socat")));
    let socket = UnixDatagram::bind(&ours).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let mut socat = lab.exec(host, "socat");
    socat.arg(format!("{tun},tun-type=tap,tun-name={name},iff-no-pi,iff-up"));
    socat.arg(format!("UNIX-SENDTO:{},bind={}", ours.display(), theirs.display()));
    lab.spawn(name, &socat).unwrap();
    poll::until(Duration::from_secs(10), "socat's socket", || Ok(socket.connect(&theirs).map(Some)?))
        .unwrap();
    Arc::new(socket)
}

fn carry(
    from: &Arc<UnixDatagram>,
    to: &Arc<UnixDatagram>,
    ended: &Arc<AtomicBool>,
    change: impl Fn(&[u8]) -> Option<Vec<u8>> + Send + 'static,
) -> JoinHandle<()> {
    let (from, to, ended) = (from.clone(), to.clone(), ended.clone());
    std::thread::spawn(move || {
        let mut buffer = [0; 65536];
        while !ended.load(Ordering::Relaxed) {
            let Ok(length) = from.recv(&mut buffer) else { continue };
            if let Some(frame) = change(&buffer[..length]) {
                // A frame that does not arrive is one that was lost on a wire.
                drop(to.send(&frame));
            }
        }
    })
}

fn site() -> Site {
    let mut machine = Machine::bios("wired").with_ipmi_sim(11);
    let second = Nic { mac: "52:54:00:20:00:02".into(), model: NicModel::VirtioNet, vlan: BOOT_VLAN.into() };
    machine.nics.push(second);
    let mut plan = LabPlan::with_machines(vec![machine]);
    plan.hosts.push(Host { name: "peer".into(), nics: vec![] });
    let site = Site::with_plan("e2ewire", plan, &[]).unwrap();
    site.start().unwrap();
    site.load_images(&["bootloaders", "ephemeral", "debian-12"]).unwrap();
    for setting in ["ephemeral_kernel_arguments", "installed_kernel_arguments"] {
        site.ask(&["setting", "set", setting, "console=ttyS0 no_timer_check"]).unwrap();
    }
    site.ask(&["setting", "set", "default_tests", "[]"]).unwrap();
    site.ask(&["setting", "set", "ntp_local_reference", "true"]).unwrap();
    site
}

/// The number of what was made.
fn made(site: &Site, arguments: &[&str]) -> String {
    site.list(arguments).unwrap()[0]["id"].to_string()
}

/// Models VLAN 20 with its subnet and a route, beside the subnet that the controller is in: numbers of that subnet, of the
/// VLAN and of its subnet.
fn model(site: &Site) -> (String, String, String) {
    let subnets = site.list(&["subnet", "list"]).unwrap();
    let near = subnets.iter().find(|s| s["cidr"] == "10.77.0.0/24").unwrap();
    let vlans = site.list(&["vlan", "list"]).unwrap();
    let fabric = vlans.iter().find(|v| v["id"] == near["vlan"]).unwrap()["fabric"].to_string();
    let vlan = made(site, &["vlan", "create", "--fabric", &fabric, "--vid", "20", "--name", "servers"]);
    let tagged = made(site, &["subnet", "create", "--vlan", &vlan, "10.20.0.0/24"]);
    made(site, &["static-route", "create", "--subnet", &tagged, "10.200.0.0/16", PEER]);
    (near["id"].to_string(), vlan, tagged)
}

/// The address of an interface that is made of others.
fn address_of(machine: &Value, name: &str) -> String {
    let all = machine["virtual_interfaces"].as_array().unwrap();
    let found = all.iter().find(|v| v["name"] == name).unwrap();
    found["addresses"][0]["address"].as_str().unwrap_or_else(|| panic!("{found}")).to_owned()
}

/// Waits until hosts on both networks reach the machine, the peer also from where only the static route leads.
fn reached(site: &Site, bond: &str, bridge: &str) {
    for (host, from, to) in [("ctl", "10.77.0.1", bond), ("peer", PEER, bridge), ("peer", FAR, bridge)] {
        poll::until(LIMIT, &format!("{to} to answer {host} at {from}"), || {
            let mut ping = site.lab().exec(host, "busybox");
            ns::run(ping.args(["ping", "-c", "1", "-W", "2", "-I", from, to])).map(Some)
        })
        .unwrap();
    }
}

#[test]
fn a_bond_with_a_vlan_and_a_bridge_reaches_its_peers_after_a_restart_and_with_a_cable_out() {
    let site = site();
    let _peer = Peer::new(site.lab());
    let machine = site.lab().machine("wired").unwrap();
    ns::run(site.lab().ipmitool("wired").unwrap().args(["chassis", "power", "on"])).unwrap();
    let id = site.first_machine().unwrap();
    let ready = site.until_status(&id, "ready").unwrap();
    site.set_right_bmc(&id, "wired").unwrap();

    let (near, vlan, tagged) = model(&site);
    let name = |at: usize| ready["interfaces"][at]["name"].as_str().unwrap().to_owned();
    let (first, second) = (name(0), name(1));
    let (near, tagged) = (format!("auto:{near}"), format!("auto:{tagged}"));
    let bond = ["bond", &id, "bond0", "--on", &first, "--on", &second, "--miimon", "100", "--address", &near];
    site.ask(&[&["machine", "interface"], &bond[..]].concat()).unwrap();
    site.ask(&["machine", "interface", "vlan", &id, "bond0.20", "--on", "bond0", "--vlan", &vlan]).unwrap();
    let bridge = ["bridge", &id, "br20", "--on", "bond0.20", "--address", &tagged];
    site.ask(&[&["machine", "interface"], &bridge[..]].concat()).unwrap();
    site.ask(&["record", "create", "other.rackwright.internal", "A", "10.99.0.1"]).unwrap();
    let plan = site.ask(&["machine", "deploy", &id, "--plan"]).unwrap();
    assert_eq!(plan["problems"], Value::Array(vec![]), "{plan}");

    let user_data = site.data().join("user-data");
    std::fs::write(&user_data, TELLS).unwrap();
    let user_data = user_data.to_str().unwrap();
    site.ask(&["machine", "deploy", &id, "--image", "debian-12", "--user-data", user_data]).unwrap();
    let deployed = site.until_status(&id, "deployed").unwrap();
    let (bond, bridge) = (address_of(&deployed, "bond0"), address_of(&deployed, "br20"));
    reached(&site, &bond, &bridge);
    machine.wait_for_serial("looked up 10.99.0.1", 0, LIMIT).unwrap();
    machine.wait_for_serial("time by 10.77.0.1", 0, LIMIT).unwrap();
    let names = site.list(&["name", "list", "--zone", "rackwright.internal"]).unwrap();
    let own = format!("{}.rackwright.internal", deployed["hostname"].as_str().unwrap());
    let of_own = names.iter().find(|n| n["name"] == own && n["type"] == "A");
    assert_eq!(of_own.map(|n| n["data"].as_str().unwrap_or_default()), Some(bond.as_str()), "{names:#?}");

    let since = usize::try_from(machine.serial_log().metadata().unwrap().len()).unwrap();
    machine.reset(BootOrder::NetworkFirst).unwrap();
    machine.wait_for_serial("looked up 10.99.0.1", since, LIMIT).unwrap();
    machine.wait_for_serial("time by 10.77.0.1", since, LIMIT).unwrap();
    reached(&site, &bond, &bridge);
    machine.set_link(0, false).unwrap();
    reached(&site, &bond, &bridge);
}
