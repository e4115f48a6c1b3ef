//! Datagrams in, datagrams out.

use super::{Respond, Transport, Verdict};
use std::io;
use std::sync::Arc;
use tokio::net::UdpSocket;
use tokio::sync::Semaphore;

/// The longest query that is read; whatever is longer is none.
const LONGEST: usize = 4096;
/// Datagrams answered before others of the process get their turn.
const TURN: usize = 64;

/// Answers until the socket breaks.
pub(super) async fn answer(
    socket: Arc<UdpSocket>,
    responder: Arc<dyn Respond>,
    waiting: Arc<Semaphore>,
) -> io::Error {
    let mut query = vec![0; LONGEST];
    let mut answer = Vec::with_capacity(LONGEST);
    loop {
        if let Err(error) = socket.readable().await {
            return error;
        }
        for _ in 0..TURN {
            let (length, from) = match socket.try_recv_from(&mut query) {
                Ok(received) => received,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                // What comes back of an answer of ours that reached nobody.
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => continue,
                Err(error) => return error,
            };
            let query = &query[..length];
            answer.clear();
            match responder.respond(query, from, Transport::Udp, &mut answer) {
                Verdict::Silent => {}
                Verdict::Answered => drop(socket.try_send_to(&answer, from)),
                Verdict::Waits => {
                    let Ok(place) = waiting.clone().try_acquire_owned() else { continue };
                    let (socket, responder, query) = (socket.clone(), responder.clone(), query.to_vec());
                    tokio::spawn(async move {
                        let mut answer = Vec::new();
                        responder.wait(&query, from, Transport::Udp, &mut answer).await;
                        if !answer.is_empty() {
                            drop(socket.send_to(&answer, from).await);
                        }
                        drop(place);
                    });
                }
            }
        }
        tokio::task::yield_now().await;
    }
}
