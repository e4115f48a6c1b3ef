//! The PostgreSQL that `up` owns: the distribution's programs, an unprivileged user, a unix socket, no TCP port.
//!
//! Data is kept in the folder and durable. A server that an earlier `up` left behind when it was killed is stopped
//! first, so that exactly one process tree owns the data. A server that ends is started again, a few times a
//! minute, while region and rack go on without it: that delays work and loses none. Its user is `postgres` where
//! there is one, else `nobody`; PostgreSQL refuses to run as root.

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::sys::statvfs::statvfs;
use nix::unistd::Pid;
use std::collections::VecDeque;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::process::{Child, Command};
use tokio::sync::Mutex;

const USER: &str = "rackwright";
/// A file in the folder: the database was moved into a cluster and is not used here any more.
pub const ADOPTED: &str = "adopted";
/// A unix socket's path has 107 bytes at most; PostgreSQL appends `/.s.PGSQL.5432`.
const LONGEST_FOLDER: usize = 90;
/// The server may end so often within [`WINDOW`]; once more, and it is beyond starting again.
const RESTARTS: usize = 5;
const WINDOW: Duration = Duration::from_secs(60);
/// Before the server is started again; doubled each time. Processes of the one that was killed need a moment to
/// notice, and the data belongs to them until then.
const PAUSE: Duration = Duration::from_millis(250);
/// Bytes without which a start is not worth trying: the server makes files of 16 MiB.
const ROOM: u64 = 32 << 20;

/// A running server.
pub struct Postgres {
    programs: PathBuf,
    data: PathBuf,
    sockets: PathBuf,
    owner: Option<(u32, u32)>,
    server: Mutex<Child>,
}

