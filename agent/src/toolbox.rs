//! The toolbox: a squashfs with a full userland, fetched once per boot, mounted with a writable layer in memory, for
//! scripts that need more than busybox.

use crate::blob::BlobReader;
use crate::command;
use crate::error::{Error, Result, io};
use crate::report::Report;
use nix::mount::{MsFlags, mount as mount_call};
use rackwright_common::snapshot::BlobRef;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// The root of the mounted toolbox; fetches and mounts it when that has not been done in this boot.
pub fn mount(blob: &BlobRef, folder: &Path, report: &Report) -> Result<PathBuf> {
    if blob.sha256.len() != 64 || !blob.sha256.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(Error::refused(format!("{:?} is no SHA-256", blob.sha256)));
    }
    // Scripts that run together wait for the one that fetches it.
    static MOUNTING: Mutex<()> = Mutex::new(());
    let _one = MOUNTING.lock().unwrap_or_else(PoisonError::into_inner);
    let base = folder.join(format!("toolbox-{}", &blob.sha256[..12]));
    let (root, ready) = (base.join("root"), base.join("ready"));
    if ready.exists() {
        return Ok(root);
    }
    fs::create_dir_all(&root).map_err(io("create", &root))?;
    let file = base.join("image");
    fetch(blob, &file, report)?;
    report.step("mounting the toolbox");
    for module in ["loop", "squashfs", "overlay"] {
        // Built in, or loaded already: then this says nothing of interest.
        command::run("modprobe", &["-q", module]).ok();
    }
    let lower = base.join("lower");
    let upper = base.join("writable");
    for path in [&lower, &upper] {
        fs::create_dir_all(path).map_err(io("create", path))?;
    }
    let text = |path: &Path| path.to_string_lossy().into_owned();
    command::run("mount", &["-t", "squashfs", "-o", "loop,ro", &text(&file), &text(&lower)])?;
    attach("tmpfs", &upper, "tmpfs", MsFlags::MS_NOSUID, "mode=0755")?;
    for name in ["upper", "work"] {
        fs::create_dir_all(upper.join(name)).map_err(io("create", &upper))?;
    }
    let options =
        format!("lowerdir={},upperdir={}/upper,workdir={}/work", text(&lower), text(&upper), text(&upper));
    attach("overlay", &root, "overlay", MsFlags::empty(), &options)?;
    for name in ["dev", "proc", "sys"] {
        let target = root.join(name);
        fs::create_dir_all(&target).map_err(io("create", &target))?;
        let source = Path::new("/").join(name);
        mount_call(Some(&source), &target, None::<&str>, MsFlags::MS_BIND | MsFlags::MS_REC, None::<&str>)
            .map_err(|e| io("bind", &target)(e.into()))?;
    }
    fs::remove_file(root.join("etc/resolv.conf")).ok();
    fs::copy("/etc/resolv.conf", root.join("etc/resolv.conf")).ok();
    File::create(&ready).map_err(io("create", &ready))?;
    Ok(root)
}

fn fetch(blob: &BlobRef, file: &Path, report: &Report) -> Result<()> {
    report.step(format!("fetching the toolbox ({} MiB)", blob.size >> 20));
    let mut reader = BlobReader::new(blob, report);
    let mut out = File::create(file).map_err(io("create", file))?;
    let copied = std::io::copy(&mut reader, &mut out);
    let checked = copied.map_err(io("fetch to", file)).and_then(|_| reader.finish());
    if checked.is_err() {
        fs::remove_file(file).ok();
    }
    report.check()?;
    checked
}

fn attach(source: &str, target: &Path, kind: &str, flags: MsFlags, options: &str) -> Result<()> {
    mount_call(Some(source), target, Some(kind), flags, Some(options))
        .map_err(|e| io(&format!("mount {kind} on"), target)(e.into()))
}
