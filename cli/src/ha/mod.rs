//! `rackwright ha …`: several boxes as one site. PostgreSQL under Patroni and etcd, HAProxy and keepalived are existing
//! programs; this generates their configuration from one inventory, installs them, and keeps them running.

mod adopt;
mod certificates;
mod drill;
mod fence;
mod files;
mod install;
mod inventory;
mod node;
mod region;

use crate::client::{self, Client, Connection};
use crate::console::{Console, Format};
use anyhow::{Context, Result, ensure};
use inventory::{Inventory, Node, interface_of, parse_node};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

/// What a command of `ha` does.
#[derive(Debug, clap::Subcommand)]
pub enum HaCommand {
    /// Make this box a node of the site: install, configure, start.
    Setup(Setup),
    /// Run this node's programs; what the unit rackwright-ha starts.
    Node(Place),
    /// Print the `database_url` for the regions' region.toml; it holds a password.
    Url(Place),
    /// Print what belongs into region.toml on this node; it holds a password.
    Region(Place),
    /// Move the database of `rackwright up` into the cluster.
    Adopt(adopt::Adopt),
    /// Stop a region or a rack on purpose, measure what anybody notices, put it back.
    Drill(drill::Drill),
    /// `patronictl` of this node: `rackwright ha ctl list`, `… switchover`.
    Ctl(Ctl),
}

/// Where things are when nothing else is said; the unit takes these.
const CONFIG: &str = "/etc/rackwright/ha.toml";
const FOLDER: &str = "/etc/rackwright/ha";
const DATA: &str = "/var/lib/rackwright-ha";

/// Where a node's things are.
#[derive(Debug, Clone, clap::Args)]
pub struct Place {
    /// The inventory: the same file on every node.
    #[arg(long, default_value = CONFIG)]
    config: PathBuf,
    /// Which node this box is; the one whose address it has when absent.
    #[arg(long)]
    node: Option<String>,
    /// Where the programs' configuration is written.
    #[arg(long, default_value = FOLDER)]
    folder: PathBuf,
    /// What the programs keep: the database, etcd's log, Patroni.
    #[arg(long, default_value = DATA)]
    data: PathBuf,
    /// A Python environment that has Patroni; made in the data folder when absent.
    #[arg(long)]
    patroni: Option<PathBuf>,
}

impl Place {
    /// What the unit has to be told, where it is not what it takes by itself.
    fn arguments(&self) -> Result<Option<String>> {
        let usual = |path: &PathBuf, usual: &str| path.as_path() == std::path::Path::new(usual);
        let mut told = Vec::new();
        if !usual(&self.config, CONFIG) {
            told.push(("--config", std::path::absolute(&self.config)?));
        }
        if !usual(&self.folder, FOLDER) {
            told.push(("--folder", std::path::absolute(&self.folder)?));
        }
        if !usual(&self.data, DATA) {
            told.push(("--data", std::path::absolute(&self.data)?));
        }
        if let Some(patroni) = &self.patroni {
            told.push(("--patroni", std::path::absolute(patroni)?));
        }
        let mut words: Vec<String> =
            told.iter().map(|(name, path)| format!("{name} {}", path.display())).collect();
        words.extend(self.node.iter().map(|node| format!("--node {node}")));
        Ok((!words.is_empty()).then(|| words.join(" ")))
    }

    fn patroni(&self) -> PathBuf {
        self.patroni.clone().unwrap_or_else(|| self.data.join("patroni"))
    }
}

/// Makes this box a node.
#[derive(Debug, clap::Args)]
pub struct Setup {
    #[command(flatten)]
    place: Place,
    /// On the first node: all nodes, NAME=ADDRESS, separated by commas. Makes the inventory with new secrets; copy it to
    /// the other nodes.
    #[arg(long, value_delimiter = ',', value_parser = parse_node)]
    nodes: Vec<Node>,
    /// With --nodes: the address for people, with its prefix length, such as 10.0.0.100/24.
    #[arg(long, requires = "nodes")]
    virtual_address: Option<String>,
    /// With --nodes: acknowledge changes before a second node has them. For nodes on two sites with a slow line between.
    #[arg(long, requires = "nodes")]
    asynchronous: bool,
    /// With --nodes: HTTPS at the people's address, with a certificate of the inventory's authority, or with the one in
    /// /etc/rackwright/people.pem.
    #[arg(long, requires = "nodes")]
    https: bool,
    /// Install nothing; say what is missing.
    #[arg(long)]
    no_install: bool,
    /// Write files only; `rackwright ha node` then runs the node.
    #[arg(long)]
    no_systemd: bool,
}

