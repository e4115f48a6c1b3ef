//! What can go wrong, chosen by a seed, done to a site and taken back.
//!
//! What holds: [`Fault::begin`] and [`Fault::end`] undo each other; what was killed is started again by [`Fault::end`], as
//! systemd would. Loss is by nftables: kernels without netem have that.

use super::random::Random;
use crate::cluster::Cluster;
use anyhow::{Context, Result};
use rackwright_lab::process::{SIGCONT, SIGKILL, SIGSTOP};
use rackwright_lab::{Lab, ns, poll};
use std::fmt;
use std::fs;
use std::process::Command;
use std::time::Duration;

/// Of what can only be done to a database that is well, when another fault is under way.
const PATIENCE: Duration = Duration::from_secs(45);

/// Which way packets are lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Those that arrive.
    In,
    /// Those that are sent.
    Out,
}

/// One fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// kill −9 of a process.
    Killed(String),
    /// SIGSTOP, and SIGCONT at the end.
    Frozen(String),
    /// The database server that takes writes is killed.
    DatabaseKilled,
    /// The leader of the database moves.
    SwitchOver,
    /// A box loses its power: its cables first, then everything on it.
    Power(String),
    /// A box's cables are out.
    Cut(String),
    /// Nothing arrives at a box, or nothing leaves it, on the network of the controllers.
    OneWay(String, Way),
    /// So many packets in a hundred that arrive at a box are lost.
    Loss(String, u8),
    /// A rack's disk is full.
    FullDisk(String),
    /// The clock of a box's controller jumps by so many seconds, and back at the end.
    Clock(String, i32),
    /// A machine's BMC does something else than it should.
    Bmc(String, &'static str),
}

/// What sort of fault: each has to come in the seeds that the tests run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub enum Kind {
    Killed,
    Frozen,
    DatabaseKilled,
    SwitchOver,
    Power,
    Cut,
    In,
    Out,
    Loss,
    FullDisk,
    Clock,
    Bmc,
}

impl Kind {
    /// All of them. One that is not among them is never made, which the compiler finds.
    pub const ALL: [Self; 12] = [
        Self::Killed,
        Self::Frozen,
        Self::DatabaseKilled,
        Self::SwitchOver,
        Self::Power,
        Self::Cut,
        Self::In,
        Self::Out,
        Self::Loss,
        Self::FullDisk,
        Self::Clock,
        Self::Bmc,
    ];
}

/// What faults are done to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Targets {
    /// Boxes with a database and a region each.
    pub nodes: Vec<String>,
    /// Boxes with a rack each.
    pub racks: Vec<String>,
    /// Machines.
    pub machines: Vec<String>,
}

impl Targets {
    /// Those of a site.
    pub fn of(cluster: &Cluster<'_>, machines: Vec<String>) -> Self {
        let nodes = (0..cluster.nodes()).map(|at| cluster.node_name(at)).collect();
        let racks = (0..cluster.racks()).map(|at| cluster.rack_name(at)).collect();
        Self { nodes, racks, machines }
    }
}

/// What BMCs do.
const LIES: [&str; 5] = ["slow 2000", "vanish 6", "drop 3", "duplicate 3", "stuck-off"];
/// On a clock.
const JUMPS: [i32; 4] = [-600, -40, 40, 600];

impl Fault {
    /// The next one, and its kind.
    pub fn draw(random: &mut Random, targets: &Targets) -> (Kind, Self) {
        let node = random.one(&targets.nodes).clone();
        let rack = random.one(&targets.racks).clone();
        let region = format!("region-{}", random.one(&targets.nodes));
        let host = random.one(&[node, rack.clone()]).clone();
        let controller = random.one(&[region, rack.clone()]).clone();
        let kind = *random.one(&Kind::ALL);
        let fault = match kind {
            Kind::Killed => Self::Killed(controller),
            Kind::Frozen => Self::Frozen(controller),
            Kind::DatabaseKilled => Self::DatabaseKilled,
            Kind::SwitchOver => Self::SwitchOver,
            Kind::Power => Self::Power(host),
            Kind::Cut => Self::Cut(host),
            Kind::In => Self::OneWay(host, Way::In),
            Kind::Out => Self::OneWay(host, Way::Out),
            Kind::Loss => Self::Loss(host, *random.one(&[10, 30])),
            Kind::FullDisk => Self::FullDisk(rack),
            Kind::Clock => Self::Clock(host, *random.one(&JUMPS)),
            Kind::Bmc => Self::Bmc(random.one(&targets.machines).clone(), LIES[random.below(LIES.len())]),
        };
        (kind, fault)
    }

    /// Whether both are done to one thing, or by the same means.
    pub fn is_like(&self, other: &Self) -> bool {
        let target = |fault: &Self| match fault {
            Self::Killed(name) | Self::Frozen(name) => Some(host_of(name).to_owned()),
            Self::Power(host) | Self::Cut(host) | Self::OneWay(host, _) | Self::Loss(host, _) => {
                Some(host.clone())
            }
            Self::FullDisk(host) | Self::Clock(host, _) | Self::Bmc(host, _) => Some(host.clone()),
            Self::DatabaseKilled | Self::SwitchOver => None,
        };
        target(self) == target(other)
    }

