//! `rackwright up` on the lab's controller, and the ways to talk to it.

use super::Programs;
use crate::http::Client;
use anyhow::{Context, Result, ensure};
use rackwright_lab::{Lab, forward, poll, process};
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// The port of this host's loopback that leads there.
const PORT: u16 = 5240;

/// A running controller.
pub struct Controller {
    /// The API with the administrator's token.
    pub api: Client,
    address: SocketAddr,
    token_file: PathBuf,
    program: PathBuf,
}

impl Controller {
    /// Where the region listens, inside the namespace.
    pub const REGION: &str = "10.77.0.1:5240";

    /// Starts it and waits until it is ready.
    pub fn start(lab: &Lab, programs: &Programs) -> Result<Self> {
        Self::start_at(lab, programs, PORT)
    }

    /// The same with another port of this host's loopback; 0: a free one.
    pub fn start_at(lab: &Lab, programs: &Programs, port: u16) -> Result<Self> {
        let data = lab.state().data();
        let running = lab.spawn("rackwright", &Self::up(lab, &programs.rackwright))?;
        let address = forward::spawn(port, &lab.namespace("ctl"), Self::REGION.parse()?)?;
        let api = Client::new(address);
        let log = lab.process_log("rackwright");
        poll::until(Duration::from_secs(60), "`rackwright up` to be ready", || {
            if !running.is_alive() {
                return Ok(Some(Err(anyhow::anyhow!("it ended:\n{}", process::tail(&log, 20)))));
            }
            let answer = api.request("GET", "/readyz", None)?;
            ensure!(answer.status == 200, "/readyz says {} {}", answer.status, answer.body);
            Ok(Some(Ok(())))
        })??;
        let token_file = data.join("admin.token");
        let token = fs::read_to_string(&token_file).with_context(|| token_file.display().to_string())?;
        let program = programs.rackwright.clone();
        Ok(Self { api: api.with_token(&token), address, token_file, program })
    }

    /// `rackwright up` on the lab's controller, with its data in the lab's folder for that.
    pub fn up(lab: &Lab, program: &Path) -> Command {
        let mut command = lab.exec("ctl", &program.to_string_lossy());
        command.args(["up", "--interface", "eth1", "--data"]).arg(lab.state().data());
        command
    }

    /// The web page as a browser on this host reaches it.
    pub fn page(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// The file with the first administrator's token.
    pub fn token_file(&self) -> &Path {
        &self.token_file
    }

    /// The operator's client, pointed at this controller; the token is in a variable, not in the arguments.
    pub fn client_command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(arguments).env("RACKWRIGHT_URL", self.page());
        command.env("RACKWRIGHT_TOKEN_FILE", &self.token_file);
        command
    }
}
