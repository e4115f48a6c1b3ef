//! `rackwright backup` and `rackwright restore`: everything that makes a site, in one file.
//!
//! What holds: the database in it is of one moment, taken while regions run; a restoration does not begin while a region
//! works on the target, nor over something that is there unless told to. The file holds every secret of the site: it is
//! readable by its owner only, and not encrypted, so that it can be read when all else is lost. Left out: the content of
//! images, which any region has and which can be built again; what is missing is named.

mod archive;
mod database;
mod moment;
mod restore;

pub use restore::Restore;

use crate::serve::{self, Postgres};
use anyhow::{Context, Result};
use archive::{Archive, Manifest, Secrets};
use moment::Recovered;
use rackwright_link::Ca;
use rackwright_region::config::RegionConfig;
use rackwright_region::db::{self, region};
use rackwright_region::secrets::MasterKey;
use std::path::{Path, PathBuf};
use time::OffsetDateTime;

/// Writes everything that makes this site into one file, while it runs. The file holds all of its secrets.
#[derive(Debug, clap::Args)]
pub struct Backup {
    /// The file to write.
    file: PathBuf,
    /// The configuration of a region on this box.
    #[arg(long, default_value = "/etc/rackwright/region.toml")]
    config: PathBuf,
    /// The data folder of a `rackwright up` on this box, which must run, instead of a region's configuration.
    #[arg(long, value_name = "FOLDER", conflicts_with = "config")]
    up: Option<PathBuf>,
    /// The database as it was at this moment (2026-11-22T10:00:00Z), from pgBackRest's repository, rather than as it is now.
    /// On a box of the cluster, as root.
    #[arg(long, value_parser = moment::parse, conflicts_with = "up")]
    at: Option<OffsetDateTime>,
    /// What pgBackRest calls the cluster.
    #[arg(long, requires = "at", default_value = "rackwright")]
    stanza: String,
}

impl Backup {
    /// Does it.
    pub async fn run(self) -> Result<()> {
        let (data, url, name) = place(self.up.as_deref(), &self.config)?;
        let key = data.join("master.key");
        let key = std::fs::read_to_string(&key).with_context(|| {
            format!("cannot read {}; is this the box of a region, and are you root?", key.display())
        })?;
        let ca = Ca::load(&data.join("ca")).context("the region's certificate authority cannot be read")?;
        let recovered = match self.at {
            Some(at) => Some(tokio::task::block_in_place(|| Recovered::at(at, &self.stanza))?),
            None => None,
        };
        let url = recovered.as_ref().map_or(url, Recovered::url);
        let found = region::look(&url).await.context("the database cannot be reached; does it run?")?;
        anyhow::ensure!(found.regions.is_some(), "the database of this region holds no Rackwright yet");
        let dump = database::dump(&url, &self.file, found.writable)?;
        if !found.writable {
            println!("No server of the database takes changes now: this is what the one that answers has.");
        }
        let images = db::image::references(&url).await?;
        let manifest = Manifest::of(self.at.unwrap_or_else(OffsetDateTime::now_utc), name, images);
        let secrets = Secrets {
            master_key: MasterKey::from_hex(&key).context("the master key file makes no sense")?.to_hex(),
            ca_pem: ca.certificate_pem().to_owned(),
            ca_key_pem: ca.key_pem().clone(),
        };
        Archive::write(&self.file, &manifest, &secrets, dump.path())?;
        let bytes = std::fs::metadata(&self.file)?.len();
        println!(
            "{} holds the database, the master key and the certificate authority ({} KiB), and names {} images. It holds every \
             secret of the site: keep it where the master key may be",
            self.file.display(),
            bytes.div_ceil(1024),
            manifest.images.len()
        );
        Ok(())
    }
}

/// Data folder, database and name of what is on this box.
fn place(up: Option<&Path>, config: &Path) -> Result<(PathBuf, String, String)> {
    if let Some(data) = up {
        return Ok((
            data.to_owned(),
            Postgres::url_in(&data.join("postgres"), "rackwright"),
            "region".to_owned(),
        ));
    }
    let config: RegionConfig = serve::load_region(config)?;
    Ok((config.data, config.database_url, config.name))
}
