//! What `rackwright login` keeps: the region's address and an API token, in a file that only its owner can read.

use anyhow::{Context, Result};
use rackwright_common::Secret;
use rackwright_common::secret::exposed;
use serde::{Deserialize, Serialize};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// A region and who one is there.
#[derive(Debug, Clone, Default)]
pub struct Profile {
    /// The region's address.
    pub url: Option<String>,
    /// API token.
    pub token: Option<Secret<String>>,
    /// The authority to trust.
    pub ca: Option<PathBuf>,
}

/// As it stands in the file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    url: String,
    #[serde(with = "exposed")]
    token: Secret<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ca: Option<PathBuf>,
}

/// Where the profile is: `~/.config/rackwright/profile.toml`.
fn path() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let config = set("XDG_CONFIG_HOME").or_else(|| set("HOME").map(|home| home.join(".config")))?;
    Some(config.join("rackwright").join("profile.toml"))
}

/// The stored profile, if there is one.
pub fn load() -> Result<Option<Profile>> {
    let Some(path) = path() else { return Ok(None) };
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    };
    let stored: Stored = toml::from_str(&text)
        .with_context(|| format!("{} makes no sense; run `rackwright login` again", path.display()))?;
    Ok(Some(Profile { url: Some(stored.url), token: Some(stored.token), ca: stored.ca }))
}

/// Stores a profile, whole or not at all; where it went.
pub fn store(url: &str, token: &Secret<String>, ca: Option<PathBuf>) -> Result<PathBuf> {
    let path = path().context("there is no home folder to keep the profile in; set HOME")?;
    let folder = path.parent().context("a profile has a folder")?;
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let partial = path.with_extension("partial");
    if partial.exists() {
        std::fs::remove_file(&partial)?;
    }
    let text = toml::to_string(&Stored { url: url.to_owned(), token: token.clone(), ca })?;
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&partial)
        .with_context(|| format!("cannot write {}", partial.display()))?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&partial, &path)?;
    Ok(path)
}

/// Forgets the profile; whether there was one.
pub fn forget() -> Result<bool> {
    match path().map(std::fs::remove_file) {
        Some(Ok(())) => Ok(true),
        Some(Err(error)) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        Some(Err(_)) | None => Ok(false),
    }
}

/// A token from a file.
pub fn read_token(file: &Path) -> Result<Secret<String>> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    Ok(Secret::new(text.trim().to_owned()))
}
