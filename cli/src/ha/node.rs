//! `rackwright ha node`: runs etcd, Patroni, HAProxy and keepalived of a node, and starts again what ends.
//!
//! What holds: the programs end when this one does, however it does (the kernel tells them, by `setpriv`); the people's
//! address is taken off the interface before keepalived starts, as one that was killed leaves it there and two nodes would
//! have it. Runs on one thread: the kernel's promise is bound to the thread that started a program.

use super::inventory::{Inventory, Node, interface_of};
use super::{Place, fence, install};
use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Before a program that ended is started again.
const PAUSE: Duration = Duration::from_secs(1);
/// How long PostgreSQL may take to stop.
const PATIENCE: Duration = Duration::from_secs(60);

/// One program.
struct Program {
    name: &'static str,
    /// As which user; root when none.
    user: Option<&'static str>,
    program: PathBuf,
    arguments: Vec<String>,
    /// Taken off an interface before each start.
    address: Option<(String, String)>,
    /// PostgreSQL's programs come first on its path.
    path: Option<PathBuf>,
}

/// Runs a node until it is told to stop.
pub async fn run(place: &Place) -> Result<()> {
    let inventory = Inventory::load(&place.config)?;
    let node = inventory.find(place.node.as_deref())?;
    ensure!(
        place.folder.join("patroni.yml").exists(),
        "{} has no configuration of this node; run `rackwright ha setup`",
        place.folder.display()
    );
    let programs = programs(place, &inventory, node)?;
    let stop = CancellationToken::new();
    let mut running = JoinSet::new();
    for program in programs {
        running.spawn_local(keep(program, stop.clone()));
    }
    running.spawn_local(fence::watch(place.clone(), node.clone(), stop.clone()));
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("stopping");
    stop.cancel();
    while running.join_next().await.is_some() {}
    Ok(())
}

fn programs(place: &Place, inventory: &Inventory, node: &Node) -> Result<Vec<Program>> {
    let file = |name: &str| place.folder.join(name).display().to_string();
    let plain = |name, program: &str, user, arguments| Program {
        name,
        user,
        program: program.into(),
        arguments,
        address: None,
        path: None,
    };
    let etcd = vec!["--config-file".to_owned(), file("etcd.yml")];
    let mut programs = vec![
        plain("etcd", "/usr/bin/etcd", Some("postgres"), etcd),
        Program {
            path: Some(install::postgres()?),
            ..plain("patroni", "", Some("postgres"), vec![file("patroni.yml")])
        },
        plain("haproxy", "/usr/sbin/haproxy", None, vec!["-db".into(), "-f".into(), file("haproxy.cfg")]),
    ];
    programs[1].program = place.patroni().join("bin/patroni");
    if let Some(address) = &inventory.virtual_address {
        let run = place.data.join("run");
        let pid = |name: &str| run.join(name).display().to_string();
        let mut arguments: Vec<String> = ["-n", "-l", "-D", "-f"].map(str::to_owned).into();
        arguments.extend([
            file("keepalived.conf"),
            "-p".into(),
            pid("keepalived.pid"),
            "-r".into(),
            pid("vrrp.pid"),
        ]);
        programs.push(Program {
            address: Some((address.clone(), interface_of(node.address)?)),
            ..plain("keepalived", "/usr/sbin/keepalived", None, arguments)
        });
    }
    for program in &programs {
        let shown = program.program.display();
        ensure!(program.program.exists(), "there is no {shown}; run `rackwright ha setup`");
    }
    Ok(programs)
}

/// Starts a program again and again until `stop`, then stops it.
async fn keep(program: Program, stop: CancellationToken) {
    loop {
        match start(&program).await {
            Ok(mut child) => {
                tokio::select! {
                    status = child.wait() => tracing::error!(program = program.name, ?status, "it has ended; starting it again"),
                    () = stop.cancelled() => return end(program.name, child).await,
                }
            }
            Err(error) => {
                tracing::error!(program = program.name, error = format!("{error:#}"), "it does not start")
            }
        }
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            () = stop.cancelled() => return,
        }
    }
}

async fn start(program: &Program) -> Result<Child> {
    if let Some((address, interface)) = &program.address {
        // It is not there as a rule, which `ip` finds wrong.
        let arguments = ["address", "del", address, "dev", interface];
        Command::new("ip").args(arguments).stderr(Stdio::null()).status().await.context("ip")?;
    }
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "TERM"]);
    if let Some(user) = program.user {
        command.args(["--reuid", user, "--regid", user, "--init-groups"]);
    }
    command.arg("--").arg(&program.program).args(&program.arguments);
    if let Some(path) = &program.path {
        command.env("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin", path.display()));
        command.env("HOME", "/var/lib/postgresql").env("PYTHONUNBUFFERED", "1");
    }
    // A group of its own: Ctrl-C reaches us, and we stop it in order.
    command.stdin(Stdio::null()).current_dir("/").process_group(0);
    let child = command.spawn().with_context(|| format!("setpriv {}", shown(&program.program)))?;
    tracing::info!(program = program.name, pid = child.id(), "started");
    Ok(child)
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

async fn end(name: &str, mut child: Child) {
    if let Some(pid) = child.id().and_then(|pid| i32::try_from(pid).ok())
        && let Err(error) = kill(Pid::from_raw(pid), Signal::SIGTERM)
    {
        tracing::warn!(program = name, %error, "it cannot be stopped");
    }
    if tokio::time::timeout(PATIENCE, child.wait()).await.is_err() {
        tracing::warn!(program = name, "it does not stop; killed");
        drop(child.kill().await);
    }
}
