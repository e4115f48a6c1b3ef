//! The region's port: HTTPS and HTTP at one address, told apart by the first byte that a client sends.
//!
//! What holds: a client that connects and says nothing holds nobody up, and is let go after a while; with `tls` set and
//! plain HTTP not, nothing is answered in plain but where to go. Left out: HTTP/2, which neither pages nor API need, and
//! client certificates, which belong to the racks' stream.

mod certificate;
mod plain;

pub use certificate::{Own, Tls, TlsError, TlsFiles, TlsSetting};
pub use plain::{Encrypted, admit};

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::either::Either;
use tokio_util::sync::CancellationToken;

/// What a client needs at most to say who it is.
const GREETING_WITHIN: Duration = Duration::from_secs(10);
/// Connections that were greeted and are not served yet.
const WAITING: usize = 64;
/// The first byte of a TLS connection: a handshake record (RFC 8446 section 5.1). No HTTP method begins so.
const HANDSHAKE: u8 = 0x16;

/// A connection, encrypted or not.
pub type Stream = Either<TcpStream, TlsStream<TcpStream>>;

/// Who is at the other end.
#[derive(Debug, Clone, Copy)]
pub struct Caller {
    /// Their address.
    pub address: SocketAddr,
    /// They speak TLS.
    pub tls: bool,
}

impl Connected<IncomingStream<'_, Door>> for Caller {
    fn connect_info(stream: IncomingStream<'_, Door>) -> Self {
        *stream.remote_addr()
    }
}

/// Accepts connections for axum.
pub struct Door {
    local: SocketAddr,
    greeted: mpsc::Receiver<(Stream, Caller)>,
}

impl Door {
    /// Opens it: greets whoever comes to `listener`, until cancelled. Without `tls` all is plain.
    pub fn open(
        listener: TcpListener,
        tls: Option<Arc<Tls>>,
        cancel: CancellationToken,
    ) -> std::io::Result<Self> {
        let local = listener.local_addr()?;
        let (pass, greeted) = mpsc::channel(WAITING);
        tokio::spawn(async move {
            tokio::select! {
                () = cancel.cancelled() => {}
                () = greet_all(listener, tls, pass) => {}
            }
        });
        Ok(Self { local, greeted })
    }
}

async fn greet_all(listener: TcpListener, tls: Option<Arc<Tls>>, pass: mpsc::Sender<(Stream, Caller)>) {
    loop {
        let (stream, address) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // Mostly too many open files; those that are served will end.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(500)).await;
                continue;
            }
        };
        let (tls, pass) = (tls.clone(), pass.clone());
        tokio::spawn(async move {
            match tokio::time::timeout(GREETING_WITHIN, greet(stream, tls)).await {
                Ok(Ok(stream)) => {
                    let caller = Caller { address, tls: matches!(stream, Either::Right(_)) };
                    // Nobody takes it any more: the region stops.
                    drop(pass.send((stream, caller)).await);
                }
                Ok(Err(error)) => tracing::debug!(%address, %error, "a connection was not opened"),
                Err(_) => tracing::debug!(%address, "a client said nothing"),
            }
        });
    }
}

async fn greet(stream: TcpStream, tls: Option<Arc<Tls>>) -> std::io::Result<Stream> {
    let Some(tls) = tls else { return Ok(Either::Left(stream)) };
    let mut first = [0];
    stream.peek(&mut first).await?;
    if first != [HANDSHAKE] {
        return Ok(Either::Left(stream));
    }
    let config = tls.config(stream.local_addr()?.ip()).map_err(std::io::Error::other)?;
    Ok(Either::Right(TlsAcceptor::from(config).accept(stream).await?))
}

impl Listener for Door {
    type Io = Stream;
    type Addr = Caller;

    async fn accept(&mut self) -> (Stream, Caller) {
        match self.greeted.recv().await {
            Some(greeted) => greeted,
            // It was closed, and whoever serves is told to stop by the same token.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> std::io::Result<Caller> {
        Ok(Caller { address: self.local, tls: false })
    }
}
