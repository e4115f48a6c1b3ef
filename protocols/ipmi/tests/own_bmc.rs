//! The client against our own BMC: suite 17, K_g, boot flags read back, records, serial over LAN, and every fault.

#![expect(clippy::unwrap_used, reason = "a test fails loudly")]

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rackwright_ipmi::blocking::{Client, ClientError};
use rackwright_ipmi::client::{Config, Event, SessionError, SuiteChoice, Timing};
use rackwright_ipmi::command::boot::{BootFlags, Device, GetBootFlags};
use rackwright_ipmi::command::chassis::{ChassisControl, GetChassisStatus, Identify};
use rackwright_ipmi::command::device::{GetDeviceId, GetSystemGuid};
use rackwright_ipmi::command::fru::{Fru, GetFruInfo, ReadFru};
use rackwright_ipmi::command::sdr::{GetSdr, ReserveSdr, SdrRecord};
use rackwright_ipmi::command::sel::{ClearSel, FIRST, GetSelEntry, GetSelInfo, LAST, ReserveSel};
use rackwright_ipmi::command::sensor::GetSensorReading;
use rackwright_ipmi::command::sol::{ActivateSol, DeactivateSol};
use rackwright_ipmi::command::user::{GetUserName, SetUserAccess, SetUserName, SetUserPassword};
use rackwright_ipmi::command::{CommandError, CompletionError};
use rackwright_ipmi::crypto::Suite;
use rackwright_ipmi::server::{Chassis, ChassisFault, ServerConfig, User};
use rackwright_ipmi::sim::{FaultFile, SerialTarget, Simulator, SimulatorHandle};
use rackwright_ipmi::{Privilege, Secret};

/// A machine in memory that writes down what is done to it.
#[derive(Clone, Default)]
struct Machine(Arc<Mutex<(bool, Vec<String>)>>);

impl Machine {
    fn note(&self, text: String) {
        self.0.lock().unwrap().1.push(text);
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap().1)
    }
}

impl Chassis for Machine {
    fn power(&mut self) -> Result<bool, ChassisFault> {
        Ok(self.0.lock().unwrap().0)
    }

    fn set_power(&mut self, on: bool) -> Result<(), ChassisFault> {
        self.0.lock().unwrap().0 = on;
        self.note(format!("power {on}"));
        Ok(())
    }

    fn reset(&mut self) -> Result<(), ChassisFault> {
        self.note("reset".into());
        Ok(())
    }

    fn shutdown(&mut self) -> Result<(), ChassisFault> {
        self.note("shutdown".into());
        Ok(())
    }

    fn set_boot(&mut self, flags: BootFlags) -> Result<(), ChassisFault> {
        self.note(format!("boot {:?} efi {} persistent {}", flags.device, flags.efi, flags.persistent));
        Ok(())
    }
}

struct Lab {
    bmc: SimulatorHandle,
    machine: Machine,
    faults: PathBuf,
    _folder: tempfile::TempDir,
}

impl Lab {
    fn start(server: ServerConfig) -> Self {
        Self::start_with(server, |simulator| simulator)
    }

    fn start_with(server: ServerConfig, more: impl FnOnce(Simulator) -> Simulator) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let faults = folder.path().join("faults");
        let machine = Machine::default();
        let listen = (Ipv4Addr::new(127, 0, 0, 73), 0).into();
        let simulator = Simulator::bind(listen, server, Box::new(machine.clone())).unwrap();
        let bmc = more(simulator.with_faults(FaultFile::at(&faults))).spawn().unwrap();
        Self { bmc, machine, faults, _folder: folder }
    }

    fn plain() -> Self {
        Self::start(ServerConfig::new("admin", b"secretpw"))
    }

    /// Puts faults in force; the simulator looks at the file every 20 ms.
    fn break_it(&self, faults: &str) {
        std::fs::write(&self.faults, faults).unwrap();
        std::thread::sleep(Duration::from_millis(50));
    }

    fn open(&self) -> Client {
        Client::open(self.bmc.address, config()).expect("a session")
    }
}

fn config() -> Config {
    let timing = Timing { first_retry: Duration::from_millis(150), ..Timing::default() };
    Config { timing, ..Config::new("admin", "secretpw") }
}

