//! The boxes of a site by name, and bringing back whatever of them does not run.

use super::plan::{address, node, rack};
use super::{Cluster, region};
use anyhow::Result;
use std::net::SocketAddr;
use std::path::PathBuf;

impl Cluster<'_> {
    /// Number of racks.
    pub fn racks(&self) -> usize {
        self.size.racks
    }

    /// Name of a rack, and of its host and process.
    pub fn rack_name(&self, at: usize) -> String {
        rack(at)
    }

    /// Name of a node and of its host.
    pub fn node_name(&self, at: usize) -> String {
        node(at)
    }

    /// Where the region of a node answers by itself.
    pub fn region_address(&self, at: usize) -> Result<SocketAddr> {
        Ok(format!("{}:5240", address(at)).parse()?)
    }

    /// The socket on which a node's HAProxy says what it knows.
    pub fn haproxy_socket(&self, at: usize) -> PathBuf {
        self.folder(&node(at)).join("data/run/haproxy.sock")
    }

    /// Whether this host is a node or a rack.
    pub fn is_box(&self, host: &str) -> bool {
        (0..self.size.nodes).any(|at| node(at) == host) || (0..self.size.racks).any(|at| rack(at) == host)
    }

    /// Starts what does not run on a node or a rack whose cables are in.
    pub fn start_what_is_missing(&self, host: &str) -> Result<()> {
        if let Some(at) = (0..self.size.racks).find(|at| rack(*at) == host) {
            return match self.lab.process(&rack(at)) {
                Some(_) => Ok(()),
                None => self.revive_rack(at),
            };
        }
        let at = self.number(host)?;
        if self.lab.process(&node(at)).is_none() {
            return self.revive(at);
        }
        if at < self.size.regions && self.lab.process(&region(at)).is_none() {
            self.start_region(at)?;
        }
        Ok(())
    }
}
