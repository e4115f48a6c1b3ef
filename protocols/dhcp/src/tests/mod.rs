//! The crate as its users see it. The packets are captures of real clients (QEMU's iPXE ROM in BIOS and UEFI, OVMF's
//! own PXE and HTTP boot, BusyBox udhcpc 1.35, ISC dhclient 4.4).

mod boot;
mod details;
pub(crate) mod hostile;
mod lease;
mod racks;
mod relay;
mod wire;

use std::net::Ipv4Addr;

use crate::*;

pub(crate) const SERVER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
pub(crate) const NOW: u64 = 1_800_000_000;

pub(crate) fn captured(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

pub(crate) fn ipxe_bios() -> Packet {
    Packet::decode(&captured(include_str!("packets/ipxe-bios-discover.hex"))).unwrap()
}

pub(crate) fn ovmf_pxe() -> Packet {
    Packet::decode(&captured(include_str!("packets/ovmf-pxe-discover.hex"))).unwrap()
}

pub(crate) fn ovmf_http() -> Packet {
    Packet::decode(&captured(include_str!("packets/ovmf-http-discover.hex"))).unwrap()
}

pub(crate) fn udhcpc() -> Packet {
    Packet::decode(&captured(include_str!("packets/udhcpc-discover.hex"))).unwrap()
}

pub(crate) fn mac(last: u8) -> MacAddr {
    MacAddr([2, 0, 0, 0, 0, last])
}

/// A message of a client that sends nothing but what it must.
pub(crate) fn message(kind: MessageType, from: MacAddr) -> Packet {
    let mut packet = Packet::decode(&[0; 236]).unwrap();
    (packet.op, packet.htype, packet.hlen, packet.xid) = (1, 1, 6, 0x0102_0304);
    packet.chaddr[..6].copy_from_slice(&from.0);
    packet.options.set(code::MESSAGE_TYPE, [kind as u8]);
    packet
}

pub(crate) fn selecting(from: MacAddr, address: Ipv4Addr) -> Packet {
    let mut packet = init_reboot(from, address);
    packet.options.set(code::SERVER_ID, SERVER.octets());
    packet
}

pub(crate) fn init_reboot(from: MacAddr, address: Ipv4Addr) -> Packet {
    let mut packet = message(MessageType::Request, from);
    packet.options.set(code::REQUESTED_ADDRESS, address.octets());
    packet
}

pub(crate) fn renewing(from: MacAddr, address: Ipv4Addr) -> Packet {
    let mut packet = message(MessageType::Request, from);
    packet.ciaddr = address;
    packet
}

/// 10.77.0.0/24 with 10.77.0.100 to 10.77.0.103 to give out.
pub(crate) fn subnet() -> Subnet {
    Subnet {
        network: "10.77.0.0/24".parse().unwrap(),
        segment: 1,
        routers: vec![SERVER],
        dns_servers: vec![SERVER, Ipv4Addr::new(10, 77, 0, 2)],
        ntp_servers: vec![Ipv4Addr::new(10, 77, 0, 3)],
        domain: Some("lab.example".into()),
        mtu: Some(9000),
        pools: vec![pool([10, 77, 0, 100], [10, 77, 0, 103])],
        lease_seconds: 600,
        authoritative: true,
        more: Default::default(),
    }
}

pub(crate) fn pool(first: [u8; 4], last: [u8; 4]) -> Pool {
    Pool { first: first.into(), last: last.into() }
}

pub(crate) fn host(mac: MacAddr, addresses: &[Ipv4Addr]) -> Host {
    let hostname = Some("node-1".into());
    Host {
        mac,
        uuid: None,
        addresses: addresses.to_vec(),
        hostname,
        boot: HostBoot::Network,
        options: vec![],
    }
}

pub(crate) fn boot_table() -> Boot {
    let file = |arch, file: &str, secure: Option<&str>| BootFile {
        arch,
        file: file.into(),
        secure: secure.map(Into::into),
    };
    Boot {
        loaders: vec![
            file(0, "undionly.kpxe", None),
            file(7, "snponly.efi", Some("shimx64.efi")),
            file(9, "snponly.efi", Some("shimx64.efi")),
            file(11, "snponly-arm64.efi", None),
            file(16, "http://{server}:5248/boot/snponly.efi", Some("http://{server}:5248/boot/shimx64.efi")),
            file(19, "http://{server}:5248/boot/snponly-arm64.efi", None),
        ],
        ipxe_script: Some("http://{server}:5248/boot/ipxe?mac={mac}&uuid={uuid}".into()),
        unknown: HostBoot::Network,
    }
}

pub(crate) fn config() -> Config {
    Config::new(vec![subnet()], vec![], boot_table(), Limits::default())
}

pub(crate) fn config_with(hosts: Vec<Host>) -> Config {
    Config::new(vec![subnet()], hosts, boot_table(), Limits::default())
}

pub(crate) fn arrival() -> Arrival {
    Arrival { server: SERVER, broadcast: true }
}

/// A server with its leases, asked by broadcast on its own link.
pub(crate) struct Server {
    pub(crate) config: Config,
    pub(crate) leases: Leases,
    pub(crate) now: u64,
}

impl Server {
    pub(crate) fn new(config: Config) -> Server {
        Server { config, leases: Leases::new(), now: NOW }
    }

    pub(crate) fn ask(&mut self, packet: &Packet) -> Outcome {
        respond(packet, arrival(), &self.config, &mut self.leases, self.now)
    }

    /// The address offered to a DISCOVER.
    pub(crate) fn offer(&mut self, from: MacAddr) -> Ipv4Addr {
        match self.ask(&message(MessageType::Discover, from)).action {
            Action::Offer(reply) => reply.packet.yiaddr,
            other => panic!("no offer: {other:?}"),
        }
    }

    /// DISCOVER, OFFER, REQUEST, ACK.
    pub(crate) fn bind(&mut self, from: MacAddr) -> Ipv4Addr {
        let address = self.offer(from);
        assert_eq!(self.acknowledged(&selecting(from, address)), address);
        address
    }

    pub(crate) fn acknowledged(&mut self, packet: &Packet) -> Ipv4Addr {
        match self.ask(packet).action {
            Action::Ack(reply) => reply.packet.yiaddr,
            other => panic!("no acknowledgement: {other:?}"),
        }
    }

    pub(crate) fn refused(&mut self, packet: &Packet) -> Reason {
        match self.ask(packet).action {
            Action::Nak(_, reason) => reason,
            other => panic!("no refusal: {other:?}"),
        }
    }

    pub(crate) fn silent(&mut self, packet: &Packet) -> Reason {
        match self.ask(packet).action {
            Action::Silent(reason) => reason,
            other => panic!("an answer: {other:?}"),
        }
    }
}

pub(crate) fn sent(outcome: Outcome) -> Reply {
    match outcome.action {
        Action::Offer(reply) | Action::Ack(reply) | Action::Nak(reply, _) => reply,
        Action::Silent(reason) => panic!("silent: {reason:?}"),
    }
}
