//! Whether this region may act: claim operations, hand commands to racks, keep racks' streams.
//!
//! It may while the database has heard it lately, and while nobody drains it. The first ends by itself: [`VALID`] after
//! the request of the last heartbeat that was written, by this box's monotonic clock. That is before the claims that it
//! held can be another's, so an owner that is cut off from the database stops before its work goes on elsewhere. A thread
//! of its own watches over that: a runtime that is stuck in connecting again would notice late.
//!
//! Left out: what needs no such watch. Decisions are written only under a claim that holds by the database's clock
//! ([`crate::db::operation::hold`]), whatever this box believes.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// How long a region acts after the last heartbeat that was written; claims hold for ten seconds.
pub const VALID: Duration = Duration::from_secs(9);
/// As good as for ever.
const NEVER: u64 = u64::MAX;

/// Shared by all parts of a region; clones are the same.
#[derive(Debug, Clone)]
pub struct Standing(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    began: Instant,
    valid: Duration,
    /// Milliseconds after `began`.
    until: AtomicU64,
    draining: AtomicBool,
    /// Whether it acts, for those who wait.
    acts: Arc<watch::Sender<bool>>,
    renewals: Option<mpsc::Sender<Instant>>,
    racks: Mutex<BTreeMap<String, u32>>,
}

impl Default for Standing {
    /// Of a region that is alone and may always act.
    fn default() -> Self {
        Self(Arc::new(Inner {
            began: Instant::now(),
            valid: VALID,
            until: AtomicU64::new(NEVER),
            draining: AtomicBool::new(false),
            acts: Arc::new(watch::Sender::new(true)),
            renewals: None,
            racks: Mutex::default(),
        }))
    }
}

impl Standing {
    /// Of a region that may not act before its first heartbeat; starts the thread that watches over it, which ends with
    /// the last clone.
    pub fn watched(valid: Duration) -> std::io::Result<Self> {
        let (renewals, heard) = mpsc::channel();
        let acts = Arc::new(watch::Sender::new(false));
        let told = acts.clone();
        std::thread::Builder::new()
            .name("standing".into())
            .spawn(move || watch_over(&heard, &told, valid))?;
        Ok(Self(Arc::new(Inner {
            began: Instant::now(),
            valid,
            until: AtomicU64::new(0),
            draining: AtomicBool::new(false),
            acts,
            renewals: Some(renewals),
            racks: Mutex::default(),
        })))
    }

    /// A heartbeat that was asked for at `asked` has been written, and said whether it is to be drained.
    pub fn renew(&self, asked: Instant, draining: bool) {
        if self.0.draining.swap(draining, Ordering::SeqCst) != draining {
            let now = if draining { "takes no new work any more" } else { "takes work again" };
            tracing::info!("this region {now}");
        }
        let until = (asked + self.0.valid).saturating_duration_since(self.0.began).as_millis();
        self.0.until.fetch_max(u64::try_from(until).unwrap_or(NEVER), Ordering::SeqCst);
        if let Some(renewals) = &self.0.renewals {
            // The thread ends after this value only.
            renewals.send(asked).ok();
        }
        // Those who wait look for themselves at what has changed.
        self.0.acts.send_modify(|acts| *acts = true);
    }

    /// Nobody drains it, and the database has heard it lately.
    pub fn may_act(&self) -> bool {
        self.is_heard() && !self.is_draining()
    }

    /// The database has heard it lately.
    pub fn is_heard(&self) -> bool {
        let now = self.0.began.elapsed().as_millis();
        u128::from(self.0.until.load(Ordering::SeqCst)) > now
    }

    /// Somebody wants to stop it.
    pub fn is_draining(&self) -> bool {
        self.0.draining.load(Ordering::SeqCst)
    }

    /// Returns when the database has not heard it for too long.
    pub async fn unheard(&self) {
        self.wait(|standing| !standing.is_heard()).await;
    }

