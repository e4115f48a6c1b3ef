//! Who boots what.

use super::*;

fn offer_to(packet: &Packet, config: Config) -> Packet {
    let reply = sent(Server::new(config).ask(packet));
    Packet::decode(&reply.encode()).unwrap()
}

fn file(packet: &Packet) -> String {
    let end = packet.file.iter().position(|b| *b == 0).unwrap();
    let field = String::from_utf8(packet.file[..end].to_vec()).unwrap();
    assert_eq!(packet.options.text(code::BOOT_FILE).unwrap_or_default(), field, "field and option 67 agree");
    field
}

fn with_arch(arch: u16) -> Packet {
    let mut packet = message(MessageType::Discover, mac(1));
    let class = if [16, 19].contains(&arch) { "HTTPClient" } else { "PXEClient" };
    packet.options.set(code::VENDOR_CLASS, format!("{class}:Arch:{arch:05}:UNDI:003000"));
    packet.options.set(code::CLIENT_ARCH, arch.to_be_bytes());
    packet
}

#[test]
fn the_ipxe_rom_gets_its_script_and_need_not_wait_for_a_proxy() {
    let reply = offer_to(&ipxe_bios(), config());
    assert_eq!(
        file(&reply),
        "http://10.77.0.1:5248/boot/ipxe?mac=52:54:00:77:00:01&uuid=12345678-9abc-def0-1122-334455667788"
    );
    assert_eq!(reply.options.get(code::IPXE), Some(&[176, 1, 1][..]));
    assert_eq!(reply.options.text(code::VENDOR_CLASS).as_deref(), Some("PXEClient"));
    assert_eq!(reply.options.get(code::VENDOR_SPECIFIC), None);
    assert_eq!(reply.siaddr, SERVER);
    assert_eq!(reply.options.get(code::CLIENT_ID), ipxe_bios().options.get(code::CLIENT_ID));
}

#[test]
fn ipxe_is_known_by_a_raw_or_prefixed_class_or_by_option_175() {
    for (code, value) in
        [(77, &b"iPXE"[..]), (77, b"\x04iPXE"), (77, b"\x03foo\x04iPXE\x01x"), (175, b"\xeb\x03\x01\x00\x00")]
    {
        let mut packet = with_arch(7);
        packet.options.set(code, value);
        assert_eq!(Client::of(&packet).boot, BootKind::Ipxe, "{value:?}");
    }
    for value in [&b""[..], b"iPXEx", b"\x05iPXE", b"\x04gPXE"] {
        let mut packet = with_arch(7);
        packet.options.set(code::USER_CLASS, value);
        assert_eq!(Client::of(&packet).boot, BootKind::Pxe, "{value:?}");
    }
}

#[test]
fn each_architecture_gets_its_loader() {
    for (arch, expected, secure) in [
        (0, "undionly.kpxe", "undionly.kpxe"),
        (7, "snponly.efi", "shimx64.efi"),
        (9, "snponly.efi", "shimx64.efi"),
        (11, "snponly-arm64.efi", "snponly-arm64.efi"),
        (16, "http://10.77.0.1:5248/boot/snponly.efi", ""),
        (19, "http://10.77.0.1:5248/boot/snponly-arm64.efi", ""),
        (6, "", ""),
    ] {
        assert_eq!(file(&offer_to(&with_arch(arch), config())), expected, "architecture {arch}");
        let signed = Host { boot: HostBoot::Secure, ..host(mac(1), &[]) };
        assert_eq!(
            file(&offer_to(&with_arch(arch), config_with(vec![signed]))),
            secure,
            "architecture {arch}, signed"
        );
        let either = Host { boot: HostBoot::Either, ..host(mac(1), &[]) };
        let wanted = if [16, 19].contains(&arch) { expected } else { secure };
        assert_eq!(file(&offer_to(&with_arch(arch), config_with(vec![either]))), wanted, "{arch}, not known");
        let mut refusing = config();
        refusing.signed.insert(mac(1));
        assert_eq!(file(&offer_to(&with_arch(arch), refusing)), secure, "architecture {arch}, refuses iPXE");
    }
}

