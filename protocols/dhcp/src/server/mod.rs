//! The server: what to answer, and where to send it.

mod boot;
mod bootp;
mod discover;
mod inform;
mod proxy;
mod reply;
mod request;
mod return_address;

use std::net::Ipv4Addr;

use crate::client::Client;
use crate::config::{Config, Mode, Subnet};
use crate::lease::{Lease, LeaseState, Leases};
use crate::mac::{ClientKey, MacAddr};
use crate::options::{MessageType, code};
use crate::packet::Packet;
use crate::relay::RelayInfo;

/// How a message came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    /// Our address on the interface: what the client knows us by (option 54), and where TFTP and HTTP answer.
    pub server: Ipv4Addr,
    /// It was sent to all, not to us.
    pub broadcast: bool,
}

/// What came of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// What to do.
    pub action: Action,
    /// Leases that changed and have to be durable before the action is done. Offers are not among them.
    pub changes: Vec<Lease>,
    /// Who asked.
    pub client: Client,
    /// It asks to boot, and is denied: nothing known of it and unknown machines do not boot, or it is told not to.
    pub boot_denied: bool,
}

/// What to do about a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Send an offer.
    Offer(Reply),
    /// Send an acknowledgement: of a lease, or of an INFORM when `yiaddr` is zero.
    Ack(Reply),
    /// Send a refusal.
    Nak(Reply, Reason),
    /// Send nothing.
    Silent(Reason),
}

/// A message to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The message.
    pub packet: Packet,
    /// Where it goes.
    pub to: Destination,
    /// The longest UDP payload that the client takes, bytes.
    pub limit: usize,
}

/// Where a reply goes (RFC 2131 §4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Destination {
    /// To a client that cannot answer ARP yet: a frame to `mac` with IP destination `address`, port 68.
    Link {
        /// The client's Ethernet address.
        mac: MacAddr,
        /// The address it is being given.
        address: Ipv4Addr,
    },
    /// To 255.255.255.255 port 68 on the interface that the message came from.
    Broadcast,
    /// To the relay, port 67.
    Relay(Ipv4Addr),
    /// To a client that has this address, port 68.
    Address(Ipv4Addr),
}

/// Why a message was refused or is not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// It is a server's message, or of a type that clients do not send.
    NotFromClient,
    /// Plain BOOTP of a client without a fixed address.
    Bootp,
    /// The subnet is only listened to.
    Shadow,
    /// Another server gives addresses here, and it does not boot.
    Proxy,
    /// This client asks too often, or has declined too many addresses.
    TooOften,
    /// Neither hardware address nor identifier.
    NoClient,
    /// No subnet is served where it comes from.
    NoSubnet,
    /// It is for another server.
    OtherServer,
    /// Another rack answers this client first.
    OtherRack,
    /// All addresses of the subnet's pools are held, or it has no pools.
    PoolEmpty,
    /// No region has heard this rack for too long, so that it gives fixed addresses only.
    Unheard,
    /// Too many clients not seen before.
    RateLimited,
    /// It asks for an address that another server may know.
    NotOurs,
    /// It asks for an address of another network.
    WrongNetwork,
    /// It asks for an address that another client holds, or that is fixed to another.
    Taken,
    /// It asks for a pool address and has a fixed one.
    HasFixed,
    /// It gave its address back.
    Released,
    /// It found its address in use by something else; the address is set aside.
    Declined,
    /// It names no address where it must.
    NoAddress,
}

/// Decides what to answer.
///
/// `leases` holds what is offered and acknowledged from here on. `now` is seconds since the Unix epoch.
pub fn respond(packet: &Packet, arrival: Arrival, config: &Config, leases: &mut Leases, now: u64) -> Outcome {
    let client = Client::of(packet);
    let mut changes = Vec::new();
    let action = Exchange::new(packet, arrival, config, &client, now).map_or_else(
        Action::Silent,
        |(exchange, kind)| match kind {
            _ if exchange.subnet.more.mode == Mode::Shadow => Action::Silent(Reason::Shadow),
            kind if exchange.subnet.more.mode == Mode::Proxy => exchange.proxy(kind),
            None => exchange.bootp(leases),
            Some(kind) => exchange.by_type(kind, leases, &mut changes),
        },
    );
    let boot_denied = boot::is_denied(config, &client);
    Outcome { action, changes, client, boot_denied }
}

/// What a server that only listens would have said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preview {
    /// The network that the client is on.
    pub network: ipnet::Ipv4Net,
    /// Its fixed address; it would get one of the pools when absent.
    pub fixed: Option<Ipv4Addr>,
    /// The file or URL that it would boot.
    pub boot_file: Option<String>,
}

