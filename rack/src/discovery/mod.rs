//! Who is on the networks of machines: heard passively on every served interface (ARP, neighbour discovery, multicast
//! DNS, LLDP), and asked for where a subnet allows it. What is new goes into the journal.
//!
//! A flood of made-up senders costs a bounded amount of everything: the kernel hands over only the few protocols that
//! are read, frames are taken at a bounded rate, the table and the reports to the regions have limits ([`table`]). What
//! is left out: hosts behind a router, and IPv6 addresses whose traffic a switch keeps from us.

mod scan;
mod socket;
mod sys;
mod table;

use crate::state::{Journal, World};
use rackwright_common::Mac;
use rackwright_common::discovery::Sighting;
use rackwright_common::inventory::LldpNeighbour;
use rackwright_common::link::Fact;
use rackwright_neighbour::{Lldp, read};
use scan::Scans;
use socket::Socket;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};
use table::Table;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// How often it is looked whether a scan is due.
const LOOK: Duration = Duration::from_secs(5);
/// An interface that cannot be listened on is tried again after this.
const AGAIN: Duration = Duration::from_secs(10);
/// So many frames are read at once, and then nothing for [`REST`]: 25,600 a second at most.
const BATCH: usize = 256;
const REST: Duration = Duration::from_millis(10);

/// Listens on the named interfaces until cancelled.
pub async fn run(interfaces: Vec<String>, world: Arc<World>, journal: Journal, cancel: CancellationToken) {
    let mut tasks = JoinSet::new();
    for interface in interfaces {
        tasks.spawn(keep(interface, world.clone(), journal.clone(), cancel.clone()));
    }
    while tasks.join_next().await.is_some() {}
}

async fn keep(interface: String, world: Arc<World>, journal: Journal, cancel: CancellationToken) {
    let mut listener =
        Listener { table: Table::new(Instant::now()), scans: Scans::default(), interface, world, journal };
    let mut told = false;
    loop {
        let ended = tokio::select! {
            () = cancel.cancelled() => return,
            ended = listener.listen() => ended,
        };
        if let (Err(error), false) = (ended, told) {
            told = true;
            tracing::warn!(interface = listener.interface, %error, "nobody is discovered here: this needs CAP_NET_RAW and the interface");
        }
        tokio::select! {
            () = cancel.cancelled() => return,
            () = tokio::time::sleep(AGAIN) => {}
        }
    }
}

/// One interface.
struct Listener {
    interface: String,
    world: Arc<World>,
    journal: Journal,
    table: Table,
    scans: Scans,
}

impl Listener {
    /// Until something fails.
    async fn listen(&mut self) -> io::Result<()> {
        let socket = Socket::open(&self.interface)?;
        let mut tick = tokio::time::interval(LOOK);
        let mut buffer = [0; 4096];
        loop {
            tokio::select! {
                _ = tick.tick() => self.scans.begin_due(&self.interface, &socket, &self.world.snapshot().scan),
                ready = socket.readable() => {
                    ready?;
                    let mut frames = 0;
                    while frames < BATCH && let Some(length) = socket.receive(&mut buffer)? {
                        frames += 1;
                        self.heard(&buffer[..length]);
                    }
                    if frames == BATCH {
                        tokio::time::sleep(REST).await;
                    }
                }
                question = self.scans.next() => socket.send(&question)?,
            }
        }
    }

    fn heard(&mut self, frame: &[u8]) {
        let Some(seen) = read(frame) else { return };
        let sighting = Sighting {
            interface: self.interface.clone(),
            mac: Mac(seen.mac),
            address: seen.address,
            hostname: seen.hostname,
            lldp: seen.lldp.map(|Lldp { chassis, port, system, description, vlan }| LldpNeighbour {
                chassis,
                port,
                system,
                description,
                vlan,
            }),
        };
        if let Some(news) = self.table.hear(sighting, Instant::now()) {
            self.journal.append(Fact::Sighting(news));
        }
    }
}
