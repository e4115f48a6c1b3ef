//! Unpacking packages into one tree, without installing them: no maintainer script runs.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::command::Tool;
use crate::error::{Result, io};
use crate::progress::{Progress, ProgressFn};

/// Folders that are one with those in `/usr` on every current Debian.
pub(crate) const MERGED: &[&str] = &["bin", "sbin", "lib", "lib64"];

/// Unpacks the packages into `root` (made anew), with `/bin`, `/sbin`, `/lib` and `/lib64` leading into `/usr`.
pub(crate) fn unpack(packages: &[PathBuf], root: &Path, progress: &mut ProgressFn<'_>) -> Result<()> {
    progress(Progress::Step("unpacking packages"));
    if root.exists() {
        fs::remove_dir_all(root).map_err(io("remove", root))?;
    }
    for name in MERGED {
        let target = root.join("usr").join(name);
        fs::create_dir_all(&target).map_err(io("create", &target))?;
        let link = root.join(name);
        symlink(format!("usr/{name}"), &link).map_err(io("link", &link))?;
    }
    for (done, package) in packages.iter().enumerate() {
        // `dpkg-deb -x` would put a real folder in the place of a link such as /lib.
        let unpack = Tool::new("tar")?.args(["--keep-directory-symlink", "-x", "-f", "-", "-C"]).arg(root);
        Tool::new("dpkg-deb")?.arg("--fsys-tarfile").arg(package).pipe_into(unpack)?;
        progress(Progress::Bytes { done: done as u64 + 1, total: Some(packages.len() as u64) });
    }
    Ok(())
}
