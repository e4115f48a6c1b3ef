//! A private PostgreSQL for tests and for `sqlx`: its own folder, a unix socket, no TCP port.
//!
//! What holds: it ends with this process, also when that is killed (the kernel sends it a signal). Durability
//! is switched off; nothing in it is worth keeping.

use crate::arguments::Arguments;
use anyhow::{Context, Result, ensure};
use rackwright_lab::interrupt::Interrupt;
use rackwright_lab::poll;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Duration;

/// The superuser; also the operating system's user when this runs as root, which PostgreSQL refuses to do.
const USER: &str = "postgres";

/// `postgres`: a server with a migrated database to play with, until Ctrl-C.
pub fn run(arguments: Arguments) -> Result<ExitCode> {
    arguments.done()?;
    let interrupt = Interrupt::listen()?;
    let postgres = Postgres::start()?;
    println!("DATABASE_URL={}", postgres.migrated("rackwright")?);
    while interrupt.pause(Duration::from_secs(3600)).is_ok() {}
    Ok(ExitCode::SUCCESS)
}

/// A running server.
pub struct Postgres {
    folder: PathBuf,
    programs: PathBuf,
    server: Child,
}

impl Postgres {
    /// Makes a cluster and starts it.
    pub fn start() -> Result<Self> {
        let programs = programs()?;
        sweep();
        let folder = std::env::temp_dir().join(format!("rackwright-pg-{}", std::process::id()));
        fs::create_dir_all(&folder)?;
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700))?;
        if as_root() {
            let status = Command::new("chown").arg(USER).arg(&folder).status()?;
            ensure!(status.success(), "chown {USER} {}: {status}", folder.display());
        }
        let data = folder.join("data");
        let mut initdb = command(&programs.join("initdb"), &folder);
        initdb.args(["--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"]);
        initdb.arg(format!("--username={USER}")).arg("--pgdata").arg(&data);
        let output = initdb.output().context("initdb")?;
        ensure!(output.status.success(), "initdb: {}", String::from_utf8_lossy(&output.stderr));
        let server = Self::run_server(&programs, &folder, &data)?;
        let postgres = Self { folder, programs, server };
        postgres.wait()?;
        Ok(postgres)
    }

    /// URL of a database; `postgres` always exists.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{USER}@localhost/{database}?host={}", self.folder.display())
    }

    /// Makes a database and applies the workspace's migrations to it in the order of their names.
    pub fn migrated(&self, database: &str) -> Result<String> {
        self.psql("postgres", &["-c", &format!("CREATE DATABASE \"{database}\"")])?;
        let folder = rackwright_lab::state::workspace().join("migrations");
        let entries = fs::read_dir(&folder).with_context(|| folder.display().to_string())?;
        let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        files.retain(|file| file.extension().is_some_and(|extension| extension == "sql"));
        files.sort();
        for file in &files {
            // The database's user need not be able to read the checkout.
            let text = fs::read_to_string(file)?;
            self.psql_input(database, &text).with_context(|| file.display().to_string())?;
        }
        println!("{} migrations applied to {database}", files.len());
        Ok(self.url(database))
    }

    fn run_server(programs: &Path, folder: &Path, data: &Path) -> Result<Child> {
        let log = fs::File::create(folder.join("log"))?;
        let mut command = command(&programs.join("postgres"), folder);
        command.arg("-D").arg(data).arg("-k").arg(folder);
        for setting in [
            "listen_addresses=",
            "fsync=off",
            "synchronous_commit=off",
            "full_page_writes=off",
            "max_connections=300",
        ] {
            command.args(["-c", setting]);
        }
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn().context("postgres")
    }

    fn wait(&self) -> Result<()> {
        poll::until(Duration::from_secs(30), "PostgreSQL", || {
            self.psql("postgres", &["-c", "SELECT 1"]).map(Some)
        })
    }

    fn psql(&self, database: &str, arguments: &[&str]) -> Result<()> {
        rackwright_lab::ns::run(self.psql_command(database).args(arguments))
    }

    fn psql_input(&self, database: &str, text: &str) -> Result<()> {
        use std::io::Write;
        let mut command = self.psql_command(database);
        command.args(["--single-transaction", "-f", "-"]);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().context("psql")?;
        if let Some(mut input) = child.stdin.take() {
            // When psql ends early its status says more than the broken pipe.
            input.write_all(text.as_bytes()).ok();
        }
        let output = child.wait_with_output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr).trim());
        Ok(())
    }

    fn psql_command(&self, database: &str) -> Command {
        let mut command = Command::new(self.programs.join("psql"));
        command.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-U", USER, "-h"]).arg(&self.folder);
        command.args(["-d", database]);
        command
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // Fast shutdown: sessions are cut. `setpriv` has become the server, so the pid is the server's.
        let process = rackwright_lab::process::ProcessId::of(self.server.id().cast_signed());
        if let Some(process) = process {
            process.signal(rackwright_lab::process::SIGINT);
        }
        if let Err(error) = self.server.wait().and_then(|_| fs::remove_dir_all(&self.folder)) {
            eprintln!("{}: {error}", self.folder.display());
        }
    }
}

/// Removes the folders of servers whose process was killed; the kernel has ended those servers.
fn sweep() {
    let Ok(entries) = fs::read_dir(std::env::temp_dir()) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let pid = name.to_str().and_then(|name| name.strip_prefix("rackwright-pg-")?.parse().ok());
        if pid.is_some_and(|pid| rackwright_lab::process::ProcessId::of(pid).is_none()) {
            // Somebody else may be sweeping too.
            fs::remove_dir_all(entry.path()).ok();
        }
    }
}

/// A program as the unprivileged user, ended by the kernel when this process ends.
fn command(program: &Path, folder: &Path) -> Command {
    let mut command = Command::new("setpriv");
    if as_root() {
        command.args(["--reuid", USER, "--regid", USER, "--clear-groups"]);
    }
    command.args(["--pdeathsig", "INT"]).arg(program).current_dir(folder);
    command
}

fn as_root() -> bool {
    crate::setup::is_root()
}

/// The folder of the newest PostgreSQL of the distribution.
fn programs() -> Result<PathBuf> {
    let version = |path: &PathBuf| path.file_name()?.to_str()?.parse::<u32>().ok();
    let entries =
        fs::read_dir("/usr/lib/postgresql").context("no PostgreSQL; `cargo xtask setup` installs it")?;
    let newest = entries.flatten().map(|entry| entry.path()).filter(|path| path.join("bin/initdb").exists());
    Ok(newest.max_by_key(version).context("no PostgreSQL")?.join("bin"))
}
