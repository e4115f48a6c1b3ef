//! The session itself: sealed packets, requests with repetition, serial over LAN, closing.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::handshake::{Agreed, Handshake, Progress};
use super::retry::Retry;
use super::window::SequenceWindow;
use super::{Config, Event, RequestId, SessionError};
use crate::command::session::{CloseSession, SetSessionPrivilege};
use crate::command::{Command, CompletionError};
use crate::crypto::Keys;
use crate::secret::Entropy;
use crate::wire::message::{CONSOLE_ADDRESS, Request, RequestMessage, ResponseMessage};
use crate::wire::packet::{Datagram, Plus, encode_sealed, payload};
use crate::wire::rakp::Privilege;
use crate::wire::sol::{DEACTIVATED, SolChannel, SolPacket};

/// Completion code "node busy".
const NODE_BUSY: u8 = 0xc0;
/// Pause before asking a busy BMC again.
const BUSY_PAUSE: Duration = Duration::from_millis(300);
/// How long to wait for the answer to Close Session.
const CLOSE_WITHIN: Duration = Duration::from_millis(1500);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Privilege,
    Caller(RequestId),
    Close,
}

#[derive(Debug)]
struct InFlight {
    purpose: Purpose,
    request: Request,
    rq_seq: u8,
    retry: Retry,
    deadline: Instant,
    /// The BMC said it is busy; the next packet counts as a new request.
    was_busy: bool,
}

#[derive(Debug)]
struct Active {
    keys: Keys,
    bmc_id: u32,
    console_id: u32,
    sent: u32,
    received: SequenceWindow,
    rq_seq: u8,
    in_flight: Option<InFlight>,
    waiting: VecDeque<(Purpose, Request, Instant)>,
    sol: Option<SolChannel>,
}

#[derive(Debug)]
enum Phase {
    Idle,
    Opening(Box<Handshake>),
    Active(Box<Active>),
    Over,
}

/// One console session with one BMC.
pub struct Session {
    config: Config,
    entropy: Box<dyn Entropy>,
    phase: Phase,
    outbox: VecDeque<Vec<u8>>,
    events: VecDeque<Event>,
    next_id: u64,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("phase", &self.phase).finish_non_exhaustive()
    }
}

impl Session {
    /// A session that has not been opened yet.
    pub fn new(config: Config, entropy: Box<dyn Entropy>) -> Self {
        Self {
            config,
            entropy,
            phase: Phase::Idle,
            outbox: VecDeque::new(),
            events: VecDeque::new(),
            next_id: 0,
        }
    }

    /// Starts to open it; ends with [`Event::Opened`] or [`Event::OpenFailed`].
    pub fn open(&mut self, now: Instant) {
        let too_long = |secret: &[u8]| secret.len() > 20;
        let problem = if self.config.name.len() > 16 {
            Some("the user name")
        } else if too_long(self.config.password.expose()) {
            Some("the password")
        } else if self.config.kg.as_ref().is_some_and(|kg| too_long(kg.expose())) {
            Some("the BMC key")
        } else {
            None
        };
        if let Some(problem) = problem {
            self.phase = Phase::Over;
            self.events.push_back(Event::OpenFailed(SessionError::TooLong(problem)));
            return;
        }
        let (handshake, datagram) = Handshake::start(&self.config, now, self.entropy.as_mut());
        self.outbox.push_back(datagram);
        self.phase = Phase::Opening(Box::new(handshake));
    }

    /// Requests are answered now.
    pub fn is_open(&self) -> bool {
        match &self.phase {
            Phase::Active(active) => !active
                .in_flight
                .as_ref()
                .is_some_and(|request| matches!(request.purpose, Purpose::Privilege | Purpose::Close)),
            Phase::Idle | Phase::Opening(_) | Phase::Over => false,
        }
    }

    /// Queues a request; it ends with [`Event::Answered`] or [`Event::RequestFailed`] by `deadline`.
    pub fn request(&mut self, now: Instant, request: Request, deadline: Instant) -> RequestId {
        let id = RequestId(self.next_id);
        self.next_id += 1;
        if let Phase::Active(active) = &mut self.phase {
            active.waiting.push_back((Purpose::Caller(id), request, deadline));
            self.start_next(now);
        } else {
            let error = SessionError::Timeout("no open session");
            self.events.push_back(Event::RequestFailed { id, error });
        }
        id
    }

