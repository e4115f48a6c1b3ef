//! The BMC's half: sessions, commands and serial over LAN as a state machine. For tests and for the lab, not for products.
//!
//! It keeps to the specification where clients look: session slots that run out, half-open sessions that expire, repeated
//! requests answered from memory instead of being carried out twice, boot flags that are used up by the next boot. What it
//! does wrong is in [`Behaviour`], switched at run time.

mod app;
mod chassis;
mod handshake;
mod sdr;
mod session;
mod storage;
mod transport;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::command::completion;
use crate::command::fru::{BoardArea, ChassisArea, Fru, ProductArea};
use crate::crypto::Suite;
use crate::secret::{Entropy, Secret};
use crate::wire::message::{Request, RequestMessage, ResponseMessage};
use crate::wire::packet::{Datagram, Plus, encode_asf, encode_lan, encode_plain, payload};
use crate::wire::rakp::Privilege;
use crate::wire::sol::{SolChannel, SolPacket};

pub use chassis::{Chassis, ChassisFault};
pub use sdr::Sensor;
use session::{Peer, ServerSession};

/// Sessions at a time, as on many small BMCs.
const SLOTS: usize = 8;
/// A session without traffic is dropped (§6.12.15).
const IDLE: Duration = Duration::from_secs(60);
/// A set-up that does not finish is dropped.
const HALF_OPEN: Duration = Duration::from_secs(10);
/// Largest SOL payload in either direction.
const SOL_PAYLOAD: u16 = 200;
/// Console characters kept while nobody listens.
const SERIAL_HISTORY: usize = 16 * 1024;

/// Result of a command: data, or a completion code.
type Reply = Result<Vec<u8>, u8>;

/// A BMC account.
#[derive(Debug, Clone)]
pub struct User {
    /// Name.
    pub name: String,
    /// Password.
    pub password: Secret,
    /// Highest level.
    pub privilege: Privilege,
    /// May log in.
    pub enabled: bool,
}

/// What the BMC is.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// Accounts, from slot 2 on.
    pub users: Vec<User>,
    /// BMC key K_g.
    pub kg: Option<Secret>,
    /// System GUID.
    pub guid: [u8; 16],
    /// Cipher suites spoken.
    pub suites: Vec<Suite>,
    /// IANA number of the maker.
    pub manufacturer: u32,
    /// Product id.
    pub product: u16,
    /// UDP port told to SOL clients.
    pub port: u16,
    /// Sensors.
    pub sensors: Vec<Sensor>,
    /// Inventory.
    pub fru: Fru,
}

impl ServerConfig {
    /// A BMC with one administrator, both suites, three sensors.
    pub fn new(user: &str, password: &[u8]) -> Self {
        let administrator = User {
            name: user.to_owned(),
            password: Secret::new(password),
            privilege: Privilege::Administrator,
            enabled: true,
        };
        Self {
            users: vec![administrator],
            kg: None,
            guid: *b"rackwright-bmc-0",
            suites: vec![Suite::Three, Suite::Seventeen],
            manufacturer: 0,
            product: 1,
            port: crate::wire::PORT,
            sensors: Sensor::samples(),
            fru: sample_fru(),
        }
    }
}

fn sample_fru() -> Fru {
    Fru {
        chassis: Some(ChassisArea { kind: 0x17, part_number: "RW-C1".into(), serial: "CH0001".into() }),
        board: Some(BoardArea {
            made_minutes: 15_000_000,
            manufacturer: "Rackwright".into(),
            product: "Lab board".into(),
            serial: "BD0001".into(),
            part_number: "RW-B1".into(),
        }),
        product: Some(ProductArea {
            manufacturer: "Rackwright".into(),
            name: "Lab machine".into(),
            part_number: "RW-1".into(),
            version: "1.0".into(),
            serial: "SN0001".into(),
            asset_tag: "lab".into(),
        }),
    }
}

/// What the BMC does wrong, changeable at any time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Behaviour {
    /// Passwords never fit.
    pub wrong_password: bool,
    /// Chassis control and boot options are answered with this completion code.
    pub refuse: Option<u8>,
    /// "Power on" is acknowledged and reported, and not done.
    pub stuck_off: bool,
}

struct Sol {
    session: u32,
    channel: SolChannel,
}

/// One BMC.
pub struct Server {
    config: ServerConfig,
    entropy: Box<dyn Entropy>,
    /// Faults in force.
    pub behaviour: Behaviour,
    sessions: BTreeMap<u32, ServerSession>,
    chassis: chassis::ChassisState,
    storage: storage::Storage,
    sol: Option<Sol>,
    serial_in: Vec<u8>,
    serial_out: Vec<u8>,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("sessions", &self.sessions.len()).finish_non_exhaustive()
    }
}

