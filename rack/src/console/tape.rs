//! What one console wrote and no region has yet: bounded, oldest lost first, without the agent's token.

use rackwright_common::link::ConsoleChunk;
use rackwright_common::{MachineId, Secret};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use time::OffsetDateTime;
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;
use uuid::Uuid;

/// Bytes kept for one console while no region takes them.
const LIMIT: usize = 64 * 1024;
/// Bytes of one piece.
const PIECE: usize = 32 * 1024;
/// What a BMC replays from its memory comes at once; it goes up as one piece, so that the region can tell it from what
/// is new. It has ended when nothing came for this long.
const REPLAY_PAUSE: Duration = Duration::from_secs(1);
/// However much comes, it is not held back for longer.
const REPLAY_WITHIN: Duration = Duration::from_secs(5);

/// Inputs that wait for the line; regions have fewer of a machine on their way.
const INPUTS: usize = 64;

/// What stands before the agent's token on the kernel's command line, which the kernel prints.
const TOKEN: &[u8] = b"rackwright.token=";

/// Takes the token out: whoever has it can speak for the machine's agent as long as this boot lasts.
#[derive(Debug, Default)]
struct Redactor {
    /// The last characters, as many as [`TOKEN`] has.
    last: Vec<u8>,
    is_in_token: bool,
}

impl Redactor {
    fn redact(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut kept = Vec::with_capacity(bytes.len());
        for &byte in bytes {
            if self.is_in_token && byte.is_ascii_graphic() {
                continue;
            }
            self.is_in_token = false;
            kept.push(byte);
            if self.last.len() == TOKEN.len() {
                self.last.remove(0);
            }
            self.last.push(byte);
            if self.last == TOKEN {
                self.is_in_token = true;
                kept.extend(b"(secret)");
            }
        }
        kept
    }
}

/// The present recording.
#[derive(Debug)]
struct Recording {
    session: Uuid,
    at: OffsetDateTime,
    /// Bytes so far.
    length: u64,
    begun: Instant,
    heard: Instant,
    /// The first piece has gone.
    is_told: bool,
    /// The beginning of a character whose end has not come.
    cut: Vec<u8>,
    redactor: Redactor,
    /// A power command needs the session.
    way: Arc<Notify>,
    /// What people type.
    keys: mpsc::Sender<Typed>,
}

/// What a person has typed, with its number.
pub(super) type Typed = (i64, Secret<String>);

/// What a recorder is told while it records.
pub(super) struct Orders {
    /// Notified when the session is to be given back.
    pub(super) way: Arc<Notify>,
    /// What is to go into the line.
    pub(super) keys: mpsc::Receiver<Typed>,
}

/// The tape of one machine.
#[derive(Debug)]
pub(super) struct Tape {
    machine: MachineId,
    recording: Option<Recording>,
    pieces: VecDeque<ConsoleChunk>,
    kept: usize,
}

impl Tape {
    pub(super) fn new(machine: MachineId) -> Self {
        Self { machine, recording: None, pieces: VecDeque::new(), kept: 0 }
    }

    /// A recording begins.
    pub(super) fn begin(&mut self, session: Uuid, at: OffsetDateTime, now: Instant) -> Orders {
        let way = Arc::new(Notify::new());
        let (sender, keys) = mpsc::channel(INPUTS);
        self.recording = Some(Recording {
            session,
            at,
            length: 0,
            begun: now,
            heard: now,
            is_told: false,
            cut: Vec::new(),
            redactor: Redactor::default(),
            way: way.clone(),
            keys: sender,
        });
        self.push(String::new());
        Orders { way, keys }
    }

    /// Characters have come.
    pub(super) fn write(&mut self, bytes: &[u8], now: Instant) {
        let Some(recording) = &mut self.recording else { return };
        recording.heard = now;
        let text = decode(&mut recording.cut, &recording.redactor.redact(bytes));
        self.push(text);
        while self.kept > LIMIT {
            let Some(oldest) = self.pieces.pop_front() else { break };
            self.kept -= oldest.text.len();
        }
    }

