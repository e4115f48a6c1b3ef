//! Carries the pool's connections to whichever server the route says.
//!
//! Why: the pool's library makes its own sockets, knows one host, and waits without end on one that has lost its power.
//! Here it talks to a socket of ours; behind it we own the connection, and close it the moment its server is no
//! longer the one to use. Whatever waited on it fails at once, and the next connection goes to the right server.

use super::hosts::Host;
use super::route::Route;
use super::secure::Tls;
use socket2::{SockRef, TcpKeepalive};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::copy_bidirectional_with_sizes;
use tokio::net::{TcpStream, UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_rustls::client::TlsStream;
use tokio_util::either::Either;

/// For making a connection.
const CONNECT: Duration = Duration::from_secs(1);
/// What was sent has to be acknowledged by the other end's kernel within this.
const SILENCE: Duration = Duration::from_secs(3);
/// Before a server that refused is tried again.
const AGAIN: Duration = Duration::from_millis(100);
const BUFFER: usize = 64 << 10;

/// The far end: plain, or secured by us.
type Server = Either<TcpStream, TlsStream<TcpStream>>;

/// Which host of a route a listener leads to.
pub(super) type Pick = fn(&Route) -> Option<usize>;

/// Where a listener leads, and how long a connection may wait for that to exist.
#[derive(Clone)]
pub(super) struct Relay {
    pub hosts: Arc<[Host]>,
    /// How connections are secured, where it is not the client's matter.
    pub tls: Option<Tls>,
    pub route: watch::Receiver<Route>,
    pub pick: Pick,
    pub wait: Duration,
}

impl Relay {
    /// Serves without end.
    pub async fn run(self, listener: UnixListener) {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((client, _)) => drop(connections.spawn(self.clone().carry(client))),
                    Err(error) => {
                        tracing::warn!(%error, "a connection to the database cannot be taken");
                        sleep(AGAIN).await;
                    }
                },
                Some(_) = connections.join_next() => {}
            }
        }
    }

    /// One connection, until either end closes it or its server is not the right one any more.
    async fn carry(mut self, mut client: UnixStream) {
        let Some((at, mut server)) = self.connect().await else { return };
        let pick = self.pick;
        let carried = copy_bidirectional_with_sizes(&mut client, &mut server, BUFFER, BUFFER);
        // Whoever ended it and how, both sockets close here.
        tokio::select! {
            _ = carried => {}
            _ = self.route.wait_for(|route| pick(route) != Some(at)) => {}
        }
    }

    /// A connection to the right server, as soon as there is one.
    async fn connect(&mut self) -> Option<(usize, Server)> {
        let deadline = Instant::now() + self.wait;
        let pick = self.pick;
        loop {
            let found = timeout_at(deadline, self.route.wait_for(|route| pick(route).is_some())).await;
            let at = found.ok()?.ok().and_then(|route| pick(&route))?;
            let host = self.hosts.get(at)?;
            match timeout(CONNECT, self.open(host)).await {
                Ok(Ok(server)) => return Some((at, server)),
                _ if Instant::now() >= deadline => return None,
                _ => sleep(AGAIN).await,
            }
        }
    }

    async fn open(&self, host: &Host) -> std::io::Result<Server> {
        let server = TcpStream::connect((host.name.as_str(), host.port)).await?;
        watch_over(&server)?;
        match &self.tls {
            Some(tls) => tls.secure(&host.name, server).await.map(Either::Right),
            None => Ok(Either::Left(server)),
        }
    }
}

/// A peer that has lost its power says nothing: the kernel has to ask.
fn watch_over(server: &TcpStream) -> std::io::Result<()> {
    server.set_nodelay(true)?;
    let socket = SockRef::from(server);
    let second = Duration::from_secs(1);
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(second).with_interval(second).with_retries(3))?;
    socket.set_tcp_user_timeout(Some(SILENCE))
}
