//! Asking each address of a network who has it, by ARP: only networks that a region allows and that the interface has
//! an address in, up to 4096 addresses, a hundred questions a second, once an hour.

use super::socket::Socket;
use crate::addresses;
use ipnet::Ipv4Net;
use rackwright_neighbour::arp;
use std::collections::{HashMap, VecDeque};
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

const EVERY: Duration = Duration::from_secs(3600);
const GAP: Duration = Duration::from_millis(10);
/// Larger networks are not scanned: /20.
const SHORTEST_PREFIX: u8 = 20;

/// The scans of one interface.
#[derive(Default)]
pub(super) struct Scans {
    begun: HashMap<Ipv4Net, Instant>,
    waiting: VecDeque<(Ipv4Addr, Ipv4Addr, [u8; 6])>,
    /// When the next one is asked; it stays when the wait for it is broken off.
    ready: Option<tokio::time::Instant>,
}

impl Scans {
    /// Begins the scans that are due; one of a network that is no longer allowed is forgotten.
    pub(super) fn begin_due(&mut self, interface: &str, socket: &Socket, allowed: &[Ipv4Net]) {
        self.begun.retain(|net, at| allowed.contains(net) && at.elapsed() < EVERY);
        if allowed.is_empty() {
            self.waiting.clear();
            return;
        }
        let (Ok(own), Some(mac)) = (addresses::read(&[interface.to_owned()], 0), socket.mac()) else {
            return;
        };
        for address in own.iter().map(|a| a.network.addr()) {
            let due = |net: &&Ipv4Net| {
                net.contains(&address)
                    && net.prefix_len() >= SHORTEST_PREFIX
                    && !self.begun.contains_key(*net)
            };
            let Some(net) = allowed.iter().copied().find(|net| due(&net)) else { continue };
            tracing::info!(interface, %net, "asking all addresses who has them");
            self.begun.insert(net, Instant::now());
            self.waiting.extend(net.hosts().filter(|h| *h != address).map(|host| (host, address, mac)));
        }
    }

    /// The next question, when its time has come; waits for ever when there is none.
    pub(super) async fn next(&mut self) -> Vec<u8> {
        if self.waiting.is_empty() {
            std::future::pending::<()>().await;
        }
        let ready = *self.ready.get_or_insert_with(|| tokio::time::Instant::now() + GAP);
        tokio::time::sleep_until(ready).await;
        self.ready = None;
        let next = self.waiting.pop_front();
        next.map(|(target, address, mac)| arp::question(mac, address, target)).unwrap_or_default()
    }
}
