//! Boxes of a site lose their cables and their power, and get them back.
//!
//! What holds: a box without power has its cables out first, so that no kernel says goodbye to anybody; one that is killed
//! loses every process of its namespace at once.

use super::plan::{VIRTUAL_NET, node, rack};
use super::{CLIENT, Cluster};
use anyhow::{Context, Result, ensure};
use rackwright_lab::process::SIGKILL;
use rackwright_lab::{ns, poll};
use std::time::Duration;

impl Cluster<'_> {
    /// Plugs or unplugs a node's cable.
    pub fn set_link(&self, at: usize, up: bool) -> Result<()> {
        self.set_cables(&node(at), up)
    }

    /// Plugs or unplugs all cables of a host.
    pub fn set_cables(&self, host: &str, up: bool) -> Result<()> {
        let found = self.lab.plan().hosts.iter().find(|known| known.name == host);
        let nics = &found.with_context(|| format!("no host {host}"))?.nics;
        nics.iter().try_for_each(|nic| self.lab.set_host_link(host, &nic.name, up))
    }

    /// Kills every process of a node at once; with `power`, its cable first.
    pub fn kill(&self, at: usize, power: bool) -> Result<()> {
        self.kill_host(&node(at), power)
    }

    /// Kills every process of a host at once; with `power`, its cables first.
    pub fn kill_host(&self, host: &str, power: bool) -> Result<()> {
        ensure!(host != CLIENT, "{CLIENT} is where people sit");
        if power {
            self.set_cables(host, false)?;
        }
        for process in ns::pids(&self.lab.namespace(host))? {
            process.signal(SIGKILL);
        }
        Ok(())
    }

    /// Starts a node again that was killed: cable, database, region.
    pub fn revive(&self, at: usize) -> Result<()> {
        self.until_empty(&node(at))?;
        // A namespace keeps what a real box would have lost.
        let lines = [format!("address del {VIRTUAL_NET} dev eth0")];
        drop(ns::batch(&self.lab.namespace(&node(at)), &lines));
        self.set_link(at, true)?;
        self.start_node(at)?;
        if at < self.size.regions {
            self.start_region(at)?;
        }
        Ok(())
    }

    /// Starts a rack again that was killed: cables, rack.
    pub fn revive_rack(&self, at: usize) -> Result<()> {
        self.until_empty(&rack(at))?;
        self.set_cables(&rack(at), true)?;
        self.start_rack(at).map(drop)
    }

    /// Starts a box again, whatever it is.
    pub fn revive_host(&self, host: &str) -> Result<()> {
        match (0..self.size.racks).find(|at| rack(*at) == host) {
            Some(at) => self.revive_rack(at),
            None => self.revive(self.number(host)?),
        }
    }

    fn until_empty(&self, host: &str) -> Result<()> {
        let namespace = self.lab.namespace(host);
        poll::until(Duration::from_secs(10), &format!("{namespace} empty"), || {
            let left = ns::pids(&namespace)?;
            ensure!(left.is_empty(), "{left:?}");
            Ok(Some(()))
        })
    }
}
