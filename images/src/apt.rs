//! A private apt: own lists, own archive cache, an empty list of installed packages, so that "install" means "with
//! everything it depends on", and nothing of the box's package state is read or changed. The box's settings for
//! reaching archives (proxies, certificates, retries) and its trusted keys are used; its hooks are not.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

use crate::command::Tool;
use crate::error::{Error, Result, io};
use crate::progress::{Progress, ProgressFn};
use crate::sources::{Source, lines};

/// Settings of the box's apt that decide how archives are reached.
const FORWARDED: &[&str] = &[
    "Acquire::http",
    "Acquire::https",
    "Acquire::ftp",
    "Acquire::Proxy",
    "Acquire::Retries",
    "Acquire::Check-",
    "Acquire::ForceIPv",
];

/// A package at the version that the sources offer.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) version: String,
    /// File name in the archive cache.
    pub(crate) file: String,
}

/// The private apt of one cache folder.
pub(crate) struct Apt {
    folder: PathBuf,
    config: PathBuf,
    /// Held while the folder is in use: apt's own locks do not cover our steps between two calls.
    _lock: fs::File,
}

impl Apt {
    /// Prepares `folder` (made when missing; kept between builds) for the given sources.
    pub(crate) fn open(folder: &Path, sources: &[Source]) -> Result<Self> {
        for part in ["lists/partial", "archives/partial", "empty/partial"] {
            let path = folder.join(part);
            fs::create_dir_all(&path).map_err(io("create", &path))?;
        }
        let folder = folder.canonicalize().map_err(io("open", folder))?;
        let lock_path = folder.join("lock");
        let lock = fs::File::create(&lock_path).map_err(io("create", &lock_path))?;
        lock.lock().map_err(io("lock", &lock_path))?;
        let config = folder.join("apt.conf");
        write(&folder.join("status"), "")?;
        write(&folder.join("sources.list"), &lines(sources))?;
        write(&config, &private_config(&folder, &forwarded_settings()?))?;
        Ok(Self { folder, config, _lock: lock })
    }

    fn tool(&self, program: &str) -> Result<Tool> {
        Ok(Tool::new(program)?.env("APT_CONFIG", &self.config).directory(&self.folder.join("archives")))
    }

    /// Fetches the package lists.
    pub(crate) fn update(&self, progress: &mut ProgressFn<'_>) -> Result<()> {
        progress(Progress::Step("fetching package lists"));
        self.tool("apt-get")?.args(["-q", "--error-on=any", "update"]).run(progress).map(drop)
    }

    /// The named packages and all they depend on (recommendations left out), sorted by name.
    pub(crate) fn resolve(&self, names: &[&str]) -> Result<Vec<Package>> {
        self.print_uris("install", names)
    }

    /// Only the named packages, without what they depend on.
    pub(crate) fn resolve_alone(&self, names: &[&str]) -> Result<Vec<Package>> {
        self.print_uris("download", names)
    }

    /// apt leaves out what it has already, so it is shown an archive folder that stays empty.
    fn print_uris(&self, verb: &str, names: &[&str]) -> Result<Vec<Package>> {
        let empty = self.folder.join("empty");
        let archives = format!("Dir::Cache::archives={}", empty.display());
        let text = self
            .tool("apt-get")?
            .directory(&empty)
            .args(["-qq", "-o", &archives, "--print-uris", verb])
            .args(names)
            .output()?;
        packages_of(&text)
    }

    /// The package that a metapackage stands for: its first dependency (`linux-image-amd64` → `linux-image-6.1.0-…`).
    pub(crate) fn behind(&self, metapackage: &str) -> Result<String> {
        let missing = || Error::NoPackage { package: metapackage.to_owned() };
        let text = self.tool("apt-cache")?.args(["show", metapackage]).output().map_err(|_| missing())?;
        let depends = text.lines().find_map(|l| l.strip_prefix("Depends:")).ok_or_else(missing)?;
        depends.split([',', '|', '(']).next().map(|name| name.trim().to_owned()).ok_or_else(missing)
    }

    /// Paths of the packages' files, downloaded unless the cache has them.
    pub(crate) fn download(
        &self,
        packages: &[Package],
        progress: &mut ProgressFn<'_>,
    ) -> Result<Vec<PathBuf>> {
        let archives = self.folder.join("archives");
        let wanted: Vec<String> = packages
            .iter()
            .filter(|p| !archives.join(&p.file).exists())
            .map(|p| format!("{}={}", p.name, p.version))
            .collect();
        if !wanted.is_empty() {
            progress(Progress::Step(&format!("downloading {} packages", wanted.len())));
            self.tool("apt-get")?.args(["-q", "download"]).args(&wanted).run(progress)?;
        }
        packages
            .iter()
            .map(|p| Some(archives.join(&p.file)).filter(|f| f.exists()))
            .zip(packages)
            .map(|(file, p)| file.ok_or_else(|| Error::NoPackage { package: p.name.clone() }))
            .collect()
    }