    /// Returns when it may not act any more.
    pub async fn stopped(&self) {
        self.wait(|standing| !standing.may_act()).await;
    }

    /// Returns when it may act.
    pub async fn acting(&self) {
        self.wait(Self::may_act).await;
    }

    async fn wait(&self, wanted: impl Fn(&Self) -> bool) {
        let mut acts = self.0.acts.subscribe();
        while !wanted(self) {
            if acts.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// A rack has opened a stream, until the value is dropped.
    pub fn stream_of(&self, rack: &str) -> OpenStream {
        *self.racks_mut().entry(rack.to_owned()).or_default() += 1;
        OpenStream { standing: self.clone(), rack: rack.to_owned() }
    }

    /// Names of the racks that have a stream to this region.
    pub fn racks(&self) -> Vec<String> {
        self.racks_mut().keys().cloned().collect()
    }

    fn racks_mut(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, u32>> {
        self.0.racks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A rack's stream that is open.
#[derive(Debug)]
pub struct OpenStream {
    standing: Standing,
    rack: String,
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        let mut racks = self.standing.racks_mut();
        if let Some(open) = racks.get_mut(&self.rack) {
            *open -= 1;
            if *open == 0 {
                racks.remove(&self.rack);
            }
        }
    }
}

/// Says "it acts no more" in time, without the runtime.
fn watch_over(heard: &mpsc::Receiver<Instant>, acts: &watch::Sender<bool>, valid: Duration) {
    while let Ok(mut asked) = heard.recv() {
        loop {
            let left = (asked + valid).saturating_duration_since(Instant::now());
            match heard.recv_timeout(left) {
                Ok(later) => asked = asked.max(later),
                Err(RecvTimeoutError::Timeout) => {
                    tracing::error!(
                        seconds = valid.as_secs(),
                        "the database has not heard this region for too long: it stops acting, so that others may"
                    );
                    acts.send_modify(|acts| *acts = false);
                    break;
                }
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_millis(300);

    #[test]
    fn it_stops_by_itself_while_the_runtime_is_stuck() {
        let standing = Standing::watched(SHORT).unwrap();
        assert!(!standing.may_act(), "not before the first heartbeat");
        let asked = Instant::now();
        standing.renew(asked, false);
        assert!(standing.may_act());
        let seen = standing.0.acts.subscribe();
        // No runtime runs here at all: the thread alone tells.
        while *seen.borrow() {
            assert!(asked.elapsed() < Duration::from_secs(20), "nobody told");
            std::thread::sleep(Duration::from_millis(5));
        }
        assert!(asked.elapsed() >= SHORT && !standing.may_act());
        standing.renew(Instant::now(), false);
        assert!(standing.may_act(), "heard again");
    }

    #[tokio::test]
    async fn an_answer_that_took_too_long_renews_nothing() {
        let standing = Standing::watched(SHORT).unwrap();
        standing.renew(Instant::now(), false);
        standing.unheard().await;
        // Asked before, answered only now: the claims may be another's.
        let Some(before) = Instant::now().checked_sub(SHORT) else { return };
        standing.renew(before, false);
        assert!(!standing.may_act());
    }

    #[tokio::test]
    async fn draining_stops_it_and_ends() {
        let standing = Standing::watched(Duration::from_secs(60)).unwrap();
        let waiting = tokio::spawn({
            let standing = standing.clone();
            async move { standing.stopped().await }
        });
        standing.renew(Instant::now(), false);
        standing.renew(Instant::now(), true);
        waiting.await.unwrap();
        assert!(standing.is_heard() && !standing.may_act());
        standing.renew(Instant::now(), false);
        standing.acting().await;
    }

    #[test]
    fn a_rack_is_there_as_long_as_one_of_its_streams() {
        let standing = Standing::default();
        let (first, second) = (standing.stream_of("r1"), standing.stream_of("r1"));
        drop(first);
        assert_eq!(standing.racks(), ["r1"]);
        drop(second);
        assert!(standing.racks().is_empty());
    }
}
