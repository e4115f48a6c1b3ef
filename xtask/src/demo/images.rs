//! The ephemeral environment and the image that the demo installs; kept in `.lab/cache/` between runs.

use super::Programs;
use super::controller::Controller;
use anyhow::{Context, Result};
use rackwright_lab::interrupt::Interrupt;
use rackwright_lab::state;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What the demo's machines boot and install.
pub const NAMES: [&str; 3] = ["ephemeral", "bootloaders", "debian-12"];

/// Builds what is missing; yields the folders, in the order in which they are to be loaded. The cloud kernel
/// is enough for the lab's machines and smaller than the generic one.
pub fn build(programs: &Programs, interrupt: &Interrupt) -> Result<Vec<PathBuf>> {
    let cache = state::root().join("cache");
    fs::create_dir_all(&cache)?;
    let agent = programs.agent.to_string_lossy();
    let parts: [(&str, &[&str]); 3] = [
        (NAMES[0], &["build-ephemeral", "--kernel", "cloud", "--agent", &agent]),
        (NAMES[1], &["build", "bootloaders"]),
        (NAMES[2], &["build", "debian-12", "--kernel", "cloud"]),
    ];
    let mut built = Vec::new();
    for (name, arguments) in parts {
        let folder = cache.join(name);
        // The environment holds the agent: a newer agent makes it stale.
        let stale = name == NAMES[0] && is_newer(&programs.agent, &folder);
        build_one(programs, arguments, &folder, stale, interrupt)?;
        built.push(folder);
    }
    Ok(built)
}

/// Puts what was built into the region's store.
pub fn load(controller: &Controller, built: &[PathBuf], interrupt: &Interrupt) -> Result<()> {
    for folder in built {
        let mut command = controller.client_command(&["image", "load"]);
        interrupt.run(command.arg(folder)).with_context(|| folder.display().to_string())?;
    }
    Ok(())
}

/// Builds into a new folder and then gives it its name, so that a name always stands for something whole. What an
/// interrupted build leaves is removed.
fn build_one(
    programs: &Programs,
    arguments: &[&str],
    target: &Path,
    stale: bool,
    interrupt: &Interrupt,
) -> Result<()> {
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
    let packages = state::root().join("cache/packages");
    command.arg("--cache").arg(&packages);
    if let Err(error) = interrupt.run(&mut command) {
        let unfinished = fs::read_dir(&packages).into_iter().flatten().flatten().map(|entry| entry.path());
        let unfinished = unfinished.filter(|path| is_work(path)).chain([new]);
        for folder in unfinished.filter(|path| path.exists()) {
            fs::remove_dir_all(folder)?;
        }
        return Err(error.context(format!("rackwright image {}", arguments.join(" "))));
    }
    fs::rename(&new, target).with_context(|| target.display().to_string())
}

/// A folder of a build that is under way.
fn is_work(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("work-"))
}

fn is_newer(file: &Path, than: &Path) -> bool {
    let time = |path: &Path| fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
    time(file) > time(than)
}
