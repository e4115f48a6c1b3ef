//! A primary whose box is dead or cut off is switched off for certain, and replaced at once.
//!
//! Why: Patroni believes a silent primary for 20 s at least, as it cannot know whether it still acknowledges changes. A box
//! that is switched off does not. `[fence]` of the inventory says by which command each node's box is switched off; it is
//! a fence agent's: `-o off`, and `-o status`, which ends with 2 when the box is off.
//!
//! What holds: a node acts only when most nodes hear nothing of that box, which they say in etcd, so that etcd has its
//! majority too; the leader's key goes only after the command has switched the box off and, asked again, has said
//! that it is off, and only while it is that box's. Who is promoted is Patroni's own choice, by the same rules as ever.
//! Without a command, or when it fails, all is as Patroni does it alone.

use super::Place;
use super::inventory::{Inventory, Node, host};
use anyhow::{Context, Result, bail, ensure};
use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// Between two looks at the other nodes.
const TICK: Duration = Duration::from_millis(300);
/// A box on the same site answers sooner.
const ANSWER: Duration = Duration::from_millis(500);
/// A box that is silent for so long is looked into.
const SILENT: Duration = Duration::from_secs(2);
/// Before it is looked into again.
const AGAIN: Duration = Duration::from_secs(2);
/// How long the others' word is waited for, and how long one's own counts.
const VOTE: Duration = Duration::from_secs(10);
/// Each further node acts so much later, in case the one before cannot.
const TURN: Duration = Duration::from_secs(6);
/// How long the command may take.
const COMMAND: Duration = Duration::from_secs(40);
/// Of a fence agent: the box is off.
const OFF: i32 = 2;
/// PostgreSQL's, Patroni's, etcd's.
const PORTS: [u16; 3] = [5432, 8008, 2379];

/// What became of a silent box.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    /// The inventory has no command for it.
    NoCommand,
    /// Somebody else leads, or nobody.
    LeadsNot,
    /// It is heard again.
    Heard,
    /// Too few others find it silent.
    TooFew,
    /// It is off, and Patroni chooses anew.
    Replaced,
}

/// What is asked and done around.
trait Around {
    /// Whether that box answers, be it by a refusal.
    async fn hears(&self, name: &str) -> bool;
    /// Whether the leader's key is its.
    async fn leads(&self, name: &str) -> Result<bool>;
    /// Says that this node hears nothing of that box.
    async fn vote(&self, silent: &str) -> Result<()>;
    /// Who says so.
    async fn votes(&self, silent: &str) -> Result<BTreeSet<String>>;
    /// Whether there is a command for it.
    fn can_switch_off(&self, name: &str) -> Result<bool>;
    /// Switches it off; fails unless it is off for certain.
    async fn switch_off(&self, name: &str) -> Result<()>;
    /// Takes the leader's key from it; whether it had it.
    async fn dethrone(&self, name: &str) -> Result<bool>;
}

/// Looks at the other nodes until `stop`.
pub async fn watch(place: Place, own: Node, stop: CancellationToken) {
    match Site::new(place, own) {
        Ok(site) => {
            tokio::select! {
                () = look(&site) => {}
                () = stop.cancelled() => {}
            }
        }
        Err(error) => tracing::error!(error = format!("{error:#}"), "silent primaries are not looked for"),
    }
}

async fn look(site: &Site) {
    let begun = Instant::now();
    let mut heard: BTreeMap<&str, Instant> = site.others.iter().map(|n| (n.name.as_str(), begun)).collect();
    let mut looked: BTreeMap<&str, Instant> = BTreeMap::new();
    let mut readable = true;
    loop {
        sleep(TICK).await;
        let commands = site.commands();
        if let (Err(error), true) = (&commands, readable) {
            tracing::error!(
                error = format!("{error:#}"),
                "no silent primary is switched off until this is mended"
            );
        }
        readable = commands.is_ok();
        let commands = commands.unwrap_or_default();
        for Node { name, .. } in &site.others {
            // Who has no command is not looked at.
            if !commands.contains_key(name) || site.hears(name).await {
                heard.insert(name, Instant::now());
                continue;
            }
            let silent = heard.get(name.as_str()).is_none_or(|at| at.elapsed() >= SILENT);
            let lately = looked.get(name.as_str()).is_some_and(|at| at.elapsed() < AGAIN);
            if !silent || lately {
                continue;
            }
            let (began, majority) = (Instant::now(), site.others.len().div_ceil(2) + 1);
            match replace(site, &site.own.name, name, majority, VOTE).await {
                Ok(Outcome::Replaced) => tracing::warn!(
                    node = name,
                    seconds = began.elapsed().as_secs_f64(),
                    "the primary's box was silent; it is off now, and another node is promoted"
                ),
                Ok(outcome) => tracing::debug!(node = name, ?outcome, "a silent box"),
                Err(error) => tracing::error!(
                    node = name,
                    error = format!("{error:#}"),
                    "a silent primary's box could not be fenced; Patroni's own limit holds"
                ),
            }
            looked.insert(name, Instant::now());
        }
    }
}

