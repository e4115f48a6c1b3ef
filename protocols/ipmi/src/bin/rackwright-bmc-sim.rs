//! One simulated BMC as a process, for the lab: RMCP+ on a UDP address, a chassis program behind it.
//!
//! Secrets come from files, never from arguments.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;

use rackwright_ipmi::crypto::Suite;
use rackwright_ipmi::server::{ServerConfig, User};
use rackwright_ipmi::sim::{FaultFile, ProgramChassis, SerialTarget, Simulator};
use rackwright_ipmi::{Privilege, Secret};

const USAGE: &str = "\
usage: rackwright-bmc-sim --listen ADDRESS:PORT --password-file FILE (--chassis \"PROGRAM ARGUMENT…\" | -- PROGRAM ARGUMENT…)
  --user NAME               account, with the password file that follows (default admin; may be repeated)
  --level LEVEL             user, operator or administrator, for the account before it
  --password-file FILE      its password, first line of the file
  --kg-file FILE            BMC key K_g, first line of the file
  --suites LIST             cipher suites spoken (default 3,17)
  --guid UUID               system GUID
  --manufacturer NUMBER     IANA number of the maker (default 0)
  --product NUMBER          product id (default 1)
  --sol tcp:ADDRESS:PORT | unix:PATH   the machine's serial port
  --faults FILE             faults, read again whenever the file changes:
                            slow MS, wrong-password, refuse [CODE], stuck-off, vanish SECONDS, drop N, duplicate N
The program is called as: PROGRAM ARGUMENT… get power | set power 0|1 | set reset 1 | set shutdown 1 |
set boot pxe|disk|cdrom|bios|none [efi] [persistent]";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--help") {
        println!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    let simulator = match parse(&arguments).and_then(Options::bind) {
        Ok(simulator) => simulator,
        Err(problem) => {
            eprintln!("rackwright-bmc-sim: {problem}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match simulator.run(&AtomicBool::new(false)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("rackwright-bmc-sim: the socket failed: {error}");
            ExitCode::FAILURE
        }
    }
}

struct Options {
    listen: SocketAddr,
    server: ServerConfig,
    program: Vec<String>,
    faults: Option<PathBuf>,
    serial: Option<SerialTarget>,
}

impl Options {
    fn bind(self) -> Result<Simulator, String> {
        let [program, arguments @ ..] = self.program.as_slice() else {
            return Err("no chassis program".into());
        };
        let chassis = Box::new(ProgramChassis::new(program, arguments));
        let mut simulator = Simulator::bind(self.listen, self.server, chassis)
            .map_err(|error| format!("cannot listen on {}: {error}", self.listen))?;
        if let Some(path) = self.faults {
            simulator = simulator.with_faults(FaultFile::at(path));
        }
        if let Some(target) = self.serial {
            simulator = simulator.with_serial(target);
        }
        Ok(simulator)
    }
}

fn parse(arguments: &[String]) -> Result<Options, String> {
    let mut listen = None;
    let mut server = ServerConfig { users: Vec::new(), ..ServerConfig::new("", b"") };
    let (mut program, mut faults, mut serial) = (Vec::new(), None, None);
    let mut left = arguments.iter();
    while let Some(name) = left.next() {
        if name == "--" {
            program = left.by_ref().cloned().collect();
            break;
        }
        let value = left.next().ok_or_else(|| format!("{name} wants a value"))?;
        let wrong = || format!("{name}: `{value}` makes no sense");
        match name.as_str() {
            "--listen" => listen = Some(value.parse().map_err(|_| wrong())?),
            "--user" => server.users.push(account(value)),
            "--level" => last_account(&mut server).privilege = level(value).ok_or_else(wrong)?,
            "--password-file" => last_account(&mut server).password = read_secret(Path::new(value))?,
            "--kg-file" => server.kg = Some(read_secret(Path::new(value))?),
            "--suites" => {
                let suite = |text: &str| text.trim().parse().ok().and_then(Suite::from_id);
                server.suites = value.split(',').map(suite).collect::<Option<_>>().ok_or_else(wrong)?;
            }
            "--guid" => server.guid = guid(value).ok_or_else(wrong)?,
            "--manufacturer" => server.manufacturer = value.parse().map_err(|_| wrong())?,
            "--product" => server.product = value.parse().map_err(|_| wrong())?,
            "--chassis" => program = value.split_whitespace().map(str::to_owned).collect(),
            "--sol" => serial = Some(value.parse()?),
            "--faults" => faults = Some(PathBuf::from(value)),
            _ => return Err(format!("unknown option {name}")),
        }
    }
    if server.users.iter().all(|user| user.password.expose().is_empty()) {
        return Err("--password-file is missing".into());
    }
    let listen = listen.ok_or("--listen is missing")?;
    Ok(Options { listen, server, program, faults, serial })
}

fn account(name: &str) -> User {
    User {
        name: name.to_owned(),
        password: Secret::default(),
        privilege: Privilege::Administrator,
        enabled: true,
    }
}

/// The account the options speak of; `admin` when none was named.
fn last_account(server: &mut ServerConfig) -> &mut User {
    if server.users.is_empty() {
        server.users.push(account("admin"));
    }
    server.users.last_mut().expect("one was just made sure of")
}

fn level(text: &str) -> Option<Privilege> {
    match text {
        "user" => Some(Privilege::User),
        "operator" => Some(Privilege::Operator),
        "administrator" => Some(Privilege::Administrator),
        _ => None,
    }
}

fn guid(text: &str) -> Option<[u8; 16]> {
    let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b'-').collect();
    let mut guid = [0; 16];
    if digits.len() != 32 {
        return None;
    }
    for (slot, pair) in guid.iter_mut().zip(digits.chunks(2)) {
        *slot = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(guid)
}

fn read_secret(path: &Path) -> Result<Secret, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(Secret::new(text.lines().next().unwrap_or_default()))
}
