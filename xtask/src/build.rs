//! Building the parts of the product, and where they end up.

use anyhow::{Context, Result, ensure};
use rackwright_lab::state::workspace;
use std::path::PathBuf;
use std::process::Command;

/// The target of the agent: it is linked statically, so that it runs in an environment without libraries.
const AGENT_TARGET: &str = "x86_64-unknown-linux-gnu";

/// `rackwright`; yields its path. Built as a part of the workspace, so that it shares what the tests built.
pub fn product() -> Result<PathBuf> {
    cargo(&["build", "--workspace", "--bin", "rackwright"], &[])?;
    Ok(target().join("debug/rackwright"))
}

/// `rackwright-agent`, static; yields its path.
pub fn agent() -> Result<PathBuf> {
    let arguments =
        ["build", "--profile", "agent", "--target", AGENT_TARGET, "--package", "rackwright-agent"];
    cargo(&arguments, &[("RUSTFLAGS", "-C target-feature=+crt-static")])?;
    Ok(target().join(AGENT_TARGET).join("agent/rackwright-agent"))
}

/// The chassis program, for tests that make labs; yields its path.
pub fn lab() -> Result<PathBuf> {
    cargo(&["build", "--workspace", "--bin", "rackwright-lab"], &[])?;
    Ok(target().join("debug/rackwright-lab"))
}

/// `rackwright-bmc-sim`; yields its path.
pub fn bmc_simulator() -> Result<PathBuf> {
    cargo(&["build", "--workspace", "--bin", "rackwright-bmc-sim"], &[])?;
    Ok(target().join("debug/rackwright-bmc-sim"))
}

/// `rackwright-amt-sim`; yields its path.
pub fn amt_simulator() -> Result<PathBuf> {
    cargo(&["build", "--workspace", "--bin", "rackwright-amt-sim"], &[])?;
    Ok(target().join("debug/rackwright-amt-sim"))
}

/// `bench-seed`, which fills a database with machines; yields its path.
pub fn seed() -> Result<PathBuf> {
    cargo(&["build", "--workspace", "--bin", "bench-seed"], &[])?;
    Ok(target().join("debug/bench-seed"))
}

/// Programs of the workspace as they are shipped; yields their folder.
pub fn release(programs: &[&str]) -> Result<PathBuf> {
    let mut arguments = vec!["build", "--release", "--workspace"];
    arguments.extend(programs.iter().flat_map(|program| ["--bin", program]));
    cargo(&arguments, &[])?;
    Ok(target().join("release"))
}

/// Runs cargo in the workspace.
pub fn cargo(arguments: &[&str], environment: &[(&str, &str)]) -> Result<()> {
    println!("$ cargo {}", arguments.join(" "));
    let status = cargo_command(arguments).envs(environment.iter().copied()).status().context("cargo")?;
    ensure!(status.success(), "cargo {}: {status}", arguments.join(" "));
    Ok(())
}

/// cargo in the workspace, for a caller that reads its output.
pub fn cargo_command(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments).current_dir(workspace());
    forget_own_package(&mut command);
    command
}

/// `cargo xtask` describes xtask's own package in variables; a build script that watches them (ring's does) would be
/// run again, and half of the tree built anew, whenever a build by hand and one from here alternate.
pub fn forget_own_package(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
}

/// Where cargo puts what it builds.
pub fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace().join("target"), PathBuf::from)
}