impl Postgres {
    /// Makes the cluster at the first start, and starts the server.
    pub async fn start(folder: &Path) -> Result<Self> {
        if folder.as_os_str().len() > LONGEST_FOLDER {
            bail!("the path {} is too long for a unix socket; use a shorter data folder", folder.display());
        }
        let programs = programs()?;
        let owner = owner(folder)?;
        let (data, sockets) = (folder.join("data"), folder.join("run"));
        for path in [folder, &sockets] {
            std::fs::create_dir_all(path).with_context(|| format!("cannot make {}", path.display()))?;
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700))?;
            if let Some((uid, gid)) = owner {
                chown(path, Some(uid), Some(gid))?;
            }
        }
        reachable(folder, owner)?;
        if !data.join("PG_VERSION").exists() {
            make_cluster(&programs, folder, owner).await?;
        }
        stop_stray(&programs, &data, owner).await?;
        let server = run_server(&programs, &data, &sockets, owner)?;
        let postgres = Self { programs, data, sockets, owner, server: Mutex::new(server) };
        postgres.until_ready().await?;
        postgres.make_database().await?;
        Ok(postgres)
    }

    /// URL of a database.
    pub fn url(&self, database: &str) -> String {
        url(&self.sockets, database)
    }

    /// URL of a database of the server that keeps its data in this folder, running or not.
    pub fn url_in(folder: &Path, database: &str) -> String {
        url(&folder.join("run"), database)
    }

    /// Starts the server again whenever it ends. Ends itself, with the reason, when that happens too often.
    pub async fn keep_running(&self) -> Result<()> {
        let mut ends = Ends::default();
        loop {
            let status = self.server.lock().await.wait().await?;
            let Some(pause) = ends.next(Instant::now()) else {
                bail!(
                    "PostgreSQL has ended {} times within {} s ({status}); its log says why: {}",
                    RESTARTS + 1,
                    WINDOW.as_secs(),
                    self.log().display()
                );
            };
            tracing::error!(%status, log = %self.log().display(), "PostgreSQL has ended; starting it again");
            tokio::time::sleep(pause).await;
            self.until_room().await?;
            // Under the lock from the start on: whoever stops the server finds the one that runs.
            let mut server = self.server.lock().await;
            *server = run_server(&self.programs, &self.data, &self.sockets, self.owner)?;
        }
    }

    /// Stops the server: connections are cut, everything is on disk.
    pub async fn stop(&self) -> Result<()> {
        let mut server = self.server.lock().await;
        if let Some(pid) = server.id().and_then(|pid| i32::try_from(pid).ok()) {
            kill(Pid::from_raw(pid), Signal::SIGINT).context("PostgreSQL cannot be stopped")?;
            server.wait().await?;
        }
        Ok(())
    }

    /// On a full disk the server would only fail again: there has to be room first.
    async fn until_room(&self) -> Result<()> {
        let mut told = false;
        while room(&self.data)? < ROOM {
            if !told {
                tracing::error!(
                    folder = %self.data.display(),
                    "the disk is full; PostgreSQL is started again as soon as {} MiB are free",
                    ROOM >> 20
                );
                told = true;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        Ok(())
    }

    fn log(&self) -> PathBuf {
        self.data.with_file_name("log")
    }

    async fn psql(&self, database: &str, sql: &str) -> Result<String> {
        let mut command = Command::new(self.programs.join("psql"));
        command
            .args(["-X", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-U", USER, "-d", database, "-h"])
            .arg(&self.sockets);
        let output = command
            .args(["-c", sql])
            .stdin(Stdio::null())
            .output()
            .await
            .context("psql cannot be started")?;
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
        } else {
            bail!("{}", String::from_utf8_lossy(&output.stderr).trim().to_owned())
        }
    }

    async fn until_ready(&self) -> Result<()> {
        // After a crash it replays its log first, which may take a while.
        let deadline = tokio::time::Instant::now() + Duration::from_secs(120);
        let socket = self.sockets.join(".s.PGSQL.5432");
        loop {
            let last = if socket.exists() {
                self.psql("postgres", "SELECT 1").await
            } else {
                Err(anyhow::anyhow!("no socket yet"))
            };
            let Err(error) = last else { return Ok(()) };
            if let Some(status) = self.server.lock().await.try_wait()? {
                let full = if room(&self.data)? < ROOM { "the disk is full; " } else { "" };
                bail!("PostgreSQL does not start ({status}): {full}its log is {}", self.log().display());
            }
            if tokio::time::Instant::now() >= deadline {
                bail!("PostgreSQL does not become ready: {error}");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn make_database(&self) -> Result<()> {
        let there = self.psql("postgres", "SELECT 1 FROM pg_database WHERE datname = 'rackwright'").await?;
        if there.is_empty() {
            self.psql("postgres", "CREATE DATABASE rackwright").await?;
        }
        Ok(())
    }
}

/// When the server ended, lately.
#[derive(Debug, Default)]
struct Ends(VecDeque<Instant>);

impl Ends {
    /// Notes an end; how long to wait before the next start, or `None` when it was one too many.
    fn next(&mut self, now: Instant) -> Option<Duration> {
        while self.0.front().is_some_and(|at| now.saturating_duration_since(*at) >= WINDOW) {
            self.0.pop_front();
        }
        self.0.push_back(now);
        let before = u32::try_from(self.0.len() - 1).ok()?;
        (self.0.len() <= RESTARTS).then(|| PAUSE * 2_u32.saturating_pow(before))
    }
}

/// Bytes that may still be written where a folder is, by those who are not root.
fn room(folder: &Path) -> Result<u64> {
    let found =
        statvfs(folder).with_context(|| format!("the disk of {} cannot be read", folder.display()))?;
    Ok(found.blocks_available().saturating_mul(found.fragment_size()))
}

fn url(sockets: &Path, database: &str) -> String {
    format!("postgres://{USER}@localhost/{database}?host={}", sockets.display())
}

/// The newest installed server programs.
pub fn programs() -> Result<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = std::fs::read_dir("/usr/lib/postgresql")
        .map(|entries| {
            entries
                .flatten()
                .filter_map(|e| Some((e.file_name().to_str()?.parse().ok()?, e.path().join("bin"))))
                .collect()
        })
        .unwrap_or_default();
    found.retain(|(version, path)| *version >= 15 && path.join("postgres").exists());
    let newest = found.into_iter().max();
    newest
        .map(|(_, path)| path)
        .context("PostgreSQL 15 or newer is not installed; install the package `postgresql-15`")
}

/// Whom the server runs as; `None` means as ourselves. Data that are there stay whose they are: root looks at what the
/// unit's user runs.
fn owner(folder: &Path) -> Result<Option<(u32, u32)>> {
    if !nix::unistd::geteuid().is_root() {
        return Ok(None);
    }
    let there = std::fs::metadata(folder.join("data")).map(|data| (data.uid(), data.gid()));
    if let Ok((uid, gid)) = there
        && uid != 0
    {
        return Ok(Some((uid, gid)));
    }
    for name in ["postgres", "nobody"] {
        if let Some(user) = nix::unistd::User::from_name(name)? {
            return Ok(Some((user.uid.as_raw(), user.gid.as_raw())));
        }
    }
    bail!("there is neither a user `postgres` nor `nobody` to run PostgreSQL as")
}

/// The server's user must be able to walk to its folder.
fn reachable(folder: &Path, owner: Option<(u32, u32)>) -> Result<()> {
    let Some((uid, gid)) = owner else { return Ok(()) };
    for above in folder.ancestors().skip(1) {
        let about = std::fs::metadata(above)?;
        let enter = match (about.uid() == uid, about.gid() == gid) {
            (true, _) => 0o100,
            (false, true) => 0o010,
            (false, false) => 0o001,
        };
        if about.mode() & enter == 0 {
            bail!(
                "{} may not be entered by other users, so PostgreSQL cannot reach its data; choose another data folder or `chmod o+x` it",
                above.display()
            );
        }
    }
    Ok(())
}

fn as_owner(program: &Path, owner: Option<(u32, u32)>) -> Command {
    let mut command = Command::new(program);
    // PostgreSQL would report itself to our service manager.
    command.stdin(Stdio::null()).current_dir("/").env_remove("NOTIFY_SOCKET");
    if let Some((uid, gid)) = owner {
        command.uid(uid).gid(gid);
    }
    command
}

async fn make_cluster(programs: &Path, folder: &Path, owner: Option<(u32, u32)>) -> Result<()> {
    // Made aside and renamed: a start that is killed here leaves nothing half-made in place.
    let fresh = folder.join("data.new");
    if fresh.exists() {
        std::fs::remove_dir_all(&fresh)?;
    }
    let mut initdb = as_owner(&programs.join("initdb"), owner);
    initdb.args(["--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "-U", USER, "-D"]).arg(&fresh);
    let output = initdb.output().await.context("initdb cannot be started")?;
    if !output.status.success() {
        bail!("initdb: {}", String::from_utf8_lossy(&output.stderr).trim().to_owned());
    }
    std::fs::rename(&fresh, folder.join("data"))?;
    Ok(())
}

async fn pg_ctl(programs: &Path, data: &Path, owner: Option<(u32, u32)>, arguments: &[&str]) -> Result<bool> {
    let mut command = as_owner(&programs.join("pg_ctl"), owner);
    let output =
        command.arg("-D").arg(data).args(arguments).output().await.context("pg_ctl cannot be started")?;
    Ok(output.status.success())
}

/// Stops a server that was left behind.
async fn stop_stray(programs: &Path, data: &Path, owner: Option<(u32, u32)>) -> Result<()> {
    if data.join("postmaster.pid").exists() && pg_ctl(programs, data, owner, &["status"]).await? {
        tracing::warn!("stopping a PostgreSQL that an earlier run left behind");
        pg_ctl(programs, data, owner, &["-m", "fast", "-w", "stop"]).await?;
    }
    Ok(())
}

fn run_server(programs: &Path, data: &Path, sockets: &Path, owner: Option<(u32, u32)>) -> Result<Child> {
    let log = std::fs::OpenOptions::new().create(true).append(true).open(data.with_file_name("log"))?;
    let mut command = as_owner(&programs.join("postgres"), owner);
    command.arg("-D").arg(data).arg("-k").arg(sockets);
    for setting in ["listen_addresses=", "max_connections=200", "shared_buffers=64MB"] {
        command.args(["-c", setting]);
    }
    // A group of its own: Ctrl-C reaches us, and we stop it in order.
    command.process_group(0).stdout(log.try_clone()?).stderr(log);
    command.spawn().context("postgres cannot be started")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_ends_is_started_again_five_times_a_minute() {
        let start = Instant::now();
        let mut ends = Ends::default();
        let pauses: Vec<_> = (0..6).map(|second| ends.next(start + Duration::from_secs(second))).collect();
        let milliseconds: Vec<_> = pauses.iter().map(|p| p.map(|p| p.as_millis())).collect();
        assert_eq!(milliseconds, [Some(250), Some(500), Some(1000), Some(2000), Some(4000), None]);
    }

    #[test]
    fn a_minute_later_the_past_is_forgotten() {
        let start = Instant::now();
        let mut ends = Ends::default();
        for second in 0..5 {
            assert!(ends.next(start + Duration::from_secs(second)).is_some());
        }
        assert_eq!(ends.next(start + WINDOW + Duration::from_secs(5)), Some(PAUSE));
    }
}
