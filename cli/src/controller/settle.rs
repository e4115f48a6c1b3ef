//! What a box keeps when it becomes a rack or a region: folders, settings, and to whom they belong.

use anyhow::{Context, Result};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// The settings as they are; empty when there are none.
pub fn stored(path: &Path) -> Result<toml::Table> {
    match std::fs::read_to_string(path) {
        Ok(text) => text.parse().with_context(|| format!("{} is not valid TOML", path.display())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(toml::Table::new()),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

/// Makes a folder, and shows that it can be written.
pub fn prepare(folder: &Path) -> Result<()> {
    let failed = || format!("cannot write to {}; are you root?", folder.display());
    std::fs::create_dir_all(folder).with_context(failed)?;
    let probe = folder.join(".enroll");
    std::fs::write(&probe, b"").and_then(|()| std::fs::remove_file(&probe)).with_context(failed)
}

/// The packaged units run as the user `rackwright`: where there is one, a folder and the files in it are made that
/// user's.
pub fn hand_over(folder: &Path) -> Result<()> {
    hand_over_one(folder)?;
    for entry in std::fs::read_dir(folder)? {
        hand_over_one(&entry?.path())?;
    }
    Ok(())
}

/// The same for one file or folder.
pub fn hand_over_one(path: &Path) -> Result<()> {
    if !nix::unistd::geteuid().is_root() {
        return Ok(());
    }
    let Some(user) = nix::unistd::User::from_name("rackwright")? else { return Ok(()) };
    std::os::unix::fs::lchown(path, Some(user.uid.as_raw()), Some(user.gid.as_raw()))
        .with_context(|| format!("cannot give {} to the user rackwright", path.display()))
}

/// Writes a file whole or not at all, never with another mode than this.
pub fn write_whole(path: &Path, text: &str, mode: u32) -> Result<()> {
    let partial = path.with_extension("partial");
    let write = || {
        if partial.exists() {
            std::fs::remove_file(&partial)?;
        }
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&partial)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&partial, path)
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}
