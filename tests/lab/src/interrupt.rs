//! Ctrl-C as a value to look at, so that a lab is removed before the process ends.
//!
//! What holds: signals are waited for by a thread of their own, no code runs in a handler. Programs started
//! later inherit the mask; [`crate::process::spawn_detached`] gives those that it starts an empty one.

use anyhow::{Result, bail};
use nix::sys::signal::{SigSet, Signal};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Counts Ctrl-C and SIGTERM.
#[derive(Clone, Debug)]
pub struct Interrupt(Arc<AtomicU32>);

impl Interrupt {
    /// Takes over SIGINT and SIGTERM. To be called before other threads are started. The third one ends the
    /// process at once.
    pub fn listen() -> Result<Self> {
        let signals: SigSet = [Signal::SIGINT, Signal::SIGTERM].into_iter().collect();
        signals.thread_block()?;
        let seen = Self(Arc::default());
        let counter = seen.clone();
        thread::spawn(move || {
            while signals.wait().is_ok() {
                if counter.0.fetch_add(1, Ordering::Relaxed) >= 2 {
                    std::process::exit(130);
                }
            }
        });
        Ok(seen)
    }

    /// Whether it was pressed.
    #[must_use]
    pub fn is_seen(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 0
    }

    /// An error once it was pressed.
    pub fn check(&self) -> Result<()> {
        if self.is_seen() { bail!("interrupted") } else { Ok(()) }
    }

    /// Waits for `time` or until it is pressed.
    pub fn pause(&self, time: Duration) -> Result<()> {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.check()?;
            thread::sleep(Duration::from_millis(100).min(time));
        }
        self.check()
    }
}
