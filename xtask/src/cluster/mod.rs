//! `cargo xtask lab up --regions N --racks M --db 3 --machines K`: a site with several boxes in the lab.
//!
//! A node is a namespace that runs what `rackwright ha node` runs (etcd, Patroni, HAProxy, keepalived) and a region; a
//! rack is another one. All is made by the commands that an operator types. What holds: a fault of a box is a fault of
//! everything in its namespace; power loss is the cable first, so that no kernel says goodbye.

mod boxes;
mod machines;
mod plan;
mod power;
mod racks;

pub use machines::images;
pub use plan::{Size, VIRTUAL, plan};

use crate::http::Client;
use anyhow::{Context, Result, bail, ensure};
use plan::{VIRTUAL_NET, address, node};
use rackwright_lab::process::{self, ProcessId, SIGKILL};
use rackwright_lab::{Lab, ns, poll};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// The host from which people ask, and log in to machines.
pub const CLIENT: &str = "ctl";

/// One for all nodes and labs, which have no way to PyPI: it takes half a minute to fetch.
const PATRONI: &str = "/var/lib/rackwright-lab/patroni";

/// A running site.
pub struct Cluster<'a> {
    lab: &'a Lab,
    program: PathBuf,
    /// Which regions' and racks' processes run another program, by their names.
    others: BTreeMap<String, PathBuf>,
    /// Told to regions' and racks' processes: a clock that can be set, for example.
    environment: Vec<(String, String)>,
    size: Size,
}

/// What `patronictl list` says of a member.
#[derive(Debug, Clone, serde::Deserialize)]
pub struct Member {
    /// Its node.
    #[serde(rename = "Member")]
    pub name: String,
    /// `Leader`, `Sync Standby`, `Quorum Standby`, `Replica`.
    #[serde(rename = "Role")]
    pub role: String,
    /// `running`, `streaming`, …
    #[serde(rename = "State")]
    pub state: String,
}

impl<'a> Cluster<'a> {
    /// Sets up and starts everything in a lab of [`plan`].
    pub fn start(lab: &'a Lab, program: &Path, size: Size) -> Result<Self> {
        Self::new(lab, program, size).launch()
    }

    /// The same, not started yet.
    pub fn new(lab: &'a Lab, program: &Path, size: Size) -> Self {
        Self { lab, program: program.to_owned(), others: BTreeMap::new(), environment: Vec::new(), size }
    }

    /// A region's or rack's process runs another program.
    pub fn with_other(mut self, process: String, program: &Path) -> Self {
        self.others.insert(process, program.to_owned());
        self
    }

    /// Tells something to the regions' and racks' processes; `{host}` stands for their host.
    pub fn with_environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sets up and starts everything.
    pub fn launch(self) -> Result<Self> {
        let (lab, size) = (self.lab, self.size);
        let cluster = self;
        fs::write(program_file(lab), cluster.program.to_str().context("the program's path")?)?;
        fetch_patroni()?;
        cluster.set_up_nodes()?;
        for at in 0..size.nodes {
            cluster.start_node(at)?;
        }
        cluster.until_healthy(Duration::from_secs(240))?;
        for at in 0..size.regions {
            cluster.set_up_region(at)?;
            cluster.start_region(at)?;
            cluster.until_ready(at)?;
        }
        for at in 0..size.racks {
            cluster.enroll_rack(at)?;
            cluster.start_rack(at)?;
        }
        cluster.until_racks_serve(Duration::from_secs(60))?;
        Ok(cluster)
    }

    /// The cluster that runs in this lab, started by another process.
    pub fn open(lab: &'a Lab) -> Result<Self> {
        let program = fs::read_to_string(program_file(lab)).context("the lab is no site of several boxes")?;
        let has = |name: String| lab.plan().hosts.iter().any(|host| host.name == name);
        let racks = (0..).take_while(|at| has(plan::rack(*at))).count();
        let nodes = (0..).take_while(|at| has(node(*at))).count();
        let regions = (0..nodes).take_while(|at| lab.process_record(&region(*at)).exists()).count();
        let size = Size { nodes, regions, racks, machines: lab.plan().machines.len() };
        Ok(Self::new(lab, Path::new(&program), size))
    }

    /// Number of nodes.
    pub fn nodes(&self) -> usize {
        self.size.nodes
    }

    /// The namespace from which people ask.
    pub fn client_namespace(&self) -> String {
        self.lab.namespace(CLIENT)
    }

    /// A folder of a node, a region or a rack.
    pub fn folder(&self, host: &str) -> PathBuf {
        self.lab.state().data().join(host)
    }

    fn rackwright(&self, host: &str, arguments: &[&str]) -> Command {
        let mut command = self.lab.exec(host, &self.program.to_string_lossy());
        command.args(arguments);
        command
    }

