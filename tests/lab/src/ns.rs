//! Network namespaces by `ip netns`.
//!
//! What holds: names are `<prefix>-<host>` and a prefix has no hyphen, so the namespaces of a lab are known from
//! its prefix alone and two labs cannot be confused.

use crate::process::{ProcessId, SIGKILL};
use anyhow::{Context, Result, bail, ensure};
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Namespace of a host.
#[must_use]
pub fn name(prefix: &str, host: &str) -> String {
    format!("{prefix}-{host}")
}

/// The file that stands for a namespace; opening it is what `setns` needs.
#[must_use]
pub fn path(namespace: &str) -> PathBuf {
    PathBuf::from("/run/netns").join(namespace)
}

/// Makes a namespace with its loopback up.
pub fn add(namespace: &str) -> Result<()> {
    run(Command::new("ip").args(["netns", "add", namespace]))?;
    batch(namespace, &["link set lo up".to_owned()])
}

/// Namespaces of a lab that exist.
pub fn list(prefix: &str) -> Result<Vec<String>> {
    let start = format!("{prefix}-");
    let entries = match std::fs::read_dir("/run/netns") {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).context("/run/netns"),
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.starts_with(&start) {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// A command that runs inside the namespace; its arguments follow.
#[must_use]
pub fn command(namespace: &str, program: &str) -> Command {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", namespace, program]);
    command
}

/// Runs `ip` commands inside the namespace, all or an error.
pub fn batch(namespace: &str, lines: &[String]) -> Result<()> {
    let mut child = Command::new("ip")
        .args(["-n", namespace, "-batch", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("ip")?;
    let mut input = child.stdin.take().context("standard input of ip")?;
    input.write_all((lines.join("\n") + "\n").as_bytes())?;
    drop(input);
    let output = child.wait_with_output()?;
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "ip in {namespace}: {}", error.trim());
    Ok(())
}

/// Ends every process that lives in the namespace and removes it, with all links in it.
pub fn remove(namespace: &str) -> Result<()> {
    crate::poll::until(Duration::from_secs(10), &format!("{namespace} free of processes"), || {
        let left = pids(namespace)?;
        for process in &left {
            process.signal(SIGKILL);
        }
        if left.is_empty() { Ok(Some(())) } else { bail!("{left:?}") }
    })?;
    run(Command::new("ip").args(["netns", "del", namespace]))
}

/// Processes that live in the namespace.
pub fn pids(namespace: &str) -> Result<Vec<ProcessId>> {
    let text = run_for_text(Command::new("ip").args(["netns", "pids", namespace]))?;
    Ok(text.lines().filter_map(|line| ProcessId::of(line.trim().parse().ok()?)).collect())
}

/// Runs a command to its end; its error text becomes the error.
pub fn run(command: &mut Command) -> Result<()> {
    run_for_text(command).map(drop)
}

/// The same, yielding standard output.
pub fn run_for_text(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("{command:?}"))?;
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?}: {}: {}", output.status, error.trim());
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
