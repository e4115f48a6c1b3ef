//! One simulated Intel AMT device as a process, for the lab. The password comes from a file, never from an argument.

use std::path::Path;
use std::process::ExitCode;

use rackwright_amt::digest::Login;
use rackwright_amt::sim::{SimConfig, Simulator};

const USAGE: &str = "\
usage: rackwright-amt-sim --listen ADDRESS:PORT --password-file FILE [--user NAME]
                          (--chassis \"PROGRAM ARGUMENT…\" | -- PROGRAM ARGUMENT…)
The program is called as: PROGRAM ARGUMENT… get power | set power 0|1 | set reset 1 | set shutdown 1 |
set boot pxe|disk|cdrom|bios|none";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--help") {
        println!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    match bind(&arguments) {
        Ok(simulator) => {
            simulator.run();
            ExitCode::SUCCESS
        }
        Err(problem) => {
            eprintln!("rackwright-amt-sim: {problem}\n{USAGE}");
            ExitCode::from(2)
        }
    }
}

fn bind(arguments: &[String]) -> Result<Simulator, String> {
    let (mut listen, mut password) = (None, None);
    let (mut username, mut program) = ("admin".to_owned(), Vec::new());
    let mut left = arguments.iter();
    while let Some(name) = left.next() {
        if name == "--" {
            program = left.by_ref().cloned().collect();
            break;
        }
        let value = left.next().ok_or_else(|| format!("{name} wants a value"))?;
        match name.as_str() {
            "--listen" => {
                listen =
                    Some(value.parse().map_err(|_| format!("{name}: `{value}` is no address and port"))?);
            }
            "--user" => username.clone_from(value),
            "--password-file" => password = Some(read_secret(Path::new(value))?),
            "--chassis" => program = value.split_whitespace().map(str::to_owned).collect(),
            _ => return Err(format!("unknown option {name}")),
        }
    }
    let listen = listen.ok_or("--listen is missing")?;
    let password = password.ok_or("--password-file is missing")?;
    if program.is_empty() {
        return Err("no chassis program".into());
    }
    let config = SimConfig { login: Login { username, password }, program };
    Simulator::bind(listen, config).map_err(|error| format!("cannot listen on {listen}: {error}"))
}

fn read_secret(path: &Path) -> Result<String, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}
