//! Hostile bytes: every decoder, and both state machines, fed with mutated and random packets. Nothing may panic, and a
//! session under such fire still ends by its deadlines.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::client::{Config, Event, Session, SuiteChoice};
use crate::command::boot::{BootFlags, GetBootFlags, SetBootOption};
use crate::command::chassis::{ChassisControl, GetChassisStatus};
use crate::command::device::{GetDeviceId, GetSystemGuid};
use crate::command::fru::{self, Fru, GetFruInfo, ReadFru};
use crate::command::lan::{GetChannelInfo, GetLanAddress, GetLanMac};
use crate::command::sdr::{GetSdr, ReserveSdr, SdrRecord};
use crate::command::sel::{ClearSel, GetSelEntry, GetSelInfo, ReserveSel};
use crate::command::sensor::GetSensorReading;
use crate::command::session::{GetChannelCipherSuites, SetSessionPrivilege};
use crate::command::sol::ActivateSol;
use crate::command::user::{GetUserAccess, GetUserName};
use crate::command::{Command, netfn};
use crate::crypto::Suite;
use crate::secret::Entropy;
use crate::server::{Chassis, ChassisFault, Sensor, Server, ServerConfig};
use crate::wire::message::{Request, RequestMessage, ResponseMessage};
use crate::wire::packet::Datagram;
use crate::wire::rakp::{OpenRequest, OpenResponse, Privilege, Rakp1, Rakp2, RakpProof};
use crate::wire::sol::{SolChannel, SolPacket};

/// Mutated packets for each decoder and each machine.
const ROUNDS: u32 = 250_000;

/// A small generator with a fixed start: a failure repeats.
#[derive(Clone)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }

    /// `seed` with a few bytes changed, cut, or grown; sometimes all random.
    fn mutate(&mut self, seed: &[u8]) -> Vec<u8> {
        let mut bytes = seed.to_vec();
        if self.below(16) == 0 {
            let length = self.below(80);
            bytes = (0..length).map(|_| self.next() as u8).collect();
        }
        for _ in 0..self.below(4) {
            if !bytes.is_empty() {
                let at = self.below(bytes.len());
                bytes[at] = match self.below(4) {
                    0 => 0,
                    1 => 0xff,
                    2 => bytes[at] ^ (1 << self.below(8)),
                    _ => self.next() as u8,
                };
            }
        }
        match self.below(6) {
            0 => bytes.truncate(self.below(bytes.len() + 1)),
            1 => bytes.extend((0..self.below(20)).map(|n| n as u8)),
            _ => {}
        }
        bytes
    }
}

impl Entropy for Random {
    fn fill(&mut self, out: &mut [u8]) {
        for byte in out {
            *byte = self.next() as u8;
        }
    }
}

/// A machine that takes everything.
struct Nothing(bool);

