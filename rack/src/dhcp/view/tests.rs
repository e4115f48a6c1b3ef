use rackwright_common::snapshot::{BlockView, HostInterface, HostView, ReservationView};
use rackwright_common::{Mac, snapshot};

use super::*;

fn subnet_view(id: i64, cidr: &str) -> SubnetView {
    SubnetView {
        id,
        cidr: cidr.parse().unwrap(),
        gateway: None,
        dns_servers: vec![],
        ntp_servers: vec![],
        domain: None,
        mtu: None,
        dhcp: true,
        lease_seconds: 600,
        blocks: vec![],
        vlan: None,
        mode: snapshot::ServeMode::Serve,
        boot_architectures: None,
        options: vec![],
        routes: vec![],
    }
}

fn interface(name: &str, addresses: &[&str]) -> Interface {
    let addresses = addresses.iter().map(|a| a.parse().unwrap()).collect();
    Interface { name: name.into(), addresses, link: None }
}

fn address(text: &str) -> Ipv4Addr {
    text.parse().unwrap()
}

const MACHINE: Mac = Mac([2, 0, 0, 0, 0, 1]);

#[test]
fn subnets_of_one_interface_are_one_link_and_others_stand_alone() {
    let interfaces =
        [interface("eth1", &["10.1.0.1/24", "10.2.0.1/24"]), interface("eth2", &["10.3.0.1/24"])];
    let subnets = [(1, "10.1.0.0/24"), (2, "10.2.0.0/24"), (3, "10.3.0.0/24"), (4, "10.4.0.0/24")];
    let mut views: Vec<SubnetView> = subnets.iter().map(|(id, cidr)| subnet_view(*id, cidr)).collect();
    views.push(SubnetView { dhcp: false, ..subnet_view(5, "10.5.0.0/24") });
    let config = config(&Snapshot { subnets: views, ..Snapshot::default() }, &interfaces, 5248);
    let segments: Vec<u64> = config.subnets().iter().map(|s| s.segment).collect();
    assert_eq!(segments, [0, 0, 1, RELAYED + 4]);
    assert!(config.subnets().iter().all(|s| s.dns_servers.is_empty()), "nobody answers names");
}

#[test]
fn machines_ask_the_racks_of_their_subnet_for_names_this_one_first() {
    let interfaces = [interface("eth1", &["10.1.0.2/24"])];
    let own = SubnetView { dns_servers: vec![address("192.0.2.1")], ..subnet_view(3, "10.3.0.0/24") };
    let subnets = vec![subnet_view(1, "10.1.0.0/24"), subnet_view(2, "10.2.0.0/24"), own];
    let servers = vec![address("10.1.0.1"), address("10.1.0.2")];
    let names = rackwright_common::names::NamesView { servers, ..Default::default() };
    let config = config(&Snapshot { subnets, names, ..Snapshot::default() }, &interfaces, 5248);
    let told: Vec<_> = config.subnets().iter().map(|s| s.dns_servers.clone()).collect();
    assert_eq!(told[0], [address("10.1.0.2"), address("10.1.0.1")]);
    assert_eq!(told[1], [address("10.1.0.2"), address("10.1.0.1")], "by way of a relay");
    assert_eq!(told[2], [address("192.0.2.1")], "as its administrator says");
}

#[test]
fn a_machine_wins_over_a_reservation_of_its_mac_and_keeps_both_addresses() {
    let host = HostView {
        machine: "abc123".parse().unwrap(),
        hostname: "node-1".parse().unwrap(),
        uuid: Some(uuid::Uuid::from_u128(7)),
        interfaces: vec![HostInterface { mac: MACHINE, address: Some(address("10.1.0.20")) }],
        boot: snapshot::BootDecision::Local,
        secure_boot: Some(true),
    };
    let reserved =
        ReservationView { mac: MACHINE, address: address("10.3.0.9"), hostname: None, options: vec![] };
    let subnets = vec![subnet_view(1, "10.1.0.0/24"), subnet_view(3, "10.3.0.0/24")];
    let snapshot =
        Snapshot { subnets, hosts: vec![host], reservations: vec![reserved], ..Snapshot::default() };
    let config = config(&snapshot, &[interface("eth1", &["10.1.0.1/24"])], 5248);
    let mac = Some(MacAddr(MACHINE.0));
    assert_eq!(config.fixed_address(mac, &config.subnets()[0]), Some(address("10.1.0.20")));
    assert_eq!(config.fixed_address(mac, &config.subnets()[1]), Some(address("10.3.0.9")));
    assert_eq!(config.host_boot(None, mac), Some(HostBoot::Secure));
    assert_eq!(config.host_boot(Some(*uuid::Uuid::from_u128(7).as_bytes()), None), Some(HostBoot::Secure));
    assert_eq!(config.boot.unknown, rackwright_dhcp::HostBoot::Never, "nothing to enlist with");
}

