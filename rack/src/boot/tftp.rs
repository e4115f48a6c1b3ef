//! TFTP around `rackwright-tftp`: one socket on the port that firmware asks at, one for each transfer, bound to
//! the address that the client reached, as firmware takes no answer from another.

mod content;
mod transfer;

use super::BootContext;
use rackwright_tftp::{Request, code, error};
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use tokio::net::UdpSocket;
use tokio::task::{AbortHandle, JoinSet};
use tokio_util::sync::CancellationToken;

/// Transfers at a time, in all and for one address: a whole row of racks may be switched on at once.
const MOST: usize = 1024;
const MOST_OF_ONE: usize = 16;
/// A request is a name and a few options.
const REQUEST_MAX: usize = 2048;

/// Why TFTP cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum TftpError {
    /// The port is taken.
    #[error(
        "TFTP: port {1} of {0} is in use: stop the other TFTP server (tftpd, dnsmasq), or set `tftp_port`"
    )]
    InUse(IpAddr, u16),
    /// Not allowed.
    #[error("TFTP: port {1} of {0} may not be opened: run as root or with CAP_NET_BIND_SERVICE")]
    NotAllowed(IpAddr, u16),
    /// Another error.
    #[error("TFTP: {address}:{port} cannot be served")]
    Socket {
        /// Address.
        address: IpAddr,
        /// Port.
        port: u16,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
}

/// A transfer's place among those of its client.
type Key = (SocketAddr, u64);

/// Serves one address until cancelled.
pub async fn serve(
    context: BootContext,
    address: IpAddr,
    port: u16,
    cancel: CancellationToken,
) -> Result<(), TftpError> {
    let socket = UdpSocket::bind((address, port)).await.map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => TftpError::InUse(address, port),
        io::ErrorKind::PermissionDenied => TftpError::NotAllowed(address, port),
        _ => TftpError::Socket { address, port, source },
    })?;
    tracing::info!(%address, port, "TFTP is served");
    let mut tasks: JoinSet<Key> = JoinSet::new();
    let mut running: HashMap<SocketAddr, (u64, AbortHandle)> = HashMap::new();
    let mut number = 0;
    let mut buffer = vec![0; REQUEST_MAX];
    loop {
        let received = tokio::select! {
            () = cancel.cancelled() => return Ok(()),
            Some(ended) = tasks.join_next() => {
                if let Ok((peer, ended)) = ended && running.get(&peer).is_some_and(|(n, _)| *n == ended) {
                    running.remove(&peer);
                }
                continue;
            }
            received = socket.recv_from(&mut buffer) => received,
        };
        // An ICMP error of an earlier reply shows up here; it is no reason to stop.
        let Ok((length, peer)) = received else { continue };
        let request = match Request::decode(buffer.get(..length).unwrap_or_default()) {
            Ok(request) => request,
            Err(refused) => {
                if let Some(reply) = refused.reply() {
                    send(&socket, &reply, peer).await;
                }
                continue;
            }
        };
        // The same port asks again: the transfer begins anew.
        if let Some((_, old)) = running.remove(&peer) {
            old.abort();
        }
        if let Some(reply) = overload(&running, peer.ip()) {
            send(&socket, &reply, peer).await;
            continue;
        }
        number += 1;
        let (context, key) = (context.clone(), (peer, number));
        let task = tasks.spawn(async move {
            transfer::run(&context, address, peer, &request).await;
            key
        });
        running.insert(peer, (number, task));
    }
}

fn overload(running: &HashMap<SocketAddr, (u64, AbortHandle)>, peer: IpAddr) -> Option<Vec<u8>> {
    let of_one = running.keys().filter(|k| k.ip() == peer).count();
    (running.len() >= MOST || of_one >= MOST_OF_ONE)
        .then(|| error(code::OTHER, "too many transfers at once, ask again later"))
}

async fn send(socket: &UdpSocket, reply: &[u8], peer: SocketAddr) {
    if let Err(error) = socket.send_to(reply, peer).await {
        tracing::debug!(%peer, %error, "TFTP: a refusal was not sent");
    }
}
