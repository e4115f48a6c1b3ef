//! One transfer, from the first answer to the last acknowledgement.

use crate::negotiate::{Limits, Settings, negotiate};
use crate::packet::{Packet, Request, code, error};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

const RETRIES: u32 = 5;
const FIRST_TIMEOUT: Duration = Duration::from_secs(1);
const LONGEST_TIMEOUT: Duration = Duration::from_secs(8);
/// After the last acknowledgement, repeats of it are swallowed for this long.
const DALLY: Duration = Duration::from_secs(1);

/// What the caller has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Send this datagram to the client.
    Datagram(Vec<u8>),
    /// Send block `number` ([`crate::data`]): `length` bytes of the file from `offset` on.
    Block {
        /// Modulo 65536.
        number: u16,
        /// Into the file, bytes.
        offset: u64,
        /// Bytes; the last block is shorter than the others, perhaps empty.
        length: u16,
    },
}

/// How a transfer ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The client has the whole file.
    Complete,
    /// The client gave up.
    Aborted {
        /// Its code.
        code: u16,
        /// Its words.
        message: String,
    },
    /// The client is silent.
    TimedOut,
}

/// A file on its way to one client. Datagrams of others must not be passed in.
#[derive(Debug)]
pub struct Transfer {
    settings: Settings,
    size: u64,
    /// The first answer, until its acknowledgement arrives.
    oack: Option<Vec<u8>>,
    /// Blocks acknowledged, and blocks sent; block 1 is the first.
    acked: u64,
    sent: u64,
    /// Repeats since the last progress.
    retries: u32,
    /// A repeated acknowledgement has already caused one repeat of this window.
    repeated: bool,
    deadline: Instant,
    outcome: Option<Outcome>,
    queue: VecDeque<Output>,
}

impl Transfer {
    /// Answers `request` for a file of `size` bytes (in netascii, as translated).
    pub fn new(request: &Request, size: u64, limits: Limits, now: Instant) -> Self {
        let (settings, oack) = negotiate(request, size, limits);
        let mut transfer = Self {
            settings,
            size,
            oack,
            acked: 0,
            sent: 0,
            retries: 0,
            repeated: false,
            deadline: now,
            outcome: None,
            queue: VecDeque::new(),
        };
        transfer.send(now);
        transfer
    }

    /// The next thing to do now; `None` when there is nothing before [`Self::deadline`] or a datagram.
    pub fn poll(&mut self) -> Option<Output> {
        self.queue.pop_front()
    }

    /// When [`Self::tick`] has to be called.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// How it ended, once it has. After `Complete` the socket should stay until the deadline.
    pub fn outcome(&self) -> Option<&Outcome> {
        self.outcome.as_ref()
    }

    /// What was negotiated.
    pub fn settings(&self) -> Settings {
        self.settings
    }

    /// Bytes that the client has acknowledged.
    pub fn delivered(&self) -> u64 {
        (self.acked * self.blksize()).min(self.size)
    }

    /// Takes a datagram from the client.
    pub fn receive(&mut self, datagram: &[u8], now: Instant) {
        if self.outcome.is_some() {
            return;
        }
        match Packet::decode(datagram) {
            Some(Packet::Ack(number)) => self.acknowledged(number, now),
            Some(Packet::Error { code, message }) => {
                self.queue.clear();
                self.end(Outcome::Aborted { code, message }, now);
            }
            None => {}
        }
    }

    /// Takes note of the time.
    pub fn tick(&mut self, now: Instant) {
        if self.outcome.is_some() || now < self.deadline {
            return;
        }
        if self.retries >= RETRIES {
            self.queue.clear();
            self.queue.push_back(Output::Datagram(error(code::OTHER, "no acknowledgement")));
            self.end(Outcome::TimedOut, now);
            return;
        }
        self.retries += 1;
        self.sent = self.acked;
        self.send(now);
    }

    fn blksize(&self) -> u64 {
        self.settings.blksize.into()
    }

    /// Blocks of the file; the last one is short, so a file of whole blocks has an empty one at its end.
    fn blocks(&self) -> u64 {
        self.size / self.blksize() + 1
    }

    fn acknowledged(&mut self, number: u16, now: Instant) {
        if self.oack.is_some() {
            if number == 0 {
                self.oack = None;
                self.progress(now);
            }
            return;
        }
        // How far the acknowledgement is ahead of the last one, modulo 65536; a window is far smaller.
        #[expect(clippy::cast_possible_truncation, reason = "block numbers are modulo 65536")]
        let ahead = u64::from(number.wrapping_sub(self.acked as u16));
        if ahead > self.sent - self.acked {
            return;
        }
        if ahead == 0 {
            // In lockstep a repeat means a late duplicate, and answering it would double every block from here
            // on. With a window it is how a client says that the first block of the window was lost.
            if self.settings.windowsize > 1 && !self.repeated {
                self.repeated = true;
                self.sent = self.acked;
                self.send(now);
            }
            return;
        }
        self.acked += ahead;
        if self.acked == self.blocks() {
            self.end(Outcome::Complete, now);
            return;
        }
        self.progress(now);
    }

    fn progress(&mut self, now: Instant) {
        self.retries = 0;
        self.repeated = false;
        self.sent = self.acked;
        self.queue.clear();
        self.send(now);
    }

    /// Sends the OACK, or a window of blocks after the last acknowledged one.
    fn send(&mut self, now: Instant) {
        self.deadline = now + self.timeout();
        if let Some(oack) = &self.oack {
            self.queue.push_back(Output::Datagram(oack.clone()));
            return;
        }
        let last = (self.acked + u64::from(self.settings.windowsize)).min(self.blocks());
        while self.sent < last {
            let offset = self.sent * self.blksize();
            self.sent += 1;
            #[expect(clippy::cast_possible_truncation, reason = "block numbers are modulo 65536")]
            let number = self.sent as u16;
            let length = self.blksize().min(self.size - offset);
            let length = u16::try_from(length).expect("no longer than a block");
            self.queue.push_back(Output::Block { number, offset, length });
        }
    }

    fn timeout(&self) -> Duration {
        match self.settings.timeout {
            Some(fixed) => fixed,
            None => (FIRST_TIMEOUT * 2_u32.pow(self.retries.min(RETRIES))).min(LONGEST_TIMEOUT),
        }
    }

    fn end(&mut self, outcome: Outcome, now: Instant) {
        self.deadline = match outcome {
            Outcome::Complete => now + DALLY,
            Outcome::Aborted { .. } | Outcome::TimedOut => now,
        };
        self.outcome = Some(outcome);
    }
}

#[cfg(test)]
mod tests;
