use super::*;
use rackwright_common::Secret;
use rackwright_common::snapshot::{
    BlobRef, BootDecision, EphemeralBoot, HostInterface, HostView, Subnet6View,
};
use rackwright_dhcp6::{Arrival, Declined, Message, Options, code, kind};

const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];

fn snapshot(hosts: Vec<HostView>) -> Snapshot {
    let subnet = Subnet6View {
        id: 6,
        vlan: 3,
        cidr: "fd00:92::/64".parse().unwrap(),
        dns_servers: vec![],
        domain: None,
        valid_seconds: 600,
        boot_architectures: None,
        ranges: vec![("fd00:92::1:0".parse().unwrap(), "fd00:92::1:ffff".parse().unwrap())],
        fixed: vec![],
    };
    Snapshot { subnets6: vec![subnet], hosts, ..Snapshot::default() }
}

/// What firmware of this architecture is told to load on a link where this rack is `fd00:92::1`.
fn url(architecture: u16, snapshot: &Snapshot) -> Option<String> {
    let (mut config, _) = config(snapshot, "no-such-interface", 5248);
    config.links[0].own = Some("fd00:92::1".parse().unwrap());
    let class = if [16, 19].contains(&architecture) { b"HTTPClient" } else { b"PXEClient\0" };
    let mut options = Options::default();
    options.add(code::CLIENT_ID, [&[0, 3, 0, 1], &MAC[..]].concat());
    options.add(code::IA_NA, [0; 12]);
    options.add(code::VENDOR_CLASS, [&[0, 0, 1, 0x57, 0, 10], &class[..]].concat());
    options.add(code::CLIENT_ARCHITECTURE, architecture.to_be_bytes());
    let asked = Message { kind: kind::SOLICIT, transaction: [1, 2, 3], options }.encode();
    let arrival = Arrival { link: Some(3), from: "fe80::1".parse().unwrap(), multicast: true };
    config.respond(&asked, arrival, &mut Declined::default()).unwrap().boot
}

fn known(secure_boot: Option<bool>) -> Snapshot {
    let host = HostView {
        machine: "abc123".parse().unwrap(),
        hostname: "node-1".parse().unwrap(),
        uuid: None,
        interfaces: vec![HostInterface { mac: rackwright_common::Mac(MAC), address: None }],
        boot: BootDecision::Local,
        secure_boot,
    };
    snapshot(vec![host])
}

#[test]
fn each_architecture_is_told_its_loader() {
    let tftp = |file: &str| Some(format!("tftp://[fd00:92::1]/{file}"));
    let http = |file: &str| Some(format!("http://[fd00:92::1]:5248/boot/{file}"));
    for (architecture, usual, picky) in [
        (7, tftp("snponly.efi"), tftp("shimx64.efi")),
        (9, tftp("snponly.efi"), tftp("shimx64.efi")),
        (11, tftp("snponly-arm64.efi"), tftp("snponly-arm64.efi")),
        (16, http("snponly.efi"), None),
        (19, http("snponly-arm64.efi"), None),
        (22, tftp("snponly-arm64.efi"), tftp("snponly-arm64.efi")),
        (6, None, None),
    ] {
        assert_eq!(url(architecture, &known(Some(false))), usual, "{architecture}");
        assert_eq!(url(architecture, &known(Some(true))), picky, "{architecture} with Secure Boot");
    }
}

#[test]
fn a_stranger_starts_signed_by_tftp_and_unsigned_by_http_when_enlisting_is_on() {
    assert_eq!(url(7, &snapshot(vec![])), None);
    let blob = || BlobRef { sha256: "a".repeat(64), size: 1 };
    let enlist = EphemeralBoot {
        kernel: blob(),
        initrd: blob(),
        arguments: String::new(),
        token: Secret::new(String::new()),
        fence: None,
    };
    let snapshot = Snapshot { enlist: Some(enlist), ..snapshot(vec![]) };
    assert_eq!(url(7, &snapshot).unwrap(), "tftp://[fd00:92::1]/shimx64.efi");
    assert_eq!(url(16, &snapshot).unwrap(), "http://[fd00:92::1]:5248/boot/snponly.efi");
}

#[test]
fn where_only_http_boots_its_ipxe_goes_on_and_pxe_is_told_of_nothing() {
    let mut here = known(None);
    here.subnets6[0].boot_architectures = Some(vec![16]);
    assert_eq!(url(7, &here), None);
    assert!(url(16, &here).is_some());
    let (config, _) = config(&here, "no-such-interface", 5248);
    assert_eq!(config.links[0].subnets[0].ipxe_archs, Some(vec![7, 9, 16]));
}
