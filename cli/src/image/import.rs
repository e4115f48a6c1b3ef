//! `rackwright image import FILE`: takes in an image that was made elsewhere.

use super::{load, progress};
use crate::console::Console;
use anyhow::{Context, Result, bail};
use rackwright_images::import;
use std::path::PathBuf;

/// Take in an image made elsewhere: a raw or qcow2 disk, or a tar of a root file system, as it is or compressed.
#[derive(Debug, clap::Args)]
pub struct Import {
    /// The file; what it is, is found out by what it holds.
    file: PathBuf,
    /// Name of the image; made from the file's when absent.
    #[arg(long)]
    name: Option<String>,
    /// For people.
    #[arg(long, default_value = "")]
    title: String,
    /// SHA-256 of the file, hexadecimal; another one is refused.
    #[arg(long)]
    sha256: Option<String>,
    /// Folder for the converted file, kept so that a broken-off upload is gone on with.
    #[arg(long, env = "RACKWRIGHT_CACHE", default_value = "/var/cache/rackwright")]
    cache: PathBuf,
}

impl Import {
    /// Does it.
    pub async fn run(self, console: &Console) -> Result<()> {
        let name = match &self.name {
            Some(name) => name.clone(),
            None => name_of(&self.file)?,
        };
        let folder = self.cache.join("imported").join(&name);
        let expected = self.sha256.as_deref();
        let taken = progress::show(|p| import::convert(&self.file, &folder, expected, p))?;
        let source = self.file.file_name().map(|n| n.to_string_lossy().into_owned());
        let manifest = serde_json::json!({
            "name": name, "title": self.title, "images": [taken.file], "imported_from": source,
        });
        std::fs::write(folder.join("manifest.json"), serde_json::to_vec_pretty(&manifest)?)
            .with_context(|| format!("cannot write to {}", folder.display()))?;
        load::load(&console.client, &folder).await?;
        std::fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))
    }
}

/// A name for an image, from its file's: without the endings, in the letters that names have.
fn name_of(file: &std::path::Path) -> Result<String> {
    let full = file.file_name().map(|n| n.to_string_lossy().to_lowercase()).unwrap_or_default();
    let mut stem = full.as_str();
    while let Some((before, ending)) = stem.rsplit_once('.') {
        if !["raw", "img", "qcow2", "tar", "zst", "gz", "xz", "tgz"].contains(&ending) {
            break;
        }
        stem = before;
    }
    let letter = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' };
    let name: String = stem.chars().map(letter).skip_while(|c| !c.is_ascii_alphanumeric()).take(63).collect();
    if name.is_empty() {
        bail!("no name can be made from {}; give one with --name", file.display())
    } else {
        Ok(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn a_name_is_made_from_the_files() {
        let name = |file: &str| name_of(Path::new(file)).unwrap();
        assert_eq!(name("/tmp/debian-12-genericcloud-amd64.qcow2"), "debian-12-genericcloud-amd64");
        assert_eq!(name("Ubuntu 24.04.root.tar.xz"), "ubuntu-24.04.root");
        assert!(name_of(Path::new("/tmp/.raw")).is_err());
    }
}
