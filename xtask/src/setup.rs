//! `cargo xtask setup`: installs what is missing, says what and why, and does nothing the second time.
//!
//! What holds: no service is started and no database cluster is made by an installation; the box stays as it
//! was but for the programs. Left out: distributions other than Debian and its children.

use crate::arguments::Arguments;
use crate::packages::{Need, PACKAGES, Package};
use anyhow::{Context, Result, bail, ensure};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

/// What a server needs: it runs, and builds images.
pub const SERVER: &[Need] = &[Need::Run, Need::Images];
/// What each command needs.
pub const DEMO: &[Need] = &[Need::Run, Need::Images, Need::Lab];
/// The tests without a browser.
pub const TEST: &[Need] = &[Need::Run, Need::Images, Need::Lab, Need::Test];
/// The tests on whole sites.
pub const END_TO_END: &[Need] = &[Need::Run, Need::Images, Need::Lab, Need::Test, Need::Cluster];
/// The tests with a browser.
pub const BROWSER: &[Need] = &[Need::Run, Need::Images, Need::Lab, Need::Test, Need::Browser];
/// All tests.
const ALL_TESTS: &[Need] = &[Need::Run, Need::Images, Need::Lab, Need::Test, Need::Browser, Need::Cluster];
/// The benchmarks.
pub const BENCH: &[Need] = &[Need::Run, Need::Images, Need::Lab, Need::Test, Need::Bench];
/// A site with several boxes in the lab.
pub const CLUSTER: &[Need] = &[Need::Run, Need::Lab, Need::Test, Need::Cluster];
/// Everything.
pub const ALL: &[Need] =
    &[Need::Run, Need::Images, Need::Lab, Need::Test, Need::Browser, Need::Bench, Need::Cluster];

