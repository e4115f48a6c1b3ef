//! Asks on the wire before an address of a pool is offered for the first time (RFC 2131 §2.2): a host with an address that
//! nobody gave it answers. The offer waits meanwhile; other clients do not.
//!
//! What holds: no more questions at once than [`AT_ONCE`], so that a flood costs no more than the questions it can have;
//! beyond that offers go unasked, and the client's own check is left (RFC 5227).

use std::collections::{HashMap, HashSet};
use std::net::Ipv4Addr;
use std::time::Duration;

use rackwright_common::Mac;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::interface::Interface;
use crate::probe::Prober;

/// Two questions, each waiting so long.
const PATIENCE: Duration = Duration::from_millis(150);
/// Questions at once.
const AT_ONCE: usize = 64;
/// An address that was free is not asked about again within this time: the client repeats itself.
const FREE_FOR: Duration = Duration::from_secs(60);
/// Addresses remembered as free; more, and all are forgotten.
const REMEMBERED: usize = 8192;

/// What the wire said of an address, and what waited for it.
pub(super) struct Checked<T> {
    /// The address.
    pub(super) address: Ipv4Addr,
    /// Who answered for it.
    pub(super) in_use_by: Option<Mac>,
    /// What waited.
    pub(super) waiting: T,
}

/// The questions under way.
pub(super) struct Checks<T> {
    asking: HashSet<Ipv4Addr>,
    free: HashMap<Ipv4Addr, Instant>,
    sender: mpsc::Sender<Checked<T>>,
    receiver: mpsc::Receiver<Checked<T>>,
}

/// What to do with an offer.
pub(super) enum Verdict<T> {
    /// Send it now.
    Send(T),
    /// It waits; [`Checks::next`] brings it back, or a question about its address is under way already.
    Wait,
}

impl<T: Send + 'static> Checks<T> {
    /// None yet.
    pub(super) fn new() -> Self {
        let (sender, receiver) = mpsc::channel(AT_ONCE);
        Self { asking: HashSet::new(), free: HashMap::new(), sender, receiver }
    }

    /// Asks about an address that is to be offered on this interface.
    pub(super) fn check(&mut self, interface: &Interface, address: Ipv4Addr, waiting: T) -> Verdict<T> {
        if self.free.get(&address).is_some_and(|at| at.elapsed() < FREE_FOR) {
            return Verdict::Send(waiting);
        }
        if self.asking.contains(&address) {
            return Verdict::Wait;
        }
        let on_link = interface.addresses.iter().any(|net| net.contains(&address));
        let (Some(link), true) = (interface.link, on_link && self.asking.len() < AT_ONCE) else {
            return Verdict::Send(waiting);
        };
        let prober = match Prober::open(link) {
            Ok(prober) => prober,
            Err(error) => {
                tracing::warn!(interface = interface.name, %error, "DHCP: addresses are offered unasked");
                return Verdict::Send(waiting);
            }
        };
        self.asking.insert(address);
        let sender = self.sender.clone();
        tokio::spawn(async move {
            let answers = prober.ask(&[address], PATIENCE).await;
            let in_use_by = answers.first().map(|(_, mac)| *mac);
            // The worker that waits for it may be gone.
            drop(sender.send(Checked { address, in_use_by, waiting }).await);
        });
        Verdict::Wait
    }

    /// The next answer; waits for ever when nothing is asked.
    pub(super) async fn next(&mut self) -> Checked<T> {
        let Some(checked) = self.receiver.recv().await else { return std::future::pending().await };
        self.asking.remove(&checked.address);
        if checked.in_use_by.is_none() {
            if self.free.len() >= REMEMBERED {
                self.free.clear();
            }
            self.free.insert(checked.address, Instant::now());
        }
        checked
    }
}
