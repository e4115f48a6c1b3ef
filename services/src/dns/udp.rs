//! Datagrams in, datagrams out: as many as there are with one call of the kernel each way, which costs more than an answer.

use super::{Respond, Transport, Verdict};
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrStorage, recvmmsg, sendmmsg};
use std::io::{self, IoSlice, IoSliceMut};
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::sync::Semaphore;

/// The longest query that is read; whatever is longer is none.
const LONGEST: usize = 4096;
/// Datagrams read and answered at once, before others of the process get their turn.
const BATCH: usize = 64;

/// An answer and whom it is for.
type Reply = (Vec<u8>, SocketAddr);

/// Answers until the socket breaks.
pub(super) async fn answer(
    socket: Arc<UdpSocket>,
    responder: Arc<dyn Respond>,
    waiting: Arc<Semaphore>,
) -> io::Error {
    let mut queries = vec![vec![0; LONGEST]; BATCH];
    let mut replies: Vec<Reply> = Vec::with_capacity(BATCH);
    let mut spare: Vec<Vec<u8>> = Vec::with_capacity(BATCH);
    loop {
        if let Err(error) = socket.readable().await {
            return error;
        }
        let read = socket.try_io(Interest::READABLE, || receive(socket.as_raw_fd(), &mut queries));
        let received = match read {
            Ok(received) => received,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            // What comes back of an answer of ours that reached nobody.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => continue,
            Err(error) => return error,
        };
        for (query, (length, from)) in queries.iter().zip(received) {
            let (query, Some(from)) = (&query[..length], from) else { continue };
            let mut answer = spare.pop().unwrap_or_default();
            answer.clear();
            match responder.respond(query, from, Transport::Udp, &mut answer) {
                Verdict::Answered => replies.push((answer, from)),
                Verdict::Silent => spare.push(answer),
                Verdict::Waits => {
                    spare.push(answer);
                    wait(&socket, &responder, &waiting, (query.to_vec(), from));
                }
            }
        }
        send(socket.as_raw_fd(), &replies);
        spare.extend(replies.drain(..).map(|(answer, _)| answer));
        tokio::task::yield_now().await;
    }
}

/// Answers on the side what takes time, unless too many wait already.
fn wait(
    socket: &Arc<UdpSocket>,
    responder: &Arc<dyn Respond>,
    waiting: &Arc<Semaphore>,
    (query, from): Reply,
) {
    let Ok(place) = waiting.clone().try_acquire_owned() else { return };
    let (socket, responder) = (socket.clone(), responder.clone());
    tokio::spawn(async move {
        let mut answer = Vec::new();
        responder.wait(&query, from, Transport::Udp, &mut answer).await;
        if !answer.is_empty() {
            drop(socket.send_to(&answer, from).await);
        }
        drop(place);
    });
}

/// Reads what is there, at least one; its lengths and senders in the order of the buffers.
fn receive(socket: RawFd, queries: &mut [Vec<u8>]) -> io::Result<Vec<(usize, Option<SocketAddr>)>> {
    let mut headers = MultiHeaders::<SockaddrStorage>::preallocate(queries.len(), None);
    let mut slices: Vec<_> = queries.iter_mut().map(|query| [IoSliceMut::new(query)]).collect();
    let received = recvmmsg(socket, &mut headers, slices.iter_mut(), MsgFlags::MSG_DONTWAIT, None)?;
    Ok(received.map(|message| (message.bytes, message.address.as_ref().and_then(address))).collect())
}

fn address(stored: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = stored.as_sockaddr_in().map(|own| SocketAddr::V4((*own).into()));
    v4.or_else(|| stored.as_sockaddr_in6().map(|own| SocketAddr::V6((*own).into())))
}

/// Sends what the kernel takes. Whoever gets no answer asks again.
fn send(socket: RawFd, mut replies: &[Reply]) {
    while !replies.is_empty() {
        let mut headers = MultiHeaders::<SockaddrStorage>::preallocate(replies.len(), None);
        let slices: Vec<_> = replies.iter().map(|(answer, _)| [IoSlice::new(answer)]).collect();
        let to: Vec<_> = replies.iter().map(|(_, to)| Some(SockaddrStorage::from(*to))).collect();
        let sent = sendmmsg(socket, &mut headers, &slices, &to, [], MsgFlags::MSG_DONTWAIT);
        let done = match sent {
            Ok(sent) => sent.count(),
            Err(Errno::EAGAIN) => return,
            // The first of them cannot be sent, or an answer of before has come back; the others may.
            Err(_) => 0,
        };
        replies = &replies[done.max(1)..];
    }
}