    /// Says good-bye; ends with [`Event::Closed`], answered or not.
    pub fn close(&mut self, now: Instant) {
        match &mut self.phase {
            Phase::Active(active) => {
                let request = CloseSession { session_id: active.bmc_id }.request();
                active.waiting.push_front((Purpose::Close, request, now + CLOSE_WITHIN));
                if let Some(request) = active.in_flight.take() {
                    fail(&mut self.events, &request, SessionError::Timeout("session closed"));
                }
                self.start_next(now);
            }
            Phase::Idle | Phase::Opening(_) | Phase::Over => {
                self.phase = Phase::Over;
                self.events.push_back(Event::Closed);
            }
        }
    }

    /// Serial over LAN has been activated (Activate Payload answered with this inbound payload size).
    pub fn start_sol(&mut self, payload_limit: u16) {
        if let Phase::Active(active) = &mut self.phase {
            active.sol = Some(SolChannel::new(payload_limit));
        }
    }

    /// Sends characters to the serial console. Ignored without an active SOL payload.
    pub fn write_sol(&mut self, now: Instant, data: &[u8]) {
        if let Phase::Active(active) = &mut self.phase
            && let Some(sol) = &mut active.sol
        {
            sol.write(data);
            self.pump_sol(now);
        }
    }

    /// Characters for the serial console that wait for their packet.
    pub fn sol_waiting(&self) -> usize {
        match &self.phase {
            Phase::Active(active) => active.sol.as_ref().map_or(0, SolChannel::waiting),
            Phase::Idle | Phase::Opening(_) | Phase::Over => 0,
        }
    }