/// Replaces the node `silent`, of which `own` hears nothing, if it leads and `majority` nodes find it so within `patience`.
async fn replace<A: Around>(
    around: &A,
    own: &str,
    silent: &str,
    majority: usize,
    patience: Duration,
) -> Result<Outcome> {
    if !around.can_switch_off(silent)? {
        return Ok(Outcome::NoCommand);
    }
    if !around.leads(silent).await? {
        return Ok(Outcome::LeadsNot);
    }
    around.vote(silent).await?;
    let begun = Instant::now();
    let turn = loop {
        if around.hears(silent).await {
            return Ok(Outcome::Heard);
        }
        if let Some(turn) = turn(&around.votes(silent).await?, own, majority) {
            break turn;
        }
        if begun.elapsed() >= patience {
            return Ok(Outcome::TooFew);
        }
        sleep(Duration::from_millis(200)).await;
    };
    sleep(TURN * turn).await;
    if around.hears(silent).await {
        return Ok(Outcome::Heard);
    }
    if !around.leads(silent).await? {
        return Ok(Outcome::LeadsNot);
    }
    around.switch_off(silent).await?;
    if around.dethrone(silent).await? { Ok(Outcome::Replaced) } else { Ok(Outcome::LeadsNot) }
}

/// When it is this node's turn to act: 0 for the first of those who said so. None when they are too few.
fn turn(votes: &BTreeSet<String>, own: &str, majority: usize) -> Option<u32> {
    let at = votes.iter().position(|name| name == own)?;
    (votes.len() >= majority).then(|| u32::try_from(at).unwrap_or(u32::MAX))
}

/// The site as this node sees it.
struct Site {
    place: Place,
    own: Node,
    others: Vec<Node>,
    cluster: String,
    /// HAProxy's, which is the cheapest to ask.
    people_port: u16,
}

impl Site {
    fn new(place: Place, own: Node) -> Result<Self> {
        let inventory = Inventory::load(&place.config)?;
        let others = inventory.nodes.iter().filter(|node| **node != own).cloned().collect();
        Ok(Self { place, own, others, cluster: inventory.cluster, people_port: inventory.people_port })
    }

    /// The inventory is read anew: what a person enters counts without a restart, which could move the leader.
    fn commands(&self) -> Result<BTreeMap<String, Vec<String>>> {
        Ok(Inventory::load(&self.place.config)?.fence)
    }

    fn leader_key(&self) -> String {
        format!("/service/{}/leader", self.cluster)
    }

    fn vote_key(&self, silent: &str) -> String {
        format!("/rackwright/{}/silent/{silent}/", self.cluster)
    }

    /// `etcdctl` over all nodes but the silent one.
    async fn etcd(&self, silent: &str, arguments: &[&str], input: &str) -> Result<String> {
        let members = [&self.own].into_iter().chain(self.others.iter().filter(|node| node.name != silent));
        let endpoints: Vec<_> = members.map(|node| format!("https://{}:2379", host(node.address))).collect();
        let file = |name: &str| -> PathBuf { self.place.folder.join(name) };
        let mut command = Command::new("/usr/bin/etcdctl");
        command.env("ETCDCTL_API", "3").args(["--command-timeout=4s", "--dial-timeout=1s"]);
        command.arg(format!("--endpoints={}", endpoints.join(",")));
        for (option, name) in [("cacert", "ca.pem"), ("cert", "certificate.pem"), ("key", "key.pem")] {
            command.arg(format!("--{option}={}", file(name).display()));
        }
        let output = run(command.args(arguments), input, Duration::from_secs(6)).await?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let error = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "etcdctl {}: {}", arguments.join(" "), error.trim());
        Ok(said)
    }
}

