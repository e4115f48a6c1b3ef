//! DHCPv6: sockets around the core in `rackwright-dhcp6`.
//!
//! Addresses are computed from the client's identifier and the snapshot, so all racks of a network give the same ones and
//! nothing has to be stored or handed over (`docs/decisions/0022-dhcpv6-addresses-are-computed.md`). A rack serves the
//! IPv6 subnets of the VLANs in which it has an address of either family. Regions are told who got what, for people; of a
//! flood only so much as keeps the journal small.

mod socket;
mod told;
mod view;

pub use view::subnets_at;

use crate::boot::BootContext;
use crate::state::World;
use rackwright_common::Mac;
use rackwright_common::clock::{Clock, SystemClock};
use rackwright_common::link::{BootStage, Fact};
use rackwright_dhcp6::{Answer, Arrival, BootKind, Config, Declined, Step};
use socket::Socket;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use time::OffsetDateTime;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use told::Told;

/// How often the box's own addresses are looked at.
const LOOK: Duration = Duration::from_secs(5);
/// An interface that cannot be served is tried again after this.
const AGAIN: Duration = Duration::from_secs(10);

/// The service.
pub struct Dhcp6 {
    /// Interfaces that machines are on.
    pub interfaces: Vec<String>,
    /// Where subnets and machines come from.
    pub world: Arc<World>,
    /// What is booted, and where steps are told.
    pub boot: BootContext,
}

impl Dhcp6 {
    /// Serves until cancelled. `http_port` is in boot URLs.
    pub async fn run(self, http_port: u16, cancel: CancellationToken) {
        let mut tasks = JoinSet::new();
        for interface in self.interfaces {
            let (world, boot) = (self.world.clone(), self.boot.clone());
            let (declined, told) = (Declined::default(), Told::default());
            let server = Server { interface, http_port, world, boot, declined, told };
            tasks.spawn(server.keep(cancel.clone()));
        }
        while tasks.join_next().await.is_some() {}
    }
}

/// One interface.
struct Server {
    interface: String,
    http_port: u16,
    world: Arc<World>,
    boot: BootContext,
    declined: Declined,
    told: Told,
}

impl Server {
    async fn keep(mut self, cancel: CancellationToken) {
        let mut told = false;
        let mut changes = self.world.subscribe();
        loop {
            // No socket where there is nothing to serve: another DHCPv6 server of this box may be there.
            if !self.world.snapshot().subnets6.is_empty() {
                let ended = tokio::select! {
                    () = cancel.cancelled() => return,
                    ended = self.serve() => ended,
                };
                if let (Err(error), false) = (ended, told) {
                    told = true;
                    tracing::warn!(interface = self.interface, %error, "DHCPv6 is not served here: is IPv6 on, and port 547 free?");
                }
            }
            tokio::select! {
                () = cancel.cancelled() => return,
                _ = changes.changed() => {}
                () = tokio::time::sleep(AGAIN) => {}
            }
        }
    }

    /// Until something fails or nothing is to be served any more.
    async fn serve(&mut self) -> io::Result<()> {
        let socket = Socket::open(&self.interface)?;
        tracing::info!(interface = self.interface, "DHCPv6 is served");
        let mut changes = self.world.subscribe();
        let mut look = tokio::time::interval(LOOK);
        let mut config = Config::default();
        let mut link = None;
        while !self.world.snapshot().subnets6.is_empty() {
            tokio::select! {
                _ = look.tick() => {}
                _ = changes.changed() => {}
                received = socket.receive() => {
                    let datagram = received?;
                    let arrival = Arrival { link, from: *datagram.from.ip(), multicast: datagram.multicast };
                    if let Some(answer) = config.respond(&datagram.bytes, arrival, &mut self.declined) {
                        // A reply that is lost is asked for again.
                        if let Err(error) = socket.send(&answer.bytes, datagram.from).await {
                            tracing::debug!(interface = self.interface, %error, "a reply was not sent");
                        }
                        self.note(&answer, SystemClock.now());
                    }
                    continue;
                }
            }
            (config, link) = view::config(&self.world.snapshot(), &self.interface, self.http_port);
        }
        Ok(())
    }

    /// Whose address it is, for the steps that follow; and the step itself of those that boot.
    fn note(&mut self, answer: &Answer, now: OffsetDateTime) {
        if let Some(fact) = self.told.lease(answer, now) {
            self.boot.journal.append(fact);
        }
        let (Some(address), Some(mac)) = (answer.address, answer.mac.map(Mac)) else { return };
        let stage = match answer.step {
            Step::Offered => BootStage::Discover,
            Step::Given => {
                self.boot.leased(address, mac);
                BootStage::Ack
            }
            Step::Ended | Step::Other => return,
        };
        if answer.client.boot == BootKind::None {
            return;
        }
        let url = answer.boot.as_deref().unwrap_or("nothing to boot");
        let detail = format!("DHCPv6 {address}, {url}");
        self.boot.journal.append(Fact::Boot { mac: Some(mac), uuid: None, stage, detail });
    }
}

/// To whom answers go: the sender's own address and port.
type Sender = std::net::SocketAddrV6;
