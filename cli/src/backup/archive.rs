//! The file of a backup: a tar archive, so that everything in it can be read without Rackwright.
//!
//! `manifest.json` comes first and `database.dump` (of `pg_dump --format=custom`) last: a reader knows what it has before
//! it begins, and needs no second file.

use anyhow::{Context, Result, ensure};
use rackwright_common::Secret;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

const FORMAT: u32 = 1;
const MANIFEST: &str = "manifest.json";
const MASTER_KEY: &str = "master.key";
const CA: &str = "ca/ca.pem";
const CA_KEY: &str = "ca/ca-key.pem";
const DUMP: &str = "database.dump";
/// No small file of a backup is larger, bytes; images may be many.
const SMALL: u64 = 16 << 20;

/// What a backup is of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Of this file.
    pub format: u32,
    /// Software version that wrote it.
    pub version: String,
    /// When, UTC (RFC 3339).
    pub taken: String,
    /// Region whose box wrote it.
    pub region: String,
    /// Images, as `name@version`. Their content is not here.
    pub images: Vec<String>,
}

impl Manifest {
    /// Of a moment.
    pub fn of(moment: time::OffsetDateTime, region: String, images: Vec<String>) -> Self {
        let taken = moment.to_offset(time::UtcOffset::UTC);
        let taken = taken.format(&time::format_description::well_known::Rfc3339).unwrap_or_default();
        Self { format: FORMAT, version: env!("CARGO_PKG_VERSION").to_owned(), taken, region, images }
    }
}

/// What a site's regions have in common beside the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secrets {
    /// Master key, 64 hexadecimal digits.
    pub master_key: Secret<String>,
    /// The authority's certificate, PEM.
    pub ca_pem: String,
    /// Its private key, PEM.
    pub ca_key_pem: Secret<String>,
}

/// A backup that is open for reading.
pub struct Archive {
    tar: tar::Archive<File>,
}

impl Archive {
    /// Writes a backup whole or not at all, readable by its owner only.
    pub fn write(path: &Path, manifest: &Manifest, secrets: &Secrets, dump: &Path) -> Result<()> {
        let partial = beside(path, "partial");
        let unwritable = || format!("cannot write {}", partial.display());
        if partial.exists() {
            std::fs::remove_file(&partial).with_context(unwritable)?;
        }
        let options = File::options().write(true).create_new(true).mode(0o600).open(&partial);
        let mut tar = tar::Builder::new(options.with_context(unwritable)?);
        let mut append = |name: &str, bytes: &[u8]| -> Result<()> {
            tar.append_data(&mut header(bytes.len() as u64), name, bytes).with_context(unwritable)
        };
        append(MANIFEST, &serde_json::to_vec_pretty(manifest)?)?;
        append(MASTER_KEY, format!("{}\n", secrets.master_key.expose()).as_bytes())?;
        append(CA, secrets.ca_pem.as_bytes())?;
        append(CA_KEY, secrets.ca_key_pem.expose().as_bytes())?;
        let dump = File::open(dump).context("cannot read the database's dump")?;
        let size = dump.metadata()?.len();
        tar.append_data(&mut header(size), DUMP, dump).with_context(unwritable)?;
        tar.into_inner().and_then(|file| file.sync_all()).with_context(unwritable)?;
        std::fs::rename(&partial, path).with_context(|| format!("cannot write {}", path.display()))
    }

    /// Opens a backup.
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(Self { tar: tar::Archive::new(file) })
    }

    /// Reads it in its order: what it is of and the secrets, then `restore` reads the database's dump.
    pub fn read(
        mut self,
        restore: impl FnOnce(Manifest, Secrets, &mut dyn Read) -> Result<()>,
    ) -> Result<()> {
        let damaged = "this is not a backup of Rackwright, or it is damaged";
        let mut entries = self.tar.entries().context(damaged)?;
        let mut next = |name: &str| -> Result<tar::Entry<'_, File>> {
            let entry = entries.next().context(damaged)?.context(damaged)?;
            ensure!(entry.path()?.as_os_str() == name, "{damaged}: it lacks {name}");
            Ok(entry)
        };
        let text = |entry: tar::Entry<'_, File>| -> Result<String> {
            let mut text = String::new();
            entry.take(SMALL).read_to_string(&mut text).context(damaged)?;
            Ok(text)
        };
        let manifest: Manifest = serde_json::from_str(&text(next(MANIFEST)?)?).context(damaged)?;
        ensure!(
            manifest.format == FORMAT,
            "the backup was written by version {} in a form that this version does not read; install that version",
            manifest.version
        );
        let secrets = Secrets {
            master_key: Secret::new(text(next(MASTER_KEY)?)?.trim().to_owned()),
            ca_pem: text(next(CA)?)?,
            ca_key_pem: Secret::new(text(next(CA_KEY)?)?),
        };
        restore(manifest, secrets, &mut next(DUMP)?)
    }
}

fn header(size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_size(size);
    header.set_mode(0o600);
    header.set_cksum();
    header
}

/// A path with one more ending.
pub fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{ending}"));
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_backup_is_read_as_it_was_written_and_a_damaged_one_is_not_begun() {
        let folder = tempfile::tempdir().unwrap();
        let (file, dump) = (folder.path().join("site.backup"), folder.path().join("dump"));
        std::fs::write(&dump, b"PGDMP...").unwrap();
        let manifest = Manifest::of(time::OffsetDateTime::UNIX_EPOCH, "a".into(), vec!["debian-12@3".into()]);
        let secrets = Secrets {
            master_key: Secret::new("00".repeat(32)),
            ca_pem: "CERTIFICATE".into(),
            ca_key_pem: Secret::new("KEY".into()),
        };
        Archive::write(&file, &manifest, &secrets, &dump).unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let check = |m: Manifest, s: Secrets, dump: &mut dyn Read| {
            let mut bytes = Vec::new();
            dump.read_to_end(&mut bytes)?;
            assert_eq!((m, s, &bytes[..]), (manifest.clone(), secrets.clone(), &b"PGDMP..."[..]));
            Ok(())
        };
        Archive::open(&file).unwrap().read(check).unwrap();

        let whole = std::fs::read(&file).unwrap();
        for cut in [0, 100, 700, 2000] {
            std::fs::write(&file, &whole[..cut]).unwrap();
            let error = Archive::open(&file).unwrap().read(|_, _, _| panic!("begun")).unwrap_err();
            assert!(format!("{error:#}").contains("not a backup"), "{cut}: {error:#}");
        }
    }
}
