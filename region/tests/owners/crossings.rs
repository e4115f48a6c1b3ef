//! Where the first of two racks can be killed or stopped: every message that it takes or sends, and both ends of every
//! command to a BMC.

use crate::support::machine::Road;
use rackwright_common::link::Relay;
use std::sync::Mutex;
use tokio::sync::watch;

/// A place on a rack's way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Crossing {
    /// A region has claimed a task for it and sends it.
    Task,
    /// It sends a command to a BMC.
    Command,
    /// The BMC answers.
    Answer,
    /// It sends the result to a region.
    Result,
    /// It passes on a machine's request.
    Request,
    /// It passes on the reply.
    Reply,
}

impl Crossing {
    /// Every kind of place.
    pub const ALL: [Self; 6] =
        [Self::Task, Self::Command, Self::Answer, Self::Result, Self::Request, Self::Reply];
}

/// The first rack's way.
pub struct Crossings {
    seen: Mutex<Seen>,
    stopped: watch::Sender<bool>,
    open: watch::Sender<bool>,
}

#[derive(Default)]
struct Seen {
    passed: Vec<Crossing>,
    end: Option<usize>,
    late: Vec<Relay>,
}

impl Crossings {
    /// Nobody has passed.
    pub fn new() -> Self {
        Self { seen: Mutex::default(), stopped: watch::Sender::new(false), open: watch::Sender::new(false) }
    }

    /// Begins to count anew: the rack's way ends at crossing number `end`.
    pub fn arm(&self, end: Option<usize>) {
        *self.seen.lock().unwrap() = Seen { end, ..Seen::default() };
        self.open.send_replace(false);
        self.stopped.send_replace(false);
    }

    /// Where it came past.
    pub fn passed(&self) -> Vec<Crossing> {
        self.seen.lock().unwrap().passed.clone()
    }

    /// Whether the rack's way has ended.
    pub fn is_stopped(&self) -> bool {
        *self.stopped.borrow()
    }

    /// Waits for that.
    pub async fn stopped(&self) {
        self.stopped.subscribe().wait_for(|stopped| *stopped).await.unwrap();
    }

    /// The rack goes on. The requests that it held are for the caller to pass on.
    pub fn wake(&self) -> Vec<Relay> {
        self.open.send_replace(true);
        std::mem::take(&mut self.seen.lock().unwrap().late)
    }

    /// A rack comes past; stands still there if it is to.
    pub async fn pass(&self, rack: usize, crossing: Crossing) {
        if rack == 0 && (self.is_stopped() || self.ends_here(crossing)) {
            self.open.subscribe().wait_for(|open| *open).await.unwrap();
        }
    }

    fn ends_here(&self, crossing: Crossing) -> bool {
        let mut seen = self.seen.lock().unwrap();
        seen.passed.push(crossing);
        let ends = seen.end == Some(seen.passed.len() - 1);
        if ends {
            self.stopped.send_replace(true);
        }
        ends
    }
}

impl Road for Crossings {
    fn passes(&self, request: Option<&Relay>) -> bool {
        let crossing = if request.is_some() { Crossing::Request } else { Crossing::Reply };
        let lost = !self.is_stopped() && self.ends_here(crossing);
        if lost {
            self.seen.lock().unwrap().late.extend(request.cloned());
        }
        !lost
    }
}
