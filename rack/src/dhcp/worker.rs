//! Asks the core, keeps leases durable, sends replies.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use rackwright_common::Mac;
use rackwright_common::clock::Clock;
use rackwright_common::lease::LeaseNews;
use rackwright_common::link::Fact;
use rackwright_common::snapshot::Snapshot;
use rackwright_dhcp::racks::Record;
use rackwright_dhcp::{
    Action, Arrival, BootKind, Client, Config, MessageType, Outcome, Pace, Packet, Reason, Reply,
};
use tokio::sync::mpsc;

use super::conflict::{Checked, Checks, Verdict};
use super::interface::{self, Interface};
use super::lease_file::LeaseFileError;
use super::memory::Memory;
use super::report::Reporter;
use super::shadow::Shadow;
use super::socket::{Datagram, Socket};
use super::{DhcpConfig, DhcpError, DhcpWorld, foreign, view};

/// Requests answered with one write to disk at most.
const BATCH: usize = 256;
/// How often the box's own addresses are looked at.
const ADDRESSES_EVERY: Duration = Duration::from_secs(5);
/// How often what could not be written is tried again, and the pools are looked at.
const CARE_EVERY: Duration = Duration::from_secs(1);

/// A datagram and the number of the interface it came in by.
pub(super) struct Arrived {
    pub(super) interface: usize,
    pub(super) datagram: Datagram,
}

/// A reply ready to go.
struct Outgoing {
    interface: usize,
    server: Ipv4Addr,
    reply: Reply,
    /// It may go although the lease could not be written: its address is nobody else's by configuration.
    fixed: bool,
}

/// Whether the sockets still belong to their interfaces.
#[derive(PartialEq, Eq)]
enum Links {
    Same,
    MadeAnew,
}

/// All state of the server.
pub(super) struct Worker<W> {
    settings: DhcpConfig,
    world: Arc<W>,
    clock: Arc<dyn Clock>,
    interfaces: Vec<Interface>,
    sockets: Vec<Arc<Socket>>,
    memory: Memory,
    snapshot: Arc<Snapshot>,
    config: Config,
    reporter: Reporter,
    pace: Pace,
    shadow: Shadow,
    checks: Checks<Waiting>,
}

/// An offer that waits for the wire's word, and the message that it answers.
struct Waiting {
    arrived: Arrived,
    outgoing: Outgoing,
    /// Addresses that were in use before.
    round: u32,
}

/// Addresses in use that are tried for one message; the client asks again.
const ROUNDS: u32 = 3;

impl<W: DhcpWorld> Worker<W> {
    /// A server with what the lease file has.
    pub(super) async fn open(
        settings: DhcpConfig,
        world: Arc<W>,
        interfaces: Vec<Interface>,
        sockets: Vec<Arc<Socket>>,
    ) -> Result<Self, LeaseFileError> {
        let (clock, snapshot) = (world.clock(), world.snapshot());
        let config = view::config(&snapshot, &interfaces, settings.http_port);
        let reporter = Reporter::new(clock.now());
        let memory =
            Memory::open(&settings.lease_directory, world.leases(), clock.clone(), &config, &snapshot);
        let memory = memory.await?;
        let (pace, shadow, checks) = (Pace::default(), Shadow::default(), Checks::new());
        Ok(Self {
            settings,
            world,
            clock,
            interfaces,
            sockets,
            memory,
            snapshot,
            config,
            reporter,
            pace,
            shadow,
            checks,
        })
    }

