use super::*;

fn plan() -> NetworkPlan {
    let eth = |number: u8, mode: LinkMode| InterfacePlan {
        mac: Mac([0x52, 0x54, 0, 0, 0, number]),
        name: format!("eth{number}"),
        mode,
        link: LinkPlan::default(),
    };
    let address = LinkMode::Static { address: "10.77.0.20/24".parse().unwrap(), gateway: None };
    let lacp = BondSettings {
        mode: BondMode::Lacp,
        lacp_rate: Some(LacpRate::Fast),
        xmit_hash_policy: Some(HashPolicy::Layer3And4),
        ..BondSettings::default()
    };
    let bare =
        |name: &str, kind| VirtualPlan { name: name.into(), kind, mac: None, link: LinkPlan::default() };
    let bridge = VirtualPlan {
        link: LinkPlan {
            mtu: Some(1400),
            addresses: vec!["10.20.0.5/24".parse().unwrap(), "fd00::5/64".parse().unwrap()],
            gateways: vec!["10.20.0.1".parse().unwrap(), "fd00::1".parse().unwrap()],
            routes: vec![RoutePlan {
                to: "10.200.0.0/16".parse().unwrap(),
                via: "10.20.0.9".parse().unwrap(),
                metric: 50,
            }],
            ..LinkPlan::default()
        },
        ..bare(
            "br20",
            VirtualKind::Bridge { members: vec!["bond0.20".into()], settings: BridgeSettings::default() },
        )
    };
    NetworkPlan {
        interfaces: vec![eth(0, address), eth(1, LinkMode::LinkUp), eth(2, LinkMode::LinkUp)],
        nameservers: vec!["10.77.0.1".parse().unwrap()],
        search: vec!["lab".into()],
        virtual_interfaces: vec![
            bare("bond0", VirtualKind::Bond { members: vec!["eth1".into(), "eth2".into()], settings: lacp }),
            bare("bond0.20", VirtualKind::Vlan { id: 20, on: "bond0".into() }),
            bridge,
        ],
    }
}

#[test]
fn a_bond_a_vlan_and_a_bridge_are_rendered_for_netplan() {
    let network = &plan().to_netplan()["network"];
    let expected = serde_json::json!({
        "version": 2,
        "ethernets": {
            "eth0": {
                "match": { "macaddress": "52:54:00:00:00:00" }, "set-name": "eth0", "addresses": ["10.77.0.20/24"],
                "nameservers": { "addresses": ["10.77.0.1"], "search": ["lab"] },
            },
            "eth1": { "match": { "macaddress": "52:54:00:00:00:01" }, "set-name": "eth1", "optional": true },
            "eth2": { "match": { "macaddress": "52:54:00:00:00:02" }, "set-name": "eth2", "optional": true },
        },
        "bonds": { "bond0": {
            "interfaces": ["eth1", "eth2"],
            "parameters": { "mode": "802.3ad", "lacp-rate": "fast", "mii-monitor-interval": 100, "transmit-hash-policy": "layer3+4" },
        } },
        "vlans": { "bond0.20": { "id": 20, "link": "bond0" } },
        "bridges": { "br20": {
            "interfaces": ["bond0.20"], "parameters": { "stp": false, "forward-delay": 0 }, "mtu": 1400,
            "addresses": ["10.20.0.5/24", "fd00::5/64"],
            "nameservers": { "addresses": ["10.77.0.1"], "search": ["lab"] },
            "routes": [
                { "to": "default", "via": "10.20.0.1" }, { "to": "::/0", "via": "fd00::1" },
                { "to": "10.200.0.0/16", "via": "10.20.0.9", "metric": 50 },
            ],
        } },
    });
    assert_eq!(*network, expected);
}

#[test]
fn the_same_is_written_for_ifupdown() {
    let text = plan().to_ifupdown();
    let stanzas: Vec<&str> = text.trim_end().split("\n\n").collect();
    assert_eq!(
        stanzas,
        [
            "auto eth0\niface eth0 inet static\n    address 10.77.0.20/24\n    dns-nameservers 10.77.0.1\n    dns-search lab",
            "auto eth1\niface eth1 inet manual\n    bond-master bond0",
            "auto eth2\niface eth2 inet manual\n    bond-master bond0",
            "auto bond0\niface bond0 inet manual\n    bond-slaves eth1 eth2\n    bond-mode 802.3ad\n    bond-miimon 100\n    \
             bond-lacp-rate 1\n    bond-xmit-hash-policy layer3+4",
            "auto bond0.20\niface bond0.20 inet manual\n    vlan-raw-device bond0\n    vlan-id 20",
            "auto br20\niface br20 inet static\n    bridge_ports bond0.20\n    bridge_stp off\n    bridge_fd 0\n    mtu 1400\n    \
             address 10.20.0.5/24\n    gateway 10.20.0.1\n    up ip route add 10.200.0.0/16 via 10.20.0.9 dev $IFACE metric 50\n    \
             dns-nameservers 10.77.0.1\n    dns-search lab\niface br20 inet6 static\n    address fd00::5/64\n    gateway fd00::1\n    \
             dns-nameservers 10.77.0.1\n    dns-search lab",
        ]
    );
    let (file, content) = &plan().to_link_files()[0];
    assert_eq!(file, "70-rackwright-eth0.link");
    assert!(content.contains("PermanentMACAddress=52:54:00:00:00:00"));
}

#[test]
fn every_mode_of_bonding_has_the_kernels_word() {
    for mode in BondMode::ALL {
        assert_eq!(serde_json::to_value(mode).unwrap(), mode.as_str());
    }
}

#[test]
fn what_an_older_region_says_is_read() {
    let old = serde_json::json!({ "interfaces": [{ "mac": "52:54:00:00:00:01", "name": "eth0",
        "mode": { "mode": "static", "address": "10.77.0.20/24", "gateway": "10.77.0.1" } }], "nameservers": [], "search": [] });
    let plan: NetworkPlan = serde_json::from_value(old).unwrap();
    let eth0 = &plan.to_netplan()["network"]["ethernets"]["eth0"];
    assert_eq!(
        (&eth0["addresses"][0], &eth0["routes"][0]["via"]),
        (&"10.77.0.20/24".into(), &"10.77.0.1".into())
    );
}
