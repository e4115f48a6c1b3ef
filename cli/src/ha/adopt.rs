//! `rackwright ha adopt`: moves the database that `up` owns into the cluster. `up` is stopped meanwhile.
//!
//! What holds: the old database is read and not changed; the new one is written in one transaction, only where it is empty;
//! every table has as many rows there as here before anything is believed; `up` does not start on the old one again.

use super::Place;
use super::inventory::{Inventory, VERIFIED, host};
use crate::serve::{ADOPTED, Postgres, postgres_programs, take_folder};
use anyhow::{Context, Result, ensure};
use rackwright_region::db::with_root_certificate;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// Moves the database of `rackwright up`.
#[derive(Debug, clap::Args)]
pub struct Adopt {
    #[command(flatten)]
    place: Place,
    /// The data folder of `rackwright up`, which must not run.
    #[arg(long, default_value = "/var/lib/rackwright")]
    up: PathBuf,
    /// The region's configuration to write.
    #[arg(long, default_value = "/etc/rackwright/region.toml")]
    region: PathBuf,
    /// Replace what is in the cluster's database.
    #[arg(long)]
    force: bool,
}

/// Tables with their number of rows.
const COUNTS: &str = "SELECT relname || ' ' || (xpath('/row/c/text()', query_to_xml(format('SELECT count(*) AS c FROM %I', relname), \
                      false, true, '')))[1]::text FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace \
                      ORDER BY relname";

impl Adopt {
    pub fn run(self) -> Result<()> {
        crate::serve::start_logging();
        tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(self.moved())
    }

    async fn moved(self) -> Result<()> {
        let inventory = Inventory::load(&self.place.config)?;
        let (data, _only) = take_folder(&self.up)?;
        let folder = data.join("postgres");
        ensure!(
            folder.join("data/PG_VERSION").exists(),
            "{} holds no database of `rackwright up`",
            data.display()
        );
        let adopted = folder.join(ADOPTED).exists();
        ensure!(!adopted || !self.region.exists(), "the database of {} was moved already", data.display());
        ensure!(!self.region.exists(), "{} is there already; move it away first", self.region.display());
        if adopted {
            // Interrupted at its last step.
            self.write_region(&inventory, &data)?;
            println!("The database was moved before; {} is written now.", self.region.display());
            return Ok(());
        }
        let to = Cluster::new(&inventory, &self.place.folder)?;
        let there = to.ask(
            "SELECT count(*) FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace",
        )?;
        ensure!(
            there == "0" || self.force,
            "the cluster's database is not empty ({there} tables); --force replaces it"
        );
        let from = Postgres::start(&folder).await?;
        let dump = data.join("adopt.dump");
        let moved = copy(&from, &to, &dump);
        let stopped = from.stop().await;
        if dump.exists() {
            std::fs::remove_file(&dump)?;
        }
        let rows = moved?;
        stopped?;
        // First: from here on nobody starts both `up` on the old one and a region on the new one.
        std::fs::write(
            folder.join(ADOPTED),
            "moved into the cluster of ha.toml; `rackwright up` does not use it any more\n",
        )?;
        self.write_region(&inventory, &data)?;
        println!("Moved: {} tables, {rows} rows.", to.counts()?.lines().count());
        println!("  start the region   rackwright region --config {}", self.region.display());
        println!("  the old database stays in {} until you remove it", folder.display());
        Ok(())
    }

    fn write_region(&self, inventory: &Inventory, data: &Path) -> Result<()> {
        let name = crate::serve::host_name();
        let node = inventory.find(self.place.node.as_deref())?;
        let mut table = super::region::settings(&self.place, inventory, node)?;
        table.insert("name".into(), name.into());
        table.insert("data".into(), data.display().to_string().into());
        let mut file =
            std::fs::File::options().write(true).create_new(true).mode(0o640).open(&self.region)?;
        file.write_all(toml::to_string(&table)?.as_bytes())?;
        if let Some(group) = nix::unistd::Group::from_name("rackwright")? {
            std::os::unix::fs::chown(&self.region, None, Some(group.gid.as_raw()))?;
        }
        Ok(())
    }
}

/// Copies everything and compares; how many rows that were.
fn copy(from: &Postgres, to: &Cluster, dump: &Path) -> Result<u64> {
    let source = from.url("rackwright");
    std::fs::File::options().write(true).create(true).truncate(true).mode(0o600).open(dump)?;
    succeed(
        to.program("pg_dump").args(["-Fc", "--no-owner", "--no-privileges", "-d", &source, "-f"]).arg(dump),
    )?;
    let mut restore = to.program("pg_restore");
    restore.args([
        "--single-transaction",
        "--exit-on-error",
        "--no-owner",
        "--no-privileges",
        "--clean",
        "--if-exists",
    ]);
    succeed(restore.args(["-d", &to.target]).arg(dump))?;
    let before = text(&succeed(to.program("psql").args(["-X", "-A", "-t", "-d", &source, "-c", COUNTS]))?);
    let after = to.counts()?;
    ensure!(before == after, "the copy differs from the original; rows here:\n{before}\nthere:\n{after}");
    Ok(before.lines().filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum())
}

/// The cluster's database, by PostgreSQL's own programs.
struct Cluster {
    programs: PathBuf,
    target: String,
    password: String,
}

impl Cluster {
    fn new(inventory: &Inventory, folder: &Path) -> Result<Self> {
        let hosts: Vec<_> = inventory.nodes.iter().map(|node| host(node.address)).collect();
        Ok(Self {
            programs: postgres_programs()?,
            target: with_root_certificate(
                &format!(
                    "postgres://rackwright@{}/rackwright?target_session_attrs=read-write&connect_timeout=3&{VERIFIED}",
                    hosts.join(",")
                ),
                &std::path::absolute(folder)?.join("ca.pem"),
            ),
            password: inventory.secrets.region.expose().clone(),
        })
    }

    /// The password goes by the environment: arguments are for all to see.
    fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.programs.join(name));
        command.env("PGPASSWORD", &self.password).stdin(Stdio::null());
        command
    }

    fn ask(&self, sql: &str) -> Result<String> {
        let output = succeed(self.program("psql").args(["-X", "-A", "-t", "-d", &self.target, "-c", sql]));
        Ok(text(&output.context(
            "the cluster's database cannot be used; does `rackwright ha ctl list` show a leader?",
        )?))
    }

    fn counts(&self) -> Result<String> {
        self.ask(COUNTS)
    }
}

fn succeed(command: &mut Command) -> Result<Output> {
    let shown = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| shown.clone())?;
    ensure!(output.status.success(), "{shown}: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(output)
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