/// `setup [--check] [--for server|demo|test|bench]`
pub fn run(mut arguments: Arguments) -> Result<ExitCode> {
    let check = arguments.flag("--check");
    let needs = match arguments.option("--for")?.as_deref() {
        None => ALL,
        Some("server") => SERVER,
        Some("demo") => DEMO,
        Some("test") => ALL_TESTS,
        Some("bench") => BENCH,
        Some(other) => bail!("--for {other}: server, demo, test or bench"),
    };
    arguments.done()?;
    if !check {
        ensure_installed(needs)?;
        return Ok(ExitCode::SUCCESS);
    }
    for package in PACKAGES.iter().filter(|package| needs.contains(&package.need)) {
        let state = if is_present(package) { "there" } else { "MISSING" };
        println!("{state:<8} {:<22} {}", package.name, package.why);
    }
    Ok(if missing(needs).is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Installs what is missing of these.
pub fn ensure_installed(needs: &[Need]) -> Result<()> {
    let missing = missing(needs);
    if missing.is_empty() {
        return Ok(());
    }
    ensure!(is_root(), "{} packages are missing; run `cargo xtask setup` as root", missing.len());
    println!("{} packages of the distribution are missing and will be installed:", missing.len());
    for package in &missing {
        println!("  {:<22} {}", package.name, package.why);
    }
    install(&missing.iter().map(|package| package.name).collect::<Vec<_>>())?;
    let left: Vec<_> = missing.iter().filter(|package| !is_present(package)).collect();
    ensure!(left.is_empty(), "installed, but not found: {left:?}");
    Ok(())
}

fn missing(needs: &[Need]) -> Vec<Package> {
    let wanted = |package: &&Package| needs.contains(&package.need) && !is_present(package);
    PACKAGES.iter().filter(wanted).copied().collect()
}

/// Whether the file that a package brings is there. One `*` stands for one folder.
fn is_present(package: &Package) -> bool {
    let Some((before, after)) = package.probe.split_once("*/") else {
        return Path::new(package.probe).exists();
    };
    let Ok(folders) = fs::read_dir(before) else { return false };
    folders.flatten().any(|folder| folder.path().join(after).exists())
}

fn install(names: &[&str]) -> Result<()> {
    let quiet = QuietServices::hold()?;
    apt(&["update"]).context("the package lists could not be fetched")?;
    let mut arguments = vec!["install", "--yes", "--no-install-recommends"];
    arguments.extend(names);
    let outcome = apt(&arguments).or_else(|error| {
        // A newer qemu-utils than the release's, from elsewhere, keeps the release's qemu-system-x86 out.
        let Some(release) = release_of_the_box() else { return Err(error) };
        println!("apt refused; trying once more with this release's own qemu-utils");
        let pinned = format!("qemu-utils/{release}");
        let mut again = vec!["install", "--yes", "--no-install-recommends", "--allow-downgrades", &pinned];
        again.extend(names.iter().filter(|name| **name != "qemu-utils"));
        apt(&again)
    });
    drop(quiet);
    outcome
}

fn apt(arguments: &[&str]) -> Result<()> {
    let status = Command::new("apt-get")
        .args(["-q", "-o", "Dpkg::Use-Pty=0", "-o", "DPkg::Lock::Timeout=300"])
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null())
        .status()
        .context("apt-get; this set-up knows Debian only")?;
    ensure!(status.success(), "apt-get {}: {status}", arguments.first().unwrap_or(&""));
    Ok(())
}

/// Code name of the running release, for example `bookworm`.
fn release_of_the_box() -> Option<String> {
    let text = fs::read_to_string("/etc/os-release").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="))?;
    Some(line.trim_matches('"').to_owned())
}

/// Whether this process runs as root.
pub fn is_root() -> bool {
    fs::read_to_string("/proc/self/status")
        .is_ok_and(|status| status.lines().any(|line| line.starts_with("Uid:\t0\t")))
}

/// While this lives, installing a package starts no service and makes no database cluster. Files that were
/// there before are left alone.
struct QuietServices(Vec<PathBuf>);

/// A comment by which files of [`QuietServices`] are known.
const MARK: &str = "# made by `cargo xtask setup`, removed at its end";

impl QuietServices {
    fn hold() -> Result<Self> {
        let mut made = Self(Vec::new());
        made.write("/usr/sbin/policy-rc.d", &format!("#!/bin/sh\n{MARK}\nexit 101\n"), 0o755)?;
        if !Path::new("/etc/postgresql").exists() {
            let content = format!("{MARK}\ncreate_main_cluster = false\n");
            made.write("/etc/postgresql-common/createcluster.conf", &content, 0o644)?;
        }
        Ok(made)
    }

    fn write(&mut self, path: &str, content: &str, mode: u32) -> Result<()> {
        let path = PathBuf::from(path);
        // One of ours is left when an earlier set-up was killed.
        if path.exists() && !fs::read_to_string(&path).is_ok_and(|text| text.contains(MARK)) {
            return Ok(());
        }
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(&path, content).with_context(|| path.display().to_string())?;
        fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
        self.0.push(path);
        Ok(())
    }
}

impl Drop for QuietServices {
    fn drop(&mut self) {
        for path in &self.0 {
            if let Err(error) = fs::remove_file(path) {
                eprintln!("{}: {error}", path.display());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_package_has_one_line_a_reason_and_an_absolute_probe() {
        for (at, package) in PACKAGES.iter().enumerate() {
            assert!(package.probe.starts_with('/') && !package.why.is_empty(), "{package:?}");
            assert!(PACKAGES[..at].iter().all(|other| other.name != package.name), "{} twice", package.name);
        }
    }

    #[test]
    fn a_star_stands_for_one_folder() {
        let probe = |probe| is_present(&Package { probe, ..PACKAGES[0] });
        assert!(probe("/proc/*/status"));
        assert!(!probe("/proc/*/no-such-file"));
        assert!(!probe("/no-such-folder/*/x"));
    }
}
