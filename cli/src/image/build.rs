//! `rackwright image build NAME`

use super::{BuildOptions, progress};
use crate::client::Client;
use anyhow::Result;
use rackwright_images::Kernel;
use rackwright_images::bootloaders::{self, BootLoaderRecipe};
use rackwright_images::debian::{self, OsRecipe};
use rackwright_images::toolbox::{self, ToolboxRecipe};

/// Code name of the release that Rackwright's own tools are taken from.
const TOOLS_RELEASE: &str = "bookworm";

/// Build an image from distribution packages.
#[derive(Debug, clap::Args)]
pub struct Build {
    /// What to build.
    #[arg(value_parser = ["debian-12", "toolbox", "bootloaders"])]
    name: String,
    /// Kernel of an operating system: `generic` for hardware, `cloud` for virtual machines only.
    #[arg(long, default_value = "generic", value_parser = ["generic", "cloud"])]
    kernel: String,
    /// More packages.
    #[arg(long = "package")]
    packages: Vec<String>,
    #[command(flatten)]
    options: BuildOptions,
}

impl Build {
    /// Builds it.
    pub async fn run(self, client: &Client) -> Result<()> {
        let folder = self.options.target(&self.name);
        let (cache, mirror, release) =
            (self.options.cache.clone(), self.options.mirror.clone(), TOOLS_RELEASE.to_owned());
        match self.name.as_str() {
            "toolbox" => {
                let recipe = ToolboxRecipe {
                    out: folder.clone(),
                    cache,
                    mirror,
                    release,
                    extra_packages: self.packages.clone(),
                };
                progress::show(|p| toolbox::build(&recipe, p))?;
            }
            "bootloaders" => {
                let recipe = BootLoaderRecipe { out: folder.clone(), cache, mirror, release };
                progress::show(|p| bootloaders::collect(&recipe, p))?;
            }
            name => {
                let mut recipe = OsRecipe::new(name, folder.clone(), cache);
                recipe.kernel = if self.kernel == "cloud" { Kernel::Cloud } else { Kernel::Generic };
                recipe.mirror = mirror;
                recipe.extra_packages.clone_from(&self.packages);
                progress::show(|p| debian::build(&recipe, p))?;
            }
        }
        self.options.conclude(client, &folder).await
    }
}
