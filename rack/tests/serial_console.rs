//! Consoles recorded through OpenIPMI's simulator, a BMC nobody here wrote; ipmitool plays the operator who is faster.

#![expect(clippy::unwrap_used, reason = "a test fails loudly")]

use std::io::Write;
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rackwright_common::Secret;
use rackwright_common::bmc::{BmcEndpoint, BmcSettings, DriverKind};
use rackwright_common::clock::SystemClock;
use rackwright_common::link::{ConsoleChunk, Fact};
use rackwright_rack::console::{self, ConsoleTiming, Consoles, Surroundings};
use rackwright_rack::state::{Journal, World};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

const ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 82);
/// `ipmi_sim` looks for the machine's serial port every ten seconds, and forgets a dead session after 30.
const LONG: Duration = Duration::from_secs(120);

/// A process that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// A machine that is on, whose serial port is a socket of the test's.
struct Bmc {
    process: Running,
    port: u16,
    listener: TcpListener,
    folder: tempfile::TempDir,
}

impl Bmc {
    fn start(sol: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind((ADDRESS, 0)).unwrap();
        let port = UdpSocket::bind((ADDRESS, 0)).unwrap().local_addr().unwrap().port();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("chassis", "#!/bin/sh\necho power:1\n");
        std::fs::set_permissions(folder.path().join("chassis"), PermissionsExt::from_mode(0o755)).unwrap();
        let serial = match sol {
            true => format!("sol \"tcp:{}\" 115200 history=16000\n", listener.local_addr().unwrap()),
            false => String::new(),
        };
        let lan = format!(
            "name \"test\"\nstartlan 1\n addr {ADDRESS} {port}\n priv_limit admin\n allowed_auths_admin none md2 md5 straight\n \
             guid a123456789abcdefa123456789abcdef\nendlan\nchassis_control \"{}\"\n{serial}\
             user 2 true \"admin\" \"secretpw\" admin 10 none md2 md5 straight\n",
            folder.path().join("chassis").display()
        );
        write("lan.conf", &lan);
        write(
            "sim.emu",
            "mc_setbmc 0x20\nmc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02 persist_sdr\nmc_enable 0x20\n",
        );
        std::fs::create_dir(folder.path().join("state")).unwrap();
        let process = spawn(&folder);
        Self { process, port, listener, folder }
    }

    fn serial(&self) -> TcpStream {
        self.listener.accept().unwrap().0
    }

    fn endpoint(&self) -> BmcEndpoint {
        BmcEndpoint {
            machine: "abcdef".parse().unwrap(),
            driver: DriverKind::Ipmi,
            address: ADDRESS.to_string(),
            port: Some(self.port),
            username: "admin".into(),
            password: Secret::new("secretpw".into()),
            settings: BmcSettings::default(),
        }
    }

    /// An operator's `ipmitool sol activate`, on a terminal of its own.
    fn ipmitool(&self) -> Running {
        let password = self.folder.path().join("password");
        std::fs::write(&password, "secretpw").unwrap();
        let line = format!(
            "ipmitool -I lanplus -C 3 -H {ADDRESS} -p {} -U admin -f {} sol activate",
            self.port,
            password.display()
        );
        let output = std::fs::File::create(self.folder.path().join("ipmitool")).unwrap();
        let mut command = Command::new("script");
        command.args(["-q", "-e", "-c", &line, "/dev/null"]).stdin(Stdio::piped());
        Running(command.stdout(output).stderr(Stdio::null()).spawn().expect("script is installed"))
    }

    fn ipmitool_said(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("ipmitool")).unwrap_or_default()
    }
}

fn spawn(folder: &tempfile::TempDir) -> Running {
    let path = |name: &str| folder.path().join(name);
    let mut command = Command::new("ipmi_sim");
    command.arg("-n").arg("-c").arg(path("lan.conf")).arg("-f").arg(path("sim.emu"));
    command.arg("-s").arg(path("state")).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    Running(command.spawn().expect("ipmi_sim is installed (package openipmi)"))
}

/// The part of a rack that records; dropped, it is a rack that was killed: it says no good-byes.
struct Rack {
    consoles: Consoles,
    journal: Journal,
    runtime: Option<tokio::runtime::Runtime>,
    heard: Vec<ConsoleChunk>,
}

impl Rack {
    fn start(folder: &Path, wish: BmcEndpoint) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.unwrap();
        let journal = Journal::open(folder, Arc::new(SystemClock)).unwrap();
        let world = Arc::new(World::open(folder).unwrap());
        let timing = ConsoleTiming { taken: Duration::from_secs(2), ..ConsoleTiming::default() };
        let surroundings = Surroundings::new(world, journal.clone(), Arc::new(SystemClock), timing);
        let consoles = Consoles::new();
        runtime.spawn(console::run(consoles.clone(), surroundings, CancellationToken::new()));
        consoles.wish(vec![wish], Vec::new());
        Self { consoles, journal, runtime: Some(runtime), heard: Vec::new() }
    }

    /// Prints until it is heard: the simulator throws away what comes while nobody has the console.
    async fn hears_ticks(&mut self, serial: &mut TcpStream) {
        let deadline = Instant::now() + LONG;
        while self.heard.iter().all(|chunk| !chunk.text.contains("tick")) {
            assert!(Instant::now() < deadline, "heard only {:?}", self.heard);
            serial.write_all(b"tick\r\n").unwrap();
            sleep(Duration::from_millis(300)).await;
            self.heard.extend(self.consoles.take());
        }
    }

    async fn hears(&mut self, wanted: &str) -> String {
        let deadline = Instant::now() + LONG;
        loop {
            self.heard.extend(self.consoles.take());
            let text: String = self.heard.iter().map(|chunk| chunk.text.as_str()).collect();
            if text.contains(wanted) {
                return text;
            }
            assert!(Instant::now() < deadline, "waited for {wanted:?}; heard only {:?}", self.heard);
            sleep(Duration::from_millis(100)).await;
        }
    }
}