/// What would be answered to a DISCOVER or REQUEST; nothing is held and nothing changes.
pub fn preview(packet: &Packet, arrival: Arrival, config: &Config, now: u64) -> Option<Preview> {
    let client = Client::of(packet);
    let (exchange, kind) = Exchange::new(packet, arrival, config, &client, now).ok()?;
    if !matches!(kind, Some(MessageType::Discover | MessageType::Request)) {
        return None;
    }
    let mut reply = exchange.head(MessageType::Offer);
    exchange.add_boot(&mut reply);
    Some(Preview {
        network: exchange.subnet.network,
        fixed: exchange.fixed_address(),
        boot_file: reply.options.text(code::BOOT_FILE),
    })
}

/// One message and all that it is judged by.
struct Exchange<'a> {
    packet: &'a Packet,
    arrival: Arrival,
    config: &'a Config,
    client: &'a Client,
    key: ClientKey,
    server_id: Ipv4Addr,
    /// The subnet the client is on; its siblings on the link count as well.
    subnet: &'a Subnet,
    now: u64,
}

impl<'a> Exchange<'a> {
    fn new(
        packet: &'a Packet,
        arrival: Arrival,
        config: &'a Config,
        client: &'a Client,
        now: u64,
    ) -> Result<(Exchange<'a>, Option<MessageType>), Reason> {
        if packet.op != 1 {
            return Err(Reason::NotFromClient);
        }
        let kind = match packet.options.get(code::MESSAGE_TYPE) {
            None => None,
            Some(_) => Some(packet.options.message_type().ok_or(Reason::NotFromClient)?),
        };
        let key = packet.client_key().ok_or(Reason::NoClient)?;
        let relay = packet.options.get(code::RELAY_INFO).map(RelayInfo::decode).unwrap_or_default();
        let subnet = subnet(packet, arrival, config, &relay).ok_or(Reason::NoSubnet)?;
        let server_id = relay.server_id_override.unwrap_or(arrival.server);
        Ok((Exchange { packet, arrival, config, client, key, server_id, subnet, now }, kind))
    }

    fn by_type(&self, kind: MessageType, leases: &mut Leases, changes: &mut Vec<Lease>) -> Action {
        match kind {
            MessageType::Discover => self.discover(leases),
            MessageType::Request => self.request(leases, changes),
            MessageType::Decline => self.decline(leases, changes),
            MessageType::Release => self.release(leases, changes),
            MessageType::Inform => self.inform(),
            MessageType::Offer | MessageType::Ack | MessageType::Nak => Action::Silent(Reason::NotFromClient),
        }
    }

    /// The client's subnet and the others on its link.
    fn segment(&self) -> Vec<&'a Subnet> {
        self.config.segment_of(self.subnet).collect()
    }

    /// The subnet of the link that `address` is a client's address of.
    fn subnet_for(&self, address: Ipv4Addr) -> Option<&'a Subnet> {
        self.config.segment_of(self.subnet).find(|s| s.has_client_address(address))
    }

    /// The client's fixed address on this link.
    fn fixed_address(&self) -> Option<Ipv4Addr> {
        let mac = self.client.mac;
        self.config
            .segment_of(self.subnet)
            .find_map(|s| self.config.fixed_address(mac, s))
            .filter(|address| *address != self.arrival.server)
    }

    fn names_other_server(&self) -> bool {
        let named = self.packet.options.address(code::SERVER_ID);
        named.is_some_and(|id| id != self.server_id && id != self.arrival.server)
    }

    fn lease(&self, address: Ipv4Addr, state: LeaseState, seconds: u32) -> Lease {
        Lease {
            address,
            client: self.key.clone(),
            state,
            expires: self.now.saturating_add(u64::from(seconds)),
        }
    }
}

/// Where the client is: what its relay says (RFC 3527, then giaddr); what its address says when it writes to us
/// alone, as its relay is not asked then; else the link that the message came in by.
fn subnet<'a>(
    packet: &Packet,
    arrival: Arrival,
    config: &'a Config,
    relay: &RelayInfo,
) -> Option<&'a Subnet> {
    if !packet.giaddr.is_unspecified() {
        let place = relay.link_selection.unwrap_or(packet.giaddr);
        return config.subnet_of(place);
    }
    if !arrival.broadcast && !packet.ciaddr.is_unspecified() {
        return config.subnet_of(packet.ciaddr);
    }
    config.subnet_of(arrival.server)
}
