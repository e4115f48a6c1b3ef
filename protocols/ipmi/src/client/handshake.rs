//! Opening a session: Open Session, RAKP 1 and 2, RAKP 3 and 4.
//!
//! A lost packet is repeated as it was. When the repetitions of a step run out, or a repetition is answered with an error
//! (the BMC had already moved on), the whole exchange starts over while time and attempts last.

use std::time::Instant;

use super::retry::Retry;
use super::{Config, SessionError, SuiteChoice};
use crate::crypto::{Keys, Suite, same};
use crate::secret::Entropy;
use crate::wire::packet::{Plus, encode_plain, payload};
use crate::wire::rakp::{
    Exchange, NAME_ONLY_LOOKUP, OpenRequest, OpenResponse, Rakp1, Rakp2, RakpProof, Status,
};

/// Whole exchanges tried before giving up.
const EXCHANGES: u32 = 3;
/// Unanswered offers of a suite before the next one is tried.
const UNANSWERED_OFFERS: u32 = 3;

/// What to do after a packet or a tick.
#[derive(Debug)]
pub(super) enum Progress {
    /// Nothing new.
    Wait,
    /// Send this.
    Send(Vec<u8>),
    /// The keys are agreed.
    Done(Agreed),
    /// Give up, after sending the packet if there is one.
    Failed(SessionError, Option<Vec<u8>>),
}

/// The result of a finished exchange.
#[derive(Debug)]
pub(super) struct Agreed {
    pub(super) keys: Keys,
    pub(super) console_id: u32,
    pub(super) bmc_id: u32,
}

#[derive(Debug)]
enum Stage {
    Open,
    Rakp1 { bmc_id: u32, console_random: [u8; 16] },
    Rakp3 { bmc_id: u32, sik: Vec<u8>, check: Vec<u8> },
}

impl Stage {
    fn name(&self) -> &'static str {
        match self {
            Self::Open => "opening a session",
            Self::Rakp1 { .. } => "RAKP 1",
            Self::Rakp3 { .. } => "RAKP 3",
        }
    }
}

/// An exchange under way.
#[derive(Debug)]
pub(super) struct Handshake {
    suite: Suite,
    fallback: Option<Suite>,
    console_id: u32,
    tag: u8,
    stage: Stage,
    datagram: Vec<u8>,
    retry: Retry,
    deadline: Instant,
    exchanges_left: u32,
}

impl Handshake {
    /// Starts the first exchange; the packet is due at once.
    pub(super) fn start(config: &Config, now: Instant, entropy: &mut dyn Entropy) -> (Self, Vec<u8>) {
        let (suite, fallback) = match config.suite {
            SuiteChoice::Best => (Suite::Seventeen, Some(Suite::Three)),
            SuiteChoice::Only(suite) => (suite, None),
        };
        let mut handshake = Self {
            suite,
            fallback,
            console_id: 0,
            tag: 0,
            stage: Stage::Open,
            datagram: Vec::new(),
            retry: Retry::first(now, config.timing.first_retry),
            deadline: now + config.timing.open_within,
            exchanges_left: EXCHANGES,
        };
        let datagram = handshake.begin_exchange(config, now, entropy);
        (handshake, datagram)
    }

    fn begin_exchange(&mut self, config: &Config, now: Instant, entropy: &mut dyn Entropy) -> Vec<u8> {
        self.console_id = entropy.session_id();
        self.stage = Stage::Open;
        self.exchanges_left = self.exchanges_left.saturating_sub(1);
        let request = OpenRequest {
            tag: self.next_tag(),
            privilege: config.privilege.code(),
            console_id: self.console_id,
            algorithms: self.suite.algorithms(),
        };
        self.send(config, now, encode_plain(payload::OPEN_REQUEST, &request.encode()))
    }

    fn send(&mut self, config: &Config, now: Instant, datagram: Vec<u8>) -> Vec<u8> {
        self.datagram.clone_from(&datagram);
        self.retry = Retry::first(now, config.timing.first_retry);
        datagram
    }

    fn next_tag(&mut self) -> u8 {
        self.tag = self.tag.wrapping_add(1);
        self.tag
    }

    /// When [`Handshake::tick`] is due.
    pub(super) fn deadline(&self) -> Instant {
        self.retry.at.min(self.deadline)
    }

    /// Repeats, starts over or gives up, as time demands.
    pub(super) fn tick(&mut self, config: &Config, now: Instant, entropy: &mut dyn Entropy) -> Progress {
        if now >= self.deadline {
            return Progress::Failed(SessionError::Timeout(self.stage.name()), None);
        }
        if !self.retry.is_due(now) {
            return Progress::Wait;
        }
        let may_fall_back = matches!(self.stage, Stage::Open) && self.retry.sent >= UNANSWERED_OFFERS;
        if may_fall_back && let Some(next) = self.fallback.take() {
            // Some BMCs answer an unknown suite with silence.
            self.suite = next;
            return Progress::Send(self.begin_exchange(config, now, entropy));
        }
        if self.retry.sent < config.timing.tries {
            self.retry.again(now);
            return Progress::Send(self.datagram.clone());
        }
        self.start_over(config, now, entropy, SessionError::Timeout(self.stage.name()))
    }

    fn start_over(
        &mut self,
        config: &Config,
        now: Instant,
        entropy: &mut dyn Entropy,
        error: SessionError,
    ) -> Progress {
        if self.exchanges_left == 0 {
            return Progress::Failed(error, None);
        }
        Progress::Send(self.begin_exchange(config, now, entropy))
    }

