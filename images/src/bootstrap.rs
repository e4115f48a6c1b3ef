//! Installs packages into a new root file system with mmdebstrap and gives it as a tar. Needs no root where the box allows
//! unprivileged user namespaces.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::apt::forwarded_settings;
use crate::command::{Tool, is_root};
use crate::error::{Result, io};
use crate::progress::{Progress, ProgressFn};
use crate::sources::Source;

/// Parts of packages that an image does without; copyright files stay.
pub(crate) const WITHOUT_DOCUMENTATION: &[&str] = &[
    "path-exclude=/usr/share/man/*",
    "path-exclude=/usr/share/doc/*",
    "path-include=/usr/share/doc/*/copyright",
    "path-exclude=/usr/share/info/*",
    "path-exclude=/usr/share/locale/*",
    "path-include=/usr/share/locale/locale.alias",
];

/// Hooks that mmdebstrap brings along.
const MERGED_USR: &str = "/usr/share/mmdebstrap/hooks/merged-usr";

/// What to install where.
pub(crate) struct Bootstrap<'a> {
    /// Code name.
    pub(crate) release: &'a str,
    pub(crate) sources: &'a [Source],
    /// Packages beside the essential ones.
    pub(crate) names: &'a [String],
    /// The tar to write.
    pub(crate) tar: &'a Path,
    /// Folder in which downloaded packages are kept for the next build.
    pub(crate) kept: &'a Path,
    /// Time stamp of files made now, seconds since 1970.
    pub(crate) epoch: u64,
    /// Options of dpkg, such as paths to leave out.
    pub(crate) dpkg: &'a [&'a [&'a str]],
    /// A shell script that is given the new root as its argument, run outside of it at the end.
    pub(crate) customize: &'a str,
}

impl Bootstrap<'_> {
    /// Runs mmdebstrap.
    pub(crate) fn run(&self, progress: &mut ProgressFn<'_>) -> Result<()> {
        progress(Progress::Step("installing packages (mmdebstrap)"));
        fs::create_dir_all(self.kept).map_err(io("create", self.kept))?;
        let script = self.tar.with_file_name("customize.sh");
        fs::write(&script, self.customize).map_err(io("write", &script))?;
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).map_err(io("change", &script))?;
        let script = script.canonicalize().map_err(io("find", &script))?;
        let kept = self.kept.canonicalize().map_err(io("find", self.kept))?;
        let archives = "/var/cache/apt/archives";
        mmdebstrap(&script)?
            .env("SOURCE_DATE_EPOCH", self.epoch.to_string())
            .args(["--variant=minbase", "--format=tar", "--architectures=amd64"])
            .arg("--skip=essential/unlink,cleanup/apt/cache")
            // The links into /usr are made beforehand: a package that would make them brings all of Perl along.
            .args(Path::new(MERGED_USR).is_dir().then(|| format!("--hook-dir={MERGED_USR}")))
            .arg(format!("--include={}", self.names.join(",")))
            .args(["--aptopt=APT::Install-Recommends \"false\"", "--aptopt=Acquire::Languages \"none\""])
            // Packages must stay in the archive folder until the hook has saved them.
            .arg("--aptopt=APT::Keep-Downloaded-Packages \"true\"")
            .args(forwarded_settings()?.iter().map(|line| format!("--aptopt={}", line.trim_end_matches(';'))))
            .args(self.dpkg.iter().copied().flatten().map(|option| format!("--dpkgopt={option}")))
            .arg(format!("--setup-hook=mkdir -p \"$1\"{archives}"))
            .arg(format!("--setup-hook=sync-in {} {archives}", shell_word(&kept)))
            .arg(format!("--customize-hook=sync-out {archives} {}", shell_word(&kept)))
            // A hook that is the path of an executable is called with the root as its argument, without a shell.
            .arg(format!("--customize-hook={}", script.display()))
            .arg(self.release)
            .arg(self.tar)
            .args(self.sources.iter().map(Source::line))
            .run(progress)?;
        // apt's own lock and unfinished downloads came along.
        for leftover in ["lock", "partial"] {
            let path = kept.join(leftover);
            let gone = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            gone.or_else(|e| if e.kind() == std::io::ErrorKind::NotFound { Ok(()) } else { Err(e) })
                .map_err(io("remove", &path))?;
        }
        Ok(())
    }
}

/// mmdebstrap. As root it mounts into the new system: here in a namespace of mounts of its own, and in the folder of the
/// script, so that one which is killed leaves nothing mounted, and nothing that the next build does not remove.
fn mmdebstrap(script: &Path) -> Result<Tool> {
    let plain = Tool::new("mmdebstrap")?;
    match script.parent() {
        Some(work) if is_root() => {
            Ok(Tool::new("unshare")?.args(["--mount", "mmdebstrap"]).env("TMPDIR", work))
        }
        _ => Ok(plain),
    }
}

/// A path as one word for the shell that mmdebstrap runs hooks with.
fn shell_word(path: &Path) -> String {
    format!("'{}'", path.to_string_lossy().replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_one_word_for_the_shell() {
        assert_eq!(shell_word(Path::new("/a b/it's")), r"'/a b/it'\''s'");
    }
}
