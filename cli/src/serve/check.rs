//! `rackwright config check`: what the daemons would say of their settings, without starting them.

use super::{WrongSettings, load_config};
use anyhow::{Context, Result, ensure};
use rackwright_rack::config::RackConfig;
use rackwright_region::config::RegionConfig;
use std::path::{Path, PathBuf};

/// Configuration files of the daemons.
#[derive(Debug, clap::Subcommand)]
pub enum ConfigCommand {
    /// Read them as the daemons do, `RACKWRIGHT_*` variables over them, and say what is wrong.
    Check(Check),
}

/// Which files; both that are there when none is named.
#[derive(Debug, clap::Args)]
pub struct Check {
    /// A region's settings.
    #[arg(long, value_name = "FILE")]
    region: Option<PathBuf>,
    /// A rack's settings.
    #[arg(long, value_name = "FILE")]
    rack: Option<PathBuf>,
}

impl ConfigCommand {
    /// Does it.
    pub fn run(self) -> Result<()> {
        let Self::Check(Check { mut region, mut rack }) = self;
        if region.is_none() && rack.is_none() {
            let usual = |name| Some(Path::new("/etc/rackwright").join(name)).filter(|path| path.exists());
            (region, rack) = (usual("region.toml"), usual("rack.toml"));
            ensure!(
                region.is_some() || rack.is_some(),
                "there is neither region.toml nor rack.toml in /etc/rackwright; name a file with --region or --rack"
            );
        }
        if let Some(path) = region {
            load_config::<RegionConfig>(Some(&path), "RACKWRIGHT_REGION_")?;
            println!("{}: in order", path.display());
        }
        if let Some(path) = rack {
            let config: RackConfig = load_config(Some(&path), "RACKWRIGHT_RACK_")?;
            let wrong = || WrongSettings(format!("a setting in {} is wrong", path.display()));
            config.check().map_err(anyhow::Error::msg).with_context(wrong)?;
            println!("{}: in order", path.display());
        }
        Ok(())
    }
}