    /// The daemon of a region or a rack.
    fn daemon(&self, host: &str, process: &str, arguments: &[&str]) -> Command {
        let program = self.others.get(process).unwrap_or(&self.program);
        // For this program alone, not for those that start it.
        let mut command = self.lab.exec(host, "env");
        let told = self.environment.iter();
        command.args(told.map(|(name, value)| format!("{name}={}", value.replace("{host}", host))));
        command.arg(program);
        command.args(arguments);
        command
    }

    /// `patronictl` of a node, which would wait for a cluster without end.
    fn ctl(&self, at: usize, arguments: &[&str]) -> Command {
        let ha = self.ha(at, "ctl");
        let mut command = Command::new("timeout");
        command.args(["-k", "1", "15"]).arg(ha.get_program()).args(ha.get_args()).args(arguments);
        command
    }

    /// `rackwright ha VERB` with a node's own folders.
    fn ha(&self, at: usize, verb: &str) -> Command {
        let folder = self.folder(&node(at));
        let mut command = self.rackwright(&node(at), &["ha", verb]);
        for (option, path) in [("--config", "ha.toml"), ("--folder", "ha"), ("--data", "data")] {
            command.arg(option).arg(folder.join(path));
        }
        command.args(["--patroni", PATRONI]);
        command
    }

    fn set_up_nodes(&self) -> Result<()> {
        let nodes: Vec<_> = (0..self.size.nodes).map(|at| format!("{}={}", node(at), address(at))).collect();
        for at in 0..self.size.nodes {
            let folder = self.folder(&node(at));
            fs::create_dir_all(&folder)?;
            let mut setup = self.ha(at, "setup");
            setup.arg("--no-systemd");
            if at == 0 {
                setup.args(["--nodes", &nodes.join(","), "--virtual-address", VIRTUAL_NET]);
            } else {
                fs::copy(self.folder(&node(0)).join("ha.toml"), folder.join("ha.toml"))?;
            }
            ns::run(&mut setup).with_context(|| format!("setting up {}", node(at)))?;
        }
        Ok(())
    }

    /// Starts the database, the proxy and the address of a node.
    pub fn start_node(&self, at: usize) -> Result<ProcessId> {
        self.lab.spawn(&node(at), &self.ha(at, "node"))
    }

    /// The first region gets its database's address, a further one joins.
    fn set_up_region(&self, at: usize) -> Result<()> {
        let host = node(at);
        let (data, file) = (self.folder(&host).join("region"), self.folder(&host).join("region.toml"));
        let stream = format!("{}:5241", address(at));
        if at > 0 {
            let mut token = self.rackwright(CLIENT, &["region", "token", &region(at), "--url"]);
            let token = token.arg(self.first_url()).arg("--token-file").arg(self.token_file());
            let token = ns::run_for_text(token)?;
            let mut join =
                self.rackwright(&host, &["region", "join", token.trim(), "--stream-address", &stream]);
            return ns::run(join.arg("--data").arg(data).arg("--config").arg(file));
        }
        let url = ns::run_for_text(&mut self.ha(at, "url"))?;
        let text = format!(
            "name = \"{}\"\ndata = \"{}\"\ndatabase_url = \"{}\"\nstream_address = \"{stream}\"\nserve_new_networks = true\n",
            region(at),
            data.display(),
            url.trim(),
        );
        fs::write(&file, text)?;
        Ok(fs::set_permissions(file, fs::Permissions::from_mode(0o600))?)
    }

    /// Where the first region's API is.
    fn first_url(&self) -> String {
        format!("http://{}:5240", address(0))
    }

    /// Starts a region.
    pub fn start_region(&self, at: usize) -> Result<ProcessId> {
        let config = self.folder(&node(at)).join("region.toml");
        let mut command = self.daemon(&node(at), &region(at), &["region", "--config"]);
        command.arg(config);
        self.lab.spawn(&region(at), &command)
    }

    /// A process by its name, which is that of the rack or the node, or `region-` and that of the node.
    pub fn process(&self, name: &str) -> Result<ProcessId> {
        self.lab.process(name).with_context(|| format!("{name} does not run"))
    }

    /// The region's process.
    pub fn region(&self, at: usize) -> Result<ProcessId> {
        self.lab.process(&region(at)).with_context(|| format!("{} does not run", region(at)))
    }

    /// Waits until a region itself says that it is ready.
    pub fn until_ready(&self, at: usize) -> Result<()> {
        poll::until(Duration::from_secs(60), &format!("{} to be ready", region(at)), || {
            if self.lab.process(&region(at)).is_none() {
                let log = process::tail(&self.lab.process_log(&region(at)), 20);
                return Ok(Some(Err(anyhow::anyhow!("{} ended:\n{log}", region(at)))));
            }
            let url = format!("http://{}:5240/readyz", address(at));
            let mut curl = self.lab.exec(CLIENT, "curl");
            let said = ns::run_for_text(curl.args(["-s", "-m", "2", &url]))?;
            ensure!(said.trim() == "ready", "{said:?}");
            Ok(Some(Ok(())))
        })?
    }