    /// The next datagram to send.
    pub fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.outbox.pop_front()
    }

    /// The next thing that happened.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When [`Session::tick`] is due; `None` while nothing is under way.
    pub fn deadline(&self) -> Option<Instant> {
        match &self.phase {
            Phase::Idle | Phase::Over => None,
            Phase::Opening(handshake) => Some(handshake.deadline()),
            Phase::Active(active) => {
                let request = active.in_flight.as_ref().map(|request| request.retry.at.min(request.deadline));
                let sol = active.sol.as_ref().and_then(SolChannel::deadline);
                request.into_iter().chain(sol).min()
            }
        }
    }

    /// Takes in a datagram, whatever it holds.
    pub fn receive(&mut self, now: Instant, bytes: &[u8]) {
        let Ok(Datagram::Plus(packet)) = Datagram::decode(bytes) else { return };
        match &mut self.phase {
            Phase::Opening(handshake) => {
                let progress = handshake.receive(&self.config, now, &packet, self.entropy.as_mut());
                self.follow(now, progress);
            }
            Phase::Active(active) => {
                if let Some((kind, plain)) = active.unseal(&packet) {
                    match kind {
                        payload::IPMI => self.receive_message(now, &plain),
                        payload::SOL => self.receive_sol(now, &plain),
                        _ => {}
                    }
                }
            }
            Phase::Idle | Phase::Over => {}
        }
    }

    /// Repeats and gives up, as time demands.
    pub fn tick(&mut self, now: Instant) {
        match &mut self.phase {
            Phase::Opening(handshake) => {
                let progress = handshake.tick(&self.config, now, self.entropy.as_mut());
                self.follow(now, progress);
            }
            Phase::Active(_) => {
                self.tick_request(now);
                self.pump_sol(now);
            }
            Phase::Idle | Phase::Over => {}
        }
    }

    fn follow(&mut self, now: Instant, progress: Progress) {
        match progress {
            Progress::Wait => {}
            Progress::Send(datagram) => self.outbox.push_back(datagram),
            Progress::Failed(error, last_words) => {
                self.outbox.extend(last_words);
                self.phase = Phase::Over;
                self.events.push_back(Event::OpenFailed(error));
            }
            Progress::Done(agreed) => self.activate(now, agreed),
        }
    }

    fn activate(&mut self, now: Instant, agreed: Agreed) {
        let privilege = self.config.privilege;
        let mut active = Active::new(agreed);
        let suite = active.keys.suite();
        if privilege == Privilege::User {
            self.events.push_back(Event::Opened(suite));
        } else {
            // A session starts at the user level whatever was asked for (§6.8).
            let request = SetSessionPrivilege { privilege }.request();
            active.waiting.push_back((Purpose::Privilege, request, now + self.config.timing.open_within));
        }
        self.phase = Phase::Active(Box::new(active));
        self.start_next(now);
    }

    fn start_next(&mut self, now: Instant) {
        let Phase::Active(active) = &mut self.phase else { return };
        if active.in_flight.is_some() {
            return;
        }
        let Some((purpose, request, deadline)) = active.waiting.pop_front() else { return };
        let rq_seq = active.next_rq_seq();
        let retry = Retry::first(now, self.config.timing.first_retry);
        active.in_flight = Some(InFlight { purpose, request, rq_seq, retry, deadline, was_busy: false });
        self.outbox.extend(active.seal_in_flight(self.entropy.as_mut()));
    }

    fn tick_request(&mut self, now: Instant) {
        let Phase::Active(active) = &mut self.phase else { return };
        let Some(request) = &mut active.in_flight else { return };
        if now >= request.deadline {
            let error =
                if request.was_busy { SessionError::Busy } else { SessionError::Timeout("a command") };
            self.end_request(now, |request, events| fail(events, request, error));
        } else if request.retry.is_due(now) {
            request.retry.again(now);
            if request.was_busy {
                let rq_seq = active.next_rq_seq();
                if let Some(request) = &mut active.in_flight {
                    request.rq_seq = rq_seq;
                    request.was_busy = false;
                }
            }
            self.outbox.extend(active.seal_in_flight(self.entropy.as_mut()));
        }
    }

    fn receive_message(&mut self, now: Instant, plain: &[u8]) {
        let Phase::Active(active) = &mut self.phase else { return };
        let Ok(response) = ResponseMessage::decode(plain) else { return };
        let Some(request) = &mut active.in_flight else { return };
        let fits = response.rq_seq == request.rq_seq
            && response.netfn == request.request.netfn
            && response.command == request.request.command;
        if !fits {
            return;
        }
        if response.completion == NODE_BUSY && now + BUSY_PAUSE < request.deadline {
            request.was_busy = true;
            request.retry = Retry::first(now, BUSY_PAUSE);
            return;
        }
        self.end_request(now, |request, events| answer(events, request, response));
    }

    /// Ends the request in flight, tells about it with `report`, and goes on as its purpose demands.
    fn end_request(&mut self, now: Instant, report: impl FnOnce(&InFlight, &mut VecDeque<Event>)) {
        let Phase::Active(active) = &mut self.phase else { return };
        let Some(request) = active.in_flight.take() else { return };
        let suite = active.keys.suite();
        let before = self.events.len();
        report(&request, &mut self.events);
        match request.purpose {
            Purpose::Caller(_) => self.start_next(now),
            Purpose::Close => {
                self.fail_waiting();
                self.phase = Phase::Over;
                self.events.push_back(Event::Closed);
            }
            Purpose::Privilege => {
                // `report` speaks of the privilege step only when it went wrong.
                if self.events.len() == before {
                    self.events.push_back(Event::Opened(suite));
                    self.start_next(now);
                } else {
                    self.end_refused_session(now);
                }
            }
        }
    }

    /// The level was refused: the session is of no use, but its slot must be given back.
    fn end_refused_session(&mut self, now: Instant) {
        let Phase::Active(active) = &mut self.phase else { return };
        let request = CloseSession { session_id: active.bmc_id }.request();
        let rq_seq = active.next_rq_seq();
        let retry = Retry::first(now, CLOSE_WITHIN);
        active.in_flight = Some(InFlight {
            purpose: Purpose::Close,
            request,
            rq_seq,
            retry,
            deadline: now,
            was_busy: false,
        });
        self.outbox.extend(active.seal_in_flight(self.entropy.as_mut()));
        self.fail_waiting();
        self.phase = Phase::Over;
    }

    /// Requests that will not be sent any more still get their event.
    fn fail_waiting(&mut self) {
        let Phase::Active(active) = &mut self.phase else { return };
        for (purpose, _, _) in active.waiting.drain(..) {
            if let Purpose::Caller(id) = purpose {
                let error = SessionError::Timeout("session closed");
                self.events.push_back(Event::RequestFailed { id, error });
            }
        }
    }

    fn receive_sol(&mut self, now: Instant, plain: &[u8]) {
        let Phase::Active(active) = &mut self.phase else { return };
        let (Ok(packet), Some(sol)) = (SolPacket::decode(plain), &mut active.sol) else { return };
        let (fresh, ack) = sol.receive(now, &packet);
        if let Some(ack) = ack {
            let datagram = active.seal(self.entropy.as_mut(), payload::SOL, &ack.encode());
            self.outbox.push_back(datagram);
        }
        if !fresh.is_empty() {
            self.events.push_back(Event::SolData(fresh));
        }
        if packet.status & DEACTIVATED != 0 {
            active.sol = None;
            self.events.push_back(Event::SolEnded);
        }
        self.pump_sol(now);
    }

    fn pump_sol(&mut self, now: Instant) {
        let Phase::Active(active) = &mut self.phase else { return };
        if let Some(packet) = active.sol.as_mut().and_then(|sol| sol.poll(now)) {
            let datagram = active.seal(self.entropy.as_mut(), payload::SOL, &packet.encode());
            self.outbox.push_back(datagram);
        }
    }
}

