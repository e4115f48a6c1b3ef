//! Moves the datagrams of one transfer.

use super::super::{BootContext, plain_name};
use super::content::{self, Content, Missing};
use rackwright_tftp::{Limits, Outcome, Output, Request, Transfer, code, data, error};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;
use tokio::net::UdpSocket;

/// A client's datagrams are short.
const RECEIVE_MAX: usize = 1024;

/// Answers one request, from the first datagram to the last.
pub(super) async fn run(context: &BootContext, local: IpAddr, peer: SocketAddr, request: &Request) {
    let moved = async {
        let socket = UdpSocket::bind((local, 0)).await?;
        socket.connect(peer).await?;
        match content::open(context, local, peer.ip(), request).await {
            Ok((mut content, (stage, detail))) => {
                let outcome = transfer(&socket, &mut content, request, || {
                    context.told(peer.ip(), stage, detail);
                    context.has_loader(peer.ip(), &plain_name(&request.file));
                })
                .await?;
                tracing::info!(%peer, file = request.file, bytes = content.size(), ?outcome, "TFTP");
            }
            Err(missing) => {
                tracing::info!(%peer, file = request.file, %missing, "TFTP: refused");
                let number = if matches!(missing, Missing::NotFound) { code::NOT_FOUND } else { code::OTHER };
                socket.send(&error(number, &missing.to_string())).await?;
            }
        }
        Ok::<(), io::Error>(())
    };
    if let Err(error) = moved.await {
        tracing::info!(%peer, file = request.file, %error, "TFTP: the transfer broke off");
    }
}

/// Runs until nothing more is to be sent; `complete` is called as soon as the client has everything.
async fn transfer(
    socket: &UdpSocket,
    content: &mut Content,
    request: &Request,
    complete: impl FnOnce(),
) -> io::Result<Outcome> {
    let mut complete = Some(complete);
    let mut transfer = Transfer::new(request, content.size(), Limits::default(), Instant::now());
    let mut buffer = [0; RECEIVE_MAX];
    loop {
        while let Some(output) = transfer.poll() {
            let datagram = match output {
                Output::Datagram(datagram) => datagram,
                Output::Block { number, offset, length } => {
                    data(number, &content.read(offset, length).await?)
                }
            };
            socket.send(&datagram).await?;
        }
        if transfer.outcome() == Some(&Outcome::Complete)
            && let Some(complete) = complete.take()
        {
            complete();
        }
        let deadline = transfer.deadline();
        if let Some(outcome) = transfer.outcome()
            && (*outcome != Outcome::Complete || deadline <= Instant::now())
        {
            return Ok(outcome.clone());
        }
        tokio::select! {
            received = socket.recv(&mut buffer) => {
                let length = match received {
                    Ok(length) => length,
                    // The client has closed its port, as it may once it has all.
                    Err(_) if transfer.outcome().is_some() => 0,
                    Err(error) => return Err(error),
                };
                transfer.receive(buffer.get(..length).unwrap_or_default(), Instant::now());
            }
            () = tokio::time::sleep_until(deadline.into()) => transfer.tick(Instant::now()),
        }
    }
}
