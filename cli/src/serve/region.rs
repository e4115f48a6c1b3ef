//! `rackwright region`: a region controller.

use super::{block_on, load_config, notify, router, until_signalled};
use anyhow::Result;
use rackwright_region::config::RegionConfig;
use rackwright_region::waiting;
use std::path::{Path, PathBuf};

/// Runs a region controller: REST API, web pages, the machines' life cycle.
#[derive(Debug, clap::Args)]
pub struct RegionArgs {
    /// Configuration file; `RACKWRIGHT_REGION_*` variables overrule it.
    #[arg(long, default_value = "/etc/rackwright/region.toml")]
    config: PathBuf,
}

/// A region's settings on this box: the file where there is one, variables over it.
pub fn load(config: &Path) -> Result<RegionConfig> {
    let file = config.exists().then_some(config);
    load_config(file, "RACKWRIGHT_REGION_")
}

impl RegionArgs {
    /// Until it is told to stop.
    pub fn run(self) -> Result<()> {
        let config = load(&self.config)?;
        block_on(async {
            let cancel = until_signalled()?;
            let address = notify::local(config.listen);
            tokio::spawn(notify::tell(move || vec![address], cancel.clone()));
            let Some(region) = waiting::open(&config, &cancel).await? else { return Ok(()) };
            let pages = router(region.app());
            region.run(pages, cancel).await?;
            Ok(())
        })
    }
}
