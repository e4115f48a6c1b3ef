//! The messages that go out. Options are in order of worth: when a client takes only short messages, the last go.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use super::{Destination, Exchange, Reason, Reply};
use crate::config::Subnet;
use crate::options::{MessageType, code};
use crate::packet::Packet;

impl Exchange<'_> {
    /// An OFFER or ACK of an address.
    pub(super) fn grant(&self, kind: MessageType, address: Ipv4Addr, subnet: &Subnet) -> Reply {
        let mut packet = self.head(kind);
        packet.yiaddr = address;
        if kind == MessageType::Ack {
            packet.ciaddr = self.packet.ciaddr;
        }
        let lease = self.lease_seconds(subnet);
        packet.options.set(code::LEASE_TIME, lease.to_be_bytes());
        packet.options.set(code::RENEWAL_TIME, (lease / 2).to_be_bytes());
        packet.options.set(code::REBINDING_TIME, (lease - lease / 8).to_be_bytes());
        self.add_parameters(&mut packet, subnet);
        self.add_tail(&mut packet);
        let to = self.destination(address);
        Reply { packet, to, limit: self.packet.reply_limit() }
    }

    /// A NAK, with its reason for whoever reads the capture (option 56).
    pub(super) fn refuse(&self, reason: Reason) -> Reply {
        let mut packet = self.head(MessageType::Nak);
        let message = match reason {
            Reason::WrongNetwork => "address is of another network",
            Reason::Taken => "address belongs to another client",
            Reason::HasFixed => "a fixed address waits",
            _ => "address is not available",
        };
        packet.options.set(code::MESSAGE, message);
        self.add_tail(&mut packet);
        let relay = packet.giaddr;
        if !relay.is_unspecified() {
            packet.flags |= 0x8000;
        }
        let to = if relay.is_unspecified() { Destination::Broadcast } else { Destination::Relay(relay) };
        Reply { packet, to, limit: self.packet.reply_limit() }
    }

    /// The reply's fixed fields, message type and server identifier.
    pub(super) fn head(&self, kind: MessageType) -> Packet {
        let mut packet = self.packet.reply();
        packet.options.set(code::MESSAGE_TYPE, [kind as u8]);
        packet.options.set(code::SERVER_ID, self.server_id.octets());
        packet
    }

    /// What the client asked for in option 55; all there is when it did not ask.
    pub(super) fn add_parameters(&self, packet: &mut Packet, subnet: &Subnet) {
        let asked = self.packet.options.get(code::PARAMETER_LIST);
        let wants = |code: u8| asked.is_none_or(|list| list.contains(&code));
        let options = &mut packet.options;
        options.set(code::SUBNET_MASK, subnet.network.netmask().octets());
        if wants(code::ROUTERS) {
            options.set_addresses(code::ROUTERS, &subnet.routers);
        }
        self.add_boot(packet);
        let options = &mut packet.options;
        if wants(code::DNS_SERVERS) {
            options.set_addresses(code::DNS_SERVERS, &subnet.dns_servers);
        }
        let hostname =
            self.client.mac.and_then(|mac| self.config.host(mac)).and_then(|h| h.hostname.as_deref());
        for (code, text) in [(code::HOSTNAME, hostname), (code::DOMAIN, subnet.domain.as_deref())] {
            if let Some(text) = text.filter(|t| !t.is_empty() && wants(code)) {
                options.set(code, text);
            }
        }
        if let Some(mtu) = subnet.mtu.filter(|_| wants(code::MTU)) {
            options.set(code::MTU, mtu.to_be_bytes());
        }
        if wants(code::NTP_SERVERS) {
            options.set_addresses(code::NTP_SERVERS, &subnet.ntp_servers);
        }
        if wants(code::CLASSLESS_ROUTES) && !subnet.more.routes.is_empty() {
            options.set(code::CLASSLESS_ROUTES, routes(subnet));
        }
        let host = self.client.mac.and_then(|mac| self.config.host(mac));
        for (code, value) in host.iter().flat_map(|h| &h.options).chain(&subnet.more.options) {
            let nearer = host.is_some_and(|h| h.options.iter().any(|(c, v)| c == code && v != value));
            if wants(*code) && !nearer {
                options.set(*code, value.as_slice());
            }
        }
    }

    /// What is returned as it came: the identifier (RFC 6842) and the relay's information (RFC 3046).
    pub(super) fn add_tail(&self, packet: &mut Packet) {
        for code in [code::CLIENT_ID, code::RELAY_INFO] {
            if let Some(value) = self.packet.options.get(code) {
                packet.options.set(code, value);
            }
        }
    }

    /// The subnet's lease time, or the shorter one that the client asks for (option 51), but a minute at least.
    pub(super) fn lease_seconds(&self, subnet: &Subnet) -> u32 {
        let asked = self.packet.options.long(code::LEASE_TIME).unwrap_or(u32::MAX);
        asked.max(60).min(subnet.lease_seconds)
    }

    pub(super) fn destination(&self, address: Ipv4Addr) -> Destination {
        if !self.packet.giaddr.is_unspecified() {
            return Destination::Relay(self.packet.giaddr);
        }
        if !self.packet.ciaddr.is_unspecified() {
            return Destination::Address(self.packet.ciaddr);
        }
        match self.packet.mac().filter(|_| !self.packet.wants_broadcast()) {
            Some(mac) => Destination::Link { mac, address },
            None => Destination::Broadcast,
        }
    }
}

/// Option 121 (RFC 3442): for each route the prefix's length, its significant bytes, and the router. A client that takes
/// it ignores option 3, so that the default route is in it too.
fn routes(subnet: &Subnet) -> Vec<u8> {
    let default = subnet.routers.first().map(|router| (Ipv4Net::default(), *router));
    let mut bytes = Vec::new();
    for (network, router) in subnet.more.routes.iter().copied().chain(default) {
        let length = network.prefix_len();
        bytes.push(length);
        bytes.extend_from_slice(&network.network().octets()[..usize::from(length.div_ceil(8))]);
        bytes.extend_from_slice(&router.octets());
    }
    bytes
}

impl Reply {
    /// The bytes of the UDP payload.
    pub fn encode(&self) -> Vec<u8> {
        self.packet.encode(self.limit)
    }
}
