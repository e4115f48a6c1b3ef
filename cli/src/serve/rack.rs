//! `rackwright rack run`: a rack controller.

use super::{block_on, load_config, notify, until_signalled};
use anyhow::Result;
use rackwright_rack::config::RackConfig;
use std::path::PathBuf;

/// Runs a rack controller: DHCP, TFTP, HTTP boot, image cache, power.
#[derive(Debug, clap::Args)]
pub struct RackArgs {
    /// Configuration file; `RACKWRIGHT_RACK_*` variables overrule it.
    #[arg(long, default_value = "/etc/rackwright/rack.toml")]
    config: PathBuf,
}

impl RackArgs {
    /// Until it is told to stop.
    pub fn run(self) -> Result<()> {
        let file = self.config.exists().then_some(self.config.as_path());
        let config: RackConfig = load_config(file, "RACKWRIGHT_RACK_")?;
        block_on(async {
            let cancel = until_signalled()?;
            let (interfaces, port) = (config.interfaces.clone(), config.http_port);
            tokio::spawn(notify::tell(move || notify::on_interfaces(&interfaces, port), cancel.clone()));
            rackwright_rack::daemon::run(config, cancel).await?;
            Ok(())
        })
    }
}
