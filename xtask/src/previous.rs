//! `cargo xtask previous`: the version before beside this one, at work.
//!
//! Why: a site is upgraded one box at a time, so that regions and racks of two versions share a database and speak to each other.
//! What holds: the older programs are built from the commit before this one (or `--commit`), with the dependencies that are
//! built already; the older region makes the schema, the newer one brings it to its own version; machines (played, see
//! [`crate::simulated`]) are commissioned, deployed and released with each mixture of region and rack.
//! Left out: older agents (the images of the ephemeral environment are the last step of an upgrade), and versions further apart.

use crate::arguments::Arguments;
use crate::build;
use crate::cluster::{self, Cluster, Size};
use crate::setup;
use crate::simulated::{self, Simulated, life};
use anyhow::{Context, Result, ensure};
use rackwright_lab::state::workspace;
use rackwright_lab::{Lab, ns};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

const MACHINE: &str = "played-1";
const SIZE: Size = Size { nodes: 3, regions: 2, racks: 2, machines: 0 };

/// `previous [--commit C] [--old FILE] [--program FILE] [--prefix P]`
pub fn run(mut arguments: Arguments) -> Result<ExitCode> {
    let commit = arguments.option("--commit")?.unwrap_or_else(|| "HEAD~1".to_owned());
    let (old, new) = (arguments.option("--old")?, arguments.option("--program")?);
    let prefix = arguments.option("--prefix")?.unwrap_or_else(|| "previous".to_owned());
    arguments.done()?;
    setup::ensure_installed(setup::CLUSTER)?;
    let old = match old {
        Some(file) => fs::canonicalize(file)?,
        None => build_of(&commit)?,
    };
    let new = match new {
        Some(file) => fs::canonicalize(file)?,
        None => build::product()?,
    };
    let simulator = build::bmc_simulator()?;
    let mut plan = cluster::plan(SIZE)?;
    simulated::add(&mut plan, MACHINE, 101, &simulator)?;
    let lab = Lab::temporary(&prefix, plan)?;
    let began = Instant::now();
    let cluster = Cluster::new(&lab, &new, SIZE)
        .with_other(cluster::region(0), &old)
        .with_other("rack-1".to_owned(), &old)
        .launch()?;
    say(began, "region one and rack-1 are of the commit before, region two and rack-2 of this one");
    cluster.load_images(&simulated::images::make(&lab.state().folder().join("noise"))?)?;
    let machine = cluster.enter_machines()?.pop().context("a machine")?;
    let _played = Simulated::start(&lab, MACHINE)?;

    life::whole(&cluster, &machine).context("with both versions of everything")?;
    say(began, "a whole life with both versions of everything");
    without(&cluster, 1, "rack-1", || life::whole(&cluster, &machine))
        .context("with the region before and this rack")?;
    say(began, "a whole life with the region before and this rack");
    without(&cluster, 0, "rack-2", || life::whole(&cluster, &machine))
        .context("with this region and the rack before")?;
    say(began, "a whole life with this region and the rack before");
    Ok(ExitCode::SUCCESS)
}

fn say(began: Instant, what: &str) {
    println!("{:>5.0} s  {what}", began.elapsed().as_secs_f64());
}

/// Does something while a region and a rack are stopped.
fn without(
    cluster: &Cluster<'_>,
    region: usize,
    rack: &str,
    does: impl FnOnce() -> Result<()>,
) -> Result<()> {
    cluster.region(region)?.stop(Duration::from_secs(30))?;
    cluster.process(rack)?.stop(Duration::from_secs(30))?;
    let done = does();
    cluster.start_what_is_missing(&cluster.node_name(region))?;
    cluster.start_what_is_missing(rack)?;
    cluster.until_ready(region)?;
    cluster.until_racks_serve(Duration::from_secs(60))?;
    done
}

/// `rackwright` of a commit. Dependencies are taken as they are built here, so that a minute or two are enough.
fn build_of(commit: &str) -> Result<PathBuf> {
    let git = |words: &[&str]| {
        let mut git = Command::new("git");
        ns::run_for_text(git.current_dir(workspace()).args(words))
    };
    let found = git(&["rev-parse", "--verify", &format!("{commit}^{{commit}}")]);
    let hash = found
        .with_context(|| format!("{commit} is not here; a shallow clone needs `git fetch --unshallow`"))?;
    let folder = build::target().join("previous");
    let (source, target, mark) = (folder.join("source"), folder.join("target"), folder.join("commit"));
    let program = target.join("debug/rackwright");
    if fs::read_to_string(&mark).is_ok_and(|of| of == hash) && program.exists() {
        return Ok(program);
    }
    // A copy of the files: a working tree of git's would stay registered after the folder is gone.
    drop(fs::remove_dir_all(&source));
    fs::create_dir_all(&source)?;
    let archive = folder.join("source.tar");
    git(&["archive", "--output", path(&archive)?, hash.trim()])?;
    // As new files: those of a commit would be older than what was built of another one, and not be built.
    ns::run(Command::new("tar").args(["-xmf", path(&archive)?, "-C", path(&source)?]))?;
    fs::remove_file(archive)?;
    copy_dependencies(&build::target().join("debug"), &target.join("debug"))?;
    println!("$ cargo build --workspace --bin rackwright   # of {commit}, {}", hash.trim());
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    build::forget_own_package(&mut cargo);
    cargo.args(["build", "--workspace", "--bin", "rackwright"]).current_dir(&source);
    cargo.env("CARGO_TARGET_DIR", &target).env("SQLX_OFFLINE", "true");
    let status = cargo.status().context("cargo")?;
    ensure!(status.success(), "the commit before does not build: {status}");
    fs::write(mark, hash)?;
    Ok(program)
}

fn path(path: &Path) -> Result<&str> {
    path.to_str().context("a path that is not UTF-8")
}

/// Links what was built of packages from elsewhere; what was built from here is left out, so that no build writes into another's
/// files.
fn copy_dependencies(from: &Path, to: &Path) -> Result<()> {
    for part in ["deps", "build", ".fingerprint"] {
        let into = to.join(part);
        fs::create_dir_all(&into)?;
        let Ok(entries) = fs::read_dir(from.join(part)) else { continue };
        let mut files = Vec::new();
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if !is_ours(&name) && !into.join(&name).exists() {
                files.push(entry.path());
            }
        }
        for some in files.chunks(500) {
            ns::run(Command::new("cp").args(["-a", "--link", "-t"]).arg(&into).args(some))?;
        }
    }
    Ok(())
}

/// Whether a file of a target folder belongs to a package of this workspace, or to one of its tests.
fn is_ours(name: &str) -> bool {
    let name = name.strip_prefix("lib").unwrap_or(name);
    name.starts_with("rackwright") || name.starts_with("xtask")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_built_from_here_is_told_from_dependencies() {
        assert!(
            is_ours("librackwright_region-0123.rlib")
                && is_ours("rackwright-cli-0123")
                && is_ours("xtask-0f")
        );
        assert!(!is_ours("libserde-0123.rmeta") && !is_ours("tokio-0123.d"));
    }
}