    /// The recording has ended.
    pub(super) fn end(&mut self) {
        if let Some(Recording { is_told: false, .. }) = self.recording {
            // It goes up with the rest, unless it had nothing to tell.
            self.pieces.retain(|piece| !piece.text.is_empty());
        }
        self.recording = None;
    }

    fn push(&mut self, text: String) {
        let Some(recording) = &mut self.recording else { return };
        self.kept += text.len();
        let length = text.len() as u64;
        let room = |piece: &ConsoleChunk| {
            piece.session == recording.session && piece.text.len() + text.len() <= PIECE
        };
        match self.pieces.back_mut().filter(|piece| room(piece)) {
            Some(piece) => piece.text.push_str(&text),
            None => self.pieces.push_back(ConsoleChunk {
                machine: self.machine.clone(),
                session: recording.session,
                began: recording.at,
                offset: recording.length,
                text,
            }),
        }
        recording.length += length;
    }

    /// What a region may have now.
    pub(super) fn take(&mut self, now: Instant) -> Vec<ConsoleChunk> {
        if let Some(recording) = &mut self.recording
            && !recording.is_told
        {
            let is_replaying = now < recording.heard + REPLAY_PAUSE && now < recording.begun + REPLAY_WITHIN;
            if is_replaying && self.kept < PIECE {
                return Vec::new();
            }
            recording.is_told = true;
        }
        self.kept = 0;
        std::mem::take(&mut self.pieces).into()
    }

    /// Asks the recorder to give its session back; false when there is none.
    pub(super) fn give_way(&self) -> bool {
        if let Some(recording) = &self.recording {
            recording.way.notify_one();
        }
        self.recording.is_some()
    }

    /// Hands on what a person has typed; false when nobody has the console open, or it takes no more now.
    pub(super) fn type_in(&self, seq: i64, text: Secret<String>) -> bool {
        self.recording.as_ref().is_some_and(|recording| recording.keys.try_send((seq, text)).is_ok())
    }

    /// Nothing is recorded, and nothing waits.
    pub(super) fn is_over(&self) -> bool {
        self.recording.is_none() && self.pieces.is_empty()
    }
}

/// Bytes as text; the beginning of a character that is cut off at the end waits in `cut` for its rest.
fn decode(cut: &mut Vec<u8>, bytes: &[u8]) -> String {
    cut.extend_from_slice(bytes);
    let whole = match std::str::from_utf8(cut) {
        Ok(_) => cut.len(),
        // Only an error at the very end has no length: the rest may come.
        Err(_) => cut.len() - incomplete(cut),
    };
    let rest = cut.split_off(whole);
    let text = String::from_utf8_lossy(cut).into_owned();
    *cut = rest;
    text
}