    /// Where the administrator's token is.
    pub fn token_file(&self) -> PathBuf {
        self.folder(&node(0)).join("region/admin.token")
    }

    /// The API behind the people's address, for a thread that is in the client's namespace.
    pub fn api(&self) -> Result<Client> {
        let token = fs::read_to_string(self.token_file()).context("the administrator's token")?;
        Ok(Client::new(format!("{VIRTUAL}:80").parse()?).with_token(&token))
    }

    /// The database's members, as any node that answers sees them.
    pub fn members(&self) -> Result<Vec<Member>> {
        let mut last = None;
        for at in 0..self.size.nodes {
            match ns::run_for_text(&mut self.ctl(at, &["list", "-f", "json"])) {
                Ok(text) => return serde_json::from_str(&text).with_context(|| text),
                Err(error) => last = Some(error),
            }
        }
        Err(last.context("no nodes")?)
    }

    /// Waits until one leads and all others stream.
    pub fn until_healthy(&self, limit: Duration) -> Result<()> {
        poll::until(limit, "a database with a leader and standbys that stream", || {
            for at in 0..self.size.nodes {
                if self.lab.process(&node(at)).is_none() {
                    let log = process::tail(&self.lab.process_log(&node(at)), 20);
                    return Ok(Some(Err(anyhow::anyhow!("{} ended:\n{log}", node(at)))));
                }
            }
            let members = self.members()?;
            let streaming = members.iter().filter(|m| m.state == "streaming").count();
            let leads = members.iter().filter(|m| m.role == "Leader" && m.state == "running").count();
            let confirms = members.iter().filter(|m| m.role.contains("Standby")).count();
            let others = self.size.nodes - 1;
            ensure!(leads == 1 && streaming == others && confirms > 0, "{members:?}");
            Ok(Some(Ok(())))
        })?
    }

    /// The node whose database takes writes.
    pub fn leader(&self) -> Result<usize> {
        let members = self.members()?;
        let name = &members.iter().find(|m| m.role == "Leader").context("no leader")?.name;
        self.number(name)
    }

    fn number(&self, name: &str) -> Result<usize> {
        (0..self.size.nodes).find(|at| node(*at) == name).with_context(|| format!("no node {name}"))
    }

    /// Moves the database's leader to another node.
    pub fn switch_over(&self, from: usize, to: usize) -> Result<()> {
        let (leader, next) = (node(from), node(to));
        ns::run(&mut self.ctl(from, &["switchover", "--leader", &leader, "--candidate", &next, "--force"]))
    }

    /// The node that has the people's address.
    pub fn holder(&self) -> Result<usize> {
        poll::until(Duration::from_secs(20), "one node with the people's address", || {
            let mut holders = Vec::new();
            for at in 0..self.size.nodes {
                let shown = ns::run_for_text(self.lab.exec(&node(at), "ip").args(["-4", "address", "show"]))?;
                if shown.contains(&format!("{VIRTUAL}/")) {
                    holders.push(at);
                }
            }
            match holders.as_slice() {
                [one] => Ok(Some(*one)),
                _ => bail!("{holders:?} have it"),
            }
        })
    }

    /// Kills the database server of a node, and nothing else.
    pub fn kill_database(&self, at: usize) -> Result<()> {
        let file = self.folder(&node(at)).join("data/postgres/postmaster.pid");
        let text = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
        let pid = text.lines().next().and_then(|line| line.trim().parse().ok()).context("postmaster.pid")?;
        let server = ProcessId::of(pid).context("the database server does not run")?;
        ensure!(server.signal(SIGKILL), "the database server could not be killed");
        Ok(())
    }
}

/// Which program the boxes of a site run.
fn program_file(lab: &Lab) -> PathBuf {
    lab.state().folder().join("program")
}

fn fetch_patroni() -> Result<()> {
    let folder = Path::new(PATRONI);
    if folder.join("bin/patroni").exists() {
        return Ok(());
    }
    println!("Patroni is fetched from PyPI into {PATRONI}");
    ns::run(Command::new("/usr/bin/python3").args(["-m", "venv"]).arg(folder))?;
    let mut pip = Command::new(folder.join("bin/pip"));
    ns::run(pip.args(["install", "--quiet", "patroni[etcd3,psycopg2-binary]>=4.1,<5"]))
}

/// Name of a region's process.
pub fn region(at: usize) -> String {
    format!("region-{}", node(at))
}