impl Chassis for Nothing {
    fn power(&mut self) -> Result<bool, ChassisFault> {
        Ok(self.0)
    }
    fn set_power(&mut self, on: bool) -> Result<(), ChassisFault> {
        self.0 = on;
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

fn here() -> SocketAddr {
    ([127, 0, 0, 1], 40000).into()
}

#[test]
fn answers_of_every_command() {
    let mut random = Random(1);
    let seeds: [&[u8]; 4] = [
        &[1, 0x85, 0xa0, 4, 0, 0, 0],
        &[0x20, 0x81, 1, 0, 2, 0xbf, 1, 2, 3, 4, 5, 0, 0, 0, 0],
        &[0xff; 20],
        &[0x51, 2, 0, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8, 2],
    ];
    for round in 0..ROUNDS {
        let bytes = random.mutate(seeds[round as usize % seeds.len()]);
        drop(GetBootFlags.parse(&bytes));
        drop(GetDeviceId.parse(&bytes));
        drop(GetSystemGuid.parse(&bytes));
        drop(GetChassisStatus.parse(&bytes));
        drop(GetSelInfo.parse(&bytes));
        drop(GetSelEntry { record: 0 }.parse(&bytes));
        drop(ReserveSel.parse(&bytes));
        drop(ClearSel { reservation: 0, start: true }.parse(&bytes));
        drop(ReserveSdr.parse(&bytes));
        drop(GetSdr { reservation: 0, record: 0, offset: 0, count: 0 }.parse(&bytes));
        drop(GetSensorReading { number: 0 }.parse(&bytes));
        drop(GetFruInfo { device: 0 }.parse(&bytes));
        drop(ReadFru { device: 0, offset: 0, count: 0 }.parse(&bytes));
        drop(GetUserAccess { channel: 0, user: 0 }.parse(&bytes));
        drop(GetUserName { user: 0 }.parse(&bytes));
        drop(GetLanAddress { channel: 0 }.parse(&bytes));
        drop(GetLanMac { channel: 0 }.parse(&bytes));
        drop(GetChannelInfo { channel: 0 }.parse(&bytes));
        drop(GetChannelCipherSuites { block: 0 }.parse(&bytes));
        drop(SetSessionPrivilege { privilege: Privilege::User }.parse(&bytes));
        drop(ActivateSol.parse(&bytes));
    }
}

#[test]
fn sensor_records_and_their_conversions() {
    let mut random = Random(2);
    let seeds: Vec<Vec<u8>> = (1u16..).zip(Sensor::samples()).map(|(id, sensor)| sensor.record(id)).collect();
    for round in 0..ROUNDS {
        let mut bytes = random.mutate(&seeds[round as usize % seeds.len()]);
        if let Some(kind) = bytes.get_mut(3) {
            *kind = 1 + (round % 2) as u8;
        }
        if let Ok(SdrRecord::Full(_, conversion)) = SdrRecord::decode(&bytes) {
            for raw in [0, 1, 0x7f, 0x80, 0xff] {
                assert!(conversion.apply(raw).is_none_or(f64::is_finite));
            }
        }
    }
}

#[test]
fn inventories() {
    let mut random = Random(3);
    let seed = fru::encode(&ServerConfig::new("", b"").fru);
    for _ in 0..ROUNDS {
        let mut bytes = random.mutate(&seed);
        if bytes.len() >= 8 {
            // A right checksum, or the decoder would never be reached.
            bytes[7] = crate::wire::message::checksum(&bytes[..7]);
        }
        drop(Fru::decode(&bytes));
    }
}

#[test]
fn headers_messages_and_handshake_payloads() {
    let mut random = Random(4);
    let keys = crate::crypto::Keys::derive(Suite::Three, b"key");
    let sealed = crate::wire::packet::encode_sealed(&keys, [1; 16], 0, 1, 1, b"payload");
    let request = OpenRequest { tag: 1, privilege: 4, console_id: 5, algorithms: [1, 1, 1] }.encode();
    let message = RequestMessage { request: Request::new(6, 1, []), rq_seq: 1, requester: 0x81 }.encode();
    for round in 0..ROUNDS {
        let seed = [&sealed, &request, &message][round as usize % 3];
        let bytes = random.mutate(seed);
        if let Ok(Datagram::Plus(packet)) = Datagram::decode(&bytes) {
            drop(packet.open(&keys));
        }
        drop(keys.decrypt(&bytes));
        drop(OpenRequest::decode(&bytes));
        drop(OpenResponse::decode(&bytes));
        drop(Rakp1::decode(&bytes));
        drop(Rakp2::decode(&bytes));
        drop(RakpProof::decode(&bytes));
        drop(RequestMessage::decode(&bytes));
        drop(ResponseMessage::decode(&bytes));
        drop(SolPacket::decode(&bytes));
    }
}

#[test]
fn a_serial_channel_takes_any_packet() {
    let mut random = Random(5);
    let mut channel = SolChannel::new(100);
    let mut now = Instant::now();
    for _ in 0..ROUNDS {
        now += Duration::from_millis(random.next() % 700);
        if random.below(3) == 0 {
            channel.write(b"some characters");
        }
        drop(channel.poll(now));
        let bytes = random.mutate(&[1, 1, 5, 0, b'a', b'b']);
        if let Ok(packet) = SolPacket::decode(&bytes) {
            channel.receive(now, &packet);
        }
    }
}

/// What ended a run of [`under_fire`].
#[derive(PartialEq)]
enum Ended {
    /// The client heard all its answers.
    Answered,
    /// The set-up failed: damage to a handshake packet is not always to be told from a real refusal.
    NotOpened,
}

/// A session against a server in memory, with damaged forms of each datagram before the datagram itself, and genuine packets
/// with damaged contents. During the set-up only when `early`.
fn under_fire(random: &mut Random, suite: Suite, early: bool, shots: &mut u32) -> Ended {
    let mut server = Server::new(ServerConfig::new("admin", b"secretpw"), Box::new(random.clone()));
    let config = Config { suite: SuiteChoice::Only(suite), ..Config::new("admin", b"secretpw") };
    let mut client = Session::new(config, Box::new(Random(random.next() | 1)));
    let (mut now, mut chassis, mut answered) = (Instant::now(), Nothing(false), 0);
    client.open(now);
    for _ in 0..1000 {
        while let Some(sent) = client.poll_transmit() {
            if early || client.is_open() {
                for _ in 0..10 {
                    *shots += 2;
                    // An undamaged copy would use up the packet's number, and its answer would be lost here.
                    let damaged = random.mutate(&sent);
                    if damaged != sent {
                        drop(server.receive(now, here(), &damaged, &mut chassis));
                    }
                    client.receive(now, &damaged);
                }
            }
            if client.is_open() {
                shoot_from_inside(random, &mut server, &mut client, now, shots);
            }
            for answer in server.receive(now, here(), &sent, &mut chassis) {
                if early {
                    (0..10).for_each(|_| client.receive(now, &random.mutate(&answer)));
                    *shots += 10;
                }
                client.receive(now, &answer);
            }
        }
        match client.poll_event() {
            Some(Event::Answered { .. }) if answered == 8 => return Ended::Answered,
            Some(Event::Answered { .. } | Event::Opened(_)) => {
                answered += 1;
                client.start_sol(100);
                client.request(now, GetDeviceId.request(), now + Duration::from_secs(60));
            }
            Some(Event::OpenFailed(_)) => return Ended::NotOpened,
            Some(Event::SolData(_) | Event::SolEnded) => {}
            Some(other) => panic!("{other:?}"),
            None => {
                let Some(deadline) = client.deadline() else { panic!("wedged: {client:?}") };
                now = now.max(deadline);
                client.tick(now);
            }
        }
    }
    panic!("wedged: {client:?}");
}

fn shoot_from_inside(
    random: &mut Random,
    server: &mut Server,
    client: &mut Session,
    now: Instant,
    shots: &mut u32,
) {
    let response =
        ResponseMessage { netfn: 6, command: 1, rq_seq: 60, completion: 0xc0, data: vec![1, 2, 3] };
    for (kind, seed) in [(0, response.encode(0x81)), (1, vec![1, 1, 3, 0, b'a', b'b']), (5, vec![1; 9])] {
        for _ in 0..5 {
            *shots += 1;
            if let Some(packet) = server.seal_anything(kind, &random.mutate(&seed)) {
                client.receive(now, &packet);
            }
        }
    }
}

#[test]
fn both_machines_under_fire() {
    let mut random = Random(6);
    let (mut shots, mut runs, mut answered) = (0, 0, 0);
    while shots < ROUNDS {
        for suite in [Suite::Three, Suite::Seventeen] {
            for early in [true, false] {
                runs += 1;
                let ended = under_fire(&mut random, suite, early, &mut shots);
                assert!(early || ended == Ended::Answered);
                answered += u32::from(ended == Ended::Answered);
            }
        }
    }
    assert!(answered * 2 >= runs, "{answered} of {runs}");
}

#[test]
fn a_client_that_hears_only_noise_gives_up_in_time() {
    let mut random = Random(7);
    for _ in 0..200 {
        let mut client = Session::new(Config::new("admin", b"x"), Box::new(random.clone()));
        let began = Instant::now();
        let mut now = began;
        client.open(now);
        let failed = loop {
            let mut noise = vec![6, 0, 0xff, 7, 6, 0x10 + random.below(6) as u8];
            noise.extend((0..random.below(60)).map(|_| random.next() as u8 & 0x13));
            client.receive(now, &noise);
            if let Some(event) = client.poll_event() {
                break event;
            }
            now += Duration::from_millis(37);
            client.tick(now);
        };
        assert!(matches!(failed, Event::OpenFailed(_)), "{failed:?}");
        assert!(now - began <= Duration::from_secs(16));
    }
}

/// Requests of an authenticated but hostile user.
#[test]
fn a_bmc_takes_any_command() {
    let mut random = Random(8);
    let mut server = Server::new(ServerConfig::new("admin", b"secretpw"), Box::new(Random(9)));
    let mut chassis = Nothing(false);
    let netfns = [netfn::CHASSIS, netfn::SENSOR, netfn::APP, netfn::STORAGE, netfn::TRANSPORT, 0x2c];
    let mut now = Instant::now();
    let mut client = Session::new(Config::new("admin", b"secretpw"), Box::new(Random(10)));
    client.open(now);
    let mut done = 0;
    while done < 20_000 {
        let mut moved = false;
        while let Some(sent) = client.poll_transmit() {
            moved = true;
            for answer in server.receive(now, here(), &sent, &mut chassis) {
                client.receive(now, &answer);
            }
        }
        match client.poll_event() {
            None if moved => {}
            None | Some(Event::OpenFailed(_) | Event::RequestFailed { .. }) => {
                // It closed its session or changed its password: a new BMC, a new session.
                now += Duration::from_secs(70);
                server = Server::new(ServerConfig::new("admin", b"secretpw"), Box::new(random.clone()));
                client = Session::new(Config::new("admin", b"secretpw"), Box::new(random.clone()));
                client.open(now);
            }
            Some(_) => {
                done += 1;
                let netfn = netfns[random.below(netfns.len())];
                let seed = if done % 3 == 0 {
                    SetBootOption { parameter: 5, data: vec![0xa0, 4, 0, 0, 0] }.request().data
                } else {
                    vec![ChassisControl::On.code()]
                };
                let data = random.mutate(&seed);
                let request = Request::new(netfn, random.below(0x60) as u8, data);
                client.request(now, request, now + Duration::from_secs(1));
            }
        }
    }
}