/// Bytes at the end that begin a character and do not end it.
fn incomplete(bytes: &[u8]) -> usize {
    let from = bytes.len().saturating_sub(3);
    (from..bytes.len())
        .find(|&at| {
            std::str::from_utf8(&bytes[at..]).is_err_and(|e| e.valid_up_to() == 0 && e.error_len().is_none())
        })
        .map_or(0, |at| bytes.len() - at)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Bench {
        tape: Tape,
        start: Instant,
    }

    impl Bench {
        fn new() -> Self {
            Self { tape: Tape::new(MachineId::random()), start: Instant::now() }
        }

        fn at(&self, ms: u64) -> Instant {
            self.start + Duration::from_millis(ms)
        }

        fn begin(&mut self, session: u128, ms: u64) {
            let now = self.at(ms);
            self.tape.begin(Uuid::from_u128(session), OffsetDateTime::UNIX_EPOCH, now);
        }

        fn write(&mut self, text: impl AsRef<[u8]>, ms: u64) {
            let now = self.at(ms);
            self.tape.write(text.as_ref(), now);
        }

        fn take(&mut self, ms: u64) -> Vec<(u128, u64, String)> {
            let now = self.at(ms);
            self.tape.take(now).into_iter().map(|c| (c.session.as_u128(), c.offset, c.text)).collect()
        }
    }

    fn piece(session: u128, offset: u64, text: &str) -> (u128, u64, String) {
        (session, offset, text.to_owned())
    }

    #[test]
    fn what_comes_at_once_at_the_beginning_goes_up_as_one_piece() {
        let mut bench = Bench::new();
        bench.begin(1, 0);
        bench.write("old ", 100);
        assert!(bench.take(200).is_empty());
        bench.write("and new", 900);
        assert!(bench.take(1000).is_empty());
        assert_eq!(bench.take(1900), [piece(1, 0, "old and new")]);
        bench.write("!", 2000);
        assert_eq!(bench.take(2000), [piece(1, 11, "!")], "later pieces do not wait");
    }

    #[test]
    fn a_console_that_never_pauses_is_held_back_for_five_seconds_only() {
        let mut bench = Bench::new();
        bench.begin(1, 0);
        for ms in (0..6000).step_by(100) {
            bench.write(".", ms);
        }
        assert_eq!(bench.take(4999).len(), 0);
        assert_eq!(bench.take(5000).len(), 1);
    }

    #[test]
    fn without_a_region_the_oldest_is_lost_and_the_offset_says_how_much() {
        let mut bench = Bench::new();
        bench.begin(1, 0);
        let line = "x".repeat(1000);
        for _ in 0..200 {
            bench.write(&line, 10);
        }
        let kept = bench.take(20_000);
        let bytes: usize = kept.iter().map(|p| p.2.len()).sum();
        assert!(bytes <= LIMIT && bytes > LIMIT / 3, "{bytes}");
        assert_eq!(kept[0].1, 200_000 - bytes as u64);
    }

    #[test]
    fn characters_are_not_cut_and_rubbish_is_replaced() {
        let mut bench = Bench::new();
        bench.begin(1, 0);
        bench.take(5000);
        bench.write([b'a', 0xe2, 0x82], 5000);
        assert_eq!(bench.take(5000), [piece(1, 0, "a")]);
        bench.write([0xac, 0xff, b'b', 0xc3], 5001);
        assert_eq!(bench.take(5001), [piece(1, 1, "\u{20ac}\u{fffd}b")]);
        bench.write([b'c'], 5002);
        assert_eq!(bench.take(5002), [piece(1, 8, "\u{fffd}c")]);
    }

    #[test]
    fn the_agents_token_does_not_leave_the_rack_however_it_is_cut() {
        let line = "[    0.0] Command line: initrd=x rackwrackwright.token=rwa1.1.3.5rW2-xs rackwright.machine=a\r\n";
        let clean =
            "[    0.0] Command line: initrd=x rackwrackwright.token=(secret) rackwright.machine=a\r\n";
        for cut in 0..line.len() {
            let mut bench = Bench::new();
            bench.begin(1, 0);
            bench.write(&line[..cut], 0);
            bench.write(&line[cut..], 0);
            assert_eq!(bench.take(5000), [piece(1, 0, clean)], "cut at {cut}");
        }
    }

    #[test]
    fn a_new_recording_counts_from_nought_and_a_silent_one_leaves_nothing() {
        let mut bench = Bench::new();
        bench.begin(1, 0);
        bench.write("one", 0);
        bench.tape.end();
        assert!(!bench.tape.is_over());
        bench.begin(2, 10);
        bench.tape.end();
        bench.begin(3, 20);
        bench.write("three", 20);
        assert_eq!(bench.take(3000), [piece(1, 0, "one"), piece(3, 0, "three")]);
        bench.tape.end();
        assert!(bench.tape.is_over());
    }
}