impl Server {
    /// A BMC that has just been powered.
    pub fn new(config: ServerConfig, entropy: Box<dyn Entropy>) -> Self {
        let storage = storage::Storage::new(&config);
        Self {
            config,
            entropy,
            behaviour: Behaviour::default(),
            sessions: BTreeMap::new(),
            chassis: chassis::ChassisState::default(),
            storage,
            sol: None,
            serial_in: Vec::new(),
            serial_out: Vec::new(),
        }
    }

    /// Takes a datagram in and gives the answers to send back to `from`.
    pub fn receive(
        &mut self,
        now: Instant,
        from: SocketAddr,
        bytes: &[u8],
        chassis: &mut dyn Chassis,
    ) -> Vec<Vec<u8>> {
        self.expire(now);
        match Datagram::decode(bytes) {
            Ok(Datagram::Asf(message)) => presence_pong(message).into_iter().collect(),
            Ok(Datagram::Lan(message)) => {
                self.answer_outside(message).map(|answer| encode_lan(&answer)).into_iter().collect()
            }
            Ok(Datagram::Plus(packet)) if packet.session_id == 0 => self.receive_outside(now, &packet),
            Ok(Datagram::Plus(packet)) => self.receive_inside(now, from, &packet, chassis),
            Err(_) => Vec::new(),
        }
    }

    fn receive_outside(&mut self, now: Instant, packet: &Plus<'_>) -> Vec<Vec<u8>> {
        let answer = match packet.payload_type {
            payload::IPMI => self.answer_outside(packet.payload).map(|answer| (payload::IPMI, answer)),
            payload::OPEN_REQUEST => self.open_session(now, packet.payload),
            payload::RAKP1 => self.rakp1(packet.payload),
            payload::RAKP3 => self.rakp3(now, packet.payload),
            _ => None,
        };
        answer.map(|(kind, answer)| encode_plain(kind, &answer)).into_iter().collect()
    }

    /// The few commands that work before a login.
    fn answer_outside(&self, message: &[u8]) -> Option<Vec<u8>> {
        let message = RequestMessage::decode(message).ok()?;
        let reply = self.command_before_login(&message.request);
        Some(encode_reply(&message, reply))
    }

    fn receive_inside(
        &mut self,
        now: Instant,
        from: SocketAddr,
        packet: &Plus<'_>,
        chassis: &mut dyn Chassis,
    ) -> Vec<Vec<u8>> {
        let id = packet.session_id;
        let Some(plain) = self.sessions.get_mut(&id).and_then(|session| session.unseal(now, from, packet))
        else {
            return Vec::new();
        };
        match packet.payload_type {
            payload::IPMI => self.receive_message(now, id, &plain, chassis),
            payload::SOL => self.receive_sol(now, id, &plain),
            _ => Vec::new(),
        }
    }

    fn receive_message(
        &mut self,
        now: Instant,
        id: u32,
        plain: &[u8],
        chassis: &mut dyn Chassis,
    ) -> Vec<Vec<u8>> {
        let Ok(message) = RequestMessage::decode(plain) else { return Vec::new() };
        let remembered = self.sessions.get(&id).and_then(|session| session.remembered(now, &message));
        let answer = match remembered {
            Some(answer) => answer,
            None => {
                let reply = self.command(now, id, &message.request, chassis);
                let answer = encode_reply(&message, reply);
                if let Some(session) = self.sessions.get_mut(&id) {
                    session.remember(now, message, answer.clone());
                }
                answer
            }
        };
        let Some(session) = self.sessions.get_mut(&id) else { return Vec::new() };
        let sealed = session.seal(self.entropy.as_mut(), payload::IPMI, &answer);
        if session.is_closing() {
            self.drop_session(id);
        }
        sealed.into_iter().collect()
    }

    fn command(&mut self, now: Instant, id: u32, request: &Request, chassis: &mut dyn Chassis) -> Reply {
        use crate::command::netfn;
        match request.netfn {
            netfn::CHASSIS => self.chassis_command(now, id, request, chassis),
            netfn::APP => self.app_command(id, request),
            netfn::STORAGE => self.storage.command(self.privilege(id), request),
            netfn::SENSOR => self.sensor_command(request),
            netfn::TRANSPORT => self.transport_command(request),
            _ => Err(completion::INVALID_COMMAND),
        }
    }

