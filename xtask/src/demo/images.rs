//! The ephemeral environment and the image that the demo installs; kept in `.lab/cache/` between runs.

use super::Programs;
use super::controller::Controller;
use anyhow::{Context, Result, ensure};
use rackwright_lab::state;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Folders with what was built.
pub struct Built {
    /// The ephemeral environment.
    pub ephemeral: PathBuf,
    /// The image to install.
    pub debian: PathBuf,
}

/// Builds what is missing.
pub fn build(programs: &Programs) -> Result<Built> {
    let cache = state::root().join("cache");
    fs::create_dir_all(&cache)?;
    let built = Built { ephemeral: cache.join("ephemeral"), debian: cache.join("debian-12") };
    let agent = programs.agent.to_string_lossy();
    // The environment holds the agent: a newer agent makes it stale.
    let arguments = ["image", "build-ephemeral", "--kernel", "cloud", "--agent", &agent];
    build_one(programs, &arguments, &built.ephemeral, is_newer(&programs.agent, &built.ephemeral))?;
    build_one(programs, &["image", "build", "debian-12"], &built.debian, false)?;
    Ok(built)
}

/// Puts what was built into the region's store.
pub fn load(controller: &Controller, built: &Built) -> Result<()> {
    for folder in [&built.ephemeral, &built.debian] {
        controller
            .client_command(&["image", "load"])
            .arg(folder)
            .status()
            .context("rackwright image load")
            .and_then(|status| {
            ensure!(status.success(), "image load {}: {status}", folder.display());
            Ok(())
        })?;
    }
    Ok(())
}

/// Builds into a new folder and then gives it its name, so that a name always stands for something whole.
fn build_one(programs: &Programs, arguments: &[&str], target: &Path, stale: bool) -> Result<()> {
    if target.exists() && !stale {
        println!("  {} is there", target.display());
        return Ok(());
    }
    let new = target.with_extension("new");
    for folder in [&new, &target.to_owned()] {
        if folder.exists() {
            fs::remove_dir_all(folder)?;
        }
    }
    let status = Command::new(&programs.rackwright).args(arguments).arg("--output").arg(&new).status()?;
    ensure!(status.success(), "rackwright {}: {status}", arguments.join(" "));
    fs::rename(&new, target).with_context(|| target.display().to_string())
}

fn is_newer(file: &Path, than: &Path) -> bool {
    let time = |path: &Path| fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
    time(file) > time(than)
}