#[test]
fn the_configuration_has_no_pools_and_the_server_is_known_by_an_address_of_a_served_subnet() {
    let block = BlockView { first: address("10.1.0.100"), last: address("10.1.0.199"), epoch: 1, since: 1 };
    let view = SubnetView { blocks: vec![block], ..subnet_view(1, "10.1.0.0/24") };
    let eth1 = interface("eth1", &["192.0.2.1/24", "10.1.0.1/24"]);
    let config =
        config(&Snapshot { subnets: vec![view], ..Snapshot::default() }, std::slice::from_ref(&eth1), 5248);
    assert!(
        !config.subnets()[0].is_dynamic(address("10.1.0.150")),
        "blocks come with the answers of regions"
    );
    assert_eq!(server_address(&config, &eth1, address("192.0.2.1")), address("10.1.0.1"));
    assert_eq!(server_address(&config, &eth1, address("10.1.0.1")), address("10.1.0.1"));
}

/// What firmware of this architecture is told to load.
fn file(architecture: u16, secure_boot: Option<bool>) -> String {
    use rackwright_dhcp::{Action, Arrival, Leases, MessageType, Packet, code, respond};
    let host = HostView {
        machine: "abc123".parse().unwrap(),
        hostname: "node-1".parse().unwrap(),
        uuid: None,
        interfaces: vec![HostInterface { mac: MACHINE, address: Some(address("10.1.0.20")) }],
        boot: snapshot::BootDecision::Local,
        secure_boot,
    };
    let world =
        Snapshot { subnets: vec![subnet_view(1, "10.1.0.0/24")], hosts: vec![host], ..Snapshot::default() };
    let config = config(&world, &[interface("eth1", &["10.1.0.1/24"])], 5248);
    let mut packet = Packet::decode(&[0; 236]).unwrap();
    (packet.op, packet.htype, packet.hlen) = (1, 1, 6);
    packet.chaddr[..6].copy_from_slice(&MACHINE.0);
    let class = if [16, 19].contains(&architecture) { "HTTPClient" } else { "PXEClient" };
    packet.options.set(code::MESSAGE_TYPE, [MessageType::Discover as u8]);
    packet.options.set(code::VENDOR_CLASS, class);
    packet.options.set(code::CLIENT_ARCH, architecture.to_be_bytes());
    let arrival = Arrival { server: address("10.1.0.1"), broadcast: true };
    match respond(&packet, arrival, &config, &mut Leases::new(), 1_800_000_000).action {
        Action::Offer(reply) => reply.packet.options.text(code::BOOT_FILE).unwrap_or_default(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn each_architecture_is_told_its_loader() {
    let url = |file: &str| format!("http://10.1.0.1:5248/boot/{file}");
    for (architecture, usual, picky) in [
        (0, "undionly.kpxe".to_owned(), "undionly.kpxe".to_owned()),
        (7, "snponly.efi".to_owned(), "shimx64.efi".to_owned()),
        (9, "snponly.efi".to_owned(), "shimx64.efi".to_owned()),
        (11, "snponly-arm64.efi".to_owned(), "snponly-arm64.efi".to_owned()),
        (16, url("snponly.efi"), String::new()),
        (19, url("snponly-arm64.efi"), String::new()),
        (22, "snponly-arm64.efi".to_owned(), "snponly-arm64.efi".to_owned()),
        (6, String::new(), String::new()),
    ] {
        assert_eq!(file(architecture, Some(false)), usual, "{architecture}");
        assert_eq!(file(architecture, Some(true)), picky, "{architecture} with Secure Boot");
    }
}
