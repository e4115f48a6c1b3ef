//! Reporting while an item is worked on: percent, a line for people, and log text, sent every two seconds by a thread of
//! its own. A report that did not arrive is repeated as it was; log text is bounded and what is left out is counted.

use crate::error::{Error, Result};
use crate::link::{Link, LinkError};
use rackwright_common::agent::Progress;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

const EVERY: Duration = Duration::from_secs(2);
/// Log text in one message.
const PER_MESSAGE: usize = 64 * 1024;
/// Log text waiting to be sent.
const WAITING: usize = 512 * 1024;
/// For work to stop after the token was withdrawn.
const LAST_WORK: Duration = Duration::from_secs(120);
/// Messages tried at the end of an item before its result goes out.
const LAST_MESSAGES: usize = 12;

#[derive(Default)]
struct State {
    percent: Option<f32>,
    message: Option<String>,
    log: String,
    left_out: u64,
    pending: Option<Progress>,
    ended: bool,
}

struct Inner {
    link: Arc<Link>,
    path: String,
    state: Mutex<State>,
    wake: Condvar,
}

/// Where the work on one item says how far it is. Clones speak for the same item.
#[derive(Clone)]
pub struct Report(Arc<Inner>);

impl Report {
    /// A report for this item, and the thread that sends it.
    pub fn start(link: Arc<Link>, item: i64) -> (Self, JoinHandle<()>) {
        let path = format!("/agent/v1/items/{item}/progress");
        let report = Self(Arc::new(Inner { link, path, state: Mutex::default(), wake: Condvar::new() }));
        let sender = report.clone();
        let thread = std::thread::spawn(move || sender.send_until_ended());
        (report, thread)
    }

    /// How far it is: percent when it can be told, and a line for people.
    pub fn progress(&self, percent: Option<f32>, message: impl Into<String>) {
        let mut state = self.state();
        state.percent = percent;
        state.message = Some(message.into());
    }

    /// A new step: shown to people, and a line of the log and of the console.
    pub fn step(&self, message: impl Into<String>) {
        let message = message.into();
        println!("rackwright-agent: {message}");
        self.log(&format!("{message}\n"));
        self.progress(None, message);
    }

    /// Log text, with its line ends.
    pub fn log(&self, text: &str) {
        let mut state = self.state();
        if state.log.len() + text.len() > WAITING {
            state.left_out += text.len() as u64;
        } else {
            state.log.push_str(text);
        }
    }

    /// An error when the token was withdrawn: the work is to stop here.
    pub fn check(&self) -> Result<()> {
        if self.0.link.is_withdrawn() { Err(Error::Withdrawn) } else { Ok(()) }
    }

    /// The link, for downloads.
    pub fn link(&self) -> &Arc<Link> {
        &self.0.link
    }

    /// Ends the sending thread and sends what is left of the log, as far as it goes without waiting for racks.
    pub fn finish(&self, thread: JoinHandle<()>) {
        self.state().ended = true;
        self.0.wake.notify_all();
        thread.join().ok();
        for _ in 0..LAST_MESSAGES {
            let idle = {
                let state = self.state();
                state.pending.is_none() && state.log.is_empty() && state.left_out == 0
            };
            if idle || self.send().is_err() {
                return;
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn send_until_ended(&self) {
        loop {
            let state = self.state();
            let waited = self.0.wake.wait_timeout_while(state, EVERY, |state| !state.ended);
            let ended = waited.map_or(true, |(state, _)| state.ended);
            if ended {
                return;
            }
            if matches!(self.send(), Err(LinkError::Withdrawn)) {
                return self.end_within_reason();
            }
        }
    }

    /// The work has been told to stop and does so at its next safe point. A program that hangs has none: then the agent
    /// ends, is started again, learns from its hello that it is not wanted, and restarts the machine.
    fn end_within_reason(&self) {
        let waited = self.0.wake.wait_timeout_while(self.state(), LAST_WORK, |state| !state.ended);
        if waited.is_ok_and(|(state, _)| !state.ended) {
            eprintln!("rackwright-agent: the work does not stop; ending without it");
            std::process::exit(3);
        }
    }

    /// Sends one message; it stays pending until a rack has accepted it.
    fn send(&self) -> std::result::Result<(), LinkError> {
        let progress = {
            let mut state = self.state();
            if state.pending.is_none() {
                state.pending = Some(self.compose(&mut state));
            }
            state.pending.clone()
        };
        let told = progress.map_or(Ok(()), |progress| self.0.link.tell_once(&self.0.path, &progress));
        // A region that will not have this message will not have it the next time either.
        if matches!(told, Ok(()) | Err(LinkError::Refused(400..500))) {
            self.state().pending = None;
        }
        told
    }

    fn compose(&self, state: &mut State) -> Progress {
        let end = state.log.floor_char_boundary(PER_MESSAGE);
        let mut log: String = state.log.drain(..end).collect();
        if state.left_out > 0 && state.log.is_empty() {
            log.push_str(&format!("\n… {} bytes of log left out …\n", state.left_out));
            state.left_out = 0;
        }
        Progress {
            boot_id: self.0.link.boot_id,
            seq: self.0.link.next_sequence(),
            percent: state.percent,
            message: state.message.clone(),
            log,
        }
    }
}