impl Around for Site {
    async fn hears(&self, name: &str) -> bool {
        let Some(node) = self.others.iter().find(|node| node.name == name) else { return false };
        let answers = |port| async move {
            let connected = timeout(ANSWER, TcpStream::connect((node.address, port))).await;
            connected.is_ok_and(|outcome| is_answer(&outcome.map(drop)))
        };
        if answers(self.people_port).await {
            return true;
        }
        // That port may be closed to this node: a box is silent when none answers.
        let (postgres, patroni, etcd) = tokio::join!(answers(PORTS[0]), answers(PORTS[1]), answers(PORTS[2]));
        postgres || patroni || etcd
    }

    async fn leads(&self, name: &str) -> Result<bool> {
        let said = self.etcd(name, &["get", "--print-value-only", &self.leader_key()], "").await?;
        Ok(said.trim() == name)
    }

    async fn vote(&self, silent: &str) -> Result<()> {
        let granted = self.etcd(silent, &["lease", "grant", &VOTE.as_secs().to_string()], "").await?;
        let lease = granted.split_whitespace().nth(1).context("a lease")?.to_owned();
        let key = format!("{}{}", self.vote_key(silent), self.own.name);
        self.etcd(silent, &["put", &format!("--lease={lease}"), &key, "silent"], "").await.map(drop)
    }

    async fn votes(&self, silent: &str) -> Result<BTreeSet<String>> {
        let prefix = self.vote_key(silent);
        let said = self.etcd(silent, &["get", "--prefix", "--keys-only", &prefix], "").await?;
        Ok(said.lines().filter_map(|line| line.strip_prefix(&prefix).map(str::to_owned)).collect())
    }

    fn can_switch_off(&self, name: &str) -> Result<bool> {
        Ok(self.commands()?.contains_key(name))
    }

    async fn switch_off(&self, name: &str) -> Result<()> {
        let words = self.commands()?.remove(name).context("its command was removed")?;
        let (program, arguments) = words.split_first().context("an empty command")?;
        let ask = |action: &'static str| {
            let mut command = Command::new(program);
            command.args(arguments).args(["-o", action]);
            command
        };
        tracing::warn!(node = name, "the primary's box is silent to most nodes; it is switched off");
        let off = run(&mut ask("off"), "", COMMAND).await?;
        let error = String::from_utf8_lossy(&off.stderr).trim().to_owned();
        ensure!(off.status.success(), "{program} -o off: {}: {error}", off.status);
        let status = run(&mut ask("status"), "", COMMAND).await?;
        ensure!(
            status.status.code() == Some(OFF),
            "{program} -o status: {}, which is not off",
            status.status
        );
        Ok(())
    }

    async fn dethrone(&self, name: &str) -> Result<bool> {
        let key = self.leader_key();
        let said =
            self.etcd(name, &["txn"], &format!("value(\"{key}\") = \"{name}\"\n\ndel {key}\n\n\n")).await?;
        match said.lines().find(|line| !line.trim().is_empty()) {
            Some("SUCCESS") => Ok(true),
            Some("FAILURE") => Ok(false),
            _ => bail!("etcdctl txn said {said:?}"),
        }
    }
}

/// A box that refuses lives: its programs may be about to end in order, or to begin. Patroni knows better then.
fn is_answer(outcome: &std::io::Result<()>) -> bool {
    match outcome {
        Ok(()) => true,
        Err(error) => matches!(error.kind(), ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset),
    }
}

/// Runs a command to its end, within `limit`.
async fn run(command: &mut Command, input: &str, limit: Duration) -> Result<Output> {
    let shown = command.as_std().get_program().to_string_lossy().into_owned();
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().with_context(|| shown.clone())?;
    let mut pipe = child.stdin.take().context("its standard input")?;
    // Who does not read it has ended, which its status tells.
    drop(tokio::io::AsyncWriteExt::write_all(&mut pipe, input.as_bytes()).await);
    drop(pipe);
    let ended = timeout(limit, child.wait_with_output()).await;
    ended.with_context(|| format!("{shown}: not within {} s", limit.as_secs()))?.context(shown)
}

#[cfg(test)]
mod tests;
