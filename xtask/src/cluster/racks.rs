//! Racks of a site: enrolled as an operator does it, on one network of machines.

use super::plan::rack;
use super::{CLIENT, Cluster};
use anyhow::{Context, Result, ensure};
use rackwright_lab::process::ProcessId;
use rackwright_lab::{ns, poll};
use serde_json::Value;
use std::fs;
use std::time::Duration;

impl Cluster<'_> {
    /// `rack token` and `rack enroll`.
    pub(super) fn enroll_rack(&self, at: usize) -> Result<()> {
        let (host, folder) = (rack(at), self.folder(&rack(at)));
        fs::create_dir_all(&folder)?;
        let mut token = self.rackwright(CLIENT, &["rack", "token", &host, "--url"]);
        let token = token.arg(self.first_url()).arg("--token-file").arg(self.token_file());
        let token = ns::run_for_text(token)?;
        let mut enroll =
            self.rackwright(&host, &["rack", "enroll", token.trim(), "--interface", "eth1", "--data"]);
        ns::run(enroll.arg(folder.join("data")).arg("--config").arg(folder.join("rack.toml")))
    }

    /// Starts a rack.
    pub fn start_rack(&self, at: usize) -> Result<ProcessId> {
        let mut command = self.daemon(&rack(at), &rack(at), &["rack", "--config"]);
        command.arg(self.folder(&rack(at)).join("rack.toml"));
        self.lab.spawn(&rack(at), &command)
    }

    /// Waits until every rack is heard and runs its newest picture of the world.
    pub fn until_racks_serve(&self, limit: Duration) -> Result<()> {
        poll::until(limit, "every rack to run its newest picture", || {
            let told = self.ask(|api| api.get("/api/v1/racks"))?;
            let racks = told["items"].as_array().context("a list of racks")?;
            let serves = |r: &&Value| r["connected"] == true && r["running"] == r["generation"];
            let serving = racks.iter().filter(serves).count();
            ensure!(serving == self.size.racks, "{told}");
            Ok(Some(()))
        })
    }
}