impl Drop for Rack {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

#[tokio::test]
async fn a_console_is_recorded_whole_and_by_the_next_rack_after_the_first_was_killed() {
    let bmc = Bmc::start(true);
    let folder = tempfile::tempdir().unwrap();
    let mut rack = Rack::start(folder.path(), bmc.endpoint());
    let mut serial = bmc.serial();
    let lines: String = (0..500).map(|n| format!("line {n} of the kernel\r\n")).collect();
    rack.hears_ticks(&mut serial).await;
    serial.write_all(lines.as_bytes()).unwrap();
    let text = rack.hears("line 499 of the kernel\r\n").await;
    assert!(text.ends_with(&lines), "every line once and in order");
    drop(rack);

    // The simulator holds the dead rack's session for half a minute; the new rack waits and takes nothing by force.
    let mut next = Rack::start(folder.path(), bmc.endpoint());
    next.hears_ticks(&mut serial).await;
    serial.write_all(b"afterwards\r\n").unwrap();
    let text = next.hears("afterwards").await;
    assert!(!text.contains("line 499"), "nothing comes twice: {text}");
}

#[tokio::test]
async fn a_console_that_writes_without_a_pause_is_kept() {
    let bmc = Bmc::start(true);
    let folder = tempfile::tempdir().unwrap();
    let mut rack = Rack::start(folder.path(), bmc.endpoint());
    let mut serial = bmc.serial();
    rack.hears_ticks(&mut serial).await;
    // Longer than the simulator keeps a session on which no command comes.
    let mut written = String::new();
    for n in 0..400 {
        let line = format!("line {n}\r\n");
        serial.write_all(line.as_bytes()).unwrap();
        written.push_str(&line);
        sleep(Duration::from_millis(100)).await;
        rack.heard.extend(rack.consoles.take());
    }
    let text = rack.hears("line 399\r\n").await;
    assert!(text.ends_with(&written), "{text}");
    let sessions: std::collections::BTreeSet<_> = rack.heard.iter().map(|chunk| chunk.session).collect();
    assert_eq!(sessions.len(), 1, "one recording");
}

#[tokio::test]
async fn an_operator_at_the_console_is_not_put_out() {
    let bmc = Bmc::start(true);
    let folder = tempfile::tempdir().unwrap();
    let operator = bmc.ipmitool();
    let mut serial = bmc.serial();
    let deadline = Instant::now() + LONG;
    let mut n = 0;
    while !bmc.ipmitool_said().contains("tick") {
        assert!(Instant::now() < deadline, "ipmitool said {:?}", bmc.ipmitool_said());
        serial.write_all(b"tick\r\n").unwrap();
        sleep(Duration::from_millis(300)).await;
    }
    let mut rack = Rack::start(folder.path(), bmc.endpoint());
    let until = Instant::now() + Duration::from_secs(8);
    while Instant::now() < until {
        n += 1;
        serial.write_all(format!("{n} for the operator\r\n").as_bytes()).unwrap();
        sleep(Duration::from_millis(200)).await;
    }
    while !bmc.ipmitool_said().contains(&format!("{n} for the operator")) {
        assert!(Instant::now() < deadline, "ipmitool was put out: {:?}", bmc.ipmitool_said());
        sleep(Duration::from_millis(100)).await;
    }
    rack.heard.extend(rack.consoles.take());
    assert!(rack.heard.is_empty(), "{:?}", rack.heard);
    drop(operator);
    rack.hears_ticks(&mut serial).await;
}

#[tokio::test]
async fn a_bmc_without_serial_over_lan_is_named_once() {
    let bmc = Bmc::start(false);
    let folder = tempfile::tempdir().unwrap();
    let rack = Rack::start(folder.path(), bmc.endpoint());
    let warnings = || {
        let facts = rack.journal.after(0, 100).into_iter().map(|entry| entry.fact);
        let message = |fact| match fact {
            Fact::Warning { message, .. } => Some(message),
            _ => None,
        };
        facts.filter_map(message).collect::<Vec<_>>()
    };
    let deadline = Instant::now() + LONG;
    while warnings().is_empty() {
        assert!(Instant::now() < deadline, "nobody was told");
        sleep(Duration::from_millis(100)).await;
    }
    let told = warnings();
    assert!(
        told[0]
            .starts_with("the serial console of abcdef is not recorded: the BMC offers no serial over LAN"),
        "{told:?}"
    );
    assert!(bmc.process.0.id() > 0);
}
