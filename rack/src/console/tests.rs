//! Recorders against our own BMC simulator, whose serial port is a socket of the test.

use super::*;
use rackwright_common::bmc::{Bmc, BmcAction, BmcOutcome, BmcSettings, PowerState};
use rackwright_common::clock::SystemClock;
use rackwright_common::secret::Secret;
use rackwright_common::snapshot::{BootDecision, HostInterface, HostView, Snapshot};
use rackwright_ipmi::blocking::Client;
use rackwright_ipmi::client::{Config, Timing};
use rackwright_ipmi::command::sol::{ActivateSol, DeactivateSol};
use rackwright_ipmi::server::{Chassis, ChassisFault, ServerConfig};
use rackwright_ipmi::sim::{FaultFile, SerialTarget, Simulator, SimulatorHandle};
use std::io::Write;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use tokio::time::sleep;

use crate::bmc::{IpmiDriver, IpmiTiming};
use rackwright_ipmi::command::boot::BootFlags;

const ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 81);
const LONG: Duration = Duration::from_secs(60);

/// A machine that is always on.
struct On;

impl Chassis for On {
    fn power(&mut self) -> Result<bool, ChassisFault> {
        Ok(true)
    }
    fn set_power(&mut self, _on: bool) -> Result<(), ChassisFault> {
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

struct Bench {
    consoles: Consoles,
    journal: Journal,
    endpoint: BmcEndpoint,
    serial: TcpStream,
    faults: PathBuf,
    cancel: CancellationToken,
    bmc: SimulatorHandle,
    heard: Vec<ConsoleChunk>,
    _folder: tempfile::TempDir,
}

impl Bench {
    fn start() -> Self {
        Self::start_with(timing())
    }

    fn start_with(timing: ConsoleTiming) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind((ADDRESS, 0)).unwrap();
        let target = SerialTarget::Tcp(listener.local_addr().unwrap());
        let faults = folder.path().join("faults");
        let server = ServerConfig::new("admin", b"secretpw");
        let simulator = Simulator::bind((ADDRESS, 0).into(), server, Box::new(On)).unwrap();
        let bmc = simulator.with_faults(FaultFile::at(&faults)).with_serial(target).spawn().unwrap();
        let (serial, _) = listener.accept().unwrap();
        let endpoint = BmcEndpoint {
            machine: "abcdef".parse().unwrap(),
            driver: DriverKind::Ipmi,
            address: bmc.address.ip().to_string(),
            port: Some(bmc.address.port()),
            username: "admin".into(),
            password: Secret::new("secretpw".into()),
            settings: BmcSettings::default(),
        };
        let world = Arc::new(World::open(folder.path()).unwrap());
        world.apply(snapshot(&endpoint.machine), true).unwrap();
        let journal = Journal::open(folder.path(), Arc::new(SystemClock)).unwrap();
        let (consoles, cancel) = (Consoles::new(), CancellationToken::new());
        let rack = Surroundings::new(world, journal.clone(), Arc::new(SystemClock), timing);
        tokio::spawn(run(consoles.clone(), rack, cancel.clone()));
        let heard = Vec::new();
        Self { consoles, journal, endpoint, serial, faults, cancel, bmc, heard, _folder: folder }
    }

    fn wish(&self) {
        self.consoles.wish(vec![self.endpoint.clone()], Vec::new());
    }

    fn print(&mut self, text: &str) {
        self.serial.write_all(text.as_bytes()).unwrap();
    }

    fn text(&self) -> String {
        self.heard.iter().map(|chunk| chunk.text.as_str()).collect()
    }

    /// Takes what comes until it holds `wanted`.
    async fn hears(&mut self, wanted: &str) {
        let deadline = Instant::now() + LONG;
        while !self.text().contains(wanted) {
            assert!(Instant::now() < deadline, "heard only {:?}", self.heard);
            sleep(Duration::from_millis(50)).await;
            self.heard.extend(self.consoles.take());
        }
    }

    /// Puts faults in force; the simulator looks at the file every 20 ms.
    async fn break_it(&self, faults: &str) {
        std::fs::write(&self.faults, faults).unwrap();
        sleep(Duration::from_millis(50)).await;
    }

    /// What operators were told.
    fn warnings(&self) -> Vec<String> {
        let entries = self.journal.after(0, 1000).into_iter();
        entries
            .filter_map(|entry| match entry.fact {
                Fact::Warning { code, message, mac } => {
                    assert_eq!(code, "console.unavailable");
                    assert_eq!(mac, Some("52:54:00:00:00:01".parse().unwrap()));
                    Some(message)
                }
                _ => None,
            })
            .collect()
    }

    /// Somebody else's session with the BMC.
    async fn client(&self) -> Client {
        let address = self.bmc.address;
        tokio::task::spawn_blocking(move || Client::open(address, Config::new("admin", "secretpw")).unwrap())
            .await
            .unwrap()
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

fn timing() -> ConsoleTiming {
    let session =
        Timing { first_retry: Duration::from_millis(150), tries: 4, open_within: Duration::from_secs(2) };
    ConsoleTiming {
        session: IpmiTiming { session, answer_within: Duration::from_secs(2), ..IpmiTiming::default() },
        taken: Duration::from_millis(300),
        lost: Duration::from_millis(100),
        refused: Duration::from_millis(300),
    }
}

fn snapshot(machine: &MachineId) -> Snapshot {
    let host = HostView {
        machine: machine.clone(),
        hostname: "node-1".parse().unwrap(),
        uuid: None,
        interfaces: vec![HostInterface { mac: "52:54:00:00:00:01".parse().unwrap(), address: None }],
        boot: BootDecision::Local,
        secure_boot: Some(false),
    };
    Snapshot { generation: 1, hosts: vec![host], ..Snapshot::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wished_console_is_recorded_and_given_back_when_the_wish_ends() {
    let mut bench = Bench::start();
    bench.print("before anybody listened\r\n");
    bench.wish();
    bench.hears("listened\r\n").await;
    let long = "0123456789abcdef".repeat(1000);
    bench.print(&long);
    bench.print("\u{1b}[1mthe end");
    bench.hears("the end").await;
    let expected = format!("before anybody listened\r\n{long}\u{1b}[1mthe end");
    assert!(bench.text() == expected, "every character once and in order, as it was written");
    let sessions: std::collections::BTreeSet<_> = bench.heard.iter().map(|c| c.session).collect();
    assert_eq!(sessions.len(), 1);
    let mut offset = 0;
    for chunk in &bench.heard {
        assert_eq!(chunk.offset, offset);
        offset += chunk.text.len() as u64;
    }

    bench.consoles.wish(Vec::new(), Vec::new());
    let deadline = Instant::now() + LONG;
    let mut other = bench.client().await;
    loop {
        let activated = tokio::task::block_in_place(|| other.run(&ActivateSol));
        if activated.is_ok() {
            break;
        }
        assert!(Instant::now() < deadline, "the console is still held: {activated:?}");
        sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(bench.warnings(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_console_that_somebody_has_is_waited_for_and_not_taken() {
    let mut bench = Bench::start();
    let mut other = bench.client().await;
    let grant = tokio::task::block_in_place(|| other.run(&ActivateSol)).unwrap();
    other.session().start_sol(grant.to_bmc);
    bench.wish();
    sleep(Duration::from_secs(1)).await;
    bench.heard.extend(bench.consoles.take());
    assert!(bench.heard.is_empty(), "recorded meanwhile: {:?}", bench.heard);
    tokio::task::block_in_place(|| other.run(&DeactivateSol)).expect("the other still has it");
    bench.print("now");
    bench.hears("now").await;
    assert_eq!(bench.warnings(), [""; 0], "somebody at the console is no trouble");
}

#[tokio::test]
async fn a_bmc_that_was_away_is_recorded_anew() {
    let mut bench = Bench::start();
    bench.wish();
    bench.print("one");
    bench.hears("one").await;
    bench.bmc = {
        // It starts anew at the same address, and knows no sessions any more.
        let address = bench.bmc.address;
        drop(std::mem::replace(&mut bench.bmc, spare()));
        let listener = TcpListener::bind((ADDRESS, 0)).unwrap();
        let target = SerialTarget::Tcp(listener.local_addr().unwrap());
        let simulator =
            Simulator::bind(address, ServerConfig::new("admin", b"secretpw"), Box::new(On)).unwrap();
        let bmc = simulator.with_serial(target).spawn().unwrap();
        bench.serial = listener.accept().unwrap().0;
        bmc
    };
    bench.print("two");
    bench.hears("two").await;
    let sessions: std::collections::BTreeSet<_> = bench.heard.iter().map(|c| c.session).collect();
    assert_eq!((sessions.len(), bench.text()), (2, "onetwo".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_console_gives_its_session_back_when_a_power_command_finds_none() {
    let mut bench = Bench::start_with(ConsoleTiming { taken: Duration::from_secs(5), ..timing() });
    bench.wish();
    bench.print("recorded");
    bench.hears("recorded").await;
    // The simulator has eight sessions: others have the rest.
    let mut others = Vec::new();
    for _ in 0..7 {
        others.push(bench.client().await);
    }
    let driver = IpmiDriver::new(timing().session).beside(Arc::new(bench.consoles.clone()));
    let outcome = driver.perform(&bench.endpoint, BmcAction::Query).await;
    assert_eq!(outcome, Ok(BmcOutcome::Power { state: PowerState::On }));
    others.pop().unwrap().close().unwrap();
    bench.print(" and again");
    bench.hears("and again").await;
    assert!(!bench.consoles.give_way(&MachineId::random()), "nothing is recorded there");
}

/// A BMC that nobody talks to.
fn spare() -> SimulatorHandle {
    let server = ServerConfig::new("admin", b"x");
    Simulator::bind((ADDRESS, 0).into(), server, Box::new(On)).unwrap().spawn().unwrap()
}

#[tokio::test]
async fn a_refused_login_is_told_once() {
    let mut bench = Bench::start();
    bench.break_it("wrong-password\n").await;
    bench.wish();
    let deadline = Instant::now() + LONG;
    while bench.warnings().is_empty() {
        assert!(Instant::now() < deadline, "nobody was told");
        sleep(Duration::from_millis(50)).await;
    }
    sleep(Duration::from_secs(1)).await;
    let told = bench.warnings();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].starts_with("the serial console of node-1 is not recorded: the BMC refuses the login"));
    assert!(!told[0].contains("secretpw"));
    bench.break_it("").await;
    bench.print("mended");
    bench.hears("mended").await;
}

#[test]
fn wishes_that_no_region_repeats_are_forgotten() {
    let endpoint = BmcEndpoint {
        machine: "abcdef".parse().unwrap(),
        driver: DriverKind::Ipmi,
        address: ADDRESS.to_string(),
        port: None,
        username: String::new(),
        password: Secret::new(String::new()),
        settings: BmcSettings::default(),
    };
    let amt = BmcEndpoint { machine: "ghijkl".parse().unwrap(), driver: DriverKind::Amt, ..endpoint.clone() };
    let told = Instant::now();
    let wishes = Wishes { list: vec![endpoint, amt], told: Some(told) };
    assert_eq!(in_force(&wishes, told + Duration::from_secs(599)).len(), 1, "the one that has a console");
    assert!(in_force(&wishes, told + FORGOTTEN_AFTER).is_empty());
}
