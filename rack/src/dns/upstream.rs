//! Asks another server: by datagram from a port of its own, by connection when the answer is too long for one.

use super::cache::Question;
use rackwright_dns::{Reply, UsableReply};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

/// How long a server may take for an answer.
const PATIENCE: Duration = Duration::from_millis(1500);

/// One server's answer.
pub(super) async fn ask(server: SocketAddr, question: &Question) -> io::Result<UsableReply> {
    let answered = timeout(PATIENCE, by_datagram(server, question)).await??;
    match answered {
        Reply::Whole(reply) => Ok(reply),
        Reply::Cut => timeout(PATIENCE, by_connection(server, question)).await?,
    }
}

fn message(question: &Question) -> (u16, Vec<u8>) {
    let id = rand::random();
    (id, Reply::ask(id, &question.name, question.kind, question.dnssec, question.unchecked))
}

async fn by_datagram(server: SocketAddr, question: &Question) -> io::Result<Reply> {
    let any: IpAddr =
        if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    // A port of the kernel's choice for each question, and answers from nobody but the server.
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(server).await?;
    let (id, query) = message(question);
    socket.send(&query).await?;
    let mut buffer = vec![0; 4096];
    loop {
        let length = socket.recv(&mut buffer).await?;
        // What is no answer to this question is ignored: it may be forged.
        if let Some(reply) = Reply::read(&buffer[..length], id, &question.name, question.kind) {
            return Ok(reply);
        }
    }
}

async fn by_connection(server: SocketAddr, question: &Question) -> io::Result<UsableReply> {
    let mut stream = TcpStream::connect(server).await?;
    let (id, query) = message(question);
    let length = u16::try_from(query.len()).map_err(io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes()[..], &query].concat()).await?;
    let mut buffer = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut buffer).await?;
    match Reply::read(&buffer, id, &question.name, question.kind) {
        Some(Reply::Whole(reply)) => Ok(reply),
        Some(Reply::Cut) | None => Err(io::Error::other("the server's answer is none")),
    }
}
