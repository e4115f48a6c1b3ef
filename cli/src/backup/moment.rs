//! The database as it was at a moment that is over, from pgBackRest's repository: recovered aside, by a server of our own that
//! nobody else reaches, and dumped from there. What runs meanwhile is not touched, and `rackwright restore` puts the
//! result in place as it does with any other backup.

use crate::serve::postgres_programs;
use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, User};
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;

/// Between two looks at a server that replays its log.
const LOOK: Duration = Duration::from_millis(200);
/// What a server takes from the cluster that it is a copy of, and must not: others would be reached, or waited for.
const ALONE: [&str; 9] = [
    "listen_addresses=",
    "ssl=off",
    "archive_mode=off",
    "synchronous_standby_names=",
    "primary_conninfo=",
    "primary_slot_name=",
    "recovery_min_apply_delay=0",
    "shared_preload_libraries=",
    "fsync=off",
];

/// A moment as people write it, RFC 3339: `2026-11-22T10:00:00Z`.
pub fn parse(text: &str) -> Result<OffsetDateTime, String> {
    OffsetDateTime::parse(text, &Rfc3339).map_err(|_| {
        "write it with the zone, such as 2026-11-22T10:00:00Z or 2026-11-22T12:00:00+02:00".to_owned()
    })
}

/// A server with the database of a moment. It ends with this value, and its folder goes.
pub struct Recovered {
    folder: PathBuf,
    server: Option<Child>,
}

impl Recovered {
    /// Fetches the last base backup before `at` and replays the log up to it.
    pub fn at(at: OffsetDateTime, stanza: &str) -> Result<Self> {
        ensure!(
            Path::new("/usr/bin/pgbackrest").exists(),
            "pgBackRest is not installed on this box: `apt-get install pgbackrest`, and configure it as on the others"
        );
        let folder = std::env::temp_dir().join(format!("rackwright-moment-{}", std::process::id()));
        std::fs::DirBuilder::new()
            .mode(0o700)
            .create(&folder)
            .with_context(|| folder.display().to_string())?;
        let mut recovered = Self { folder, server: None };
        recovered.fill(at, stanza)?;
        recovered.start()?;
        recovered.until_there(at)?;
        Ok(recovered)
    }

    /// How to reach it.
    pub fn url(&self) -> String {
        format!("postgres://postgres@localhost/rackwright?host={}", self.folder.display())
    }

    fn fill(&self, at: OffsetDateTime, stanza: &str) -> Result<()> {
        let owner = user()?;
        let data = self.folder.join("data");
        std::fs::DirBuilder::new().mode(0o700).create(&data)?;
        let mut access = File::create(self.folder.join("access"))?;
        // The folder is entered by its owner alone.
        access.write_all(b"local all all trust\n")?;
        for path in [&self.folder, &data, &self.folder.join("access")] {
            chown(path, Some(owner.uid.as_raw()), Some(owner.gid.as_raw()))?;
        }
        let target = at.to_offset(time::UtcOffset::UTC).format(format_description!(
            "[year]-[month]-[day] [hour]:[minute]:[second].[subsecond digits:6]+00"
        ))?;
        let mut command = as_user("/usr/bin/pgbackrest".as_ref(), &owner);
        command.args(["--log-level-console=warn", "--log-level-file=off", "--type=time"]);
        command.args(["--target-action=promote", "--archive-mode=off"]);
        command.arg(format!("--stanza={stanza}")).arg(format!("--pg1-path={}", data.display()));
        let output =
            command.arg(format!("--target={target}")).arg("restore").output().context("pgbackrest")?;
        let said = [output.stdout, output.stderr].concat();
        ensure!(
            output.status.success(),
            "pgBackRest gives nothing of that moment: {}\n`pgbackrest --stanza={stanza} info` shows what it has",
            String::from_utf8_lossy(&said).trim()
        );
        Ok(())
    }

    fn start(&mut self) -> Result<()> {
        let log = File::create(self.folder.join("log"))?;
        let mut command = as_user(&postgres_programs()?.join("postgres"), &user()?);
        command.arg("-D").arg(self.folder.join("data")).arg("-k").arg(&self.folder);
        let (data, access) = (self.folder.join("data"), self.folder.join("access"));
        // Its settings name the folder of the cluster that it is a copy of.
        command.arg("-c").arg(format!("hba_file={}", access.display()));
        command.arg("-c").arg(format!("data_directory={}", data.display()));
        for setting in ALONE {
            command.args(["-c", setting]);
        }
        command.stdout(log.try_clone()?).stderr(log);
        self.server = Some(command.spawn().context("postgres cannot be started")?);
        Ok(())
    }

    /// Until it has replayed its log and takes changes.
    fn until_there(&mut self, at: OffsetDateTime) -> Result<()> {
        let psql = postgres_programs()?.join("psql");
        loop {
            let mut ask = Command::new(&psql);
            ask.args(["-X", "-A", "-t", "-U", "postgres", "-d", "postgres", "-h"]).arg(&self.folder);
            let output = ask.args(["-c", "SELECT pg_is_in_recovery()"]).stdin(Stdio::null()).output()?;
            if output.stdout.trim_ascii() == b"f" {
                return Ok(());
            }
            if let Some(status) = self.server.as_mut().map(Child::try_wait).transpose()?.flatten() {
                bail!("{}", self.why_not(at, status)?);
            }
            std::thread::sleep(LOOK);
        }
    }

    fn why_not(&self, at: OffsetDateTime, status: std::process::ExitStatus) -> Result<String> {
        let mut log = String::new();
        File::open(self.folder.join("log"))?.read_to_string(&mut log)?;
        if log.contains("recovery ended before configured recovery target was reached") {
            return Ok(format!(
                "the archive does not reach {at}: nothing was changed after an earlier moment, or the end of the log was \
                 not archived; name an earlier one"
            ));
        }
        let end: Vec<&str> = log.lines().rev().take(5).collect();
        Ok(format!(
            "the recovery ended ({status}):\n{}",
            end.into_iter().rev().collect::<Vec<_>>().join("\n")
        ))
    }
}

impl Drop for Recovered {
    fn drop(&mut self) {
        if let Some(mut server) = self.server.take() {
            let stopped = i32::try_from(server.id()).map(|pid| kill(Pid::from_raw(pid), Signal::SIGQUIT));
            drop((stopped, server.wait()));
        }
        if let Err(error) = std::fs::remove_dir_all(&self.folder) {
            tracing::warn!(%error, folder = %self.folder.display(), "a copy of the database is left: remove it");
        }
    }
}

/// Whom the cluster runs as: pgBackRest's repository is theirs.
fn user() -> Result<User> {
    User::from_name("postgres")?.context("there is no user `postgres` on this box")
}

fn as_user(program: &Path, user: &User) -> Command {
    let mut command = Command::new(program);
    command.current_dir("/").stdin(Stdio::null()).env_remove("NOTIFY_SOCKET");
    if nix::unistd::geteuid().is_root() {
        command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
    }
    command
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn a_moment_needs_its_zone() {
        assert_eq!(parse("2026-11-22T12:00:00+02:00").unwrap(), parse("2026-11-22T10:00:00Z").unwrap());
        for wrong in ["2026-11-22 10:00", "2026-11-22T10:00:00", "yesterday", ""] {
            assert!(parse(wrong).unwrap_err().contains("2026-11-22T10:00:00Z"), "{wrong}");
        }
    }
}