/// What asynchronous replication costs, as it was measured.
const PRICE: &str = "\
Asynchronous replication: a change is acknowledged before another node has it. When the primary dies or is cut off, what it
acknowledged last is LOST: the last moments before a crash, and up to 20 seconds of changes when it is cut off from the other
nodes but not from regions (measured at 20 changes a second: 0 to 252 lost changes a failover; 0 in 25 synchronous ones).
Machines may then be in a state that the database does not know. Use it only where the line between sites is too slow.";

impl HaCommand {
    /// Carries it out.
    pub fn run(self, connection: &Connection, format: Format) -> Result<()> {
        match self {
            Self::Drill(drill) => client::block_on(async {
                let console = Console { client: Client::new(connection)?, format };
                drill.run(&console).await
            }),
            Self::Setup(setup) => setup.run(),
            Self::Node(place) => run_node(&place),
            Self::Url(place) => {
                let folder = std::path::absolute(&place.folder)?;
                println!("{}", Inventory::load(&place.config)?.database_url(&folder).expose());
                Ok(())
            }
            Self::Region(place) => region::print(&place),
            Self::Adopt(adopt) => adopt.run(),
            Self::Ctl(ctl) => ctl.run(),
        }
    }
}

fn run_node(place: &Place) -> Result<()> {
    crate::serve::start_logging();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    tokio::task::LocalSet::new().block_on(&runtime, node::run(place))
}

impl Setup {
    fn run(self) -> Result<()> {
        ensure!(nix::unistd::geteuid().is_root(), "this installs and configures programs: run it as root");
        drop(rustls::crypto::ring::default_provider().install_default());
        let place = &self.place;
        if !self.nodes.is_empty() {
            let shown = place.config.display();
            ensure!(
                !place.config.exists(),
                "{shown} is there already; leave --nodes out, or remove it to make a new site"
            );
            let mut made =
                Inventory::make(self.nodes.clone(), self.virtual_address.clone(), !self.asynchronous)?;
            made.https = self.https;
            made.find(place.node.as_deref())?;
            made.save(&place.config)?;
        }
        let inventory = Inventory::load(&place.config)?;
        let node = inventory.find(place.node.as_deref())?;
        let interface = match &inventory.virtual_address {
            Some(_) => interface_of(node.address)?,
            None => String::new(),
        };
        if !inventory.synchronous {
            println!("{PRICE}\n");
        }
        install::packages(!self.no_install)?;
        std::fs::create_dir_all(&place.data)?;
        install::patroni(place, !self.no_install)?;
        let programs = install::postgres()?;
        let paths = files::Paths { folder: &place.folder, data: &place.data, programs: &programs };
        // Certificates first: asking the cluster takes them.
        files::write(&inventory, node, paths, &interface, files::Etcd::New)?;
        let etcd = install::etcd(place, &inventory, node)?;
        if etcd == files::Etcd::Existing {
            files::write(&inventory, node, paths, &interface, etcd)?;
        }
        let with_systemd = !self.no_systemd && install::has_systemd();
        if with_systemd {
            install::unit(place)?;
        }
        self.say_what_next(&inventory, node, with_systemd);
        Ok(())
    }

    fn say_what_next(&self, inventory: &Inventory, node: &Node, with_systemd: bool) {
        println!("{} is a node of {}.", node.name, inventory.cluster);
        if !with_systemd {
            println!("  run it      rackwright ha node");
        }
        if !self.nodes.is_empty() {
            let config = self.place.config.display();
            for other in inventory.nodes.iter().filter(|other| *other != node) {
                println!("  {:<10}  copy {config} there, then `rackwright ha setup`", other.name);
            }
        }
        println!("  look        rackwright ha ctl list");
        println!(
            "  regions     `rackwright ha region` prints what belongs into region.toml; or `rackwright ha adopt`"
        );
    }
}

/// `patronictl`.
#[derive(Debug, clap::Args)]
pub struct Ctl {
    #[command(flatten)]
    place: Place,
    /// Its arguments.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

impl Ctl {
    fn run(self) -> Result<()> {
        let program = self.place.patroni().join("bin/patronictl");
        let mut command = Command::new(&program);
        command.arg("-c").arg(self.place.folder.join("patroni.yml")).args(&self.arguments);
        Err(command.exec()).with_context(|| program.display().to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unit_is_told_what_is_not_usual() {
        let usual = Place {
            config: CONFIG.into(),
            node: None,
            folder: FOLDER.into(),
            data: DATA.into(),
            patroni: None,
        };
        assert_eq!(usual.arguments().unwrap(), None);
        let other = Place { patroni: Some("/opt/patroni".into()), node: Some("two".into()), ..usual };
        assert_eq!(other.arguments().unwrap().unwrap(), "--patroni /opt/patroni --node two");
    }
}
