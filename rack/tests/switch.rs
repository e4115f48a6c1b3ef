//! Switches by SNMP, against agents that nobody here wrote: snmpsim (PyPI) with the tables of a bridge that takes changes,
//! and net-snmp's snmpd with SNMPv3. Both on 127.0.0.1.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use rackwright_common::Secret;
use rackwright_common::switch::{
    SnmpAccess, SnmpAuthentication, SnmpPrivacy, SwitchEndpoint, SwitchError, SwitchReading,
};
use rackwright_rack::switch::{read, set_access_vlan};
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Four ports: 1 in VLAN 10, 2 in 20, 3 a trunk of both over the native VLAN 1, 4 without a link in VLAN 1. In order of
/// their identifiers, as snmpsim wants them.
const BRIDGE: &str = "1.0.8802.1.1.2.1.3.1.0|2|4
1.0.8802.1.1.2.1.3.2.0|4x|020000000001
1.0.8802.1.1.2.1.3.7.1.3.101|4|swp1
1.0.8802.1.1.2.1.4.1.1.4.0.101.1|2|4
1.0.8802.1.1.2.1.4.1.1.5.0.101.1|4x|525400910009
1.0.8802.1.1.2.1.4.1.1.6.0.101.1|2|5
1.0.8802.1.1.2.1.4.1.1.7.0.101.1|4|eth1
1.0.8802.1.1.2.1.4.1.1.8.0.101.1|4|first card
1.0.8802.1.1.2.1.4.1.1.9.0.101.1|4|node-7
1.3.6.1.2.1.1.1.0|4|A switch of the test
1.3.6.1.2.1.1.5.0|4|switch-3
1.3.6.1.2.1.2.2.1.2.101|4|Port 1
1.3.6.1.2.1.2.2.1.2.102|4|Port 2
1.3.6.1.2.1.2.2.1.2.103|4|Port 3
1.3.6.1.2.1.2.2.1.2.104|4|Port 4
1.3.6.1.2.1.2.2.1.8.101|2|1
1.3.6.1.2.1.2.2.1.8.102|2|1
1.3.6.1.2.1.2.2.1.8.103|2|1
1.3.6.1.2.1.2.2.1.8.104|2|2
1.3.6.1.2.1.17.1.4.1.2.1|2|101
1.3.6.1.2.1.17.1.4.1.2.2|2|102
1.3.6.1.2.1.17.1.4.1.2.3|2|103
1.3.6.1.2.1.17.1.4.1.2.4|2|104
1.3.6.1.2.1.17.7.1.2.2.1.2.5.82.84.0.145.0.9|2|1
1.3.6.1.2.1.17.7.1.2.2.1.2.6.82.84.0.145.0.10|2|2
1.3.6.1.2.1.17.7.1.4.2.1.3.0.10|66|5
1.3.6.1.2.1.17.7.1.4.2.1.3.0.20|66|6
1.3.6.1.2.1.17.7.1.4.3.1.1.1|4|default
1.3.6.1.2.1.17.7.1.4.3.1.1.10|4|machines
1.3.6.1.2.1.17.7.1.4.3.1.1.20|4|storage
1.3.6.1.2.1.17.7.1.4.3.1.2.1|4x:writecache|hexvalue=30
1.3.6.1.2.1.17.7.1.4.3.1.2.10|4x:writecache|hexvalue=a0
1.3.6.1.2.1.17.7.1.4.3.1.2.20|4x:writecache|hexvalue=60
1.3.6.1.2.1.17.7.1.4.3.1.4.1|4x:writecache|hexvalue=30
1.3.6.1.2.1.17.7.1.4.3.1.4.10|4x:writecache|hexvalue=80
1.3.6.1.2.1.17.7.1.4.3.1.4.20|4x:writecache|hexvalue=40
1.3.6.1.2.1.17.7.1.4.5.1.1.1|66:writecache|value=10
1.3.6.1.2.1.17.7.1.4.5.1.1.2|66:writecache|value=20
1.3.6.1.2.1.17.7.1.4.5.1.1.3|66:writecache|value=1
1.3.6.1.2.1.17.7.1.4.5.1.1.4|66|1
1.3.6.1.2.1.31.1.1.1.1.101|4|swp1
1.3.6.1.2.1.31.1.1.1.1.102|4|swp2
1.3.6.1.2.1.31.1.1.1.1.103|4|swp3
1.3.6.1.2.1.31.1.1.1.1.104|4|swp4
1.3.6.1.2.1.31.1.1.1.15.101|66|10000
1.3.6.1.2.1.31.1.1.1.18.101|4|node-7 eth1
";

