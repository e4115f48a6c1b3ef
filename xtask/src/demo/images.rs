//! The ephemeral environment and the image that the demo installs; kept in `.lab/cache/` between runs.

use super::Programs;
use super::controller::Controller;
use anyhow::{Context, Result, ensure};
use rackwright_lab::state;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Builds what is missing; yields the folders, in the order in which they are to be loaded. The cloud kernel
/// is enough for the lab's machines and smaller than the generic one.
pub fn build(programs: &Programs) -> Result<Vec<PathBuf>> {
    let cache = state::root().join("cache");
    fs::create_dir_all(&cache)?;
    let agent = programs.agent.to_string_lossy();
    let parts: [(&str, &[&str]); 3] = [
        ("ephemeral", &["build-ephemeral", "--kernel", "cloud", "--agent", &agent]),
        ("bootloaders", &["build", "bootloaders"]),
        ("debian-12", &["build", "debian-12", "--kernel", "cloud"]),
    ];
    let mut built = Vec::new();
    for (name, arguments) in parts {
        let folder = cache.join(name);
        // The environment holds the agent: a newer agent makes it stale.
        let stale = name == "ephemeral" && is_newer(&programs.agent, &folder);
        build_one(programs, arguments, &folder, stale)?;
        built.push(folder);
    }
    Ok(built)
}

/// Puts what was built into the region's store.
pub fn load(controller: &Controller, built: &[PathBuf]) -> Result<()> {
    for folder in built {
        let status = controller.client_command(&["image", "load"]).arg(folder).status()?;
        ensure!(status.success(), "image load {}: {status}", folder.display());
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
    let mut command = Command::new(&programs.rackwright);
    command.arg("image").args(arguments).arg("--folder").arg(&new);
    command.arg("--cache").arg(state::root().join("cache/packages"));
    let status = command.status().context("rackwright")?;
    ensure!(status.success(), "rackwright image {}: {status}", arguments.join(" "));
    fs::rename(&new, target).with_context(|| target.display().to_string())
}

fn is_newer(file: &Path, than: &Path) -> bool {
    let time = |path: &Path| fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
    time(file) > time(than)
}
