//! The queues with a driver that only writes down, and the drivers against simulators on the loopback network.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use rackwright_common::bmc::{
    Bmc, BmcAction, BmcEndpoint, BmcError, BmcOutcome, BmcSettings, BootDevice, DriverKind, PowerState,
};
use rackwright_common::id::{Fence, MachineId, OperationId};
use rackwright_common::secret::Secret;
use rackwright_ipmi::blocking::Client;
use rackwright_ipmi::client::{Config, Timing};
use rackwright_ipmi::command::boot::BootFlags;
use rackwright_ipmi::server::{Chassis, ChassisFault, ServerConfig};
use rackwright_ipmi::sim::{FaultFile, Simulator, SimulatorHandle};
use tokio::sync::Notify;
use tokio::time::sleep;

use super::{BmcQueues, IpmiDriver, IpmiTiming};

fn endpoint(driver: DriverKind, address: SocketAddr) -> BmcEndpoint {
    BmcEndpoint {
        machine: MachineId::random(),
        driver,
        address: address.ip().to_string(),
        port: Some(address.port()),
        username: "admin".into(),
        password: Secret::new("secretpw".into()),
        settings: BmcSettings::default(),
    }
}

fn fence(operation: i64, epoch: i64) -> Fence {
    Fence { operation: OperationId(operation), epoch }
}

fn power(state: PowerState) -> Result<BmcOutcome, BmcError> {
    Ok(BmcOutcome::Power { state })
}

/// Waits for `gate` in every order and writes down what it was asked.
#[derive(Default)]
struct Scribe {
    gate: Notify,
    done: Mutex<Vec<BmcAction>>,
}

#[async_trait]
impl Bmc for Scribe {
    async fn perform(&self, _endpoint: &BmcEndpoint, action: BmcAction) -> Result<BmcOutcome, BmcError> {
        self.gate.notified().await;
        self.done.lock().unwrap().push(action);
        Ok(BmcOutcome::Done)
    }
}

#[tokio::test]
async fn orders_of_one_bmc_wait_for_each_other_and_a_newer_owner_drops_those_that_wait() {
    let scribe = Arc::new(Scribe::default());
    let queues = Arc::new(BmcQueues::new().with_driver(DriverKind::Ipmi, scribe.clone()));
    let endpoint = endpoint(DriverKind::Ipmi, ([127, 0, 0, 1], 623).into());
    let order = |fence: Fence, action| {
        let (queues, endpoint) = (queues.clone(), endpoint.clone());
        tokio::spawn(async move { queues.perform(&endpoint, fence, action).await })
    };
    let first = order(fence(1, 1), BmcAction::On);
    tokio::task::yield_now().await;
    let second = order(fence(1, 1), BmcAction::Reset);
    tokio::task::yield_now().await;
    let newer = order(fence(2, 1), BmcAction::Off);
    tokio::task::yield_now().await;
    assert!(scribe.done.lock().unwrap().is_empty(), "nothing is done before its turn");
    scribe.gate.notify_one();
    assert_eq!(first.await.unwrap(), Ok(BmcOutcome::Done));
    assert_eq!(second.await.unwrap(), Err(BmcError::StaleEpoch));
    scribe.gate.notify_one();
    assert_eq!(newer.await.unwrap(), Ok(BmcOutcome::Done));
    assert_eq!(*scribe.done.lock().unwrap(), [BmcAction::On, BmcAction::Off]);
    assert_eq!(queues.perform(&endpoint, fence(1, 9), BmcAction::On).await, Err(BmcError::StaleEpoch));
    assert!(queues.lanes.lock().unwrap().is_empty(), "nobody waits: nothing is kept");
}

#[tokio::test]
async fn an_order_that_never_ends_is_ended() {
    let queues = BmcQueues::new().with_order_within(Duration::from_millis(1500));
    let queues = queues.with_driver(DriverKind::Amt, Arc::new(Scribe::default()));
    let endpoint = endpoint(DriverKind::Amt, ([127, 0, 0, 1], 16992).into());
    let outcome = queues.perform(&endpoint, None, BmcAction::Query).await;
    assert_eq!(outcome, Err(BmcError::Unreachable("gave up after 1 s".into())));
}