/// An agent; it ends with the value.
struct Agent {
    child: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Drop for Agent {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn free_port() -> u16 {
    UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn succeed(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// snmpsim of PyPI, in a virtual environment that is kept between runs.
fn snmpsim() -> PathBuf {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("snmpsim-1.2.2");
    let done = place.join("bin/snmpsim-command-responder");
    if !done.exists() {
        succeed(Command::new("python3").args(["-m", "venv"]).arg(&place));
        let packages = ["install", "--quiet", "snmpsim==1.2.2", "pysmi"];
        succeed(Command::new(place.join("bin/pip")).args(packages));
    }
    done
}

impl Agent {
    fn bridge() -> Self {
        let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
        let data = folder.path().join("data");
        std::fs::create_dir(&data).unwrap();
        std::fs::write(data.join("public.snmprec"), BRIDGE).unwrap();
        let child = Command::new(snmpsim())
            .arg(format!("--data-dir={}", data.display()))
            .arg(format!("--cache-dir={}", folder.path().join("cache").display()))
            .arg(format!("--agent-udpv4-endpoint=127.0.0.1:{port}"))
            .args(["--process-user=root", "--process-group=root"])
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(folder.path().join("log")).unwrap())
            .spawn()
            .unwrap();
        Self { child, port, _folder: folder }
    }

    /// snmpd with a user of SNMPv3 who may read.
    fn net_snmp() -> Self {
        let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
        let users = "createUser op SHA-256 \"first secret\" AES \"second secret\"\nrouser op priv\nsysName gateway-1\n";
        std::fs::write(folder.path().join("snmpd.conf"), users).unwrap();
        let child = Command::new("snmpd")
            .args(["-f", "-Ln", "-C", "-c"])
            .arg(folder.path().join("snmpd.conf"))
            .arg(format!("udp:127.0.0.1:{port}"))
            .env("SNMP_PERSISTENT_DIR", folder.path().join("state"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { child, port, _folder: folder }
    }

    fn endpoint(&self, access: SnmpAccess) -> SwitchEndpoint {
        SwitchEndpoint { address: "127.0.0.1".into(), port: self.port, access }
    }
}

fn community(word: &str) -> SnmpAccess {
    SnmpAccess::V2c { community: Secret::new(word.to_owned()) }
}

fn user(password: &str) -> SnmpAccess {
    SnmpAccess::V3 {
        username: "op".into(),
        authentication: SnmpAuthentication::Sha256,
        authentication_password: Secret::new(password.to_owned()),
        privacy: SnmpPrivacy::Aes128,
        privacy_password: Secret::new("second secret".into()),
    }
}

/// The first reading; the agent may still be starting.
async fn until_read(endpoint: &SwitchEndpoint) -> SwitchReading {
    let deadline = Instant::now() + Duration::from_secs(90);
    loop {
        match read(endpoint).await {
            Ok(reading) => return reading,
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bridge_is_read_and_a_port_changes_its_vlan() {
    let agent = Agent::bridge();
    let endpoint = agent.endpoint(community("public"));
    let reading = until_read(&endpoint).await;
    assert_eq!((reading.name.as_str(), reading.chassis.as_deref()), ("switch-3", Some("02:00:00:00:00:01")));
    let vlans: Vec<_> = reading.vlans.iter().map(|v| (v.vid, v.name.as_str())).collect();
    assert_eq!(vlans, [(1, "default"), (10, "machines"), (20, "storage")]);
    let ports: Vec<_> = reading
        .ports
        .iter()
        .map(|p| (p.number, p.name.as_str(), p.up, p.pvid, p.untagged.clone(), p.tagged.clone()))
        .collect();
    assert_eq!(
        ports,
        [
            (1, "swp1", true, Some(10), vec![10], vec![]),
            (2, "swp2", true, Some(20), vec![20], vec![]),
            (3, "swp3", true, Some(1), vec![1], vec![10, 20]),
            (4, "swp4", false, Some(1), vec![1], vec![]),
        ]
    );
    assert_eq!((reading.ports[0].speed_mbps, reading.ports[0].alias.as_str()), (10_000, "node-7 eth1"));
    let end = reading.ports[0].neighbour.as_ref().unwrap();
    assert_eq!(
        (end.system.as_deref(), end.chassis.as_str(), end.port.as_str()),
        (Some("node-7"), "52:54:00:91:00:09", "eth1")
    );
    let macs: Vec<_> = reading.macs.iter().map(|m| (m.mac.to_string(), m.vid, m.port)).collect();
    let mac = |end: &str| format!("52:54:00:91:00:{end}");
    assert_eq!(macs, [(mac("09"), Some(10), 1), (mac("0a"), Some(20), 2)]);

    // Twice: what is so already stays so.
    for _ in 0..2 {
        let after = set_access_vlan(&endpoint, 1, 20).await.unwrap();
        assert_eq!(
            (after.ports[0].pvid, &after.ports[0].untagged, &after.ports[0].tagged),
            (Some(20), &vec![20], &vec![])
        );
        assert_eq!(after.ports[1..], reading.ports[1..], "no other port has changed");
    }

    let refused = async |port, vid| match set_access_vlan(&endpoint, port, vid).await {
        Err(SwitchError::Refused(why)) => why,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(3, 10).await, "port 3 carries tagged VLANs (10, 20): it is no access port");
    assert_eq!(refused(1, 30).await, "the switch has no VLAN 30; make it there first");
    assert_eq!(refused(9, 10).await, "the switch has no port 9, or tells no VLAN of it");
    // Of port 4 this agent acknowledges a VLAN of its own that it then does not have.
    let why = refused(4, 10).await;
    assert!(why.starts_with("the switch took the change and does not have it: port 4"), "{why}");

    let silent = read(&agent.endpoint(community("wrong"))).await;
    assert!(matches!(silent, Err(SwitchError::Unreachable(_))), "{silent:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn version_3_is_authenticated_and_encrypted() {
    let agent = Agent::net_snmp();
    let endpoint = agent.endpoint(user("first secret"));
    let reading = until_read(&endpoint).await;
    assert_eq!(reading.name, "gateway-1");
    assert!(reading.ports.iter().any(|p| p.name == "lo"), "{reading:?}");
    assert_eq!((reading.vlans.len(), reading.macs.len()), (0, 0), "it is no bridge");
    let wrong = read(&agent.endpoint(user("third secret"))).await;
    assert!(matches!(wrong, Err(SwitchError::Login(_))), "{wrong:?}");
    let refused = set_access_vlan(&endpoint, 1, 20).await;
    assert!(matches!(refused, Err(SwitchError::Refused(_))), "{refused:?}");
}
