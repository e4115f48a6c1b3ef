//! Connections: messages with their length before them (RFC 1035 section 4.2.2, RFC 7766).

use super::{Respond, Transport, Verdict};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Connections at the same time; more wait in the kernel.
const CONNECTIONS: usize = 200;
/// A connection that says nothing for so long is closed.
const IDLE: Duration = Duration::from_secs(10);
/// Whoever does not read an answer within this time gets none.
const PATIENCE: Duration = Duration::from_secs(30);

/// Takes connections until the listener breaks.
pub(super) async fn accept(listener: TcpListener, responder: Arc<dyn Respond>) -> io::Error {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    // Dropped with this task, and the connections with it.
    let mut connections = JoinSet::new();
    loop {
        let Ok(place) = places.clone().acquire_owned().await else {
            return io::Error::other("no more connections");
        };
        let (stream, from) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::debug!(%error, "a connection was lost before it was taken");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let responder = responder.clone();
        connections.spawn(async move {
            if let Err(error) = talk(stream, from, &*responder).await {
                tracing::debug!(%from, %error, "a connection about names ended");
            }
            drop(place);
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn talk(mut stream: TcpStream, from: SocketAddr, responder: &dyn Respond) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut answer = Vec::new();
    loop {
        let length = match timeout(IDLE, stream.read_u16()).await {
            Ok(Ok(length)) => length,
            Ok(Err(_)) | Err(_) => return Ok(()),
        };
        let mut query = vec![0; usize::from(length)];
        timeout(IDLE, stream.read_exact(&mut query)).await??;
        if let Some(messages) = responder.transfer(&query, from).await {
            for message in messages {
                send(&mut stream, &message).await?;
            }
            continue;
        }
        answer.clear();
        if responder.respond(&query, from, Transport::Tcp, &mut answer) == Verdict::Waits {
            answer.clear();
            responder.wait(&query, from, Transport::Tcp, &mut answer).await;
        }
        if answer.is_empty() {
            return Ok(());
        }
        send(&mut stream, &answer).await?;
    }
}

async fn send(stream: &mut TcpStream, message: &[u8]) -> io::Result<()> {
    let length = u16::try_from(message.len()).map_err(|_| io::Error::other("the answer is too long"))?;
    let framed = [&length.to_be_bytes()[..], message].concat();
    timeout(PATIENCE, stream.write_all(&framed)).await?
}