#[tokio::test]
async fn without_a_bmc_a_person_is_asked() {
    let queues = BmcQueues::new();
    let endpoint = endpoint(DriverKind::Manual, ([0, 0, 0, 0], 0).into());
    assert_eq!(queues.perform(&endpoint, None, BmcAction::Query).await, power(PowerState::Unknown));
    let asked = queues.perform(&endpoint, fence(1, 1), BmcAction::Cycle).await;
    let words = format!("switch machine {} off and on again", endpoint.machine);
    assert_eq!(asked, Err(BmcError::NeedsHuman(words)));
    let sensors = queues.perform(&endpoint, None, BmcAction::Sensors).await;
    assert!(matches!(sensors, Err(BmcError::Unsupported(_))));
}

/// A machine in memory that writes down what is done to it.
#[derive(Clone, Default)]
struct Machine(Arc<Mutex<(bool, Vec<String>)>>);

impl Machine {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap().1)
    }

    fn note(&self, text: &str) -> Result<(), ChassisFault> {
        self.0.lock().unwrap().1.push(text.to_owned());
        Ok(())
    }
}

impl Chassis for Machine {
    fn power(&mut self) -> Result<bool, ChassisFault> {
        Ok(self.0.lock().unwrap().0)
    }

    fn set_power(&mut self, on: bool) -> Result<(), ChassisFault> {
        self.0.lock().unwrap().0 = on;
        self.note(if on { "on" } else { "off" })
    }

    fn reset(&mut self) -> Result<(), ChassisFault> {
        self.note("reset")
    }

    fn shutdown(&mut self) -> Result<(), ChassisFault> {
        self.note("shutdown")
    }

    fn set_boot(&mut self, flags: BootFlags) -> Result<(), ChassisFault> {
        self.note(&format!("boot {:?} efi {} persistent {}", flags.device, flags.efi, flags.persistent))
    }
}

struct Lab {
    bmc: SimulatorHandle,
    machine: Machine,
    faults: PathBuf,
    _folder: tempfile::TempDir,
}

impl Lab {
    fn start() -> Self {
        Self::start_at(0)
    }

    fn start_at(port: u16) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let faults = folder.path().join("faults");
        let machine = Machine::default();
        let listen = (Ipv4Addr::new(127, 0, 0, 76), port).into();
        let server = ServerConfig::new("admin", b"secretpw");
        let simulator = Simulator::bind(listen, server, Box::new(machine.clone())).unwrap();
        let bmc = simulator.with_faults(FaultFile::at(&faults)).spawn().unwrap();
        Self { bmc, machine, faults, _folder: folder }
    }

    fn endpoint(&self) -> BmcEndpoint {
        endpoint(DriverKind::Ipmi, self.bmc.address)
    }

    /// Puts faults in force; the simulator looks at the file every 20 ms.
    async fn break_it(&self, faults: &str) {
        std::fs::write(&self.faults, faults).unwrap();
        sleep(Duration::from_millis(50)).await;
    }
}

fn ipmi_queues(keep: Duration) -> BmcQueues {
    let timing = IpmiTiming {
        session: Timing {
            first_retry: Duration::from_millis(150),
            tries: 4,
            open_within: Duration::from_secs(2),
        },
        answer_within: Duration::from_secs(2),
        keep,
        settle: Duration::from_secs(2),
    };
    BmcQueues::new().with_driver(DriverKind::Ipmi, Arc::new(IpmiDriver::new(timing)))
}