    /// When the archive last changed, in seconds since 1970: the newest date that its release files carry. Time stamps
    /// of what is built come from here (or from `SOURCE_DATE_EPOCH`), so that a second build gives the same bytes.
    pub(crate) fn epoch(&self) -> u64 {
        if let Some(epoch) = named_epoch() {
            return epoch;
        }
        let Ok(entries) = fs::read_dir(self.folder.join("lists")) else { return 0 };
        entries
            .filter_map(std::result::Result::ok)
            .filter(|e| e.file_name().to_string_lossy().ends_with("Release"))
            .filter_map(|e| release_date(&fs::read_to_string(e.path()).ok()?))
            .max()
            .unwrap_or(0)
    }
}

/// `SOURCE_DATE_EPOCH` of the environment.
pub(crate) fn named_epoch() -> Option<u64> {
    std::env::var("SOURCE_DATE_EPOCH").ok()?.parse().ok()
}

/// The `Date:` field of a release file, in seconds since 1970.
fn release_date(text: &str) -> Option<u64> {
    let date = text.lines().find_map(|line| line.strip_prefix("Date:"))?.trim().replace("UTC", "+0000");
    let date = OffsetDateTime::parse(&date, &Rfc2822).ok()?;
    u64::try_from(date.unix_timestamp()).ok()
}

/// Name → version, for manifests.
pub(crate) fn versions(packages: &[Package]) -> BTreeMap<String, String> {
    packages.iter().map(|p| (p.name.clone(), p.version.clone())).collect()
}

/// The box's settings for reaching archives, as lines of `apt.conf`.
pub(crate) fn forwarded_settings() -> Result<Vec<String>> {
    let dump = Tool::new("apt-config")?.args(["dump", "--no-empty", "--format", "%F \"%v\";%n"]).output()?;
    Ok(dump.lines().filter(|l| FORWARDED.iter().any(|p| l.starts_with(p))).map(str::to_owned).collect())
}

fn private_config(folder: &Path, forwarded: &[String]) -> String {
    let at = folder.display();
    let mut text = format!(
        "Dir::State \"{at}\";\nDir::State::lists \"{at}/lists\";\nDir::State::status \"{at}/status\";\n\
         Dir::Cache \"{at}\";\nDir::Cache::archives \"{at}/archives\";\n\
         Dir::Cache::pkgcache \"\";\nDir::Cache::srcpkgcache \"\";\n\
         Dir::Etc::sourcelist \"{at}/sources.list\";\nDir::Etc::sourceparts \"-\";\n\
         Dir::Etc::parts \"-\";\nDir::Etc::main \"-\";\nDir::Etc::preferences \"-\";\n\
         Dir::Etc::preferencesparts \"-\";\n\
         APT::Install-Recommends \"false\";\nAPT::Architecture \"amd64\";\nAPT::Architectures \"amd64\";\n\
         APT::Sandbox::User \"root\";\nAcquire::Languages \"none\";\nAcquire::GzipIndexes \"true\";\n"
    );
    for line in forwarded {
        text.push_str(line);
        text.push('\n');
    }
    text
}

/// Reads `apt-get --print-uris`: `'URI' name_version_arch.deb size hash`, colons of versions written as `%3a`.
fn packages_of(text: &str) -> Result<Vec<Package>> {
    let mut packages: Vec<Package> = text
        .lines()
        .filter_map(|line| {
            let file = line.strip_prefix('\'')?.split_once("' ")?.1.split(' ').next()?;
            let mut parts = file.strip_suffix(".deb")?.splitn(3, '_');
            let name = parts.next()?.to_owned();
            let version = parts.next()?.replace("%3a", ":");
            Some(Package { name, version, file: file.to_owned() })
        })
        .collect();
    packages.sort();
    packages.dedup();
    if packages.is_empty() {
        return Err(Error::NoPackage { package: text.lines().next().unwrap_or("(no answer)").to_owned() });
    }
    Ok(packages)
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).map_err(io("write", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn print_uris_gives_names_and_versions() {
        let text = "'http://m/pool/lvm2.deb' dmsetup_2%3a1.02.185-2_amd64.deb 82040 MD5Sum:0c\n\
                    'http://m/pool/b.deb' busybox-static_1%3a1.35.0-4+b1_amd64.deb 928188 \nnoise\n";
        let packages = packages_of(text).unwrap();
        assert_eq!(packages[0].name, "busybox-static");
        assert_eq!(packages[0].version, "1:1.35.0-4+b1");
        assert_eq!(packages[1].file, "dmsetup_2%3a1.02.185-2_amd64.deb");
        assert!(packages_of("").is_err());
    }

    #[test]
    fn release_files_carry_their_date() {
        let text = "Origin: Debian\nDate: Sat, 11 Jan 2025 09:12:34 UTC\n";
        assert_eq!(release_date(text), Some(1_736_586_754));
        assert_eq!(release_date("Date: never\n"), None);
    }
}
