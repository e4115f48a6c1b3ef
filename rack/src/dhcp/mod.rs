//! DHCP: sockets, durability and reports around the core in `rackwright-dhcp`.
//!
//! A listener per interface hands datagrams to one worker. The worker asks the core, writes changed leases to disk
//! (one `fdatasync` for all that came in meanwhile), and only then sends what depends on them. So a lease that a client
//! has heard of survives `kill -9`; an offer does not, but the core makes the same one again. What is on the disk is told
//! to the regions ([`LeaseExchange`]), and what they answer is written before it counts, so that all racks of a network
//! are one server (`docs/decisions/0007-dhcp-on-n-racks.md`).
//!
//! Beside that: a new address is offered only when nobody on the wire answers for it ([`conflict`]); other DHCP servers are
//! looked for ([`foreign`]); in shadow mode it is only compared ([`shadow`]).
//!
//! Left out: DHCPv6; boot servers on port 4011, which our offers tell firmware not to look for.

mod conflict;
mod exchange;
mod foreign;
mod interface;
mod lease_file;
mod line;
mod memory;
mod report;
mod shadow;
mod socket;
mod steady;
mod view;
mod worker;

use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rackwright_common::Mac;
use rackwright_common::clock::{Clock, SystemClock};
use rackwright_common::link::Fact;
use rackwright_common::snapshot::Snapshot;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use exchange::LeaseExchange;
pub use lease_file::LeaseFileError;

/// What the server has to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DhcpConfig {
    /// Interfaces to serve.
    pub interfaces: Vec<String>,
    /// Folder of the lease file; made when missing.
    pub lease_directory: PathBuf,
    /// Port of this rack's HTTP service, for boot URLs.
    pub http_port: u16,
}

/// What the server needs of the rack.
pub trait DhcpWorld: Send + Sync + 'static {
    /// The snapshot in force. A new one is a new `Arc`.
    fn snapshot(&self) -> Arc<Snapshot>;

    /// Takes note of what happened, for the regions. Must not block.
    fn record(&self, fact: Fact);

    /// The line to the regions.
    fn leases(&self) -> LeaseExchange;

    /// Whether the firmware with this MAC, which asks for an address, is to get the signed loader.
    fn wants_signed(&self, _mac: Mac) -> bool {
        false
    }

    /// iPXE with this MAC asks for an address: it was started.
    fn loader_runs(&self, _mac: Mac) {}

    /// The time.
    fn clock(&self) -> Arc<dyn Clock> {
        Arc::new(SystemClock)
    }
}

/// Why the server cannot run.
#[derive(Debug, thiserror::Error)]
pub enum DhcpError {
    /// The interface does not exist, or has no IPv4 address.
    #[error(
        "DHCP: interface `{0}` is missing or has no IPv4 address: name one that machines are on (see `ip -4 address`)"
    )]
    Interface(String),
    /// Listening failed.
    #[error("DHCP: cannot listen on port 67 of `{interface}`: {}", cure(source))]
    Listen {
        /// Which.
        interface: String,
        /// What the kernel said.
        #[source]
        source: std::io::Error,
    },
    /// The addresses of interfaces could not be read.
    #[error("DHCP: cannot read the interfaces' addresses")]
    Interfaces(#[source] std::io::Error),
    /// Leases cannot be read or kept.
    #[error("DHCP: the lease file cannot be used")]
    Leases(#[from] LeaseFileError),
    /// A listener ended.
    #[error("DHCP: the listener ended")]
    Ended,
}

fn cure(error: &std::io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::AddrInUse => "another DHCP server runs here; stop it (`ss -lunp sport = :67` names it)",
        ErrorKind::PermissionDenied => "run as root, or with CAP_NET_BIND_SERVICE and CAP_NET_RAW",
        _ => "is the interface still there?",
    }
}

/// Datagrams waiting for the worker; more wait in the kernel, as many as fit, and clients ask again.
const QUEUE: usize = 1024;

/// How often an interface that went away is looked for.
const COME_BACK_EVERY: Duration = Duration::from_secs(1);

/// Serves until cancelled. What is missing at the start is an error; an interface that goes away later is waited for.
pub async fn run<W: DhcpWorld>(
    config: DhcpConfig,
    world: Arc<W>,
    cancel: CancellationToken,
) -> Result<(), DhcpError> {
    let mut interfaces = interface::read(&config.interfaces)?;
    loop {
        tokio::select! {
            () = cancel.cancelled() => return Ok(()),
            ended = serve(&config, &world, &interfaces) => ended?,
        }
        interfaces = tokio::select! {
            () = cancel.cancelled() => return Ok(()),
            found = wait_for_interfaces(&config.interfaces) => found,
        };
    }
}

async fn wait_for_interfaces(names: &[String]) -> Vec<interface::Interface> {
    loop {
        match interface::read(names) {
            Ok(interfaces) => return interfaces,
            Err(error) => tracing::warn!(%error, "DHCP waits"),
        }
        tokio::time::sleep(COME_BACK_EVERY).await;
    }
}

/// Serves until an interface is made anew, which its sockets do not survive.
async fn serve<W: DhcpWorld>(
    config: &DhcpConfig,
    world: &Arc<W>,
    interfaces: &[interface::Interface],
) -> Result<(), DhcpError> {
    let (sender, receiver) = mpsc::channel(QUEUE);
    let mut sockets = Vec::new();
    let mut listeners = JoinSet::new();
    for (number, interface) in interfaces.iter().enumerate() {
        let listen = |source| DhcpError::Listen { interface: interface.name.clone(), source };
        let socket = Arc::new(socket::Socket::open(interface).map_err(listen)?);
        listeners.spawn(listen_on(number, socket.clone(), sender.clone()));
        sockets.push(socket);
        listeners.spawn(foreign::watch(interface.clone(), world.clone()));
        tracing::info!(interface = interface.name, addresses = ?interface.addresses, "DHCP is served");
    }
    drop(sender);
    let worker = worker::Worker::open(config.clone(), world.clone(), interfaces.to_vec(), sockets).await?;
    tokio::select! {
        ended = worker.run(receiver) => ended,
        _ = listeners.join_next() => Err(DhcpError::Ended),
    }
}

/// Moves datagrams from a socket to the worker. An error of one datagram is not the end: a link may go and come.
async fn listen_on(number: usize, socket: Arc<socket::Socket>, queue: mpsc::Sender<worker::Arrived>) {
    let mut buffers = socket::buffers();
    loop {
        let datagrams = match socket.receive(&mut buffers).await {
            Ok(datagrams) => datagrams,
            Err(error) => {
                tracing::warn!(interface = socket.interface_name(), %error, "DHCP: receiving failed");
                tokio::time::sleep(Duration::from_millis(200)).await;
                continue;
            }
        };
        for datagram in datagrams {
            if queue.send(worker::Arrived { interface: number, datagram }).await.is_err() {
                return;
            }
        }
    }
}