#[tokio::test]
async fn ipmi_reaches_states_and_repeating_an_order_does_nothing_more() {
    let lab = Lab::start();
    let (queues, endpoint) = (ipmi_queues(Duration::from_secs(20)), lab.endpoint());
    let perform = |action| queues.perform(&endpoint, fence(1, 1), action);
    assert_eq!(perform(BmcAction::Query).await, power(PowerState::Off));
    let network = BmcAction::SetBoot { device: BootDevice::Network, persistent: false, efi: true };
    assert_eq!(perform(network).await, Ok(BmcOutcome::Done));
    for _ in 0..2 {
        assert_eq!(perform(BmcAction::On).await, power(PowerState::On));
    }
    assert_eq!(perform(BmcAction::Cycle).await, power(PowerState::On));
    assert_eq!(perform(BmcAction::Reset).await, power(PowerState::On));
    assert_eq!(perform(BmcAction::Soft).await, power(PowerState::On));
    for _ in 0..2 {
        assert_eq!(perform(BmcAction::Off).await, power(PowerState::Off));
    }
    let disk = BmcAction::SetBoot { device: BootDevice::Disk, persistent: true, efi: false };
    assert_eq!(perform(disk).await, Ok(BmcOutcome::Done));
    assert_eq!(
        lab.machine.take(),
        [
            "boot Pxe efi true persistent false",
            "on",
            "off",
            "on",
            "reset",
            "shutdown",
            "off",
            "boot Disk efi false persistent true"
        ]
    );
    assert_eq!(
        perform(BmcAction::Reset).await,
        Err(BmcError::Refused("the machine is off: switch it on instead".into()))
    );
}

#[tokio::test]
async fn ipmi_reads_sensors_log_and_inventory() {
    let lab = Lab::start();
    let (queues, endpoint) = (ipmi_queues(Duration::from_secs(20)), lab.endpoint());
    let Ok(BmcOutcome::Sensors { readings }) = queues.perform(&endpoint, None, BmcAction::Sensors).await
    else {
        panic!("no sensors")
    };
    let text: Vec<String> = readings.iter().map(|r| format!("{} {:?} {}", r.name, r.value, r.unit)).collect();
    let expected =
        ["CPU Temp Some(42.0) °C", "System Fan Some(4800.0) RPM", "12V Some(12.06) V", "DIMM Temp None °C"];
    assert_eq!(text, expected);
    let Ok(BmcOutcome::EventLog { entries }) = queues.perform(&endpoint, None, BmcAction::EventLog).await
    else {
        panic!("no log")
    };
    assert_eq!(
        entries,
        [
            "2023-12-31T10:07:23Z memory sensor 0x87: event 0x6f/0 began, data a0ff03",
            "2023-12-31T10:10:08Z power unit sensor 0x01: event 0x6f/0 began, data 00ffff"
        ]
    );
    let Ok(BmcOutcome::Fru { fields }) = queues.perform(&endpoint, None, BmcAction::Fru).await else {
        panic!("no inventory")
    };
    assert!(fields.contains(&("product serial".into(), "SN0001".into())), "{fields:?}");
    assert_eq!(
        queues.perform(&endpoint, None, BmcAction::Identify { seconds: 5 }).await,
        Ok(BmcOutcome::Done)
    );
    assert_eq!(queues.perform(&endpoint, fence(1, 1), BmcAction::ClearEventLog).await, Ok(BmcOutcome::Done));
    assert_eq!(
        queues.perform(&endpoint, None, BmcAction::EventLog).await,
        Ok(BmcOutcome::EventLog { entries: Vec::new() })
    );
}

#[tokio::test]
async fn ipmi_sessions_are_reused_with_a_gap_between_commands() {
    let lab = Lab::start();
    let (queues, endpoint) = (ipmi_queues(Duration::from_secs(20)), lab.endpoint());
    let began = Instant::now();
    for _ in 0..20 {
        assert_eq!(queues.perform(&endpoint, None, BmcAction::Query).await, power(PowerState::Off));
    }
    assert!(began.elapsed() >= Duration::from_millis(20 * 50), "{:?}", began.elapsed());
    // The BMC has eight slots: seven are free.
    let rest = tokio::task::spawn_blocking(move || {
        let open = || Client::open(lab.bmc.address, Config::new("admin", "secretpw"));
        let clients: Vec<_> = (0..7).map(|_| open().expect("a free slot")).collect();
        (clients.len(), open().is_err())
    });
    assert_eq!(rest.await.unwrap(), (7, true));
}