fn refused(result: Result<(), ClientError>) -> u8 {
    match result {
        Err(ClientError::Command(CommandError::Completion(CompletionError(code)))) => code,
        other => panic!("{other:?}"),
    }
}

fn open_error(lab: &Lab, config: Config) -> SessionError {
    match Client::open(lab.bmc.address, config) {
        Err(ClientError::Session(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn both_suites_switch_power() {
    let lab = Lab::plain();
    for suite in [Suite::Three, Suite::Seventeen] {
        let only = Config { suite: SuiteChoice::Only(suite), ..config() };
        let mut client = Client::open(lab.bmc.address, only).unwrap();
        assert_eq!(client.suite, suite);
        client.run(&ChassisControl::On).unwrap();
        assert!(client.run(&GetChassisStatus).unwrap().power_on);
        client.run(&ChassisControl::Cycle).unwrap();
        client.run(&ChassisControl::Reset).unwrap();
        client.run(&ChassisControl::SoftOff).unwrap();
        client.run(&ChassisControl::Off).unwrap();
        client.run(&Identify::Seconds(15)).unwrap();
        assert_eq!(client.run(&GetChassisStatus).unwrap().identify, Some(true));
        assert_eq!(refused(client.run(&ChassisControl::Cycle)), 0xd5, "cycle of a machine that is off");
        assert_eq!(client.run(&GetSystemGuid).unwrap(), *b"rackwright-bmc-0");
        client.close().unwrap();
        let done = ["power true", "power false", "power true", "reset", "shutdown", "power false"];
        assert_eq!(lab.machine.take(), done);
    }
}

#[test]
fn the_best_suite_is_taken_and_the_other_one_when_it_is_missing() {
    assert_eq!(Lab::plain().open().suite, Suite::Seventeen);
    let old = ServerConfig { suites: vec![Suite::Three], ..ServerConfig::new("admin", b"secretpw") };
    assert_eq!(Lab::start(old).open().suite, Suite::Three);
}

#[test]
fn boot_flags_are_read_back_and_used_up_unless_persistent() {
    let lab = Lab::plain();
    let mut client = lab.open();
    let once = BootFlags::once(Device::Pxe, true);
    client.set_boot(once).unwrap();
    assert_eq!(client.run(&GetBootFlags).unwrap(), once);
    client.run(&ChassisControl::On).unwrap();
    assert!(!client.run(&GetBootFlags).unwrap().valid, "used up");

    let always = BootFlags { persistent: true, efi: false, ..BootFlags::once(Device::Disk, false) };
    client.set_boot(always).unwrap();
    client.run(&ChassisControl::Cycle).unwrap();
    assert_eq!(client.run(&GetBootFlags).unwrap(), always);
    assert_eq!(
        lab.machine.take(),
        [
            "boot Pxe efi true persistent false",
            "power true",
            "boot Disk efi false persistent true",
            "power false",
            "power true"
        ]
    );
}

#[test]
fn a_bmc_key_is_needed_where_one_is_set_and_a_wrong_one_is_named() {
    let key = Secret::new(*b"0123456789abcdefghij");
    let server = ServerConfig { kg: Some(key.clone()), ..ServerConfig::new("admin", b"secretpw") };
    let lab = Lab::start(server);
    for suite in [Suite::Three, Suite::Seventeen] {
        let suite = SuiteChoice::Only(suite);
        let with_key = Config { kg: Some(key.clone()), suite, ..config() };
        Client::open(lab.bmc.address, with_key).unwrap().run(&GetDeviceId).unwrap();
        assert_eq!(open_error(&lab, Config { suite, ..config() }), SessionError::WrongKey);
    }
}

#[test]
fn levels_are_kept() {
    let mut server = ServerConfig::new("admin", b"secretpw");
    server.users.push(User {
        name: "oper".into(),
        password: Secret::new(*b"operpw"),
        privilege: Privilege::Operator,
        enabled: true,
    });
    let lab = Lab::start(server);
    let operator = Config { privilege: Privilege::Operator, ..Config::new("oper", "operpw") };
    let mut client = Client::open(lab.bmc.address, operator).unwrap();
    client.run(&ChassisControl::On).unwrap();
    assert!(matches!(open_error(&lab, Config::new("oper", "operpw")), SessionError::Refused(_)));
    let user = Config { privilege: Privilege::User, ..config() };
    let mut client = Client::open(lab.bmc.address, user).unwrap();
    assert!(client.run(&GetChassisStatus).unwrap().power_on);
    assert_eq!(refused(client.run(&ChassisControl::Off)), 0xd4);
}

#[test]
fn too_long_names_and_passwords_do_not_reach_the_wire() {
    let lab = Lab::plain();
    let error = open_error(&lab, Config::new("seventeen-letters", "x"));
    assert_eq!(error, SessionError::TooLong("the user name"));
    let error = open_error(&lab, Config::new("admin", "a password of twenty-one"));
    assert_eq!(error, SessionError::TooLong("the password"));
}

#[test]
fn event_log_is_read_and_cleared() {
    let lab = Lab::plain();
    let mut client = lab.open();
    let (mut record, mut kinds) = (FIRST, Vec::new());
    while record != LAST {
        let (entry, next) = client.run(&GetSelEntry { record }).unwrap();
        kinds.push(entry.event.unwrap().sensor_type_name());
        record = next;
    }
    assert_eq!(kinds, ["memory", "power unit"]);
    let reservation = client.run(&ReserveSel).unwrap();
    assert!(client.run(&ClearSel { reservation, start: true }).unwrap());
    assert_eq!(client.run(&GetSelInfo).unwrap().entries, 0);
}

#[test]
fn sensors_have_names_units_and_values() {
    let lab = Lab::plain();
    let mut client = lab.open();
    let reservation = client.run(&ReserveSdr).unwrap();
    let (mut record, mut seen) = (0, Vec::new());
    while record != LAST {
        let (next, bytes) = client.run(&GetSdr { reservation, record, offset: 0, count: 0xff }).unwrap();
        let SdrRecord::Full(sensor, conversion) = SdrRecord::decode(&bytes).unwrap() else { panic!("kind") };
        let reading = client.run(&GetSensorReading { number: sensor.number }).unwrap();
        seen.push((sensor.name.clone(), reading.value(&conversion), sensor.unit_sign()));
        record = next;
    }
    let expected = [
        ("CPU Temp".to_owned(), Some(42.0), "°C"),
        ("System Fan".to_owned(), Some(4800.0), "RPM"),
        ("12V".to_owned(), Some(12.06), "V"),
        ("DIMM Temp".to_owned(), None, "°C"),
    ];
    assert_eq!(seen, expected);
}

#[test]
fn inventory_is_read_in_pieces() {
    let lab = Lab::plain();
    let mut client = lab.open();
    let (size, by_words) = client.run(&GetFruInfo { device: 0 }).unwrap();
    assert!(!by_words);
    let mut image = Vec::new();
    while image.len() < usize::from(size) {
        let offset = image.len() as u16;
        image.extend(client.run(&ReadFru { device: 0, offset, count: 32 }).unwrap());
    }
    let fru = Fru::decode(&image).unwrap();
    assert_eq!(fru.product.unwrap().serial, "SN0001");
    assert_eq!(fru.board.unwrap().manufacturer, "Rackwright");
    assert_eq!(fru.chassis.unwrap().serial, "CH0001");
}

#[test]
fn an_account_made_by_command_can_log_in() {
    let lab = Lab::plain();
    let mut client = lab.open();
    client.run(&SetUserName { user: 5, name: "rackwright".into() }).unwrap();
    let password = Secret::new(*b"generated");
    client.run(&SetUserPassword::Set { user: 5, password: password.clone() }).unwrap();
    client.run(&SetUserAccess { channel: 1, user: 5, privilege: Privilege::Administrator }).unwrap();
    client.run(&SetUserPassword::Enable { user: 5 }).unwrap();
    client.run(&SetUserPassword::Test { user: 5, password }).unwrap();
    assert_eq!(client.run(&GetUserName { user: 5 }).unwrap(), "rackwright");
    Client::open(lab.bmc.address, Config::new("rackwright", "generated")).unwrap();
}

#[test]
fn a_serial_console_carries_both_directions_even_over_a_bad_link() {
    let listener = TcpListener::bind((Ipv4Addr::new(127, 0, 0, 73), 0)).unwrap();
    let target = SerialTarget::Tcp(listener.local_addr().unwrap());
    let lab =
        Lab::start_with(ServerConfig::new("admin", b"secretpw"), |simulator| simulator.with_serial(target));
    let (mut port, _) = listener.accept().unwrap();
    let mut client = lab.open();
    lab.break_it("drop 7\nduplicate 5\n");
    let grant = client.run(&ActivateSol).unwrap();
    client.session().start_sol(grant.to_bmc);

    let output: Vec<u8> = (0..3000u32).map(|n| b'a' + (n % 26) as u8).collect();
    port.write_all(&output).unwrap();
    let (mut got, deadline) = (Vec::new(), Instant::now() + Duration::from_secs(60));
    while got.len() < output.len() {
        assert!(Instant::now() < deadline, "{} of {} characters", got.len(), output.len());
        if let Some(Event::SolData(data)) = client.next_event(Some(deadline)).unwrap() {
            got.extend(data);
        }
    }
    assert_eq!(got, output);

    client.session().write_sol(Instant::now(), b"root\n");
    port.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let mut typed: Vec<u8> = Vec::new();
    while typed.len() < 5 {
        assert!(Instant::now() < deadline, "typed {typed:?}");
        client.next_event(Some(Instant::now() + Duration::from_millis(50))).unwrap();
        let mut buffer = [0; 16];
        if let Ok(length) = port.read(&mut buffer) {
            typed.extend(&buffer[..length]);
        }
    }
    assert_eq!(typed, b"root\n");
    lab.break_it("");
    client.run(&DeactivateSol).unwrap();
}

#[test]
fn fault_wrong_password() {
    let lab = Lab::plain();
    lab.break_it("wrong-password");
    assert_eq!(open_error(&lab, config()), SessionError::WrongPassword);
    lab.break_it("");
    lab.open();
}

#[test]
fn fault_refuses_commands_but_still_tells_its_state() {
    let lab = Lab::plain();
    lab.break_it("refuse 0xd6");
    let mut client = lab.open();
    assert_eq!(refused(client.run(&ChassisControl::On)), 0xd6);
    assert!(!client.run(&GetChassisStatus).unwrap().power_on);
    assert!(lab.machine.take().is_empty());
}

#[test]
fn fault_says_on_but_stays_off() {
    let lab = Lab::plain();
    lab.break_it("stuck-off");
    let mut client = lab.open();
    client.run(&ChassisControl::On).unwrap();
    assert!(client.run(&GetChassisStatus).unwrap().power_on);
    assert!(lab.machine.take().is_empty(), "the machine was not touched");
    client.run(&ChassisControl::Off).unwrap();
    assert!(!client.run(&GetChassisStatus).unwrap().power_on);
}

#[test]
fn fault_slow_is_waited_for_and_carried_out_once() {
    let lab = Lab::plain();
    lab.break_it("slow 600");
    let mut client = lab.open();
    client.run(&ChassisControl::On).unwrap();
    client.run(&ChassisControl::Cycle).unwrap();
    assert_eq!(lab.machine.take(), ["power true", "power false", "power true"]);
}

#[test]
fn fault_lost_and_doubled_packets_change_nothing() {
    for faults in ["drop 3", "duplicate 1", "drop 4\nduplicate 3"] {
        let lab = Lab::plain();
        lab.break_it(faults);
        let mut client = lab.open();
        for _ in 0..5 {
            client.run(&ChassisControl::On).unwrap();
            assert!(client.run(&GetChassisStatus).unwrap().power_on, "{faults}");
            client.run(&ChassisControl::Off).unwrap();
            assert!(!client.run(&GetChassisStatus).unwrap().power_on, "{faults}");
        }
        assert_eq!(lab.machine.take().len(), 10, "{faults}: carried out once each");
    }
}

#[test]
fn fault_vanished_ends_at_the_deadline_and_the_session_works_when_it_is_back() {
    let lab = Lab::plain();
    let mut client = lab.open();
    client.answer_within = Duration::from_millis(500);
    lab.break_it("vanish 200");
    let error = client.run(&GetChassisStatus).unwrap_err();
    assert!(matches!(error, ClientError::Session(SessionError::Timeout(_))), "{error}");
    lab.break_it("");
    client.run(&GetChassisStatus).unwrap();
}

#[test]
fn sessions_run_out_and_come_back() {
    let lab = Lab::plain();
    let mut open: Vec<Client> = (0..8).map(|_| lab.open()).collect();
    assert_eq!(open_error(&lab, config()), SessionError::Full);
    open.pop().unwrap().close().unwrap();
    lab.open();
}
