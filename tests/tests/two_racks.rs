//! Two racks on one network, one region, and DHCP clients that nobody here wrote: what they notice when a rack dies,
//! and then the region too. Every acknowledgement that crosses the network is captured.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use rackwright_dhcp::racks::responsible;
use rackwright_dhcp::{ClientKey, MacAddr};
use rackwright_lab::plan::{Host, HostNic, LabPlan};
use rackwright_lab::{Lab, poll};
use rackwright_tests::dhcp_client::DhcpClient;
use rackwright_tests::enrolled_rack::EnrolledRack;
use rackwright_tests::site::{SHORT, Site};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const PREFIX: &str = "dhc";

/// The region's box on `site`, two racks between `site` and `boot`, three clients on `boot`.
fn plan() -> LabPlan {
    let nic = |name: &str, vlan: &str, address: Option<&str>| HostNic {
        name: name.into(),
        vlan: vlan.into(),
        addresses: address.into_iter().map(str::to_owned).collect(),
    };
    let rack = |number: u8| Host {
        name: format!("rack-{number}"),
        nics: vec![
            nic("eth0", "site", Some(&format!("10.77.0.1{number}/24"))),
            nic("eth1", "boot", Some(&format!("10.79.0.{number}/24"))),
        ],
    };
    let client = |number: u8| Host { name: format!("c{number}"), nics: vec![nic("eth0", "boot", None)] };
    let region = Host { name: "ctl".into(), nics: vec![nic("eth1", "site", Some("10.77.0.1/24"))] };
    let hosts = [region, rack(1), rack(2)].into_iter().chain((1..=3).map(client)).collect();
    LabPlan { vlans: vec!["site".into(), "boot".into()], hosts, ..LabPlan::default() }
}

/// All that racks acknowledge on `boot`.
struct Capture<'a>(&'a Lab);