fn fail(events: &mut VecDeque<Event>, request: &InFlight, error: SessionError) {
    match request.purpose {
        Purpose::Privilege => events.push_back(Event::OpenFailed(error)),
        Purpose::Caller(id) => events.push_back(Event::RequestFailed { id, error }),
        Purpose::Close => {}
    }
}

fn answer(events: &mut VecDeque<Event>, request: &InFlight, response: ResponseMessage) {
    match request.purpose {
        Purpose::Caller(id) => {
            events.push_back(Event::Answered { id, completion: response.completion, data: response.data });
        }
        Purpose::Close => {}
        Purpose::Privilege => {
            let wanted = request.request.data.first().and_then(|code| Privilege::from_code(*code));
            match (response.completion, wanted) {
                (0, _) => {}
                (0x80 | 0x81, Some(wanted)) => {
                    events.push_back(Event::OpenFailed(SessionError::PrivilegeRefused(wanted)));
                }
                (code, _) => {
                    let error = SessionError::Privilege(CompletionError(code));
                    events.push_back(Event::OpenFailed(error));
                }
            }
        }
    }
}

impl Active {
    fn new(agreed: Agreed) -> Self {
        Self {
            keys: agreed.keys,
            bmc_id: agreed.bmc_id,
            console_id: agreed.console_id,
            sent: 0,
            received: SequenceWindow::default(),
            rq_seq: 0,
            in_flight: None,
            waiting: VecDeque::new(),
            sol: None,
        }
    }

    fn next_rq_seq(&mut self) -> u8 {
        self.rq_seq = (self.rq_seq + 1) & 0x3f;
        self.rq_seq
    }

    fn seal(&mut self, entropy: &mut dyn Entropy, kind: u8, plain: &[u8]) -> Vec<u8> {
        self.sent = self.sent.checked_add(1).unwrap_or(1);
        encode_sealed(&self.keys, entropy.array(), kind, self.bmc_id, self.sent, plain)
    }

    /// The request in flight in a new packet: same request number, new session number.
    fn seal_in_flight(&mut self, entropy: &mut dyn Entropy) -> Option<Vec<u8>> {
        let request = self.in_flight.as_ref()?;
        let message = RequestMessage {
            request: request.request.clone(),
            rq_seq: request.rq_seq,
            requester: CONSOLE_ADDRESS,
        };
        Some(self.seal(entropy, payload::IPMI, &message.encode()))
    }

    /// The payload of a packet that is ours, genuine and new.
    fn unseal(&mut self, packet: &Plus<'_>) -> Option<(u8, Vec<u8>)> {
        if packet.session_id != self.console_id {
            return None;
        }
        let plain = packet.open(&self.keys).ok()?;
        self.received.accept(packet.sequence).then_some((packet.payload_type, plain))
    }
}