    /// Takes a packet in. What does not belong to this exchange is ignored.
    pub(super) fn receive(
        &mut self,
        config: &Config,
        now: Instant,
        packet: &Plus<'_>,
        entropy: &mut dyn Entropy,
    ) -> Progress {
        match (packet.payload_type, &self.stage) {
            (payload::OPEN_RESPONSE, Stage::Open) => match OpenResponse::decode(packet.payload) {
                Ok(response) if response.tag == self.tag => self.opened(config, now, &response, entropy),
                _ => Progress::Wait,
            },
            (payload::RAKP2, Stage::Rakp1 { .. }) => match Rakp2::decode(packet.payload) {
                Ok(message)
                    if message.tag == self.tag && self.is_ours(message.console_id, message.status) =>
                {
                    self.proven(config, now, &message, entropy)
                }
                _ => Progress::Wait,
            },
            (payload::RAKP4, Stage::Rakp3 { .. }) => match RakpProof::decode(packet.payload) {
                Ok(message)
                    if message.tag == self.tag && self.is_ours(message.session_id, message.status) =>
                {
                    self.finished(config, now, &message, entropy)
                }
                _ => Progress::Wait,
            },
            _ => Progress::Wait,
        }
    }

    /// An error may come without a session id.
    fn is_ours(&self, session_id: u32, status: Status) -> bool {
        session_id == self.console_id || (status != Status::OK && session_id == 0)
    }

    fn opened(
        &mut self,
        config: &Config,
        now: Instant,
        response: &OpenResponse,
        entropy: &mut dyn Entropy,
    ) -> Progress {
        let Some((bmc_id, algorithms)) = response.granted else {
            if response.status.means_no_suite()
                && let Some(next) = self.fallback.take()
            {
                self.suite = next;
                return Progress::Send(self.begin_exchange(config, now, entropy));
            }
            return self.refused(config, now, response.status, entropy);
        };
        if response.console_id != self.console_id {
            return Progress::Wait;
        }
        if algorithms != self.suite.algorithms() {
            return Progress::Failed(SessionError::NoCommonSuite(Status::NO_SUITE), None);
        }
        let console_random = entropy.array();
        let message = Rakp1 {
            tag: self.next_tag(),
            bmc_id,
            console_random,
            role: role(config),
            name: config.name.clone().into_bytes(),
        };
        self.stage = Stage::Rakp1 { bmc_id, console_random };
        Progress::Send(self.send(config, now, encode_plain(payload::RAKP1, &message.encode())))
    }

    fn proven(
        &mut self,
        config: &Config,
        now: Instant,
        message: &Rakp2,
        entropy: &mut dyn Entropy,
    ) -> Progress {
        if message.status != Status::OK {
            return self.refused(config, now, message.status, entropy);
        }
        let Stage::Rakp1 { bmc_id, console_random } = self.stage else { return Progress::Wait };
        let exchange = Exchange {
            suite: self.suite,
            console_id: self.console_id,
            bmc_id,
            console_random,
            bmc_random: message.bmc_random,
            guid: message.guid,
            role: role(config),
            name: config.name.as_bytes(),
        };
        let password = config.password.expose();
        let mut proof = RakpProof {
            tag: self.next_tag(),
            status: Status::OK,
            session_id: bmc_id,
            code: exchange.rakp3_code(password),
        };
        if !same(&exchange.rakp2_code(password), &message.code) {
            // Tell the BMC, or the half-open session keeps one of its few slots.
            proof.status = Status::INVALID_INTEGRITY;
            let goodbye = encode_plain(payload::RAKP3, &proof.encode());
            return Progress::Failed(SessionError::WrongPassword, Some(goodbye));
        }
        let key = config.kg.as_ref().map_or(password, |kg| kg.expose());
        let sik = exchange.session_key(key);
        let check = exchange.rakp4_code(&sik);
        self.stage = Stage::Rakp3 { bmc_id, sik, check };
        Progress::Send(self.send(config, now, encode_plain(payload::RAKP3, &proof.encode())))
    }

    fn finished(
        &mut self,
        config: &Config,
        now: Instant,
        message: &RakpProof,
        entropy: &mut dyn Entropy,
    ) -> Progress {
        if message.status != Status::OK {
            return self.refused(config, now, message.status, entropy);
        }
        let Stage::Rakp3 { bmc_id, sik, check } = &self.stage else { return Progress::Wait };
        if !same(check, &message.code) {
            return Progress::Failed(SessionError::WrongKey, None);
        }
        let keys = Keys::derive(self.suite, sik);
        Progress::Done(Agreed { keys, console_id: self.console_id, bmc_id: *bmc_id })
    }

    fn refused(
        &mut self,
        config: &Config,
        now: Instant,
        status: Status,
        entropy: &mut dyn Entropy,
    ) -> Progress {
        if self.retry.sent > 1 && !status.means_refused() && !status.means_no_suite() {
            return self.start_over(config, now, entropy, SessionError::Status(status));
        }
        let error = if status.means_full() {
            SessionError::Full
        } else if status.means_refused() {
            SessionError::Refused(status)
        } else if status.means_no_suite() {
            SessionError::NoCommonSuite(status)
        } else {
            SessionError::Status(status)
        };
        Progress::Failed(error, None)
    }
}

fn role(config: &Config) -> u8 {
    config.privilege.code() | NAME_ONLY_LOOKUP
}