    /// Makes it so.
    pub fn begin(&self, lab: &Lab, cluster: &Cluster<'_>) -> Result<()> {
        match self {
            Self::Killed(name) => signal(cluster, name, SIGKILL),
            Self::Frozen(name) => signal(cluster, name, SIGSTOP),
            Self::DatabaseKilled => cluster.kill_database(leader(cluster)?),
            Self::SwitchOver => switch_over(cluster),
            Self::Power(host) => cluster.kill_host(host, true),
            Self::Cut(host) => cluster.set_cables(host, false),
            Self::OneWay(host, way) => drop_packets(lab, host, *way, ""),
            Self::Loss(host, percent) => {
                drop_packets(lab, host, Way::In, &format!("numgen random mod 100 < {percent}"))
            }
            Self::FullDisk(rack) => {
                // As much as there is; that it ends for want of room is what is wanted.
                let mut dd = Command::new("dd");
                let to = cluster.folder(rack).join("data/filler");
                dd.args(["if=/dev/zero", "bs=64k", "status=none"]).arg(format!("of={}", to.display()));
                dd.output().map(drop).context("dd")
            }
            Self::Clock(host, seconds) => set_clock(cluster, host, *seconds),
            Self::Bmc(machine, lie) => lab.bmc(machine)?.set_faults(lie),
        }
    }

    /// Takes it back.
    pub fn end(&self, lab: &Lab, cluster: &Cluster<'_>) -> Result<()> {
        match self {
            Self::Killed(name) => cluster.start_what_is_missing(host_of(name)),
            Self::Frozen(name) => signal(cluster, name, SIGCONT),
            Self::DatabaseKilled | Self::SwitchOver => Ok(()),
            Self::Power(host) => cluster.revive_host(host),
            Self::Cut(host) => cluster.set_cables(host, true),
            Self::OneWay(host, _) | Self::Loss(host, _) => {
                ns::run(lab.exec(host, "nft").args(["delete", "table", "inet", "chaos"]))
            }
            Self::FullDisk(rack) => Ok(fs::remove_file(cluster.folder(rack).join("data/filler"))?),
            Self::Clock(host, _) => set_clock(cluster, host, 0),
            Self::Bmc(machine, _) => lab.bmc(machine)?.set_faults(""),
        }
    }
}

/// The node whose database takes changes. Another fault may have moved it a moment ago.
fn leader(cluster: &Cluster<'_>) -> Result<usize> {
    poll::until(PATIENCE, "a leader of the database", || cluster.leader().map(Some))
}

/// Moves the leader to the next node that streams; another fault may leave only one of them, and be about to move it.
fn switch_over(cluster: &Cluster<'_>) -> Result<()> {
    poll::until(PATIENCE, "the leader of the database to move", || {
        let leader = cluster.leader()?;
        let members = cluster.members()?;
        let streams =
            |at: &usize| members.iter().any(|m| m.name == cluster.node_name(*at) && m.state == "streaming");
        let others = (1..cluster.nodes()).map(|next| (leader + next) % cluster.nodes());
        let to = others.into_iter().find(streams).context("no other node streams")?;
        cluster.switch_over(leader, to).map(Some)
    })
}

/// The box of a process.
fn host_of(process: &str) -> &str {
    process.strip_prefix("region-").unwrap_or(process)
}

fn signal(cluster: &Cluster<'_>, name: &str, signal: rackwright_lab::Signal) -> Result<()> {
    cluster.process(name)?.signal(signal);
    Ok(())
}

/// On `eth0`, which is the network of the controllers.
fn drop_packets(lab: &Lab, host: &str, way: Way, which: &str) -> Result<()> {
    let (hook, end) = match way {
        Way::In => ("input", "iifname"),
        Way::Out => ("output", "oifname"),
    };
    let rules = format!(
        "table inet chaos {{\nchain lost {{\ntype filter hook {hook} priority 0\n{end} \"eth0\" {which} drop\n}}\n}}\n"
    );
    ns::run(lab.exec(host, "nft").arg(rules))
}

/// The file that libfaketime reads once a second in the controllers of a box.
pub fn set_clock(cluster: &Cluster<'_>, host: &str, seconds: i32) -> Result<()> {
    let file = cluster.folder(host).join("clock");
    let new = file.with_extension("new");
    fs::write(&new, format!("{seconds:+}"))?;
    Ok(fs::rename(new, file)?)
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Killed(name) => write!(formatter, "{name} is killed"),
            Self::Frozen(name) => write!(formatter, "{name} stands still"),
            Self::DatabaseKilled => write!(formatter, "the primary database is killed"),
            Self::SwitchOver => write!(formatter, "the primary database moves"),
            Self::Power(host) => write!(formatter, "{host} has no power"),
            Self::Cut(host) => write!(formatter, "{host} is cut off"),
            Self::OneWay(host, Way::In) => write!(formatter, "nothing arrives at {host}"),
            Self::OneWay(host, Way::Out) => write!(formatter, "nothing leaves {host}"),
            Self::Loss(host, percent) => write!(formatter, "{host} loses {percent} % of what arrives"),
            Self::FullDisk(rack) => write!(formatter, "the disk of {rack} is full"),
            Self::Clock(host, seconds) => write!(formatter, "the clock of {host} jumps by {seconds} s"),
            Self::Bmc(machine, lie) => write!(formatter, "the BMC of {machine}: {lie}"),
        }
    }
}