    fn privilege(&self, id: u32) -> Privilege {
        self.sessions.get(&id).map_or(Privilege::User, ServerSession::privilege)
    }

    fn require(&self, id: u32, least: Privilege) -> Result<(), u8> {
        if self.privilege(id) >= least { Ok(()) } else { Err(completion::INSUFFICIENT_PRIVILEGE) }
    }

    fn expire(&mut self, now: Instant) {
        let old: Vec<u32> = self
            .sessions
            .iter()
            .filter(|(_, session)| {
                now >= session.last_heard + if session.is_open() { IDLE } else { HALF_OPEN }
            })
            .map(|(id, _)| *id)
            .collect();
        for id in old {
            self.drop_session(id);
        }
    }

    fn drop_session(&mut self, id: u32) {
        self.sessions.remove(&id);
        if self.sol.as_ref().is_some_and(|sol| sol.session == id) {
            self.sol = None;
        }
    }

    /// Characters from the machine's serial port.
    pub fn serial_input(&mut self, bytes: &[u8]) {
        match &mut self.sol {
            Some(sol) => sol.channel.write(bytes),
            None => {
                self.serial_in.extend(bytes);
                let excess = self.serial_in.len().saturating_sub(SERIAL_HISTORY);
                self.serial_in.drain(..excess);
            }
        }
    }

    /// Characters for the machine's serial port.
    pub fn take_serial_output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.serial_out)
    }

    /// Somebody has the console open.
    pub fn has_console(&self) -> bool {
        self.sol.is_some()
    }

    fn start_sol(&mut self, id: u32) {
        let mut channel = SolChannel::new(SOL_PAYLOAD);
        channel.write(&std::mem::take(&mut self.serial_in));
        self.sol = Some(Sol { session: id, channel });
    }

    fn receive_sol(&mut self, now: Instant, id: u32, plain: &[u8]) -> Vec<Vec<u8>> {
        let Ok(packet) = SolPacket::decode(plain) else { return Vec::new() };
        let Some(sol) = self.sol.as_mut().filter(|sol| sol.session == id) else { return Vec::new() };
        let (fresh, ack) = sol.channel.receive(now, &packet);
        self.serial_out.extend(fresh);
        let Some(session) = self.sessions.get_mut(&id) else { return Vec::new() };
        let ack = ack.and_then(|ack| session.seal(self.entropy.as_mut(), payload::SOL, &ack.encode()));
        ack.into_iter().collect()
    }

    /// A genuine packet with any content: what a hostile or broken BMC could send.
    #[cfg(test)]
    pub(crate) fn seal_anything(&mut self, kind: u8, plain: &[u8]) -> Option<Vec<u8>> {
        self.sessions.values_mut().find_map(|session| session.seal(self.entropy.as_mut(), kind, plain))
    }

    /// Console data to send, and to whom. Call after [`Server::receive`], after [`Server::serial_input`], and every 50 ms
    /// or so while [`Server::has_console`].
    pub fn poll(&mut self, now: Instant) -> Option<(SocketAddr, Vec<u8>)> {
        let sol = self.sol.as_mut()?;
        let packet = sol.channel.poll(now)?;
        let session = self.sessions.get_mut(&sol.session)?;
        let datagram = session.seal(self.entropy.as_mut(), payload::SOL, &packet.encode())?;
        session.address().map(|address| (address, datagram))
    }
}

fn encode_reply(message: &RequestMessage, reply: Reply) -> Vec<u8> {
    let (completion, data) = match reply {
        Ok(data) => (completion::OK, data),
        Err(code) => (code, Vec::new()),
    };
    let request = &message.request;
    let response = ResponseMessage {
        netfn: request.netfn,
        command: request.command,
        rq_seq: message.rq_seq,
        completion,
        data,
    };
    response.encode(message.requester)
}

/// ASF presence pong (§13.2.4): "a BMC is here".
fn presence_pong(message: &[u8]) -> Option<Vec<u8>> {
    const ASF: [u8; 4] = [0, 0, 0x11, 0xbe];
    let [a, b, c, d, kind, tag, ..] = message else { return None };
    if [*a, *b, *c, *d] != ASF || *kind != 0x80 {
        return None;
    }
    let mut pong = ASF.to_vec();
    pong.extend([0x40, *tag, 0, 16]);
    pong.extend(ASF);
    pong.extend([0, 0, 0, 0, 0x81, 0, 0, 0, 0, 0, 0, 0]);
    Some(encode_asf(&pong))
}
