//! One session slot of the BMC.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::client::SequenceWindow;
use crate::crypto::{Keys, Suite};
use crate::secret::Entropy;
use crate::wire::message::RequestMessage;
use crate::wire::packet::{Plus, encode_sealed};
use crate::wire::rakp::Privilege;

/// How long a repeated request is answered from memory.
const MEMORY: Duration = Duration::from_secs(6);

/// What the set-up has agreed on so far.
#[derive(Debug, Clone)]
pub(super) struct Peer {
    pub(super) suite: Suite,
    pub(super) console_id: u32,
    pub(super) console_random: [u8; 16],
    pub(super) bmc_random: [u8; 16],
    pub(super) role: u8,
    pub(super) name: Vec<u8>,
    /// Index of the account; `None` before RAKP 1.
    pub(super) user: Option<usize>,
    /// Highest level this session may take.
    pub(super) limit: Privilege,
}

/// One session slot.
#[derive(Debug)]
pub(super) struct ServerSession {
    pub(super) peer: Peer,
    pub(super) last_heard: Instant,
    keys: Option<Keys>,
    privilege: Privilege,
    address: Option<SocketAddr>,
    sent: u32,
    received: SequenceWindow,
    last_answer: Option<(Instant, RequestMessage, Vec<u8>)>,
    closing: bool,
}

impl ServerSession {
    pub(super) fn new(now: Instant, peer: Peer) -> Self {
        Self {
            peer,
            last_heard: now,
            keys: None,
            privilege: Privilege::User,
            address: None,
            sent: 0,
            received: SequenceWindow::default(),
            last_answer: None,
            closing: false,
        }
    }

    pub(super) fn open(&mut self, now: Instant, keys: Keys) {
        self.last_heard = now;
        self.keys = Some(keys);
    }

    pub(super) fn is_open(&self) -> bool {
        self.keys.is_some()
    }

    pub(super) fn privilege(&self) -> Privilege {
        self.privilege
    }

    pub(super) fn set_privilege(&mut self, privilege: Privilege) {
        self.privilege = privilege;
    }

    pub(super) fn close(&mut self) {
        self.closing = true;
    }

    pub(super) fn is_closing(&self) -> bool {
        self.closing
    }

    /// Where the console was last heard.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    pub(super) fn unseal(&mut self, now: Instant, from: SocketAddr, packet: &Plus<'_>) -> Option<Vec<u8>> {
        let plain = packet.open(self.keys.as_ref()?).ok()?;
        if !self.received.accept(packet.sequence) {
            return None;
        }
        self.last_heard = now;
        self.address = Some(from);
        Some(plain)
    }

    pub(super) fn seal(&mut self, entropy: &mut dyn Entropy, kind: u8, plain: &[u8]) -> Option<Vec<u8>> {
        let keys = self.keys.as_ref()?;
        self.sent = self.sent.checked_add(1).unwrap_or(1);
        Some(encode_sealed(keys, entropy.array(), kind, self.peer.console_id, self.sent, plain))
    }

    /// The answer already given to this very request.
    pub(super) fn remembered(&self, now: Instant, message: &RequestMessage) -> Option<Vec<u8>> {
        let (when, request, answer) = self.last_answer.as_ref()?;
        (now < *when + MEMORY && request == message).then(|| answer.clone())
    }

    pub(super) fn remember(&mut self, now: Instant, message: RequestMessage, answer: Vec<u8>) {
        self.last_answer = Some((now, message, answer));
    }
}
