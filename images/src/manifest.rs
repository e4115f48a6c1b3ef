//! What a build left behind, as `manifest.json`: names, sizes and hashes of the files, versions of the packages, and a
//! hash over everything that went in, by which an unchanged build is skipped. No time of day, no path and no name of the
//! box: the same inputs give the same manifest.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};

use crate::error::{Result, io};

/// Name of the manifest in the output folder.
pub const FILE_NAME: &str = "manifest.json";

/// One file of a build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Name in the folder of the manifest.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// SHA-256, lower-case hexadecimal.
    pub sha256: String,
}

impl FileEntry {
    /// Measures a file.
    pub fn of(path: &Path) -> Result<Self> {
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let (sha256, size) = hash_file(path)?;
        Ok(Self { name, size, sha256 })
    }

    /// Is the file there with its size? (Its hash is checked by the store at import.)
    fn is_present(&self, folder: &Path) -> bool {
        fs::metadata(folder.join(&self.name)).is_ok_and(|m| m.len() == self.size)
    }
}

/// A manifest that can say whether its build is still good.
pub trait Manifest: Serialize + DeserializeOwned {
    /// Hash over recipe, package versions and own files.
    fn inputs(&self) -> &str;
    /// The files it lists.
    fn files(&self) -> Vec<FileEntry>;
}

/// The manifest in `folder`, when it was made from the same inputs and its files are there.
pub fn find_unchanged<M: Manifest>(folder: &Path, inputs: &str) -> Option<M> {
    let text = fs::read(folder.join(FILE_NAME)).ok()?;
    let manifest: M = serde_json::from_slice(&text).ok()?;
    let good = manifest.inputs() == inputs && manifest.files().iter().all(|f| f.is_present(folder));
    good.then_some(manifest)
}

/// Writes the manifest whole or not at all.
pub fn write<M: Serialize>(folder: &Path, manifest: &M) -> Result<()> {
    let path = folder.join(FILE_NAME);
    let partial = folder.join(".manifest.json.partial");
    let mut text = serde_json::to_vec_pretty(manifest).expect("a manifest has string keys only");
    text.push(b'\n');
    fs::write(&partial, text).map_err(io("write", &partial))?;
    fs::rename(&partial, &path).map_err(io("rename", &path))
}

/// Removes the manifest before the files change, so that a build that was cut short is not taken for a good one.
pub fn forget(folder: &Path) -> Result<()> {
    let path = folder.join(FILE_NAME);
    match fs::remove_file(&path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(io("remove", &path)(e)),
        _ => Ok(()),
    }
}

/// Writes a file under a temporary name beside its place, then puts it there.
pub(crate) fn replace(path: &Path, make: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    make(&partial)?;
    fs::rename(&partial, path).map_err(io("rename", path))
}

/// SHA-256 (hexadecimal) and length of a file, read in pieces.
pub fn hash_file(path: &Path) -> Result<(String, u64)> {
    let mut file = File::open(path).map_err(io("open", path))?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    let mut size = 0;
    loop {
        let n = file.read(&mut buffer).map_err(io("read", path))?;
        if n == 0 {
            return Ok((hex::encode(hasher.finalize()), size));
        }
        hasher.update(&buffer[..n]);
        size += n as u64;
    }
}

/// Hash over named inputs. Each name and value goes in with its length, so no two lists run into one another.
#[must_use]
pub fn hash_inputs(inputs: &BTreeMap<String, String>) -> String {
    let mut hasher = Sha256::new();
    for text in inputs.iter().flat_map(|(k, v)| [k, v]) {
        hasher.update((text.len() as u64).to_le_bytes());
        hasher.update(text.as_bytes());
    }
    hex::encode(hasher.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Sample {
        inputs: String,
        files: Vec<FileEntry>,
    }

    impl Manifest for Sample {
        fn inputs(&self) -> &str {
            &self.inputs
        }
        fn files(&self) -> Vec<FileEntry> {
            self.files.clone()
        }
    }

    #[test]
    fn a_build_is_unchanged_only_with_its_inputs_and_files() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("initrd");
        fs::write(&file, b"hello").unwrap();
        let entry = FileEntry::of(&file).unwrap();
        assert_eq!(entry.sha256, "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824");
        let sample = Sample { inputs: "x".into(), files: vec![entry] };
        write(folder.path(), &sample).unwrap();
        assert_eq!(find_unchanged(folder.path(), "x"), Some(sample));
        assert_eq!(find_unchanged::<Sample>(folder.path(), "y"), None);
        fs::write(&file, b"hell").unwrap();
        assert_eq!(find_unchanged::<Sample>(folder.path(), "x"), None);
    }

    #[test]
    fn inputs_do_not_run_into_one_another() {
        let one = BTreeMap::from([("ab".to_owned(), "c".to_owned())]);
        let two = BTreeMap::from([("a".to_owned(), "bc".to_owned())]);
        assert_ne!(hash_inputs(&one), hash_inputs(&two));
    }
}
