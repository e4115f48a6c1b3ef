//! Until when an order is this rack's to carry out.
//!
//! A rack that was stopped, or cut off, for longer than its claim may find when it goes on that another rack has long done the
//! order and the machine is somewhere else. So an order is bound to a time of this rack's own clock, counted from a heartbeat
//! that the rack sent before the claim was made or renewed: whatever delays the messages, the claim in the database ends
//! later. Once that time is over the order is not polled any more, and thus sends nothing. What remains is a stop
//! between that look at the clock and the packet.

use rackwright_common::link::TASK_CLAIM_SECONDS;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// How much earlier than the claim in the database an order ends here: a packet to a BMC takes a moment.
const MARGIN: Duration = Duration::from_secs(2);

/// The time of an order is over. It is another's now, or will be claimed anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the claim on this order is over")]
pub struct Lapsed;

/// Until when an order may be carried out. Clones share it.
#[derive(Debug, Clone)]
pub struct Lease(Arc<Mutex<Option<Instant>>>);

impl Lease {
    /// Until then.
    pub fn until(end: Instant) -> Self {
        Self(Arc::new(Mutex::new(Some(end))))
    }

    /// For an order of a region that does not count heartbeats.
    pub fn unlimited() -> Self {
        Self(Arc::new(Mutex::new(None)))
    }

    /// It lasts until `end` at least.
    pub fn extend(&self, end: Instant) {
        let mut present = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *present = present.map(|present| present.max(end));
    }

    /// It has not lapsed.
    pub fn holds(&self) -> bool {
        self.end().is_none_or(|end| Instant::now() < end)
    }

    /// Does `work` while it holds: looks at the clock before every step of `work`, not only when a timer says so.
    pub async fn guard<F: Future>(&self, work: F) -> Result<F::Output, Lapsed> {
        let (mut work, mut over) = (pin!(work), pin!(self.over()));
        poll_fn(|context| {
            if !self.holds() || over.as_mut().poll(context).is_ready() {
                return Poll::Ready(Err(Lapsed));
            }
            work.as_mut().poll(context).map(Ok)
        })
        .await
    }

    /// When it lapses, unless it is extended; never for an unlimited one.
    pub(super) fn end(&self) -> Option<Instant> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn over(&self) {
        while self.holds() {
            match self.end() {
                Some(end) => sleep_until(end).await,
                None => std::future::pending().await,
            }
        }
    }
}

/// When the heartbeats of a stream were sent, as far back as a claim can reach.
#[derive(Debug)]
pub(super) struct Beats {
    /// Long over, for heartbeats that nobody remembers.
    begin: Instant,
    sent: VecDeque<Instant>,
    /// Number of the first of `sent`.
    first: u64,
}

impl Beats {
    /// A stream whose hello, number 0, is sent now.
    pub(super) fn begin(now: Instant) -> Self {
        Self { begin: now, sent: VecDeque::from([now]), first: 0 }
    }

    /// The number of a heartbeat that is sent now.
    pub(super) fn next(&mut self, now: Instant) -> u64 {
        self.sent.push_back(now);
        while self.sent.len() as u64 > 2 * TASK_CLAIM_SECONDS {
            self.sent.pop_front();
            self.first += 1;
        }
        self.first + self.sent.len() as u64 - 1
    }

    /// When a claim ends that is as young as this heartbeat; in the past for one that was never sent, or long ago.
    pub(super) fn claim_ends(&self, beat: u64) -> Instant {
        let at = beat.checked_sub(self.first).and_then(|at| usize::try_from(at).ok());
        match at.and_then(|at| self.sent.get(at)) {
            Some(sent) => *sent + Duration::from_secs(TASK_CLAIM_SECONDS) - MARGIN,
            None => self.begin,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[tokio::test(start_paused = true)]
    async fn a_claim_is_counted_from_the_heartbeat_and_not_from_the_message() {
        let begin = Instant::now();
        let mut beats = Beats::begin(begin);
        assert_eq!(beats.claim_ends(0), begin + Duration::from_secs(8));
        for beat in 1..=100 {
            tokio::time::advance(Duration::from_secs(1)).await;
            assert_eq!(beats.next(Instant::now()), beat);
        }
        assert_eq!(beats.claim_ends(100), begin + Duration::from_secs(108));
        assert_eq!(beats.claim_ends(90), begin + Duration::from_secs(98));
        for unknown in [0, 5, 101, u64::MAX] {
            assert!(!Lease::until(beats.claim_ends(unknown)).holds(), "{unknown}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn work_goes_on_as_long_as_the_claim_is_renewed() {
        let (lease, done) = (Lease::until(Instant::now() + Duration::from_secs(8)), AtomicU32::new(0));
        let work = async {
            loop {
                done.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_secs(1)).await;
                if done.load(Ordering::Relaxed) == 5 {
                    lease.extend(Instant::now() + Duration::from_secs(10));
                }
            }
        };
        let begin = Instant::now();
        assert_eq!(lease.guard(work).await, Err::<(), _>(Lapsed));
        assert_eq!((begin.elapsed(), done.load(Ordering::Relaxed)), (Duration::from_secs(15), 15));
    }

    #[tokio::test]
    async fn whoever_wakes_up_after_the_end_does_not_take_another_step() {
        let lease = Lease::until(Instant::now() + Duration::from_millis(20));
        let (wake, woken) = tokio::sync::oneshot::channel::<()>();
        let steps = AtomicU32::new(0);
        let work = async {
            drop(woken.await);
            steps.fetch_add(1, Ordering::Relaxed);
        };
        let stop = async {
            // The whole program stands still, timers and all, and what the work waits for comes meanwhile.
            std::thread::sleep(Duration::from_millis(40));
            assert!(wake.send(()).is_ok(), "the work still waits");
        };
        let (worked, ()) = tokio::join!(lease.guard(work), stop);
        assert_eq!((worked, steps.load(Ordering::Relaxed)), (Err(Lapsed), 0));
    }
}