#[test]
fn the_architecture_is_read_from_the_class_and_is_bios_without_either() {
    let mut packet = with_arch(7);
    packet.options.remove(code::CLIENT_ARCH);
    assert_eq!(Client::of(&packet).archs, [7]);
    packet.options.set(code::VENDOR_CLASS, "PXEClient");
    assert_eq!(file(&offer_to(&packet, config())), "undionly.kpxe");
    packet.options.set(code::CLIENT_ARCH, [0, 99, 0, 7]);
    assert_eq!(file(&offer_to(&packet, config())), "snponly.efi", "the first that there is a loader for");
}

#[test]
fn ovmf_gets_what_it_needs_to_go_on() {
    let reply = offer_to(&ovmf_pxe(), config());
    assert_eq!(file(&reply), "snponly.efi");
    assert_eq!(&reply.sname[..10], b"10.77.0.1\0");
    assert_eq!(reply.options.text(code::TFTP_SERVER).as_deref(), Some("10.77.0.1"));
    assert_eq!(reply.options.get(code::VENDOR_SPECIFIC), Some(&[6, 1, 8, 255][..]));
    assert_eq!(reply.options.get(code::CLIENT_UUID), ovmf_pxe().options.get(code::CLIENT_UUID));
    let reply = offer_to(&ovmf_http(), config());
    assert_eq!(reply.options.text(code::VENDOR_CLASS).as_deref(), Some("HTTPClient"));
    assert_eq!(file(&reply), "http://10.77.0.1:5248/boot/snponly.efi");
}

#[test]
fn the_uuid_is_printed_as_on_the_chassis() {
    for packet in [ipxe_bios(), ovmf_pxe(), ovmf_http()] {
        assert_eq!(Client::of(&packet).uuid_text().unwrap(), "12345678-9abc-def0-1122-334455667788");
    }
    let raw = *b"0123456789abcdef";
    assert_eq!(uuid_to_smbios(uuid_from_smbios(raw)), raw);
    for unset in [&[0; 17][..], &[0; 16], &[1; 17], &[]] {
        let mut packet = ipxe_bios();
        packet.options.set(code::CLIENT_UUID, unset);
        assert_eq!(Client::of(&packet).uuid, None);
    }
}

#[test]
fn an_operating_system_is_told_nothing_about_booting() {
    let reply = offer_to(&udhcpc(), config());
    assert_eq!(file(&reply), "");
    assert_eq!(reply.siaddr, Ipv4Addr::UNSPECIFIED);
    assert_eq!(reply.options.get(code::VENDOR_CLASS), None);
}

#[test]
fn unknown_machines_get_an_address_but_no_loader_when_enlisting_is_off() {
    let off = Boot { unknown: HostBoot::Never, ..boot_table() };
    let config = |hosts| Config::new(vec![subnet()], hosts, off.clone(), Limits::default());
    let outcome = Server::new(config(vec![])).ask(&ovmf_pxe());
    assert!(outcome.boot_denied);
    let reply = sent(outcome).packet;
    assert!(subnet().is_dynamic(reply.yiaddr));
    assert_eq!((reply.options.get(code::BOOT_FILE), reply.options.get(code::VENDOR_CLASS)), (None, None));

    let by_mac = host(ovmf_pxe().mac().unwrap(), &[]);
    assert!(!Server::new(config(vec![by_mac])).ask(&ovmf_pxe()).boot_denied);
    let by_uuid = Host { uuid: Client::of(&ovmf_pxe()).uuid, ..host(mac(200), &[]) };
    assert!(!Server::new(config(vec![by_uuid])).ask(&ovmf_pxe()).boot_denied);
    let never = Host { boot: HostBoot::Never, ..host(ovmf_pxe().mac().unwrap(), &[]) };
    assert!(Server::new(config_with(vec![never])).ask(&ovmf_pxe()).boot_denied);
    assert!(!Server::new(config(vec![])).ask(&udhcpc()).boot_denied, "it does not ask to boot");
}

#[test]
fn a_name_too_long_for_the_field_goes_by_option_67_alone() {
    let url = format!("http://{{server}}/{}", "x".repeat(120));
    let boot = Boot { ipxe_script: Some(url), ..boot_table() };
    let reply = offer_to(&ipxe_bios(), Config::new(vec![subnet()], vec![], boot, Limits::default()));
    assert_eq!(reply.file, [0; 128]);
    assert_eq!(reply.options.text(code::BOOT_FILE).unwrap(), format!("http://10.77.0.1/{}", "x".repeat(120)));
}
