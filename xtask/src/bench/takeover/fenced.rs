//! The primary's box fails where the inventory says how boxes are switched off.
//!
//! The lab's fence agent is a switch for a namespace: off is the cable first, then everything that runs; it says that a box
//! is off when nothing runs on it any more.

use super::client::Load;
use super::report::Figure;
use super::rows::{Fault, strike};
use super::site::Site;
use anyhow::{Context, Result};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

/// Called with the namespace of the box, that of the site, the cable's end, and `-o ACTION`.
const AGENT: &str = r#"#!/bin/sh
case "$5" in
  off)
    ip -n "$2" link set "$3" down
    for pid in $(ip netns pids "$1"); do kill -9 "$pid"; done
    n=0
    while [ -n "$(ip netns pids "$1")" ] && [ $n -lt 50 ]; do n=$((n + 1)); sleep 0.1; done
    [ -z "$(ip netns pids "$1")" ] ;;
  status) [ -z "$(ip netns pids "$1")" ] && exit 2; exit 0 ;;
  *) exit 1 ;;
esac
"#;

/// Once, with the agent in every node's inventory.
pub fn primary_fails(site: &Site<'_>, run: &str, fault: Fault, load: usize) -> Result<Vec<Figure>> {
    let agents = Agents::enter(site)?;
    let at = site.cluster.leader()?;
    let load = Load::start(&site.cluster.client_namespace(), &site.api, load);
    let seen = site.watch(run, Duration::from_secs(90), || strike(site, at, fault));
    load.tell();
    drop((load, agents));
    // Cut off or without power, it has been switched off.
    site.cluster.revive(at)?;
    let seen = seen?;
    let mut figures = seen.gaps(3.0, 10.0);
    figures.push(site.none_lost(&seen)?);
    Ok(figures)
}

/// The inventories as they were, put back at the end.
struct Agents(Vec<(PathBuf, String)>);

impl Agents {
    fn enter(site: &Site<'_>) -> Result<Self> {
        let agent = site.lab.state().folder().join("fence-agent");
        fs::write(&agent, AGENT)?;
        fs::set_permissions(&agent, fs::Permissions::from_mode(0o755))?;
        let nodes: Vec<_> = (0..site.cluster.nodes()).map(|at| site.cluster.node_name(at)).collect();
        let command = |(at, name): (usize, &String)| {
            let words = [site.lab.namespace(name), site.lab.namespace("site"), format!("host{at}n0")];
            let words = words.map(|word| format!("{word:?}")).join(", ");
            format!("{name} = [{:?}, {words}]\n", agent.display().to_string())
        };
        let table: String = nodes.iter().enumerate().map(command).collect();
        let mut agents = Self(Vec::new());
        for name in &nodes {
            let file = site.cluster.folder(name).join("ha.toml");
            let text = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
            fs::write(&file, format!("{text}\n[fence]\n{table}"))?;
            agents.0.push((file, text));
        }
        Ok(agents)
    }
}

impl Drop for Agents {
    fn drop(&mut self) {
        for (file, text) in &self.0 {
            if let Err(error) = fs::write(file, text) {
                eprintln!("{}: {error}", file.display());
            }
        }
    }
}