    /// Works until an interface is made anew (`Ok`) or the listeners are gone.
    pub(super) async fn run(mut self, mut queue: mpsc::Receiver<Arrived>) -> Result<(), DhcpError> {
        let mut look = tokio::time::interval(ADDRESSES_EVERY);
        let mut care = tokio::time::interval(CARE_EVERY);
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            tokio::select! {
                _ = look.tick() => if self.look_at_addresses() == Links::MadeAnew {
                    return Ok(());
                },
                _ = care.tick() => {
                    self.take_snapshot();
                    let written = self.memory.care(&self.snapshot).await;
                    self.heed(written);
                }
                news = self.memory.news() => self.learn(&news).await,
                checked = self.checks.next() => self.offer_checked(checked).await,
                received = queue.recv_many(&mut batch, BATCH) => {
                    if received == 0 {
                        return Err(DhcpError::Ended);
                    }
                    self.take_snapshot();
                    self.answer(batch.drain(..)).await;
                }
            }
        }
    }

    /// An interface that has lost its addresses keeps those it had: it may come back.
    fn look_at_addresses(&mut self) -> Links {
        let now = match interface::read(&self.settings.interfaces) {
            Ok(now) => now,
            Err(error) => {
                tracing::warn!(%error, "DHCP: an interface is gone");
                return Links::Same;
            }
        };
        if now.iter().zip(&self.interfaces).any(|(now, before)| now.link != before.link) {
            tracing::info!("DHCP: an interface was made anew");
            return Links::MadeAnew;
        }
        if now != self.interfaces {
            tracing::info!("DHCP: the addresses of the interfaces changed");
            self.interfaces = now;
            self.configure();
        }
        Links::Same
    }

    fn take_snapshot(&mut self) {
        let snapshot = self.world.snapshot();
        if !Arc::ptr_eq(&snapshot, &self.snapshot) {
            self.snapshot = snapshot;
            self.configure();
        }
    }

    fn configure(&mut self) {
        self.config = view::config(&self.snapshot, &self.interfaces, self.settings.http_port);
        self.memory.configure(self.config.clone());
    }

    /// A region's answer.
    async fn learn(&mut self, news: &LeaseNews) {
        self.take_snapshot();
        let written = self.memory.learn(news).await;
        self.heed(written);
    }

    fn heed(&mut self, written: Result<(), LeaseFileError>) {
        if let Err(error) = written {
            tracing::error!(error = &error as &dyn std::error::Error, "DHCP: leases could not be written");
            self.reporter.lease_file_failed(self.clock.now(), &error, |fact| self.world.record(fact));
        }
    }

    /// Sends at once what depends on no lease, the rest when the leases are on the disk.
    async fn answer(&mut self, batch: impl Iterator<Item = Arrived>) {
        let mut records = Vec::new();
        let mut waiting = Vec::new();
        for arrived in batch {
            let (outgoing, made) = self.decide(&arrived);
            let outgoing = outgoing.and_then(|outgoing| self.check(arrived, outgoing, 0));
            match outgoing {
                Some(outgoing) if made.is_empty() => self.send(&outgoing),
                outgoing => waiting.extend(outgoing),
            }
            records.extend(made);
        }
        if records.is_empty() {
            return;
        }
        let written = self.memory.write(records).await;
        if written.is_err() {
            waiting.retain(|outgoing| outgoing.fixed);
        }
        self.heed(written);
        waiting.iter().for_each(|outgoing| self.send(outgoing));
    }

    /// An offer of a pool's address waits until nobody on the wire has it; what need not wait comes back.
    fn check(&mut self, arrived: Arrived, outgoing: Outgoing, round: u32) -> Option<Outgoing> {
        let packet = &outgoing.reply.packet;
        let address = packet.yiaddr;
        let offer = packet.options.message_type() == Some(MessageType::Offer) && !address.is_unspecified();
        let held = self.memory.is_bound(address);
        if !offer || outgoing.fixed || held || !packet.giaddr.is_unspecified() {
            return Some(outgoing);
        }
        let interface = &self.interfaces[outgoing.interface];
        match self.checks.check(interface, address, Waiting { arrived, outgoing, round }) {
            Verdict::Send(waiting) => Some(waiting.outgoing),
            Verdict::Wait => None,
        }
    }

    /// The wire has answered: the offer goes, or its address is set aside and another is offered.
    async fn offer_checked(&mut self, checked: Checked<Waiting>) {
        let Waiting { arrived, outgoing, round } = checked.waiting;
        let Some(mac) = checked.in_use_by else { return self.send(&outgoing) };
        let interface = &self.interfaces[arrived.interface];
        tracing::warn!(interface = interface.name, address = %checked.address, %mac, "DHCP: an address is in use by somebody else");
        let message = format!(
            "{} was to be given out and is in use by {mac} on {}: look for a host with a static address inside the dynamic range",
            checked.address, interface.name
        );
        let warning = Fact::Warning { code: "dhcp.address-in-use".into(), message, mac: Some(mac) };
        self.world.record(warning);
        let Ok(packet) = Packet::decode(&arrived.datagram.bytes) else { return };
        let arrival = Arrival { server: outgoing.server, broadcast: true };
        let network = self.config.subnet_of(outgoing.server).map(|subnet| subnet.network);
        let decline = packet.decline(checked.address, outgoing.server);
        let mut records = self.memory.respond(&decline, arrival, network).records;
        let mut next = None;
        if round < ROUNDS {
            let (other, made) = self.decide(&arrived);
            records.extend(made);
            next = other.and_then(|other| self.check(arrived, other, round + 1));
        }
        let written = self.memory.write(records).await;
        if let Some(next) = next.filter(|next| written.is_ok() || next.fixed) {
            self.send(&next);
        }
        self.heed(written);
    }

    /// Whether a message is one to be answered at all: not another rack's question, not too many of one client.
    fn admits(&mut self, packet: &Packet) -> bool {
        if foreign::is_question(packet) {
            return false;
        }
        let Some(client) = packet.client_key() else { return true };
        let now = u64::try_from(self.clock.now().unix_timestamp()).unwrap_or(0);
        let kind = packet.options.message_type();
        if kind == Some(MessageType::Decline) {
            self.pace.declined(&client, now);
        }
        let fixed =
            packet.mac().and_then(|mac| self.config.host(mac)).is_some_and(|h| !h.addresses.is_empty());
        let declines = kind == Some(MessageType::Discover) && !fixed && self.pace.declines_all(&client, now);
        self.pace.admit(&client, now) && !declines
    }

    fn refuse_for_a_while(&mut self, packet: &Packet, interface: usize) {
        let outcome = Outcome {
            action: Action::Silent(Reason::TooOften),
            changes: Vec::new(),
            client: Client::of(packet),
            boot_denied: false,
        };
        let (name, at) = (self.interfaces[interface].name.clone(), self.clock.now());
        self.reporter.report(packet, &outcome, &name, at, |fact| self.world.record(fact));
    }

    fn decide(&mut self, arrived: &Arrived) -> (Option<Outgoing>, Vec<Record>) {
        let Datagram { bytes, destination, local } = &arrived.datagram;
        let packet = match Packet::decode(bytes) {
            Ok(packet) => packet,
            Err(error) => {
                tracing::debug!(%error, "DHCP: not a message");
                return (None, Vec::new());
            }
        };
        if !self.admits(&packet) {
            if !foreign::is_question(&packet) {
                self.refuse_for_a_while(&packet, arrived.interface);
            }
            return (None, Vec::new());
        }
        self.choose_chain(&packet);
        let interface = &self.interfaces[arrived.interface];
        let server = view::server_address(&self.config, interface, *local);
        let arrival = Arrival { server, broadcast: !interface.has(*destination) };
        let place = if packet.giaddr.is_unspecified() { server } else { packet.giaddr };
        let network = self.config.subnet_of(place).map(|subnet| subnet.network);
        let answer = self.memory.respond(&packet, arrival, network);
        let outcome = answer.outcome;
        let at = self.clock.now();
        if outcome.action == Action::Silent(Reason::Shadow)
            && let Some(fact) = self.shadow.look(&packet, arrival, &self.config, &self.snapshot, at)
        {
            self.world.record(fact);
        }
        self.reporter.report(&packet, &outcome, &interface.name, at, |fact| self.world.record(fact));
        let reply = match outcome.action {
            Action::Offer(reply) | Action::Ack(reply) | Action::Nak(reply, _) => reply,
            Action::Silent(_) => return (None, answer.records),
        };
        let given = reply.packet.yiaddr;
        let mac = outcome.client.mac;
        let fixed =
            self.config.subnet_of(given).and_then(|s| self.config.fixed_address(mac, s)) == Some(given);
        (Some(Outgoing { interface: arrived.interface, server, reply, fixed }), answer.records)
    }

    /// Firmware that does not start the unsigned loader gets the signed one.
    fn choose_chain(&mut self, packet: &Packet) {
        let client = Client::of(packet);
        let Some(mac) = client.mac else { return };
        match client.boot {
            BootKind::Ipxe => self.world.loader_runs(Mac(mac.0)),
            BootKind::Pxe | BootKind::Http if self.world.wants_signed(Mac(mac.0)) => {
                self.memory.set_signed(mac, true);
                return;
            }
            BootKind::Pxe | BootKind::Http | BootKind::None => {}
        }
        self.memory.set_signed(mac, false);
    }

    fn send(&self, outgoing: &Outgoing) {
        let socket = &self.sockets[outgoing.interface];
        if let Err(error) = socket.send(&outgoing.reply.encode(), outgoing.reply.to, outgoing.server) {
            let to = outgoing.reply.to;
            tracing::warn!(interface = socket.interface_name(), ?to, %error, "DHCP: a reply could not be sent");
        }
    }
}
