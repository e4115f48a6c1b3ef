//! The live streams, and what waits for an answer on them.

use super::tasks::Running;
use rackwright_common::link::{Relay, RelayReply, ToRegion};
use rackwright_link::LinkSender;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;

/// A machine waits this long for a region's answer.
const RELAY_PATIENCE: Duration = Duration::from_secs(30);
/// A result that was sent on a stream which then dies within this time is sent again on another.
const RESULT_DOUBT: Duration = Duration::from_secs(10);

/// Why a machine's request got no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RelayError {
    /// No region is connected.
    #[error("no region is connected")]
    NoRegion,
    /// No region answered in time.
    #[error("no region answered in time")]
    Late,
}

/// Names a stream within this process.
pub(super) type StreamId = u64;

struct Live {
    id: StreamId,
    address: String,
    sender: LinkSender,
    heard: Instant,
}

struct Pending {
    stream: StreamId,
    reply: oneshot::Sender<Option<RelayReply>>,
}

struct Finished {
    result: ToRegion,
    sent: Option<(StreamId, Instant)>,
}

#[derive(Default)]
struct Inner {
    next: u64,
    live: Vec<Live>,
    pending: HashMap<u64, Pending>,
    finished: Vec<Finished>,
    regions: Vec<String>,
}

/// The rack's streams; clones share them.
#[derive(Clone)]
pub struct Hub {
    inner: Arc<Mutex<Inner>>,
    changed: watch::Sender<()>,
    pub(super) running: Running,
}

impl Default for Hub {
    fn default() -> Self {
        Self { inner: Arc::default(), changed: watch::channel(()).0, running: Running::default() }
    }
}

impl Hub {
    /// No streams yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether any region is connected.
    pub fn is_connected(&self) -> bool {
        !self.lock().live.is_empty()
    }

    /// Addresses of all known regions: first those to which there is a stream, whose number is told, then the others.
    pub fn regions(&self) -> (Vec<String>, usize) {
        let inner = self.lock();
        let is_live =
            |address: &String| inner.live.iter().any(|l| l.address == *address && !l.sender.is_closed());
        let (mut live, others): (Vec<_>, Vec<_>) = inner.regions.iter().cloned().partition(is_live);
        let number = live.len();
        live.extend(others);
        (live, number)
    }

    /// Passes a machine's request to a region and returns its answer. When the stream dies meanwhile, another
    /// region is asked: all of these requests may be repeated.
    pub async fn relay(&self, request: &Relay) -> Result<RelayReply, RelayError> {
        let asked = tokio::time::timeout(RELAY_PATIENCE, async {
            while let Some((sender, message, reply)) = self.prepare(request) {
                if sender.send(message).await.is_err() {
                    continue;
                }
                if let Ok(Some(reply)) = reply.await {
                    return Ok(reply);
                }
            }
            Err(RelayError::NoRegion)
        });
        asked.await.unwrap_or(Err(RelayError::Late))
    }

    fn prepare(
        &self,
        request: &Relay,
    ) -> Option<(LinkSender, ToRegion, oneshot::Receiver<Option<RelayReply>>)> {
        let mut inner = self.lock();
        inner.live.retain(|l| !l.sender.is_closed());
        let best = inner.live.iter().max_by_key(|l| l.heard)?;
        let (stream, sender) = (best.id, best.sender.clone());
        inner.next += 1;
        let id = inner.next;
        let (reply, receiver) = oneshot::channel();
        inner.pending.retain(|_, p| !p.reply.is_closed());
        inner.pending.insert(id, Pending { stream, reply });
        Some((sender, ToRegion::Relay(Relay { id, ..request.clone() }), receiver))
    }

    pub(super) fn set_regions(&self, regions: Vec<String>) {
        self.lock().regions = regions;
    }

    /// A new stream.
    pub(super) fn join(&self, address: &str, sender: LinkSender) -> StreamId {
        let mut inner = self.lock();
        inner.next += 1;
        let id = inner.next;
        inner.live.push(Live { id, address: address.to_owned(), sender, heard: Instant::now() });
        drop(inner);
        self.changed.send_replace(());
        id
    }

    /// Something was heard on a stream.
    pub(super) fn heard(&self, stream: StreamId) {
        let mut inner = self.lock();
        if let Some(live) = inner.live.iter_mut().find(|l| l.id == stream) {
            live.heard = Instant::now();
        }
    }

    /// A stream ended: who waits on it asks elsewhere, results that may be lost are sent again.
    pub(super) fn leave(&self, stream: StreamId) {
        let mut inner = self.lock();
        inner.live.retain(|l| l.id != stream);
        inner.pending.retain(|_, p| p.stream != stream);
        for finished in &mut inner.finished {
            if finished.sent.is_some_and(|(on, _)| on == stream) {
                finished.sent = None;
            }
        }
        drop(inner);
        self.changed.send_replace(());
    }

    /// Told when streams come and go, or results wait.
    pub(super) fn subscribe(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// Whether this stream is the one that carries the journal: the oldest.
    pub(super) fn carries_journal(&self, stream: StreamId) -> bool {
        self.lock().live.iter().map(|l| l.id).min() == Some(stream)
    }

    pub(super) fn replied(&self, reply: RelayReply) {
        let pending = self.lock().pending.remove(&reply.id);
        if let Some(pending) = pending {
            // The machine may have hung up.
            drop(pending.reply.send(Some(reply)));
        }
    }

    /// A task ended; a stream will carry the message that says how.
    pub(super) fn finish(&self, result: ToRegion) {
        self.lock().finished.push(Finished { result, sent: None });
        self.changed.send_replace(());
    }

    /// Results for this stream to send now. They are kept until there is no doubt that they arrived.
    pub(super) fn take_results(&self, stream: StreamId) -> Vec<ToRegion> {
        let now = Instant::now();
        let mut inner = self.lock();
        inner.finished.retain(|f| f.sent.is_none_or(|(_, at)| now - at < RESULT_DOUBT));
        let unsent = inner.finished.iter_mut().filter(|f| f.sent.is_none());
        unsent
            .map(|f| {
                f.sent = Some((stream, now));
                f.result.clone()
            })
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
