//! The session against a BMC in memory: time and packets are in the test's hand.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::{Config, Event, RequestId, Session, SessionError, SuiteChoice, Timing};
use crate::command::Command;
use crate::command::boot::BootFlags;
use crate::command::chassis::{ChassisControl, GetChassisStatus};
use crate::crypto::Suite;
use crate::secret::OsEntropy;
use crate::server::{Chassis, ChassisFault, Server, ServerConfig};
use crate::wire::packet::{Datagram, Plus, payload};
use crate::wire::rakp::OpenRequest;

#[derive(Default)]
struct Machine {
    on: bool,
    switched: u32,
}

impl Chassis for Machine {
    fn power(&mut self) -> Result<bool, ChassisFault> {
        Ok(self.on)
    }
    fn set_power(&mut self, on: bool) -> Result<(), ChassisFault> {
        self.on = on;
        self.switched += 1;
        Ok(())
    }
    fn reset(&mut self) -> Result<(), ChassisFault> {
        Ok(())
    }
    fn shutdown(&mut self) -> Result<(), ChassisFault> {
        Ok(())
    }
    fn set_boot(&mut self, _flags: BootFlags) -> Result<(), ChassisFault> {
        Ok(())
    }
}

struct Wire {
    now: Instant,
    client: Session,
    server: Server,
    machine: Machine,
}

impl Wire {
    fn new(config: Config) -> Self {
        Self {
            now: Instant::now(),
            client: Session::new(config, Box::new(OsEntropy)),
            server: Server::new(ServerConfig::new("admin", b"secretpw"), Box::new(OsEntropy)),
            machine: Machine::default(),
        }
    }

    /// An open session.
    fn open() -> Self {
        let mut wire = Self::new(Config::new("admin", b"secretpw"));
        wire.client.open(wire.now);
        assert_eq!(wire.settle(), Some(Event::Opened(Suite::Seventeen)));
        wire
    }

    /// Hands one datagram of the client's to the BMC and returns the answers.
    fn deliver(&mut self, datagram: &[u8]) -> Vec<Vec<u8>> {
        let from = SocketAddr::from(([127, 0, 0, 1], 40_000));
        self.server.receive(self.now, from, datagram, &mut self.machine)
    }

    fn sent(&mut self) -> Vec<u8> {
        self.client.poll_transmit().expect("a datagram to send")
    }

    fn hear(&mut self, datagrams: &[Vec<u8>]) {
        for datagram in datagrams {
            self.client.receive(self.now, datagram);
        }
    }

    /// Moves everything until nothing moves.
    fn settle(&mut self) -> Option<Event> {
        while let Some(datagram) = self.client.poll_transmit() {
            let answers = self.deliver(&datagram);
            self.hear(&answers);
        }
        self.client.poll_event()
    }

    fn wait_for_repetition(&mut self) {
        self.now = self.client.deadline().expect("something is under way");
        self.client.tick(self.now);
    }

    fn ask(&mut self, command: &impl Command) -> RequestId {
        self.client.request(self.now, command.request(), self.now + Duration::from_secs(30))
    }
}

fn plus(datagram: &[u8]) -> Plus<'_> {
    match Datagram::decode(datagram) {
        Ok(Datagram::Plus(packet)) => packet,
        other => panic!("{other:?}"),
    }
}

#[test]
fn silence_to_suite_17_is_followed_by_an_offer_of_3() {
    let mut wire = Wire::new(Config::new("admin", b"secretpw"));
    wire.client.open(wire.now);
    let mut offered = Vec::new();
    for _ in 0..4 {
        let datagram = wire.sent();
        assert_eq!(plus(&datagram).payload_type, payload::OPEN_REQUEST);
        let request = OpenRequest::decode(plus(&datagram).payload).unwrap();
        offered.push(Suite::from_algorithms(request.algorithms).unwrap().id());
        wire.wait_for_repetition();
    }
    assert_eq!(offered, [17, 17, 17, 3]);
}

#[test]
fn a_repeated_request_has_a_new_packet_number_and_is_carried_out_once() {
    let mut wire = Wire::open();
    let id = wire.ask(&ChassisControl::On);
    let first = wire.sent();
    drop(wire.deliver(&first));
    wire.wait_for_repetition();
    let second = wire.sent();
    assert_eq!(plus(&second).sequence, plus(&first).sequence + 1);
    let answers = wire.deliver(&second);
    wire.hear(&answers);
    assert_eq!(wire.settle(), Some(Event::Answered { id, completion: 0, data: Vec::new() }));
    assert_eq!(wire.machine.switched, 1);
}

#[test]
fn a_late_answer_is_not_taken_for_the_answer_to_the_next_request() {
    let mut wire = Wire::open();
    let first = wire.client.request(wire.now, GetChassisStatus.request(), wire.now + Duration::from_secs(1));
    let datagram = wire.sent();
    let late = wire.deliver(&datagram);
    wire.now += Duration::from_secs(2);
    wire.client.tick(wire.now);
    let Some(Event::RequestFailed { id, error: SessionError::Timeout(_) }) = wire.client.poll_event() else {
        panic!("no deadline")
    };
    assert_eq!(id, first);
    wire.machine.on = true;
    let second = wire.ask(&GetChassisStatus);
    wire.hear(&late);
    assert_eq!(wire.client.poll_event(), None, "the same command, but not its answer");
    let Some(Event::Answered { id, completion: 0, data }) = wire.settle() else { panic!("no answer") };
    assert_eq!((id, data[0] & 1), (second, 1));
}

#[test]
fn a_replayed_packet_is_heard_once() {
    let mut wire = Wire::open();
    wire.ask(&GetChassisStatus);
    let datagram = wire.sent();
    let answers = wire.deliver(&datagram);
    wire.hear(&answers);
    wire.hear(&answers);
    assert!(matches!(wire.client.poll_event(), Some(Event::Answered { .. })));
    assert_eq!(wire.client.poll_event(), None);
    assert!(wire.deliver(&datagram).is_empty(), "nor does the BMC take a packet twice");
}

#[test]
fn a_lost_last_message_of_the_set_up_does_not_lose_the_session() {
    let timing = Timing { first_retry: Duration::from_millis(100), ..Timing::default() };
    for lost in 0..4 {
        let mut wire = Wire::new(Config { timing, ..Config::new("admin", b"secretpw") });
        wire.client.open(wire.now);
        let mut count = 0;
        let opened = loop {
            if let Some(datagram) = wire.client.poll_transmit() {
                let answers = wire.deliver(&datagram);
                if count != lost {
                    wire.hear(&answers);
                }
                count += 1;
            } else if let Some(event) = wire.client.poll_event() {
                break event;
            } else {
                wire.wait_for_repetition();
            }
        };
        assert_eq!(opened, Event::Opened(Suite::Seventeen), "lost answer {lost}");
    }
}

#[test]
fn closing_frees_the_slot_and_ends_what_waits() {
    let config = Config { suite: SuiteChoice::Only(Suite::Three), ..Config::new("admin", b"secretpw") };
    let mut wire = Wire::new(config);
    wire.client.open(wire.now);
    assert_eq!(wire.settle(), Some(Event::Opened(Suite::Three)));
    let (first, second) = (wire.ask(&GetChassisStatus), wire.ask(&GetChassisStatus));
    wire.client.close(wire.now);
    let mut failed = Vec::new();
    let mut event = wire.settle();
    while let Some(Event::RequestFailed { id, .. }) = event {
        failed.push(id);
        event = wire.client.poll_event();
    }
    assert_eq!((failed, event), (vec![first, second], Some(Event::Closed)));
    assert_eq!(wire.client.deadline(), None);
}
