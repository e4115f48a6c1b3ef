//! What goes between the DHCP worker and the streams to the regions: reports of durable facts up, changes down.
//!
//! A report says again all that no region has stored yet, so it does not matter which of them arrive.

use std::collections::{BTreeMap, HashMap};
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rackwright_common::lease::{LeaseEvent, LeaseFact, LeaseNews, LeaseReport};
use rackwright_dhcp::racks::Record;
use tokio::sync::{mpsc, watch};
use uuid::Uuid;

use super::lease_file::is_told;
use super::steady::Steady;

/// Facts in one report at most.
const TELL: usize = 500;
/// Answers that may wait for the worker.
const WAITING: usize = 16;

/// The line; clones share it. Silent until DHCP is served.
#[derive(Clone)]
pub struct LeaseExchange {
    inner: Arc<Mutex<Inner>>,
    changed: watch::Sender<()>,
}

#[derive(Default)]
struct Inner {
    open: Option<Open>,
    untold: Untold,
    learned: u64,
    low: Vec<i64>,
}

struct Open {
    memory: Uuid,
    life: u64,
    clock: Steady,
    worker: mpsc::Sender<LeaseNews>,
}

/// What no region has stored, by number.
#[derive(Default)]
struct Untold {
    /// Regions have stored up to here.
    stored: u64,
    records: BTreeMap<u64, Record>,
    /// The last report of each address since the last promise. A newer one of the same lease makes it needless; but what
    /// came before a promise has to be stored before it.
    since_promise: HashMap<Ipv4Addr, u64>,
}

impl Default for LeaseExchange {
    fn default() -> Self {
        Self { inner: Arc::default(), changed: watch::channel(()).0 }
    }
}

impl LeaseExchange {
    /// What to tell a region now; `None` while no DHCP is served.
    pub fn report(&self) -> Option<LeaseReport> {
        let inner = self.lock();
        let open = inner.open.as_ref()?;
        Some(LeaseReport {
            memory: open.memory,
            life: open.life,
            sent_at: open.clock.now(),
            after: inner.untold.stored,
            facts: inner.untold.records.values().take(TELL).filter_map(fact).collect(),
            learned: inner.learned,
            low: inner.low.clone(),
        })
    }

    /// A region's answer; whether more is to be told at once. One that the worker is too busy for is lost, as if the
    /// network had lost it.
    pub fn take(&self, news: LeaseNews) -> bool {
        let mut inner = self.lock();
        let Some(open) = &inner.open else { return false };
        if (open.memory, open.life) != (news.memory, news.life) {
            return false;
        }
        let (stored, before) = (news.stored, inner.untold.stored);
        if open.worker.try_send(news).is_err() {
            tracing::debug!("DHCP: too many answers of regions at once, one dropped");
        }
        inner.untold.forget_to(stored);
        stored > before && !inner.untold.records.is_empty()
    }

    /// Told when there is something new to tell.
    pub fn subscribe(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// DHCP is served from now on, by this start on this memory. Returns what regions answer.
    pub(super) fn open(
        &self,
        (memory, life): (Uuid, u64),
        untold: &[Record],
        learned: u64,
        clock: Steady,
    ) -> mpsc::Receiver<LeaseNews> {
        let (worker, news) = mpsc::channel(WAITING);
        let mut inner = self.lock();
        *inner = Inner { open: Some(Open { memory, life, clock, worker }), learned, ..Inner::default() };
        untold.iter().for_each(|record| inner.untold.add(record));
        drop(inner);
        self.changed.send_replace(());
        news
    }

    /// DHCP is served no more: regions hear nothing until it is again.
    pub(super) fn close(&self) {
        self.lock().open = None;
    }

    /// These records are durable, and the changes up to `learned` are taken.
    pub(super) fn publish<'a>(&self, records: impl IntoIterator<Item = &'a Record>, learned: u64) {
        let mut inner = self.lock();
        inner.learned = learned;
        let mut news = false;
        for record in records {
            news |= is_told(record);
            inner.untold.add(record);
        }
        drop(inner);
        if news {
            self.changed.send_replace(());
        }
    }

    /// In these subnets few addresses are left.
    pub(super) fn set_low(&self, low: Vec<i64>) {
        self.lock().low = low;
    }

    /// What no region has stored yet, and up to where all is.
    pub(super) fn untold(&self) -> (u64, Vec<Record>) {
        let inner = self.lock();
        (inner.untold.stored, inner.untold.records.values().cloned().collect())
    }

    /// How many no region has stored yet.
    pub(super) fn untold_len(&self) -> usize {
        self.lock().untold.records.len()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Untold {
    fn add(&mut self, record: &Record) {
        let Some(number) = record.number().filter(|number| is_told(record) && *number > self.stored) else {
            return;
        };
        match record {
            Record::Lease { lease, .. } => {
                if let Some(earlier) = self.since_promise.insert(lease.address, number)
                    && self.records.get(&earlier).is_some_and(|r| is_same_lease(r, record))
                {
                    self.records.remove(&earlier);
                }
            }
            _ => self.since_promise.clear(),
        }
        self.records.insert(number, record.clone());
    }

    fn forget_to(&mut self, stored: u64) {
        self.stored = self.stored.max(stored);
        self.records = self.records.split_off(&(self.stored + 1));
        let kept = &self.records;
        self.since_promise.retain(|_, number| kept.contains_key(number));
    }
}

/// The later of two reports says all that the earlier does.
fn is_same_lease(earlier: &Record, later: &Record) -> bool {
    match (earlier, later) {
        (
            Record::Lease { lease: a, seconds: before, epoch: old, .. },
            Record::Lease { lease: b, seconds: after, epoch: new, .. },
        ) => a.client == b.client && old == new && after >= before,
        _ => false,
    }
}

fn fact(record: &Record) -> Option<LeaseFact> {
    let what = match record {
        Record::Lease { lease, seconds, epoch, .. } => LeaseEvent::Lease {
            address: lease.address,
            client: hex::encode(lease.client.as_bytes()),
            seconds: *seconds,
            epoch: *epoch,
        },
        Record::CaughtUp { change, .. } => LeaseEvent::CaughtUp { change: *change },
        Record::Kept { .. } | Record::Dropped { .. } | Record::Contact { .. } => return None,
    };
    Some(LeaseFact { number: record.number()?, what })
}

#[cfg(test)]
mod tests;
