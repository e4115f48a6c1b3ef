//! `rackwright image build-ephemeral`

use super::{BuildOptions, progress};
use crate::client::Client;
use anyhow::{Context, Result};
use rackwright_images::Kernel;
use rackwright_images::ephemeral::{self, EphemeralRecipe};
use std::path::PathBuf;

/// Build the environment that machines boot from the network.
#[derive(Debug, clap::Args)]
pub struct BuildEphemeral {
    /// Kernel: `generic` for hardware, `cloud` for virtual machines only.
    #[arg(long, default_value = "generic", value_parser = ["generic", "cloud"])]
    kernel: String,
    /// The agent; the one beside this program when absent.
    #[arg(long)]
    agent: Option<PathBuf>,
    #[command(flatten)]
    options: BuildOptions,
}

impl BuildEphemeral {
    /// Builds it.
    pub async fn run(self, client: &Client) -> Result<()> {
        let kernel = if self.kernel == "cloud" { Kernel::Cloud } else { Kernel::Generic };
        let agent = self.agent.clone().map_or_else(installed_agent, Ok)?;
        let folder = self.options.target("ephemeral");
        let mut recipe = EphemeralRecipe::new(kernel, agent, folder.clone(), self.options.cache.clone());
        recipe.mirror.clone_from(&self.options.mirror);
        progress::show(|p| ephemeral::build(&recipe, p))?;
        self.options.conclude(client, &folder).await
    }
}

/// Where packages and builds put the agent: beside this program.
fn installed_agent() -> Result<PathBuf> {
    let here = std::env::current_exe().context("this program does not know where it is")?;
    let places =
        [here.with_file_name("rackwright-agent"), PathBuf::from("/usr/lib/rackwright/rackwright-agent")];
    let found = places.iter().find(|p| p.exists()).cloned();
    found.context("there is no rackwright-agent beside this program; name it with --agent")
}