impl Capture<'_> {
    fn start(lab: &Lab) -> Capture<'_> {
        let mut command = lab.exec("site", "tcpdump");
        command.args(["-i", "br-boot", "-n", "-v", "-l", "udp", "src", "port", "67"]);
        lab.spawn("capture", &command).unwrap();
        let capture = Capture(lab);
        poll::until(SHORT, "tcpdump to listen", || {
            let text = capture.text();
            anyhow::ensure!(text.contains("listening on br-boot"), "{text}");
            Ok(Some(()))
        })
        .unwrap();
        capture
    }

    fn text(&self) -> String {
        let bytes = std::fs::read(self.0.process_log("capture")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Who was acknowledged each address.
    fn holders(&self) -> BTreeMap<String, BTreeSet<String>> {
        let mut holders: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let text = self.text();
        // Each message begins with a line that is not indented.
        for message in text.replace("\n\t", "\t").replace("\n ", " ").lines() {
            let after = |what: &str| {
                let value = message.split_once(what)?.1;
                value.split_whitespace().next().map(str::to_owned)
            };
            let is_ack = message.contains("DHCP-Message (53), length 1: ACK");
            if let (true, Some(address), Some(mac)) =
                (is_ack, after("Your-IP "), after("Client-Ethernet-Address "))
            {
                holders.entry(address).or_default().insert(mac);
            }
        }
        holders
    }
}

/// A client of which `rack` answers the first DISCOVER while both racks live.
fn mac_of(rack: i64, racks: &[i64], from: u8) -> String {
    let belongs = |last: &u8| {
        let client = ClientKey::ethernet(MacAddr([2, 0, 0, 0x79, 0, *last]));
        responsible(&client, racks) == Some(rack)
    };
    let last = (from..=from + 50).find(belongs).unwrap();
    format!("02:00:00:79:00:{last:02x}")
}

fn until_rack_knows(rack: &EnrolledRack<'_>, address: &str) {
    poll::until(SHORT, &format!("{} to know {address}", rack.name), || {
        let file = rack.lease_file();
        anyhow::ensure!(file.contains(&format!("\"{address}\"")), "{file}\n{}", rack.log_tail());
        Ok(Some(()))
    })
    .unwrap();
}

/// A rack has blocks and has heard the region: it gives addresses.
fn until_rack_gives(rack: &EnrolledRack<'_>) {
    poll::until(SHORT, &format!("{} to have blocks", rack.name), || {
        let file = rack.lease_file();
        let ready = file.contains(r#""since""#) && file.contains(r#""line":"contact""#);
        anyhow::ensure!(ready, "{file}\n{}", rack.log_tail());
        Ok(Some(()))
    })
    .unwrap();
}

#[test]
fn a_rack_dies_and_the_region_too_and_clients_keep_their_addresses() {
    let site = Site::with_plan(PREFIX, plan(), &[]).unwrap();
    site.start().unwrap();
    let racks = ["rack-1", "rack-2"].map(|name| EnrolledRack::enroll(&site, name, &["eth1"]).unwrap());
    racks.iter().for_each(|rack| rack.start().unwrap());
    racks.iter().for_each(until_rack_gives);
    let known = site.list(&["rack", "list"]).unwrap();
    let number = |rack: &EnrolledRack<'_>| {
        known.iter().find(|r| r["name"] == rack.name.as_str()).unwrap()["id"].as_i64().unwrap()
    };
    let numbers = [number(&racks[0]), number(&racks[1])];
    let lab = site.lab();
    let capture = Capture::start(lab);

    // The first client is the first rack's, and its lease reaches the second.
    let first = DhcpClient::new(lab, "c1", &mac_of(numbers[0], &numbers, 1)).unwrap();
    let (bound, _) = first.start().unwrap();
    assert_eq!(bound.server, "10.79.0.1");
    until_rack_knows(&racks[1], &bound.address);

    // That rack dies. The other renews the lease, and answers a new client that would have been the dead one's.
    racks[0].kill().unwrap();
    let second = DhcpClient::new(lab, "c2", &mac_of(numbers[0], &numbers, 71)).unwrap();
    let (other, took) = second.start().unwrap();
    assert_eq!(other.server, "10.79.0.2");
    assert!(took < Duration::from_millis(5_500), "a new client waited {took:?}: udhcpc asks at 0, 3 and 6 s");
    let renewed = first.renew().unwrap();
    assert_eq!((&renewed.address, renewed.server.as_str()), (&bound.address, "10.79.0.2"));

    // The region dies as well, and what is left goes on: also the rack that starts anew, from its disk.
    site.kill().unwrap();
    for (client, had) in [(&first, &bound), (&second, &other)] {
        let renewed = client.renew().unwrap();
        assert_eq!((&renewed.address, renewed.server.as_str()), (&had.address, "10.79.0.2"));
    }
    racks[0].launch().unwrap();
    let third = DhcpClient::new(lab, "c3", &mac_of(numbers[0], &numbers, 141)).unwrap();
    let (alone, _) = third.start().unwrap();
    racks[1].kill().unwrap();
    let renewed = first.renew().unwrap();
    assert_eq!((&renewed.address, renewed.server.as_str()), (&bound.address, "10.79.0.1"));

    // Everything is back: the regions' table, both racks and the network agree.
    site.start().unwrap();
    racks[1].start().unwrap();
    let addresses = BTreeSet::from([&bound.address, &other.address, &alone.address]);
    assert_eq!(addresses.len(), 3);
    for address in &addresses {
        racks.iter().for_each(|rack| until_rack_knows(rack, address));
    }
    let holders = capture.holders();
    assert_eq!(holders.keys().collect::<BTreeSet<_>>(), addresses, "{}", capture.text());
    let shared: Vec<_> = holders.iter().filter(|(_, macs)| macs.len() != 1).collect();
    assert_eq!(shared, [] as [(&String, &BTreeSet<String>); 0]);
    let leases = site.list(&["lease", "list"]).unwrap();
    for (address, macs) in &holders {
        let row = leases.iter().find(|l| l["address"] == address.as_str());
        let mac = row.and_then(|l| l["mac"].as_str()).unwrap_or_default();
        assert!(macs.contains(mac), "{address}: {macs:?}, {leases:?}");
    }
}
