//! Asks the core, keeps leases durable, sends replies.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use rackwright_common::Mac;
use rackwright_common::clock::Clock;
use rackwright_common::snapshot::Snapshot;
use rackwright_dhcp::{Action, Arrival, BootKind, Client, Config, Lease, Leases, Packet, Reply, respond};
use tokio::sync::mpsc;

use super::interface::{self, Interface};
use super::lease_file::LeaseFile;
use super::report::Reporter;
use super::socket::{Datagram, Socket};
use super::{DhcpConfig, DhcpError, DhcpWorld, view};

/// Requests answered with one write to disk at most.
const BATCH: usize = 256;
/// How often the box's own addresses are looked at.
const ADDRESSES_EVERY: Duration = Duration::from_secs(5);

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
    leases: Leases,
    file: LeaseFile,
    snapshot: Arc<Snapshot>,
    config: Config,
    reporter: Reporter,
}

impl<W: DhcpWorld> Worker<W> {
    pub(super) fn new(
        settings: DhcpConfig,
        world: Arc<W>,
        interfaces: Vec<Interface>,
        sockets: Vec<Arc<Socket>>,
        leases: Leases,
        file: LeaseFile,
    ) -> Worker<W> {
        let (snapshot, clock) = (world.snapshot(), world.clock());
        let config = view::config(&snapshot, &interfaces, settings.http_port);
        let reporter = Reporter::default();
        Worker { settings, world, clock, interfaces, sockets, leases, file, snapshot, config, reporter }
    }

    /// Works until an interface is made anew (`Ok`) or the listeners are gone.
    pub(super) async fn run(mut self, mut queue: mpsc::Receiver<Arrived>) -> Result<(), DhcpError> {
        let mut look = tokio::time::interval(ADDRESSES_EVERY);
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            tokio::select! {
                _ = look.tick() => if self.look_at_addresses() == Links::MadeAnew {
                    return Ok(());
                },
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
            self.config = view::config(&self.snapshot, &self.interfaces, self.settings.http_port);
        }
        Links::Same
    }

    fn take_snapshot(&mut self) {
        let snapshot = self.world.snapshot();
        if !Arc::ptr_eq(&snapshot, &self.snapshot) {
            self.snapshot = snapshot;
            self.config = view::config(&self.snapshot, &self.interfaces, self.settings.http_port);
        }
    }

    /// Sends at once what depends on no lease, the rest when the leases are on the disk.
    async fn answer(&mut self, batch: impl Iterator<Item = Arrived>) {
        let mut changes = Vec::new();
        let mut waiting = Vec::new();
        for arrived in batch {
            let (outgoing, changed) = self.decide(&arrived);
            match outgoing {
                Some(outgoing) if changed.is_empty() => self.send(&outgoing),
                outgoing => waiting.extend(outgoing),
            }
            changes.extend(changed);
        }
        if changes.is_empty() {
            return;
        }
        if let Err(error) = self.file.append(&changes).await {
            tracing::error!(error = &error as &dyn std::error::Error, "DHCP: leases could not be written");
            self.reporter.lease_file_failed(self.clock.now(), &error, |fact| self.world.record(fact));
            waiting.retain(|outgoing| outgoing.fixed);
        }
        waiting.iter().for_each(|outgoing| self.send(outgoing));
        if let Err(error) = self.file.compact(&self.leases).await {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "DHCP: the lease file could not be written anew"
            );
        }
    }

    fn decide(&mut self, arrived: &Arrived) -> (Option<Outgoing>, Vec<Lease>) {
        let Datagram { bytes, destination, local } = &arrived.datagram;
        let packet = match Packet::decode(bytes) {
            Ok(packet) => packet,
            Err(error) => {
                tracing::debug!(%error, "DHCP: not a message");
                return (None, Vec::new());
            }
        };
        self.choose_chain(&packet);
        let interface = &self.interfaces[arrived.interface];
        let server = view::server_address(&self.config, interface, *local);
        let arrival = Arrival { server, broadcast: !interface.has(*destination) };
        let at = self.clock.now();
        let now = u64::try_from(at.unix_timestamp()).unwrap_or(0);
        let outcome = respond(&packet, arrival, &self.config, &mut self.leases, now);
        self.reporter.report(&packet, &outcome, &interface.name, at, |fact| self.world.record(fact));
        let reply = match outcome.action {
            Action::Offer(reply) | Action::Ack(reply) | Action::Nak(reply, _) => reply,
            Action::Silent(_) => return (None, outcome.changes),
        };
        let given = reply.packet.yiaddr;
        let mac = outcome.client.mac;
        let fixed =
            self.config.subnet_of(given).and_then(|s| self.config.fixed_address(mac, s)) == Some(given);
        (Some(Outgoing { interface: arrived.interface, server, reply, fixed }), outcome.changes)
    }

    /// Firmware that does not start the unsigned loader gets the signed one.
    fn choose_chain(&mut self, packet: &Packet) {
        let client = Client::of(packet);
        let Some(mac) = client.mac else { return };
        match client.boot {
            BootKind::Ipxe => self.world.loader_runs(Mac(mac.0)),
            BootKind::Pxe | BootKind::Http if self.world.wants_signed(Mac(mac.0)) => {
                self.config.signed.insert(mac);
                return;
            }
            BootKind::Pxe | BootKind::Http | BootKind::None => {}
        }
        self.config.signed.remove(&mac);
    }

    fn send(&self, outgoing: &Outgoing) {
        let socket = &self.sockets[outgoing.interface];
        if let Err(error) = socket.send(&outgoing.reply.encode(), outgoing.reply.to, outgoing.server) {
            let to = outgoing.reply.to;
            tracing::warn!(interface = socket.interface_name(), ?to, %error, "DHCP: a reply could not be sent");
        }
    }
}
