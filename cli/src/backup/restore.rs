//! `rackwright restore`: a site as it was.

use super::archive::{Archive, Manifest, Secrets, beside};
use super::database;
use crate::controller::{hand_over, hand_over_one, prepare, write_whole};
use crate::serve::{self, Postgres};
use anyhow::{Context, Result, ensure};
use rackwright_common::Secret;
use rackwright_link::Ca;
use rackwright_region::auth::bootstrap::let_in;
use rackwright_region::config::RegionConfig;
use rackwright_region::db::{Database, Patience, region, restored};
use rackwright_region::lifecycle::restored::reconcile;
use std::path::{Path, PathBuf};

/// Makes a site of a backup: fills an empty database, and puts the keys in place. No region may run.
#[derive(Debug, clap::Args)]
pub struct Restore {
    /// What `rackwright backup` wrote.
    file: PathBuf,
    /// The configuration of the region on this box; written when there is none.
    #[arg(long, default_value = "/etc/rackwright/region.toml")]
    config: PathBuf,
    /// Folder for the keys and the image store, where there is no configuration yet.
    #[arg(long, default_value = "/var/lib/rackwright/region", conflicts_with = "up")]
    data: PathBuf,
    /// The database to fill; the configuration's when absent. Better in the variable: others see arguments.
    #[arg(long, env = "RACKWRIGHT_RESTORE_DATABASE_URL", hide_env_values = true)]
    database_url: Option<Secret<String>>,
    /// A data folder for `rackwright up`, which must not run, instead of a region's configuration.
    #[arg(long, value_name = "FOLDER", conflicts_with_all = ["config", "database_url"])]
    up: Option<PathBuf>,
    /// Replace what is there: the database's content is removed, keys are kept aside.
    #[arg(long)]
    force: bool,
}

/// Where a site is restored to.
struct Target {
    data: PathBuf,
    url: String,
    /// Settings to write: there are none yet.
    settings: Option<PathBuf>,
}

impl Restore {
    /// Does it.
    pub async fn run(self) -> Result<()> {
        let archive = Archive::open(&self.file)?;
        let Some(folder) = &self.up else {
            let target = self.target()?;
            return self.restore(archive, &target).await;
        };
        let (data, _only) = serve::take_folder(folder)?;
        let postgres = Postgres::start(&data.join("postgres")).await?;
        let target = Target { url: postgres.url("rackwright"), data, settings: None };
        let restored = self.restore(archive, &target).await;
        restored.and(postgres.stop().await)
    }

    fn target(&self) -> Result<Target> {
        let given = self.database_url.as_ref().map(|url| url.expose().clone());
        if self.config.exists() {
            let config: RegionConfig = serve::load_region(&self.config)?;
            return Ok(Target {
                data: config.data,
                url: given.unwrap_or(config.database_url),
                settings: None,
            });
        }
        let url = given.with_context(|| {
            format!("there is no {}: name the database to fill with --database-url", self.config.display())
        })?;
        let data = std::path::absolute(&self.data)?;
        Ok(Target { data, url, settings: Some(self.config.clone()) })
    }

    async fn restore(&self, archive: Archive, target: &Target) -> Result<()> {
        let full = self.look(target).await?;
        prepare(&target.data)?;
        let mut read = None;
        let (url, force) = (target.url.as_str(), self.force);
        // Emptied only when the backup has turned out to be one.
        let runtime = tokio::runtime::Handle::current();
        tokio::task::block_in_place(|| {
            archive.read(|manifest, secrets, dump| {
                let ca = Ca::from_pem(secrets.ca_pem.clone(), secrets.ca_key_pem.clone())
                    .context("the backup's certificate authority makes no sense")?;
                // No region begins to work on it before it is put right, also when this process dies.
                runtime.block_on(restored::begin(url)).context("the database cannot be restored to")?;
                if full && force {
                    runtime.block_on(restored::empty(url)).context("the database cannot be emptied")?;
                }
                database::fill(url, dump)?;
                read = Some((manifest, secrets, ca));
                Ok(())
            })
        })?;
        let (manifest, secrets, ca) = read.context("the backup is empty")?;
        put_keys(&target.data, &secrets, &ca)?;
        if let Some(path) = &target.settings {
            write_settings(path, target, &manifest)?;
        }
        // Kept until the end: the way to a cluster goes with it.
        let database = Database::open(&target.url, 2, Patience::default()).await;
        let database = database.context("the restored database cannot be used")?;
        let machines = reconcile(database.pool(), &manifest.taken).await?;
        tell(&manifest, &machines);
        let token = target.data.join("admin.token");
        if let_in(database.pool(), &token, &manifest.taken).await? {
            hand_over_one(&token)?;
            println!("{} is a new token of an administrator.", token.display());
        }
        Ok(())
    }

    /// Whether there is something in the target; an error when it must not be touched.
    async fn look(&self, target: &Target) -> Result<bool> {
        let found = region::look(&target.url).await.context("the database to fill cannot be reached")?;
        ensure!(
            found.alive.is_empty(),
            "regions work on this database ({}): stop them first, on every box",
            found.alive.join(", ")
        );
        ensure!(found.writable, "the database to fill is read-only: name the host that takes changes");
        let tables = restored::tables(&target.url).await?;
        let key = target.data.join("master.key");
        if (tables > 0 || key.exists()) && !self.force {
            let what = match (tables > 0, key.exists()) {
                (true, true) => format!("the database holds {tables} tables and {} is there", key.display()),
                (true, false) => format!("the database holds {tables} tables"),
                (false, _) => format!("{} is there", key.display()),
            };
            anyhow::bail!("{what}: with --force they are replaced, and what is in them is lost");
        }
        Ok(tables > 0)
    }
}

/// Master key and authority; those that are there are kept aside.
fn put_keys(data: &Path, secrets: &Secrets, ca: &Ca) -> Result<()> {
    for name in ["master.key", "ca"] {
        let (path, aside) = (data.join(name), beside(&data.join(name), "replaced"));
        if path.exists() {
            if aside.is_dir() {
                std::fs::remove_dir_all(&aside)?;
            }
            std::fs::rename(&path, &aside).with_context(|| format!("cannot move {}", path.display()))?;
        }
    }
    write_whole(&data.join("master.key"), &format!("{}\n", secrets.master_key.expose()), 0o600)?;
    ca.save(&data.join("ca"))?;
    hand_over(data)?;
    hand_over(&data.join("ca"))
}

fn write_settings(path: &Path, target: &Target, manifest: &Manifest) -> Result<()> {
    let mut table = toml::Table::new();
    table.insert("name".into(), manifest.region.clone().into());
    table.insert("data".into(), target.data.to_str().context("the data folder is not UTF-8")?.into());
    table.insert("database_url".into(), target.url.clone().into());
    prepare(path.parent().context("--config has no folder")?)?;
    write_whole(path, &toml::to_string(&table)?, 0o600)?;
    hand_over_one(path)
}

fn tell(manifest: &Manifest, machines: &[String]) {
    println!("The site is as it was at {}; start its regions.", manifest.taken);
    if !manifest.images.is_empty() {
        println!(
            "It has the images {}. Their content is not in a backup: a region fetches it from another that has it, and \
             `rackwright image list` names what is nowhere.",
            manifest.images.join(", ")
        );
    }
    if !machines.is_empty() {
        println!(
            "On {} something ran then, and nobody knows what became of it: look at them before you begin anew.",
            machines.join(", ")
        );
    }
    println!("What was done after the backup is not known: machines deployed since are shown as they were.");
}
