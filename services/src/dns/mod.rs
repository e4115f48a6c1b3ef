//! Sockets of DNS: one address, UDP and TCP, from when the port can be had until cancelled.
//!
//! A port that somebody else has is waited for: names are not worth a controller that does not start. What holds: what
//! waits for other servers is bounded, and so are connections; a datagram that cannot be answered now is dropped, and
//! its sender asks again.

mod tcp;
mod udp;

use async_trait::async_trait;
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, UdpSocket};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// How a query came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// By datagram: answers are short, and senders may be forged.
    Udp,
    /// By connection.
    Tcp,
}

/// What becomes of a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The answer is written.
    Answered,
    /// It has to be waited for: [`Respond::wait`].
    Waits,
    /// Nothing is said.
    Silent,
}

/// Whoever answers.
#[async_trait]
pub trait Respond: Send + Sync + 'static {
    /// Answers into `answer` what can be answered at once.
    fn respond(&self, query: &[u8], from: SocketAddr, by: Transport, answer: &mut Vec<u8>) -> Verdict;

    /// Answers what takes time; nothing when `answer` stays empty.
    async fn wait(&self, query: &[u8], from: SocketAddr, by: Transport, answer: &mut Vec<u8>);

    /// Answers by several messages, which only connections carry; `None` when it is no query for that.
    async fn transfer(&self, _query: &[u8], _from: SocketAddr) -> Option<Vec<Vec<u8>>> {
        None
    }
}

/// Queries that wait for other servers at the same time, per address.
const WAITING: usize = 1000;
/// How often a port that somebody else has is tried.
const AGAIN: Duration = Duration::from_secs(1);
/// Tries until that is complained of: a region learns within seconds which addresses are those of its box's rack.
const PATIENCE: u32 = 8;

/// Serves one address until cancelled. `told` hears whether it is served, whenever that changes.
pub async fn serve(
    address: SocketAddr,
    responder: Arc<dyn Respond>,
    told: impl Fn(Result<(), &io::Error>) + Send + Sync,
    cancel: CancellationToken,
) {
    let mut tries = 0;
    while !cancel.is_cancelled() {
        match open(address) {
            Ok((udp, tcp)) => {
                tracing::info!(%address, "names are answered");
                tries = 0;
                told(Ok(()));
                let error = tokio::select! {
                    () = cancel.cancelled() => return,
                    error = work(udp, tcp, &responder) => error,
                };
                tracing::warn!(%address, %error, "names are not answered for a moment");
                told(Err(&error));
            }
            Err(error) => {
                tries += 1;
                if tries == PATIENCE {
                    tracing::warn!(%address, %error, "names cannot be answered: does another name server run here?");
                }
                told(Err(&error));
            }
        }
        tokio::select! {
            () = cancel.cancelled() => return,
            () = tokio::time::sleep(AGAIN) => {}
        }
    }
}

/// Works until something breaks.
async fn work(sockets: Vec<UdpSocket>, listener: TcpListener, responder: &Arc<dyn Respond>) -> io::Error {
    let mut tasks = JoinSet::new();
    let waiting = Arc::new(tokio::sync::Semaphore::new(WAITING));
    for socket in sockets {
        tasks.spawn(udp::answer(Arc::new(socket), responder.clone(), waiting.clone()));
    }
    tasks.spawn(tcp::accept(listener, responder.clone()));
    match tasks.join_next().await {
        Some(Ok(error)) => error,
        Some(Err(_)) | None => io::Error::other("a part of it ended"),
    }
}

/// One UDP socket per processor, which the kernel shares queries out to, and a listener.
fn open(address: SocketAddr) -> io::Result<(Vec<UdpSocket>, TcpListener)> {
    // Alone first: another process of this user could share the port unseen.
    drop(bind(address, Type::DGRAM, false)?);
    let listener = bind(address, Type::STREAM, false)?;
    listener.listen(256)?;
    let count = std::thread::available_parallelism().map_or(1, usize::from).min(8);
    let sockets = (0..count).map(|_| UdpSocket::from_std(bind(address, Type::DGRAM, true)?.into()));
    Ok((sockets.collect::<io::Result<_>>()?, TcpListener::from_std(listener.into())?))
}

fn bind(address: SocketAddr, kind: Type, shared: bool) -> io::Result<Socket> {
    let protocol = if kind == Type::DGRAM { Protocol::UDP } else { Protocol::TCP };
    let socket = Socket::new(Domain::for_address(address), kind, Some(protocol))?;
    if kind == Type::STREAM {
        // Connections of before that are not forgotten yet are nobody's port.
        socket.set_reuse_address(true)?;
    }
    if shared {
        socket.set_reuse_port(true)?;
        socket.set_recv_buffer_size(1 << 20)?;
    }
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

#[cfg(test)]
mod tests;
