//! Where a lab keeps its things.
//!
//! `.lab/<prefix>/` in the workspace (or `RACKWRIGHT_LAB_DIR`) holds the plan, records of processes, disks and
//! logs; `/run/rackwright-lab/<prefix>/` holds sockets, because the path of a socket is limited to 107 bytes;
//! `/var/lib/rackwright-lab/<prefix>/` is for the data of programs on the lab's hosts.

use crate::plan::{LabPlan, is_name};
use anyhow::{Context, Result, ensure};
use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The folders of one lab.
#[derive(Clone, Debug)]
pub struct State {
    prefix: String,
    folder: PathBuf,
}

impl State {
    /// The state of the lab of this prefix, whether or not it exists. A prefix is 1 to 12 lower-case letters or
    /// digits: no hyphen, so that the namespaces of two labs cannot be confused.
    pub fn of(prefix: &str) -> Result<Self> {
        ensure!(
            is_name(prefix, 12) && !prefix.contains('-'),
            "lab prefix {prefix:?}: 1 to 12 lower-case letters or digits"
        );
        Ok(Self { prefix: prefix.to_owned(), folder: root().join(prefix) })
    }

    /// The lab's prefix.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The folder of the lab.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The folder of one machine: description, boot device, disks, log of its chassis.
    #[must_use]
    pub fn machine(&self, name: &str) -> PathBuf {
        self.folder.join("machines").join(name)
    }

    /// The folder of one machine's BMC.
    #[must_use]
    pub fn bmc(&self, name: &str) -> PathBuf {
        self.folder.join("bmc").join(name)
    }

    /// Records of processes on hosts.
    #[must_use]
    pub fn processes(&self) -> PathBuf {
        self.folder.join("processes")
    }

    /// What a machine wrote to its serial port, over all its boots.
    #[must_use]
    pub fn serial_log(&self, machine: &str) -> PathBuf {
        self.folder.join("serial").join(format!("{machine}.log"))
    }

    /// The folder of sockets.
    #[must_use]
    pub fn sockets(&self) -> PathBuf {
        Path::new("/run/rackwright-lab").join(&self.prefix)
    }

    /// A folder for what runs on the lab's hosts: its path is short, and an unprivileged user such as
    /// PostgreSQL's reaches it wherever the workspace is.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        Path::new("/var/lib/rackwright-lab").join(&self.prefix)
    }

    /// Makes the folders.
    pub fn make(&self) -> Result<()> {
        for folder in [self.folder.join("serial"), self.processes(), self.sockets(), self.data()] {
            fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        }
        Ok(())
    }

    /// Removes the folders, and what is mounted below the data of hosts.
    pub fn remove(&self) -> Result<()> {
        let mounts = fs::read_to_string("/proc/self/mounts").context("/proc/self/mounts")?;
        let places = mounts.lines().filter_map(|line| line.split(' ').nth(1));
        for place in places.filter(|place| Path::new(place).starts_with(self.data())) {
            // Lazily: a namespace that is on its way out may still hold it.
            crate::ns::run(std::process::Command::new("umount").args(["-l", place]))?;
        }
        for folder in [self.sockets(), self.data(), self.folder.clone()] {
            match fs::remove_dir_all(&folder) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(error).with_context(|| folder.display().to_string());
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Keeps the plan.
    pub fn write_plan(&self, plan: &LabPlan) -> Result<()> {
        write_private(&self.folder.join("plan.json"), &serde_json::to_vec_pretty(plan)?)
    }

    /// The plan of an existing lab; `None` when there is no such lab.
    pub fn read_plan(&self) -> Result<Option<LabPlan>> {
        let file = self.folder.join("plan.json");
        match fs::read(&file) {
            Ok(text) => Ok(Some(serde_json::from_slice(&text).with_context(|| file.display().to_string())?)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| file.display().to_string()),
        }
    }
}

/// The folder of all labs.
#[must_use]
pub fn root() -> PathBuf {
    match std::env::var_os("RACKWRIGHT_LAB_DIR") {
        Some(folder) => PathBuf::from(folder),
        None => workspace().join(".lab"),
    }
}

/// The folder of the workspace this was built from.
#[must_use]
pub fn workspace() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().and_then(Path::parent).unwrap_or(package).to_owned()
}

/// Replaces a file in one step, readable by its owner only.
pub fn write_private(file: &Path, content: &[u8]) -> Result<()> {
    let new = file.with_extension("new");
    let mut output = fs::File::options()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(&new)
        .with_context(|| new.display().to_string())?;
    output.write_all(content)?;
    drop(output);
    fs::rename(&new, file).with_context(|| file.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_with_a_hyphen_is_refused() {
        assert!(State::of("demo").is_ok());
        assert!(State::of("demo-2").is_err());
        assert!(State::of("").is_err());
        assert!(State::of("../x").is_err());
    }
}
