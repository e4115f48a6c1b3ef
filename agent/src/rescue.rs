//! Rescue mode: an SSH server for the operator's keys, kept running for as long as the environment lives.

use crate::command;
use crate::error::{Error, Result, io};
use crate::report::Report;
use std::fs;
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

const KEYS: &str = "/root/.ssh/authorized_keys";
const HOST_KEY: &str = "/etc/dropbear/dropbear_ed25519_host_key";
const PATIENCE: Duration = Duration::from_secs(30);

/// Starts the server, or renews the keys of one that runs; done when it answers.
pub fn run(authorized_keys: &[String], report: &Report) -> Result<()> {
    if authorized_keys.is_empty() {
        return Err(Error::refused("there is no SSH key to let anybody in with: add one to the user"));
    }
    report.step("starting the SSH server");
    let keys = Path::new(KEYS);
    let folder = keys.parent().unwrap_or(Path::new("/root"));
    fs::create_dir_all(folder).map_err(io("create", folder))?;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).map_err(io("protect", folder))?;
    let lines: String = authorized_keys.iter().map(|key| format!("{}\n", key.trim())).collect();
    fs::write(keys, lines).map_err(io("write", keys))?;
    fs::set_permissions(keys, fs::Permissions::from_mode(0o600)).map_err(io("protect", keys))?;
    if !answers() {
        start()?;
    }
    let deadline = Instant::now() + PATIENCE;
    while !answers() {
        report.check()?;
        if Instant::now() > deadline {
            return Err(Error::refused("the SSH server does not answer on port 22"));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

fn start() -> Result<()> {
    if !Path::new(HOST_KEY).exists() {
        fs::create_dir_all("/etc/dropbear").map_err(io("create", Path::new("/etc/dropbear")))?;
        command::run("dropbearkey", &["-t", "ed25519", "-f", HOST_KEY])?;
    }
    // -F: it stays the agent's child; -s: no passwords; -E: its log goes to the console.
    command::command("dropbear")
        .args(["-F", "-E", "-s", "-r", HOST_KEY, "-p", "22"])
        .stdin(Stdio::null())
        .spawn()
        .map_err(io("start", Path::new("dropbear")))?;
    Ok(())
}

/// Whether an SSH server greets on port 22.
fn answers() -> bool {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 22));
    let Ok(mut stream) = TcpStream::connect_timeout(&address, Duration::from_secs(1)) else { return false };
    stream.set_read_timeout(Some(Duration::from_secs(2))).ok();
    let mut greeting = [0; 4];
    stream.read_exact(&mut greeting).is_ok() && &greeting == b"SSH-"
}