#[tokio::test]
async fn ipmi_sessions_are_closed_when_nobody_needs_them() {
    let lab = Lab::start();
    let (queues, endpoint) = (ipmi_queues(Duration::from_millis(20)), lab.endpoint());
    for _ in 0..12 {
        assert_eq!(queues.perform(&endpoint, None, BmcAction::Query).await, power(PowerState::Off));
        sleep(Duration::from_millis(60)).await;
    }
}

#[tokio::test]
async fn ipmi_tells_what_is_wrong() {
    let lab = Lab::start();
    let queues = ipmi_queues(Duration::from_secs(20));
    let query = |endpoint: BmcEndpoint| {
        let queues = &queues;
        async move { queues.perform(&endpoint, None, BmcAction::Query).await }
    };
    let good = lab.endpoint();
    assert_eq!(query(good.clone()).await, power(PowerState::Off));
    let wrong = BmcEndpoint { password: Secret::new("other".into()), ..good.clone() };
    assert!(
        matches!(query(wrong).await, Err(BmcError::Login(_))),
        "a kept session is not lent to a wrong password"
    );
    let settings = BmcSettings { cipher_suite: Some(8), ..BmcSettings::default() };
    let suite = BmcEndpoint { settings, ..good.clone() };
    assert!(matches!(query(suite).await, Err(BmcError::Unsupported(_))));
    let settings = BmcSettings { kg: Secret::new("00112233".into()), ..BmcSettings::default() };
    let key = BmcEndpoint { settings, ..good.clone() };
    assert_eq!(query(key).await, Err(BmcError::Login("wrong BMC key (K_g)".into())));
    let silent = UdpSocket::bind((Ipv4Addr::new(127, 0, 0, 76), 0)).unwrap();
    let nobody = endpoint(DriverKind::Ipmi, silent.local_addr().unwrap());
    assert!(matches!(query(nobody).await, Err(BmcError::Unreachable(_))));
    lab.break_it("refuse 0xd6").await;
    let refused = queues.perform(&good, None, BmcAction::On).await;
    assert_eq!(refused, Err(BmcError::Refused("command disabled (0xd6)".into())));
}

#[tokio::test]
async fn a_bmc_that_was_away_is_found_again() {
    let lab = Lab::start();
    let (queues, endpoint) = (ipmi_queues(Duration::from_secs(60)), lab.endpoint());
    assert_eq!(queues.perform(&endpoint, None, BmcAction::On).await, power(PowerState::On));
    lab.break_it("vanish 200").await;
    let away = queues.perform(&endpoint, None, BmcAction::Query).await;
    assert!(matches!(away, Err(BmcError::Unreachable(_))), "{away:?}");
    lab.break_it("").await;
    assert_eq!(queues.perform(&endpoint, None, BmcAction::Query).await, power(PowerState::On));

    // A BMC that was restarted knows no sessions any more.
    let address = lab.bmc.address;
    drop(lab);
    let _restarted = Lab::start_at(address.port());
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let seen = queues.perform(&endpoint, None, BmcAction::Query).await;
        if seen == power(PowerState::Off) {
            break;
        }
        assert!(Instant::now() < deadline, "last seen: {seen:?}");
    }
}

#[tokio::test]
async fn a_bmc_that_lies_is_quoted_as_it_speaks() {
    let lab = Lab::start();
    let (queues, endpoint) = (ipmi_queues(Duration::from_secs(20)), lab.endpoint());
    lab.break_it("stuck-off").await;
    assert_eq!(queues.perform(&endpoint, None, BmcAction::On).await, power(PowerState::On));
    assert!(lab.machine.take().is_empty(), "evidence is what the life cycle waits for");
}

#[tokio::test]
async fn a_reset_bmc_is_logged_in_to_anew() {
    let lab = Lab::start();
    let (queues, endpoint) = (ipmi_queues(Duration::from_secs(20)), lab.endpoint());
    assert_eq!(queues.perform(&endpoint, None, BmcAction::ResetBmc).await, Ok(BmcOutcome::Done));
    assert_eq!(queues.perform(&endpoint, None, BmcAction::Query).await, power(PowerState::Off));
}

mod amt;
