//! The lab of a site with several boxes, as a plan.

use anyhow::{Result, ensure};
use rackwright_lab::{Host, HostNic, LabPlan, Machine};

/// The people's address.
pub const VIRTUAL: &str = "10.90.0.50";
/// The same with its network.
pub(super) const VIRTUAL_NET: &str = "10.90.0.50/24";
const NODES: [&str; 5] = ["one", "two", "three", "four", "five"];

/// How much of everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Nodes of the database; each may run a region.
    pub nodes: usize,
    /// Regions.
    pub regions: usize,
    /// Racks.
    pub racks: usize,
    /// Machines.
    pub machines: usize,
}

/// Name of a node's host.
pub(super) fn node(at: usize) -> String {
    NODES.get(at).map_or_else(|| format!("node-{at}"), |name| (*name).to_owned())
}

/// A node's address.
pub(super) fn address(at: usize) -> String {
    format!("10.90.0.{}", 11 + at)
}

/// Name of a rack's host.
pub(super) fn rack(at: usize) -> String {
    format!("rack-{}", at + 1)
}

/// A lab of this size.
pub fn plan(size: Size) -> Result<LabPlan> {
    let Size { nodes, regions, racks, machines } = size;
    ensure!(nodes == 3 || nodes == 5, "--db {nodes}: 3 or 5");
    ensure!((1..=nodes).contains(&regions), "--regions {regions}: 1 to {nodes}, one on a node");
    ensure!(racks <= 8 && machines <= 8, "8 racks and 8 machines at most");
    let nic = |name: &str, vlan: &str, address: String| HostNic {
        name: name.to_owned(),
        vlan: vlan.to_owned(),
        addresses: vec![address],
    };
    let mut hosts = Vec::new();
    for at in 0..nodes {
        hosts.push(Host { name: node(at), nics: vec![nic("eth0", "site", format!("{}/24", address(at)))] });
    }
    for at in 0..racks {
        let nics = vec![
            nic("eth0", "site", format!("10.90.0.{}/24", 31 + at)),
            HostNic {
                name: "eth1".to_owned(),
                vlan: "boot".to_owned(),
                // Machines' firmware waits for a router without the second.
                addresses: vec![format!("10.77.0.{}/24", 1 + at), format!("fd77::{}/64", 1 + at)],
            },
            nic("eth2", "bmc", format!("10.78.0.{}/24", 1 + at)),
        ];
        hosts.push(Host { name: rack(at), nics });
    }
    let nics = vec![
        nic("eth0", "site", "10.90.0.100/24".to_owned()),
        nic("eth1", "bmc", "10.78.0.100/24".to_owned()),
        nic("eth2", "boot", "10.77.0.100/24".to_owned()),
    ];
    hosts.push(Host { name: super::CLIENT.to_owned(), nics });
    let machine = |at: usize| Machine::bios(&format!("bios-{}", at + 1)).with_ipmi_sim(101 + at as u8);
    Ok(LabPlan {
        vlans: ["site", "boot", "bmc"].map(str::to_owned).into(),
        hosts,
        machines: (0..machines).map(machine).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_site_of_three_is_sound() {
        let size = Size { nodes: 3, regions: 3, racks: 2, machines: 4 };
        let plan = plan(size).unwrap();
        plan.check().unwrap();
        assert_eq!((plan.hosts.len(), plan.machines.len()), (6, 4));
        assert!(super::plan(Size { regions: 4, ..size }).is_err());
        assert!(super::plan(Size { nodes: 2, ..size }).is_err());
    }
}
