//! A rack of its own on a host of a [`Site`]'s lab, enrolled as an operator does it.

use crate::site::Site;
use anyhow::{Context, Result, ensure};
use rackwright_lab::process::{self, ProcessId};
use rackwright_lab::{Signal, poll};
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

/// What an enrolled rack has of its own: a name, a host, a folder.
pub struct EnrolledRack<'a> {
    site: &'a Site,
    /// Its name; the one of its host as well.
    pub name: String,
}

impl<'a> EnrolledRack<'a> {
    /// Makes the host `name` a rack of this name that serves `interfaces`. It does not run yet.
    pub fn enroll(site: &'a Site, name: &str, interfaces: &[&str]) -> Result<Self> {
        let rack = Self { site, name: name.to_owned() };
        let token = site.ask(&["rack", "token", name])?;
        let token = token["token"].as_str().context("a token")?.to_owned();
        std::fs::create_dir_all(rack.folder())?;
        let mut command = rack.rackwright(&["rack", "enroll", "-", "--data"]);
        command.arg(rack.data()).arg("--config").arg(rack.config());
        for interface in interfaces {
            command.args(["--interface", interface]);
        }
        let mut enroll = command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        enroll.stdin.take().context("its standard input")?.write_all(token.as_bytes())?;
        let output = enroll.wait_with_output()?;
        ensure!(output.status.success(), "rack enroll: {}", String::from_utf8_lossy(&output.stderr));
        Ok(rack)
    }

    /// Starts it and waits until the region hears it.
    pub fn start(&self) -> Result<()> {
        self.launch()?;
        poll::until(Duration::from_secs(60), &format!("{} to be connected", self.name), || {
            let racks = self.site.list(&["rack", "list"])?;
            let found = racks.iter().find(|r| r["name"] == self.name.as_str());
            ensure!(found.is_some_and(|r| r["connected"] == true), "{racks:?}; {}", self.log_tail());
            Ok(Some(()))
        })
    }

    /// Starts it and does not wait.
    pub fn launch(&self) -> Result<ProcessId> {
        let mut command = self.rackwright(&["rack", "--config"]);
        command.arg(self.config());
        self.site.lab().spawn(&self.name, &command)
    }

    /// Kills it as a power cut would.
    pub fn kill(&self) -> Result<()> {
        let running = self.process().with_context(|| format!("{} does not run", self.name))?;
        running.signal(Signal::SIGKILL);
        running.wait(Duration::from_secs(10))
    }

    /// Its process, while it runs.
    pub fn process(&self) -> Option<ProcessId> {
        self.site.lab().process(&self.name)
    }

    /// The last lines that it wrote.
    pub fn log_tail(&self) -> String {
        process::tail(&self.site.lab().process_log(&self.name), 20)
    }

    /// What is in its lease file.
    pub fn lease_file(&self) -> String {
        std::fs::read_to_string(self.data().join("dhcp/leases.jsonl")).unwrap_or_default()
    }

    /// Its data folder.
    pub fn data(&self) -> PathBuf {
        self.folder().join("data")
    }

    fn config(&self) -> PathBuf {
        self.folder().join("rack.toml")
    }

    fn folder(&self) -> PathBuf {
        self.site.lab().state().folder().join("racks").join(&self.name)
    }

    fn rackwright(&self, arguments: &[&str]) -> Command {
        self.site.rackwright_on(&self.name, arguments)
    }
}
