//! What machines that are played boot and install: files of the right names that hold noise.

use anyhow::{Context, Result};
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Name of the system that they install.
pub const SYSTEM: &str = "noise";

/// Writes the folders that `rackwright image load` takes.
pub fn make(folder: &Path) -> Result<Vec<PathBuf>> {
    let ephemeral = folder.join("ephemeral");
    let files = [("vmlinuz", 64 << 10), ("initrd", 256 << 10)].map(|file| noise(&ephemeral, file));
    let files = files.into_iter().collect::<Result<Vec<_>>>()?;
    manifest(&ephemeral, &json!({ "kind": "ephemeral", "architecture": "amd64", "files": files }))?;
    let system = folder.join(SYSTEM);
    let mut disk = noise(&system, ("disk.raw.zst", 2 << 20))?;
    disk["kind"] = json!("disk");
    disk["uncompressed_size"] = json!(4 << 20);
    let described = json!({ "name": SYSTEM, "os": "debian", "release": "noise", "architecture": "amd64", "images": [disk] });
    manifest(&system, &described)?;
    Ok(vec![ephemeral, system])
}

fn noise(folder: &Path, (name, bytes): (&str, usize)) -> Result<serde_json::Value> {
    fs::create_dir_all(folder)?;
    let file = folder.join(name);
    // The same noise each time: a run can be repeated.
    let mut state = bytes as u64;
    let mut step = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    let content: Vec<u8> = (0..bytes).map(|_| step()).collect();
    fs::write(&file, content)?;
    Ok(json!({ "name": name, "size": bytes, "sha256": sha256(&file)? }))
}

/// The hash of a file, by a program nobody here wrote.
pub fn sha256(file: &Path) -> Result<String> {
    let text = rackwright_lab::ns::run_for_text(Command::new("sha256sum").arg(file))?;
    Ok(text.split_whitespace().next().context("sha256sum says nothing")?.to_owned())
}

fn manifest(folder: &Path, content: &serde_json::Value) -> Result<()> {
    Ok(fs::write(folder.join("manifest.json"), serde_json::to_vec_pretty(content)?)?)
}
